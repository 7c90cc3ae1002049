"""Columns of the pair table that need no fitted source: the customer's own history, the product, the customer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.history import Lines, spans
from training.candidates.pairs import distinct, find, rank_within
from training.candidates.popularity import Popularity

Columns = dict[str, NDArray[np.floating]]
#: What counts is 0 for a product never bought; what measures time is unknown.
_COUNTS = ("orders", "decay", "half", "share", "hazard", "small", "in_last")
#: Columns that are also told against the customer's best product, as value and as place.
RELATIVE = ("own_hazard", "own_small_0.8", "own_decay_0.95", "linear", "alike", "follows")
#: An order of so many products or fewer is small.
SMALL_ORDER = 3


def own_columns(keys: NDArray[np.int64], own_keys: NDArray[np.int64], own: dict[str, NDArray[np.float32]]) -> Columns:
    """The features of `own_keys` spread over all `keys`, named own_*."""
    into, kept = find(keys, own_keys)
    into = into[kept]
    columns: Columns = {}
    for name, values in own.items():
        column = np.full(len(keys), 0.0 if name.startswith(_COUNTS) else np.nan, dtype=np.float32)
        column[into] = values[kept]
        columns[f"own_{name}"] = column
    return columns


def product_columns(popular: Popularity, products: NDArray[np.int64]) -> Columns:
    """How the whole shop buys each product, as shares that compare between histories of any length."""
    n_orders, n_customers = max(popular.n_orders, 1), max(popular.n_customers, 1)
    recent = max(float(popular.recent.sum()), 1.0)
    of_product: Columns = {
        "popular_share": popular.orders / n_orders,
        "popular_last": popular.in_last_orders / n_customers,
        "popular_last_three": popular.in_last_three / n_customers,
        "popular_recent": popular.recent / recent,
        "popular_small_last": popular.in_small_last_orders / n_customers,
        "popular_small": popular.in_small_orders / n_orders,
        "trend": (popular.recent + 1) / (popular.orders + 10),
        "trend_last": (popular.in_last_three + 1) / (popular.orders + 10),
        "buyers": popular.buyers,
        "rebuy_share": popular.rebuyers / (popular.buyers + 1),
        "orders_per_buyer": popular.orders / np.maximum(popular.buyers, 1),
    }
    return {name: values[products] for name, values in of_product.items()}


def customer_columns(
    history: Purchases,
    customers: NDArray[np.int32],
    moment: NDArray[np.float64],
    lines: Lines,
    rows: NDArray[np.int64],
) -> Columns:
    """Size, variety and rhythm of each customer's orders, and how long they have been silent."""
    n_rows = len(customers)
    n_own = history.orders_per_customer[customers]
    has_orders = n_own > 0
    n_lines = np.bincount(lines.rows, minlength=n_rows)
    pairs = distinct(lines.rows * history.n_products + lines.products)
    n_distinct = np.bincount(pairs // history.n_products, minlength=n_rows)
    first = history.customer_start[customers]
    last = np.maximum(history.customer_start[customers + 1] - 1, 0)
    lately = np.bincount(lines.rows[lines.back < 3], minlength=n_rows) / np.clip(n_own, 1, 3)
    days = np.where(has_orders, history.order_day[last] - history.order_day[np.minimum(first, last)], 0.0)

    # Only theirs are touched: a shop has many more.
    orders, of_row = spans(first, n_own), np.repeat(np.arange(n_rows), n_own)
    sizes = history.order_start[orders + 1] - history.order_start[orders]

    def of_orders(values: NDArray[np.generic]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.bincount(of_row, weights=values, minlength=n_rows) / np.maximum(n_own, 1)
        return mean

    of_customer: Columns = {
        "customer_orders": n_own.astype(np.float32),
        "customer_order_size": n_lines / np.maximum(n_own, 1),
        "customer_repeat_share": 1 - n_distinct / np.maximum(n_lines, 1),
        "customer_last_size": np.where(has_orders, history.order_start[last + 1] - history.order_start[last], 0),
        "customer_late_size": lately,
        "customer_gap": days / np.maximum(n_own - 1, 1),
        "customer_last_gap": np.where(
            n_own > 1, history.order_day[last] - history.order_day[np.maximum(last - 1, 0)], np.nan
        ),
        "customer_days_silent": np.where(has_orders, moment - history.order_day[last], np.nan),
        "customer_small_share": of_orders(sizes <= SMALL_ORDER),
        "customer_inverse_size": of_orders(1.0 / np.maximum(sizes, 1)),
        "weekday": np.floor(moment) % 7,
    }
    return {name: values[rows].astype(np.float32) for name, values in of_customer.items()}


def relative_columns(columns: Columns, rows: NDArray[np.int64]) -> Columns:
    """How each pair stands among its row's: share of the row's best value, and place from 0. `rows` is sorted."""
    found: Columns = {}
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    sizes = np.diff(first, append=len(rows))
    for name in RELATIVE:
        values = np.nan_to_num(columns[name]).astype(np.float32)
        best = np.repeat(np.maximum.reduceat(values, first), sizes) if len(rows) else values
        found[f"{name}_relative"] = values / np.maximum(best, np.float32(1e-9))
        found[f"{name}_rank"] = rank_within(rows, values).astype(np.float32)
    return found
