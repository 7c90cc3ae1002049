"""A picture of a look back: what was predicted against what came, in tenths of the customers, model by model."""

from __future__ import annotations

from pathlib import Path

from training.lookback import Lookback
from training.plots import INK, MUTED, OURS, figure_at, quiet


def lookback_picture(path: Path, found: Lookback) -> Path:
    """One field for each model of customers: on the line, as much came as was predicted."""
    drawn = [one for one in found.models if one.tenths]
    title = f"Scores as of {found.as_of[:10]} against the {found.horizon_days} days after"
    with figure_at(path, title) as figure:
        fields = figure.subplots(1, max(len(drawn), 1), squeeze=False)[0]
        for axes, one in zip(fields, drawn, strict=False):
            x, y = [tenth.predicted for tenth in one.tenths], [tenth.came for tenth in one.tenths]
            top = max(*x, *y, 1e-9) * 1.06
            axes.plot([0, top], [0, top], color=MUTED, linewidth=1, dashes=(4, 3), label="as predicted")
            axes.plot(x, y, color=OURS, marker="o", markersize=4, linewidth=1.4)
            axes.set(xlim=(0, top), ylim=(0, top), xlabel="predicted", ylabel="came")
            axes.set_title(f"{one.model} {one.version}\n{one.verdict}", fontsize=9, color=INK)
            quiet(axes)
        if not drawn:
            fields[0].axis("off")
    return path
