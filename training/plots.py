"""Pictures of a back-test as PNG files: reliability, gain, and predicted against actual amounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.intervals import wilson
from training.metrics_outcome import BINS, EDGE

INK, MUTED, FAINT = "#22303c", "#8796a3", "#e6eaed"
OURS = "#0b6e6e"
#: Of the peers, in the order given; the dashes tell them apart without colour.
PEERS = ("#c26a2d", "#7a6fb0", "#5b8bc9", "#b0567a", "#8a8a3a", "#777777")
DASHES = ((4, 2), (1, 1.5), (6, 2, 1, 2), (3, 1), (8, 2), (2, 3))
DPI = 144

Floats = NDArray[np.float64]


def reliability(path: Path, happened: NDArray[np.bool_], probability: Floats, *, title: str, event: str) -> Path:
    """Share that happened against mean probability in bins of equal counts, with 95% intervals; below, the scores.

    `event` names what happened, for instance "no order in 28 days".
    """
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    predicted = np.array([probability[group].mean() for group in groups])
    seen = np.array([happened[group].mean() for group in groups])
    low, high = np.array([wilson(int(happened[group].sum()), len(group)) for group in groups]).T
    with figure_at(path, title, height=6.4) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        top = min(float(max(predicted.max(), high.max())) * 1.06, 1.0)
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(4, 3), label="as predicted")
        upper.vlines(predicted, low, high, color=OURS, linewidth=1.4, alpha=0.55)
        upper.plot(predicted, seen, color=OURS, linewidth=1.2, marker="o", markersize=4.5)
        upper.set(xlim=(0, top), ylim=(0, top), ylabel=f"share with {event}")
        upper.legend(frameon=False, loc="upper left", labelcolor=INK)
        lower.hist(probability, bins=np.linspace(0, top, 41), color=OURS, alpha=0.55)
        lower.set(xlabel=f"predicted probability of {event}", ylabel="customers")
        for axes in (upper, lower):
            quiet(axes)
    return path


def gain(path: Path, happened: NDArray[np.bool_], scores: Mapping[str, Floats], *, title: str, event: str) -> Path:
    """Part of all customers with the event found by going down each ranking; the first of `scores` is ours."""
    with figure_at(path, title) as figure:
        axes = figure.subplots()
        n, events = len(happened), max(int(happened.sum()), 1)
        reached = np.arange(n + 1) / n
        axes.plot([0, events / n, 1], [0, 1, 1], color=MUTED, linewidth=0.8, dashes=(1, 2), label="perfect")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, dashes=(4, 3), label="by chance")
        for place, (name, score) in enumerate(scores.items()):
            order = np.argsort(-score, kind="stable")
            found = np.concatenate(([0], np.cumsum(happened[order]))) / events
            style = {"color": OURS, "linewidth": 2.0} if place == 0 else _peer_style(place - 1)
            axes.plot(reached, found, label=_words(name), **style)
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1.005),
            xlabel="share of customers, likeliest first",
            ylabel=f"share found of those with {event}",
        )
        axes.legend(frameon=False, loc="lower right", labelcolor=INK)
        quiet(axes)
    return path


def amounts(path: Path, actual: Floats, predicted: Mapping[str, Floats], *, title: str, unit: str) -> Path:
    """Mean actual against mean predicted amount in tenths of the customers, by each prediction; the first is ours."""
    with figure_at(path, title) as figure:
        axes = figure.subplots()
        top = 0.0
        for place, (name, values) in enumerate(predicted.items()):
            groups = [group for group in np.array_split(np.argsort(values, kind="stable"), BINS) if len(group)]
            x = np.array([values[group].mean() for group in groups])
            y = np.array([actual[group].mean() for group in groups])
            top = max(top, float(x.max()), float(y.max()))
            style = {"color": OURS, "linewidth": 2.0} if place == 0 else _peer_style(place - 1)
            axes.plot(x, y, marker="o", markersize=4, label=_words(name), **style)
        top = max(top, EDGE) * 1.04
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1, dashes=(4, 3), label="as predicted")
        axes.set(xlim=(0, top), ylim=(0, top), xlabel=f"mean predicted {unit}", ylabel=f"mean actual {unit}")
        axes.legend(frameon=False, loc="upper left", labelcolor=INK)
        quiet(axes)
    return path


@contextmanager
def figure_at(path: Path, title: str, *, height: float = 5.2) -> Iterator[Figure]:
    """A figure that is saved when the block ends; drawn without pyplot, which keeps global state."""
    figure = Figure(figsize=(6.4, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    yield figure
    figure.suptitle(title, x=0.02, ha="left", fontsize=10.5, color=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})


def _words(name: str) -> str:
    return name.replace("_", " ")


def _peer_style(place: int) -> dict[str, Any]:
    kind = place % len(PEERS)
    return {"color": PEERS[kind], "linewidth": 1.1, "dashes": DASHES[kind]}


def quiet(axes: Any) -> None:
    """Axes with faint lines and no box."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3)
    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
