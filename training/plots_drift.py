"""A picture of drift: the stability index of scores and of the features most moved, week by week."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from features.drift import MOVED, STABLE
from training.model_drift import Drift
from training.plots import DASHES, INK, MUTED, OURS, PEERS, figure_at, quiet

#: Features drawn, the most moved in the newest week.
DRAWN = 5


def drift_picture(path: Path, found: Drift) -> Path:
    """Index against training by week, with the lines below which nothing, and above which much, has moved."""
    with figure_at(path, f"{found.model.capitalize()} version {found.version}: moved since training") as figure:
        axes = figure.subplots()
        days = np.array([week.as_of for week in found.weeks], dtype="datetime64[D]")
        axes.plot(days, [week.scores for week in found.weeks], color=OURS, marker="o", linewidth=2.0, label="scores")
        for place, name in enumerate(list(found.weeks[-1].features)[:DRAWN]):
            style: dict[str, Any] = {"color": PEERS[place], "dashes": DASHES[place], "linewidth": 1.1}
            axes.plot(days, [week.features[name] for week in found.weeks], label=name.replace("_", " "), **style)
        for line in (STABLE, MOVED):
            axes.axhline(line, color=MUTED, linewidth=0.8, dashes=(1, 2))
        axes.set(ylim=(0, None), ylabel="population stability index")
        axes.tick_params(axis="x", rotation=30)
        axes.legend(frameon=False, labelcolor=INK, fontsize=8)
        quiet(axes)
    return path
