"""Segments of customers who shop alike, found by k-means, each named by what sets it apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

#: What shopping alike means, in this order.
TRAITS = (
    *("days_silent", "visits", "order_spend", "order_lines"),
    *("categories", "discount", "weekend", "evening"),
)
SIZES = tuple(range(3, 9))
#: A number of segments is stable when, drawn anew, they agree at least so well (adjusted Rand index).
STABLE = 0.75
DRAWS, DRAWN_SHARE = 5, 0.7
MOST_FITTED, MOST_COMPARED = 10_000, 2_000
#: A segment is named by traits at least so many standard deviations from the mean customer, two of them at most.
APART, NAMED_BY = 0.5, 2
#: Shares of few orders are drawn towards the shop's mean by so many orders.
PRIOR_ORDERS = 5.0
#: With fewer customers there are no segments to find.
LEAST_CUSTOMERS = 50

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """One segment: its number, the traits it is named by with their side, customers, and its mean in deviations."""

    number: int
    named_by: tuple[tuple[str, str], ...]
    customers: int
    share: float
    spend_share: float | None
    deviations: dict[str, float]


@dataclass(frozen=True)
class Behaviour:
    """`labels` (customers,) numbers `segments` from 0; `traits` (customers, TRAITS) in standard deviations.

    `tried` says of each number of segments how well apart they are (silhouette) and how stable (adjusted Rand index).
    """

    labels: NDArray[np.int64]
    segments: Sequence[Segment]
    traits: Floats
    tried: Sequence[dict[str, float]]

    def as_json(self) -> dict[str, Any]:
        """Segments and what was tried, without customers."""
        return {
            "segments": [asdict(one) for one in self.segments],
            "tried": list(self.tried),
            "traits": list(TRAITS),
        }


def behaviour_traits(facts: pd.DataFrame) -> Floats:
    """(customers, TRAITS) how each shops, in standard deviations from the mean customer, at most 3.

    Formula: logarithms of 1 + days since the last order, visits, spend an order, lines an order and categories; shares
    of discount, of weekend and of evening orders, drawn towards the shop's mean by 5 orders; each column less its
    mean, over its standard deviation.
    Source: standardised inputs as k-means needs them (Hastie, Tibshirani and Friedman 2009, 14.3).
    """
    orders = np.maximum(facts["orders"].to_numpy(float), 1)
    spend = np.maximum(facts["spend"].fillna(0).to_numpy(float), 0)
    columns = [
        np.log1p(facts["days_since_last_order"].to_numpy(float)),
        np.log1p(facts["visits_lately"].to_numpy(float)),
        np.log1p(spend / orders),
        np.log1p(facts["lines"].to_numpy(float) / orders),
        np.log1p(facts["categories"].to_numpy(float)),
    ]
    for name in ("discount_share", "weekend_share", "evening_share"):
        share = facts[name].fillna(0).to_numpy(float)
        columns.append((share * orders + share.mean() * PRIOR_ORDERS) / (orders + PRIOR_ORDERS))
    values = np.column_stack(columns)
    spread = values.std(axis=0)
    deviations: Floats = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.clip(deviations, -3.0, 3.0)


def behaviour_segments(facts: pd.DataFrame, *, rng: np.random.Generator) -> Behaviour | None:
    """Segments of customers who shop alike, those that spend most first; none of them is empty.

    None of fewer than LEAST_CUSTOMERS, and where customers do not differ enough to be told apart.
    Formula: k-means over `behaviour_traits` for each k of 3 to 8 with at least so many different rows in the customers
    and in each draw. Stability of k: the mean adjusted Rand index, over 5 draws of 70 % of the customers, between the
    segments found on the draw and on all. Chosen is the largest k with a
    stability of at least 0.75, else the most stable. Of more than 10,000 customers, as many are drawn to find the
    segments; everybody belongs to the nearest centre.
    Source: MacQueen (1967) for k-means; Rousseeuw (1987) for the silhouette; Hubert and Arabie (1985) for the index;
    Ben-Hur, Elisseeff and Guyon (2002) for choosing k by stability.
    """
    if len(facts) < LEAST_CUSTOMERS:
        return None
    traits = behaviour_traits(facts)
    fitted = traits if len(traits) <= MOST_FITTED else traits[rng.choice(len(traits), MOST_FITTED, replace=False)]
    compared = rng.choice(len(fitted), min(MOST_COMPARED, len(fitted)), replace=False)
    # Customers of the same traits to six digits are of one kind, and no more segments than kinds can be found.
    kind = np.unique(fitted.round(6), axis=0, return_inverse=True)[1].ravel()
    tried, models = [], {}
    # So little work for each of so many fits is done faster without threads that wait for one another.
    with threadpool_limits(1):
        for k in SIZES:
            draws = [
                rng.choice(len(fitted), max(int(DRAWN_SHARE * len(fitted)), k), replace=False) for _ in range(DRAWS)
            ]
            if min(len(np.unique(kind[draw])) for draw in draws) < k:
                break
            model = _fit(fitted, k, rng)
            labels = model.predict(fitted)
            if len(np.unique(labels)) < k:
                break
            agree = [adjusted_rand_score(labels, _fit(fitted[draw], k, rng).predict(fitted)) for draw in draws]
            apart = len(np.unique(labels[compared])) > 1
            silhouette = float(silhouette_score(fitted[compared], labels[compared])) if apart else 0.0
            tried.append({"k": k, "silhouette": silhouette, "stability": float(np.mean(agree))})
            models[k] = model
        if not tried:
            return None
        chosen = _choose(tried)
        labels = models[chosen].predict(traits)
    spend = facts["spend_lately"].to_numpy(float)
    worth = np.nan_to_num(spend if not np.isnan(spend).all() else facts["visits_lately"].to_numpy(float))
    means = [worth[labels == place].mean() for place in range(chosen)]
    place_of = np.argsort(np.argsort(-np.array(means), kind="stable"), kind="stable")
    labels = place_of[labels]
    for row in tried:
        row["chosen"] = float(row["k"] == chosen)
    return Behaviour(labels, _segments(labels, traits, spend, chosen), traits, tried)


def named_by(deviations: Sequence[Floats]) -> list[tuple[tuple[str, str], ...]]:
    """Of each segment's mean in deviations, the traits it is named by, each with "high" or "low"; no two alike.

    Formula: the traits with the largest absolute deviation, of at least 0.5, two at most; where an earlier segment has
    the same name, one trait more, until they differ.
    Source: a rule of this project.
    """
    names: list[tuple[tuple[str, str], ...]] = []
    for mean in deviations:
        order = np.argsort(-np.abs(mean), kind="stable")
        most = max(min(NAMED_BY, int((np.abs(mean) >= APART).sum())), 0)
        name = _name(mean, order[:most])
        while name in names and most < len(order):
            most += 1
            name = _name(mean, order[:most])
        names.append(name)
    return names


def _name(mean: Floats, places: NDArray[np.int64]) -> tuple[tuple[str, str], ...]:
    return tuple((TRAITS[place], "high" if mean[place] > 0 else "low") for place in places)


def _fit(values: Floats, k: int, rng: np.random.Generator) -> KMeans:
    return KMeans(k, n_init=3, random_state=int(rng.integers(2**31))).fit(values)


def _choose(tried: Sequence[dict[str, float]]) -> int:
    stable = [row for row in tried if row["stability"] >= STABLE]
    if stable:
        return int(max(row["k"] for row in stable))
    return int(max(tried, key=lambda row: row["stability"])["k"])


def _segments(labels: NDArray[np.int64], traits: Floats, spend: Floats, k: int) -> list[Segment]:
    total = float(np.nansum(spend))
    means = [traits[labels == place].mean(axis=0) for place in range(k)]
    return [
        Segment(
            number=place,
            named_by=name,
            customers=int((labels == place).sum()),
            share=float((labels == place).mean()),
            spend_share=float(np.nansum(spend[labels == place])) / total if total else None,
            deviations=dict(zip(TRAITS, mean.round(3).tolist(), strict=True)),
        )
        for place, (mean, name) in enumerate(zip(means, named_by(means), strict=True))
    ]
