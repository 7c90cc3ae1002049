"""Pictures of an uplift: what lists of each length would have changed, and foretold against seen by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.plots import DASHES, INK, MUTED, OURS, PEERS, figure_at, quiet
from training.uplift_metrics import Curves

#: Names of the learners as they stand in a picture.
NAMES = {"t": "T-learner", "x": "X-learner", "dr": "DR-learner"}


def curves(path: Path, found: Mapping[str, Curves], *, served: str = "x") -> Path:
    """Customers kept for every hundred there are, by the share contacted, of each order; the one served is marked."""
    with figure_at(path, "Uplift: customers kept by contacting so many") as figure:
        axes = figure.subplots()
        for place, (name, curve) in enumerate(found.items()):
            style: dict[str, Any] = {"color": PEERS[place % len(PEERS)], "dashes": DASHES[place % len(DASHES)]}
            if name == served:
                style = {"color": OURS, "linewidth": 2.0}
            axes.plot(curve.share, 100 * curve.gain, label=NAMES.get(name, name), **style)
        end = 100 * next(iter(found.values())).gain[-1]
        axes.plot([0, 1], [0, end], color=MUTED, linewidth=0.8, dashes=(1, 2), label="by chance")
        axes.set(xlim=(0, 1), xlabel="share of customers, greatest uplift first", ylabel="kept for every 100 customers")
        axes.legend(frameon=False, labelcolor=INK)
        quiet(axes)
    return path


def fifths_picture(path: Path, groups: Sequence[Mapping[str, Any]]) -> Path:
    """The arms' difference with its 95% interval, and the uplift foretold, of groups of equal size."""
    with figure_at(path, "Uplift: foretold and seen", height=4.2) as figure:
        axes = figure.subplots()
        shown = [row for row in groups if row["seen"] is not None]
        x = np.array([row["group"] for row in shown], dtype=float)
        seen, low, high = (np.array([100 * row[name] for row in shown]) for name in ("seen", "low", "high"))
        axes.vlines(x, low, high, color=OURS, linewidth=1.4, alpha=0.55)
        axes.plot(x, seen, color=OURS, linestyle="none", marker="o", markersize=5, label="seen")
        foretold = [100 * row["foretold"] for row in groups]
        axes.plot([row["group"] for row in groups], foretold, color=PEERS[0], dashes=(4, 2), label="foretold")
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel="group, greatest uplift first", ylabel="points of the share kept")
        axes.set_xticks([row["group"] for row in groups])
        axes.legend(frameon=False, labelcolor=INK)
        quiet(axes)
    return path
