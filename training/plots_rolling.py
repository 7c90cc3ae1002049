"""Pictures of a rolling back-test: how good at each cut-off, whether its level was right, and all cut-offs together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.backtest import Rolling
from training.backtest_ranking import RankingRolling
from training.evaluate_customers import OURS as NAME
from training.plots import DASHES, INK, MUTED, OURS, PEERS, amounts, figure_at, gain, quiet, reliability
from training.plots_ranking import plot_bands
from training.ranking_backtest import best_baseline


def rolling_pictures(found: Rolling, into: Path) -> list[Path]:
    """PNG files in a directory: over time, level, and the pictures of a single back-test over all cut-offs."""
    title = f"{found.model.capitalize()}, {len(found.tested)} cut-offs to {found.tested[-1].as_of:%Y-%m-%d}"
    drawn = [over_time(into / "over_time.png", found, title=title), level(into / "level.png", found, title=title)]
    actual, predicted = found.pooled()
    peer = np.concatenate([one.peers[found.best_peer] for one in found.tested])
    scores = {NAME: predicted, found.best_peer: peer}
    if found.is_amount:
        return [*drawn, amounts(into / "amounts.png", actual, scores, title=title, unit=found.event)]
    return [
        *drawn,
        reliability(into / "reliability.png", actual, predicted, title=title, event=found.event),
        gain(into / "gain.png", actual, scores, title=title, event=found.event),
    ]


def ranking_pictures(found: RankingRolling, into: Path) -> list[Path]:
    """PNG files in a directory: over time, and the bands at the newest cut-off."""
    newest = found.tested[-1]
    title = f"Recommender, {len(found.tested)} cut-offs to {newest.as_of:%Y-%m-%d}"
    beside = best_baseline(newest.peer_metrics)
    by_band = f"By band, as of {newest.as_of:%Y-%m-%d}"
    return [
        over_time(into / "over_time.png", found, title=title),
        plot_bands(newest.bands, into / "bands.png", theirs=beside, title=by_band),
    ]


def moments(found: OverTime) -> NDArray[np.datetime64]:
    """(cut-offs,) their days."""
    return np.array([one.as_of for one in found.tested], dtype="datetime64[D]")


class OverTime(Protocol):
    """A rolling back-test of any model: at each cut-off, our metrics and those of the peers."""

    @property
    def metric(self) -> str:
        """The one that is drawn."""

    @property
    def tested(self) -> Sequence[Any]:
        """Cut-offs with `as_of`, `metrics`, `peers` and `peer_metrics`."""


def over_time(path: Path, found: OverTime, *, title: str) -> Path:
    """The metric at each cut-off with its 95% interval, and that of each peer."""
    with figure_at(path, f"{title}: {found.metric}") as figure:
        axes = figure.subplots()
        days = moments(found)
        ours = [next(m for m in one.metrics if m.name == found.metric) for one in found.tested]
        low, high = (np.array([getattr(m, end) for m in ours], dtype=float) for end in ("low", "high"))
        axes.vlines(days, low, high, color=OURS, linewidth=1.4, alpha=0.55)
        axes.plot(days, [m.value for m in ours], color=OURS, marker="o", linewidth=2.0, label=NAME)
        for place, name in enumerate(found.tested[0].peers):
            values = [one.peer_metrics[name].get(found.metric, np.nan) for one in found.tested]
            style: dict[str, Any] = {
                "color": PEERS[place % len(PEERS)],
                "dashes": DASHES[place % len(DASHES)],
                "linewidth": 1.1,
            }
            axes.plot(days, values, label=name.replace("_", " "), **style)
        axes.set(ylabel=found.metric)
        axes.tick_params(axis="x", rotation=30)
        axes.legend(frameon=False, labelcolor=INK, fontsize=8)
        quiet(axes)
    return path


def level(path: Path, found: Rolling, *, title: str) -> Path:
    """The mean predicted and the mean that came, at each cut-off."""
    with figure_at(path, f"{title}: {found.event}", height=4.2) as figure:
        axes = figure.subplots()
        days = moments(found)
        axes.plot(days, [one.predicted.mean() for one in found.tested], color=OURS, marker="o", label="predicted")
        came = [one.actual.mean() for one in found.tested]
        axes.plot(days, came, color=MUTED, marker="s", dashes=(4, 3), label="came true")
        axes.set(ylim=(0, None), ylabel=f"mean {found.event}")
        axes.tick_params(axis="x", rotation=30)
        axes.legend(frameon=False, labelcolor=INK)
        quiet(axes)
    return path
