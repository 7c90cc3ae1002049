"""Who the best customers are, by a rule that a manager can read and change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    best = np.ones(len(facts), dtype=bool)
    for name, least in (("spend", rule.spend), ("categories", rule.categories), ("visits", rule.visits)):
        values = facts[f"{name}_lately"].to_numpy(float)
        best &= np.isnan(values) | (values >= least)
    return best


def best_summary(facts: pd.DataFrame, rule: BestRule) -> dict[str, Any]:
    """How many are best, what they bring, and how many reach each threshold alone.

    Formula: spend_share = spend lately of the best / of all. Source: as `best_customers`.
    """
    best = best_customers(facts, rule)
    spend = facts["spend_lately"].to_numpy(float)
    total = float(np.nansum(spend))
    reach = {
        name: int((facts[f"{name}_lately"].to_numpy(float) >= least).sum()) for name, least in rule.as_json().items()
    }
    return {
        "rule": rule.as_json(),
        "customers": int(best.sum()),
        "share": float(best.mean()) if len(best) else 0.0,
        "spend_share": float(np.nansum(spend[best])) / total if total else None,
        "reach": reach,
    }


def _round_down(value: float) -> float:
    if value <= 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / max(step, 1.0)) * max(step, 1.0)) if value >= 1 else value
