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

#: Where nothing else is said, a threshold is what the first so much of the customers who bought lately reach.
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

    Formula: of each measure over the last 364 days, the value that the first fifth of those customers reach who
    ordered in them and have a value above 0 (their 80 % quantile, rounded down to two significant digits); 0 where
    nobody has one, as where the shop does not know the measure.
    Source: the rule of thumb that a fifth of customers bring most of the sales (Juran, Quality Control Handbook 1951).
    """

    def threshold(name: str) -> float:
        # Those who stay away are many in an old shop: among them the first fifth would reach nothing.
        reached = top_value(measures[name], active=measures["visits"] > 0, share=TOP_SHARE)
        return 0.0 if reached is None else _round_down(reached)

    measures = measures_of(facts)
    return BestRule(spend=threshold("spend"), categories=int(threshold("categories")), visits=int(threshold("visits")))


def top_value(
    values: NDArray[np.float64], *, active: NDArray[np.bool_], share: float, above: float = 0.0
) -> float | None:
    """What the first `share` of the `active` customers with a value `above` reach; None where there is none."""
    known = values[active & (values > above)]
    return float(np.quantile(known, 1 - share)) if len(known) else None


def best_customers(facts: pd.DataFrame, rule: BestRule) -> NDArray[np.bool_]:
    """(customers,) whether a customer is one of the best.

    Formula: spend >= rule.spend and categories >= rule.categories and days with an order >= rule.visits, each over the
    last 364 days, and an order in them. A measure that the shop does not know is left out.
    Source: a rule of the shop's own; the defaults are `usual_rule`.
    """
    return reach(measures_of(facts), rule)


def reach(measures: Measures, rule: BestRule) -> NDArray[np.bool_]:
    """(customers,) whether each reaches the rule; as `best_customers`."""
    best = measures["visits"] > 0
    for name, least in rule.as_json().items():
        best &= np.isnan(measures[name]) | (measures[name] >= least)
    return best


def measures_of(facts: pd.DataFrame) -> Measures:
    """The columns that a rule looks at."""
    return {name: facts[f"{name}_lately"].to_numpy(float) for name in MEASURES}


def best_summary(facts: pd.DataFrame, rule: BestRule) -> dict[str, Any]:
    """How many are best, what they bring, and how many reach each threshold alone.

    Formula: spend_share = spend lately of the best / of all; reach is null where nobody has a value above 0, as where
    the shop does not know the measure.
    Source: as `best_customers`.
    """
    return summary_of(measures_of(facts), rule)


def summary_of(measures: Measures, rule: BestRule) -> dict[str, Any]:
    """As `best_summary`, of the measures alone."""
    best, spend, here = reach(measures, rule), measures["spend"], measures["visits"] > 0
    total = float(np.nansum(spend))
    return {
        "rule": rule.as_json(),
        "customers": int(best.sum()),
        "share": float(best.mean()) if len(best) else 0.0,
        "spend_share": float(np.nansum(spend[best])) / total if total else None,
        "reach": {
            name: int((here & (measures[name] >= least)).sum()) if (measures[name] > 0).any() else None
            for name, least in rule.as_json().items()
        },
    }


def _round_down(value: float) -> float:
    if value <= 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / max(step, 1.0)) * max(step, 1.0)) if value >= 1 else value
