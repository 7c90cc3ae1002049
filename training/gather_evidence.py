"""Evidence computed from all purchases: own products with their rhythm, sales of each product now and before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.popularity import RECENT_DAYS, RECENT_SHARE
from training.evidence import Evidence


@dataclass(frozen=True)
class OwnPurchases:
    """One entry per customer and product they bought, sorted by both; as in training.evidence.Evidence."""

    start: NDArray[np.int64]
    products: NDArray[np.int32]
    orders: NDArray[np.uint16]
    last: NDArray[np.float64]
    gap: NDArray[np.float32]


def own_purchases(purchases: Purchases, place: NDArray[np.int32]) -> OwnPurchases:
    """Every pair of customer and product: orders, day of the last, median days between. `place` gives the codes."""
    n_products = int(place.max(initial=-1)) + 1
    order = purchases.line_order
    customer = purchases.line_customer.astype(np.int64)
    key = customer * max(n_products, 1) + place[purchases.products]
    at = np.argsort(key, kind="stable")  # within a pair, orders stay in time
    key, day = key[at], purchases.order_day[order][at]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    times = np.diff(first, append=len(key))
    pairs = key[first]
    return OwnPurchases(
        start=np.searchsorted(pairs, np.arange(purchases.n_customers + 1) * max(n_products, 1)).astype(np.int64),
        products=(pairs % max(n_products, 1)).astype(np.int32),
        orders=np.minimum(times, np.iinfo(np.uint16).max).astype(np.uint16),
        last=day[first + times - 1],
        gap=_median_gap(key, day, first, times).astype(np.float32),
    )


def _median_gap(
    key: NDArray[np.int64], day: NDArray[np.float64], first: NDArray[np.int64], times: NDArray[np.int64]
) -> NDArray[np.float64]:
    gap = np.diff(day, prepend=np.nan)
    pair = np.repeat(np.arange(len(first)), times)
    within = np.ones(len(key), dtype=bool)
    within[first] = False
    gap, pair = gap[within], pair[within]
    gap = gap[np.lexsort((gap, pair))]
    n = times - 1
    begin = np.cumsum(n) - n
    known = n > 0
    median = np.full(len(first), np.nan)
    low, high = begin + (n - 1) // 2, begin + n // 2
    median[known] = (gap[low[known]] + gap[high[known]]) / 2
    return median


def gather(
    purchases: Purchases,
    place: NDArray[np.int32],
    *,
    n_products: int,
    as_of_day: float,
    against: NDArray[np.int64],
    support: NDArray[np.int32],
    confidence: NDArray[np.float32],
    strength: NDArray[np.float32],
    own: OwnPurchases | None = None,
) -> Evidence:
    """Evidence of all purchases before `as_of_day`; products are numbered by `place`.

    `against` holds customer * n_products + product of what was sent back or disliked; `own` is what `own_purchases`
    gives, where that is known already.
    """
    own = own_purchases(purchases, place) if own is None else own
    against = np.unique(against)
    days = purchases.order_day
    span = float(as_of_day - days.min()) if len(days) else 0.0
    window = float(np.floor(np.clip(span * RECENT_SHARE, *RECENT_DAYS)))

    def sold(keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        products = purchases.products[np.repeat(keep, purchases.order_sizes)]
        return np.bincount(place[products], minlength=n_products).astype(np.int32)

    first_sold = np.full(n_products, np.nan)
    np.fmin.at(first_sold, place[purchases.products], np.repeat(days, purchases.order_sizes))
    return Evidence(
        own_start=own.start,
        own_products=own.products,
        own_orders=own.orders,
        own_last=own.last,
        own_gap=own.gap,
        against_start=np.searchsorted(against, np.arange(purchases.n_customers + 1) * n_products).astype(np.int64),
        against_products=(against % max(n_products, 1)).astype(np.int32),
        customer_orders=purchases.orders_per_customer.astype(np.int32),
        sold_orders=sold(np.ones(len(days), dtype=bool)),
        sold_lately=sold(days >= as_of_day - window),
        sold_before=sold((days >= as_of_day - 2 * window) & (days < as_of_day - window)),
        first_sold=first_sold,
        neighbour_support=support,
        neighbour_confidence=confidence,
        neighbour_strength=strength,
        orders=purchases.n_orders,
        days=span,
        window_days=window,
    )
