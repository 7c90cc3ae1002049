"""Pictures of ranked lists: recall by list length and by band, ours against the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.ranking_backtest import OURS


def plot_recall(recall: Mapping[str, NDArray[np.float64]], path: Path, *, title: str) -> None:
    """A PNG of recall (share of the products bought) at 1, 2, … products shown, one line per recommender."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in sorted(recall.items(), key=lambda item: -item[1][-1]):
        places = np.arange(1, len(values) + 1)
        axes.plot(places, values, label=name.replace("_", " "), linewidth=2.5 if name == OURS else 1.2)
    axes.set(xlabel="products shown", ylabel="recall", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    FigureCanvasAgg(figure).print_png(str(path))


def plot_bands(bands: Sequence[Mapping[str, Any]], path: Path, *, theirs: str, title: str) -> Path:
    """A PNG of recall in each band of customers and products: ours with its 95 % interval, and another's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in bands if row["metric"].startswith("recall")][::-1]
    places = np.arange(len(rows))
    figure = Figure(figsize=(7, 1.2 + 0.42 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.hlines(places, [row["low"] for row in rows], [row["high"] for row in rows], color="C0", linewidth=2.5)
    axes.plot([row["ours"] for row in rows], places, "o", color="C0", label=OURS)
    axes.plot([row["theirs"] for row in rows], places, "|", color="C1", markersize=13, label=theirs.replace("_", " "))
    axes.set_yticks(places, [f"{row['band']} ({row['customers']:,})" for row in rows])
    axes.set(xlabel=rows[0]["metric"] if rows else "", title=title, xlim=(0, None))
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False)
    FigureCanvasAgg(figure).print_png(str(path))
    return path
