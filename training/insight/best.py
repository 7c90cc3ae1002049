"""Who the best customers are, by a rule that a manager can read and change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the server applies a rule too, and has no pandas
    import pandas as pd

#: What each customer reached in the last 364 days: spend, categories, visits; NaN where the shop does not know.
Measures = Mapping[str, NDArray[np.float64]]
MEASURES = ("spend", "categories", "visits")

#: Where nothing else is said, a threshold is what a customer in the first so much of all reaches.
TOP_SHARE = 0.2


@dataclass(frozen=True)
class BestRule:
    """What a best customer reaches, all three of them, in the last 364 days."""

    spend: float
    categories: int
    visits: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def usual_rule(facts: pd.DataFrame) -> BestRule:
    """Thresholds from the shop itself, where nobody set others.

    Formula: of each measure over the last 364 days, the value that the first fifth of customers reach (their 80 %
    quantile, rounded down to two significant digits); 0 where the shop does not know the measure.
    Source: the rule of thumb that a fifth of customers bring most of the sales (Juran, Quality Control Handbook 1951).
    """

    def threshold(name: str) -> float:
        values = facts[name].to_numpy(float)
        return (
            _round_down(float(np.quantile(values, 1 - TOP_SHARE)))
            if len(values) and not np.isnan(values).any()
            else 0.0
        )

    return BestRule(
        spend=threshold("spend_lately"),
        categories=int(threshold("categories_lately")),
        visits=int(threshold("visits_lately")),
    )


def best_customers(facts: pd.DataFrame, rule: BestRule) -> NDArray[np.bool_]:
    """(customers,) whether a customer is one of the best.

    Formula: spend >= rule.spend and categories >= rule.categories and days with an order >= rule.visits, each over the
    last 364 days. A measure that the shop does not know is left out.
    Source: a rule of the shop's own; the defaults are `usual_rule`.
    """
    return reach(measures_of(facts), rule)


def reach(measures: Measures, rule: BestRule) -> NDArray[np.bool_]:
    """(customers,) whether each reaches the rule; as `best_customers`."""
    best = np.ones(len(measures["visits"]), dtype=bool)
    for name, least in rule.as_json().items():
        best &= np.isnan(measures[name]) | (measures[name] >= least)
    return best


def measures_of(facts: pd.DataFrame) -> Measures:
    """The columns that a rule looks at."""
    return {name: facts[f"{name}_lately"].to_numpy(float) for name in MEASURES}


def best_summary(facts: pd.DataFrame, rule: BestRule) -> dict[str, Any]:
    """How many are best, what they bring, and how many reach each threshold alone.

    Formula: spend_share = spend lately of the best / of all. Source: as `best_customers`.
    """
    return summary_of(measures_of(facts), rule)


def summary_of(measures: Measures, rule: BestRule) -> dict[str, Any]:
    """As `best_summary`, of the measures alone."""
    best, spend = reach(measures, rule), measures["spend"]
    total = float(np.nansum(spend))
    return {
        "rule": rule.as_json(),
        "customers": int(best.sum()),
        "share": float(best.mean()) if len(best) else 0.0,
        "spend_share": float(np.nansum(spend[best])) / total if total else None,
        "reach": {name: int((measures[name] >= least).sum()) for name, least in rule.as_json().items()},
    }


def _round_down(value: float) -> float:
    if value <= 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / max(step, 1.0)) * max(step, 1.0)) if value >= 1 else value
