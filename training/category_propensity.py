"""Whether a customer buys of a category within the horizon: one model for all categories, calibrated for each.

What `training.own_share` says of a customer and a category is where it starts; the rest is how often and how lately
they bought of it, how much the shop sells of it, and whether that rises. Plain arithmetic, so that it is served
wherever the evidence is; it is fitted by training.category_fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError
from training.evidence import Evidence
from training.own_share import Likelihood

SIGNALS = ("own_share", "times", "days_since", "ever", "orders", "sold_share", "sold_trend")
#: The file of the model in a bundle of propensity.
CATEGORIES = "categories.json"
#: Days since the last purchase that count as never.
NEVER = 400.0
_EDGE = 1e-6
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CategoryPropensity:
    """Log-odds that are a sum of SIGNALS, then straightened for each category that was learned from.

    `weights` (signals,) and `intercept` are of all categories; `categories` gives each an intercept and a slope.
    """

    horizon_days: int
    weights: tuple[float, ...]
    intercept: float
    categories: Mapping[str, tuple[float, float]]

    def probability(self, signals: Floats, category: str | None, *, days: float | None = None) -> Floats:
        """(customers,) probability of buying of the category within `days`, or the horizon.

        A category not learned from, or None, is taken as all others are. Over other days than the horizon, purchases
        are taken to come at an even rate.
        """
        shift, slope = self.categories.get(category or "", (0.0, 1.0))
        within = 1.0 / (1.0 + np.exp(-(shift + slope * (self.intercept + signals @ np.asarray(self.weights)))))
        ahead = (self.horizon_days if days is None else days) / self.horizon_days
        found: Floats = -np.expm1(ahead * np.log1p(-np.minimum(within, 1 - _EDGE)))
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return {
            "horizon_days": self.horizon_days,
            "weights": dict(zip(SIGNALS, self.weights, strict=True)),
            "intercept": self.intercept,
            "categories": {name: list(pair) for name, pair in self.categories.items()},
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> CategoryPropensity:
        """The inverse of `as_json`. Raises DataError for signals this version does not know."""
        if set(found["weights"]) != set(SIGNALS):
            raise DataError("The model of categories goes by signals this version does not know. Train again.")
        categories = {name: (float(pair[0]), float(pair[1])) for name, pair in found["categories"].items()}
        weights = tuple(float(found["weights"][name]) for name in SIGNALS)
        return cls(int(found["horizon_days"]), weights, float(found["intercept"]), categories)


def signals_of(evidence: Evidence, found: Likelihood, wanted: NDArray[np.bool_], *, as_of_day: float) -> Floats:
    """(customers, SIGNALS) of one set of products, as `found` by own_share.likelihood at that day."""
    said = np.clip(found.probability, _EDGE, 1 - _EDGE)
    sold = evidence.sold_orders[wanted].sum() / max(evidence.orders, 1)
    trend = np.log((evidence.sold_lately[wanted].sum() + 1.0) / (evidence.sold_before[wanted].sum() + 1.0))
    ever = found.times > 0
    since = np.where(ever, np.clip(as_of_day - found.last, 0.0, NEVER), NEVER)
    return np.column_stack(
        [
            np.log(said / (1.0 - said)),
            np.log1p(found.times),
            np.log(since + 3.0),
            ever.astype(float),
            np.log1p(evidence.customer_orders),
            np.full(len(said), np.log(max(float(sold), _EDGE))),
            np.full(len(said), float(np.clip(trend, -1.0, 1.0))),
        ]
    )
