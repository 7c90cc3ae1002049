"""Tags that say at a glance what a customer is like, each by a rule with its threshold, as of a date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.insight.best import top_value
from training.insight.shop import PERIOD_DAYS

#: Of a measure, a tag is for those who reach what the first tenth of the customers who bought lately reach.
TOP_SHARE = 0.1
#: A habit is one from so many orders on.
HABIT_ORDERS = 5
#: What is compared to tell who buys more or less than before: the last so many periods and as many before.
TREND_PERIODS = 3
#: A share of discount up to which the full price was paid.
FULL_PRICE = 0.01


@dataclass(frozen=True)
class Tag:
    """A tag and its rule: a `threshold`, given or found in the facts, and who `has` it, given that.

    None is no threshold; one that cannot be found, as nobody has a value, is NaN.
    """

    name: str
    threshold: float | Callable[[pd.DataFrame], float] | None
    has: Callable[[pd.DataFrame, float], NDArray[np.bool_]]


def _top(column: str, *, above: float = 0.0) -> Callable[[pd.DataFrame], float]:
    def threshold(facts: pd.DataFrame) -> float:
        active = facts["visits_lately"].to_numpy() > 0
        found = top_value(facts[column].to_numpy(float), active=active, share=TOP_SHARE, above=above)
        return np.nan if found is None else found

    return threshold


def _reaches(column: str, *, habit: bool = False) -> Callable[[pd.DataFrame, float], NDArray[np.bool_]]:
    def has(facts: pd.DataFrame, least: float) -> NDArray[np.bool_]:
        reached = facts[column].to_numpy(float) >= least
        return reached & (facts["orders"].to_numpy() >= HABIT_ORDERS) if habit else reached

    return has


def _below(column: str) -> Callable[[pd.DataFrame, float], NDArray[np.bool_]]:
    return lambda facts, most: (facts[column].to_numpy(float) <= most) & (facts["orders"].to_numpy() >= HABIT_ORDERS)


#: The tags, in the order in which they are shown.
TAGS = (
    Tag("best", None, lambda facts, _: facts["best"].to_numpy(bool)),
    Tag("newcomer", None, lambda facts, _: facts["stage"].to_numpy() == "new"),
    Tag("one_order", 1, lambda facts, _: facts["orders"].to_numpy() == 1),
    Tag("frequent", _top("visits_lately"), _reaches("visits_lately")),
    Tag("big_orders", _top("order_spend"), _reaches("order_spend", habit=True)),
    Tag("explorer", _top("categories_lately"), _reaches("categories_lately")),
    Tag("specialist", 0.5, _reaches("top_share", habit=True)),
    Tag("bargain_hunter", _top("discount_share", above=FULL_PRICE), _reaches("discount_share", habit=True)),
    Tag("full_price", FULL_PRICE, _below("discount_share")),
    Tag("weekend", 0.6, _reaches("weekend_share", habit=True)),
    Tag("evening", 0.8, _reaches("evening_share", habit=True)),
    Tag("returns_much", 0.2, _reaches("returned_share")),
    Tag("responds", 1, _reaches("responses")),
    Tag("growing", 1.5, _reaches("trend", habit=True)),
    Tag("shrinking", 0.5, _below("trend")),
)
#: Tags that the shop's data must be able to tell: of these columns something must be known.
NEEDS: Mapping[str, str] = {
    "big_orders": "spend",
    "explorer": "categories",
    "bargain_hunter": "discounts",
    "full_price": "discounts",
    "specialist": "top_share",
    "returns_much": "spend",
    "responds": "responses",
    "growing": "trend",
    "shrinking": "trend",
}


def customer_tags(
    facts: pd.DataFrame, *, as_of: str, able: frozenset[str] | None = None
) -> tuple[dict[str, NDArray[np.bool_]], list[dict[str, Any]]]:
    """Of each tag, (customers,) who has it; and one row per tag: its threshold, customers, their share, and the date.

    `facts` are those of `customer_facts` with best, order_spend, top_share (of spend in the largest category),
    responses (to campaigns) and trend (see `spend_trend`). `able` names what the shop's data tell (spend, categories,
    discounts, top_share, responses, trend); tags that need another are left out, and so is one whose threshold is not
    found.
    Formula: best: the best-customer rule. newcomer: stage new. one_order: orders = 1. frequent, big_orders, explorer,
    bargain_hunter: visits, spend an order, categories, share of discount of at least what the first tenth reach of the
    customers with an order in the last 364 days and a value above 0 (a discount above 0.01). specialist: top_share >=
    0.5. full_price: discount share <= 0.01. weekend: share of orders on Saturday and Sunday >= 0.6. evening: share of
    orders from 18 o'clock (UTC) >= 0.8. returns_much: returned share of spend >= 0.2. responds: a response to any
    campaign. growing: trend >= 1.5. shrinking: trend <= 0.5. Habits (big_orders, specialist, bargain_hunter,
    full_price, weekend, evening, growing, shrinking) need 5 orders.
    Source: rules of this project.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    rows = []
    for tag in TAGS:
        if able is not None and tag.name in NEEDS and NEEDS[tag.name] not in able:
            continue
        threshold = tag.threshold(facts) if callable(tag.threshold) else tag.threshold
        if threshold is not None and np.isnan(threshold):
            continue
        has = np.asarray(tag.has(facts, 0.0 if threshold is None else threshold), dtype=bool)
        found[tag.name] = has
        rows.append(
            {
                "tag": tag.name,
                "threshold": threshold,
                "customers": int(has.sum()),
                "share": float(has.mean()) if len(has) else 0.0,
                "as_of": as_of,
            }
        )
    return found, rows


def spend_trend(spend: NDArray[np.float32], days_known: NDArray[np.float64]) -> NDArray[np.float64]:
    """(customers,) spend of the last three periods over that of the three before; NaN for who came within them.

    Formula: (recent + 1) / (before + 1), from (customers, periods) spend, oldest first, of customers whose first order
    is at least six periods old. Source: as the trend features.
    """
    recent = spend[:, -TREND_PERIODS:].sum(axis=1, dtype=float)
    before = spend[:, -2 * TREND_PERIODS : -TREND_PERIODS].sum(axis=1, dtype=float)
    trend: NDArray[np.float64] = (np.maximum(recent, 0) + 1.0) / (np.maximum(before, 0) + 1.0)
    # Who came lately bought nothing before that, and does not grow by it.
    return np.where(days_known >= 2 * TREND_PERIODS * PERIOD_DAYS, trend, np.nan)
