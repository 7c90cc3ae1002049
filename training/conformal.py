"""Intervals of predicted amounts that hold what comes as often as they say, whatever its distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError

Floats = NDArray[np.float64]

#: Share of customers whose amount an interval is to hold.
COVERED = 0.8
#: Groups of customers by what is predicted for them, each with an interval of its own, and the fewest rows of one.
GROUPS, LEAST_ROWS = 20, 60


@dataclass(frozen=True)
class Intervals:
    """From what share to what multiple of the predicted amount most amounts lie, by the size of the prediction.

    Split conformal prediction (Vovk, Gammerman and Shafer 2005), Mondrian by groups of the prediction: `low` and `high`
    (groups,) are quantiles of actual over predicted on customers at moments the model did not learn from, so an amount
    of the same kind lies within with probability `covered` or more. `edges` (groups - 1,) part the groups.
    """

    covered: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __call__(self, predicted: Floats) -> tuple[Floats, Floats]:
        """(rows,) ends of each interval, 0 or more; the prediction itself may lie outside where most amounts are 0."""
        group = np.searchsorted(self.edges, predicted, side="right")
        low, high = np.asarray(self.low)[group], np.asarray(self.high)[group]
        return predicted * low, predicted * high

    def as_json(self) -> dict[str, Any]:
        """Numbers and lists."""
        return {"covered": self.covered, "edges": list(self.edges), "low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Intervals:
        """The inverse of `as_json`."""
        return cls(found["covered"], *(tuple(found[name]) for name in ("edges", "low", "high")))


def fit_intervals(predicted: Floats, actual: Floats, *, covered: float = COVERED) -> Intervals:
    """The intervals of (rows,) predictions above 0 of rows the model did not learn from, and what came.

    Raises DataError for fewer rows than an interval needs, which is 1 / (1 - covered) on each side.
    """
    least = int(np.ceil(2 / (1 - covered)))
    if len(predicted) < least:
        raise DataError(f"{len(predicted)} rows are too few for intervals that hold {covered:.0%}; {least} are needed.")
    groups = int(np.clip(len(predicted) // LEAST_ROWS, 1, GROUPS))
    edges = np.unique(np.quantile(predicted, np.arange(1, groups) / groups)) if groups > 1 else np.empty(0)
    # An edge at the least prediction would have nobody below it.
    edges = edges[edges > predicted.min()]
    group = np.searchsorted(edges, predicted, side="right")
    ratio = actual / np.maximum(predicted, 1e-9)
    ends = [_ends(ratio[group == one], covered) for one in range(len(edges) + 1)]
    low, high = zip(*ends, strict=True)
    return Intervals(covered, tuple(edges.tolist()), low, high)


def _ends(ratio: Floats, covered: float) -> tuple[float, float]:
    """The order statistics between which the next ratio lies with this probability, as often missed on each side.

    Where that often or oftener nothing is spent, nobody lies below: the interval is from 0, and all is missed above.
    """
    ordered, n, beyond = np.sort(ratio), len(ratio), (1 - covered) / 2
    place = int(np.floor(beyond * (n + 1))) - 1
    low = float(ordered[place]) if place >= 0 else 0.0
    high = int(np.ceil((1 - beyond if low > 0 else covered) * (n + 1))) - 1
    return max(low, 0.0), float(ordered[min(high, n - 1)])


def interval_metrics(actual: Floats, low: Floats, high: Floats, *, covered: float = COVERED) -> dict[str, float]:
    """How often the interval held what came, its mean width over the mean amount, and the mean interval score.

    `interval_score` (Gneiting and Raftery 2007): the width, and 2 / (1 - covered) times what an amount lies outside by;
    in the shop's currency, lower is better.
    """
    mean = float(actual.mean())
    outside = np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0)
    return {
        "interval_coverage": float(((actual >= low) & (actual <= high)).mean()),
        "interval_width_share": float((high - low).mean()) / mean if mean else np.nan,
        "interval_score": float((high - low + 2 / (1 - covered) * outside).mean()),
    }
