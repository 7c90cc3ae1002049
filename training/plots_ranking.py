"""Pictures of ranked lists: recall by list length, ours against the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

OURS = "regulars"


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
