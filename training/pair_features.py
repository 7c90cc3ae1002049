"""Columns of the pair table that need no fitted source: the customer's own history, the product, the customer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.history import Lines
from training.candidates.popularity import Popularity

Columns = dict[str, NDArray[np.floating]]
#: What counts is 0 for a product never bought; what measures time is unknown.
_COUNTS = ("orders", "decay", "half", "share", "small", "in_last")


def own_columns(keys: NDArray[np.int64], own_keys: NDArray[np.int64], own: dict[str, NDArray[np.float32]]) -> Columns:
    """The features of `own_keys` spread over all `keys`, named own_*."""
    bought = np.isin(keys, own_keys, assume_unique=True)
    place = np.searchsorted(own_keys, keys[bought])
    columns: Columns = {}
    for name, values in own.items():
        column = np.full(len(keys), 0.0 if name.startswith(_COUNTS) else np.nan, dtype=np.float32)
        column[bought] = values[place]
        columns[f"own_{name}"] = column
    return columns


def product_columns(history: Purchases, popular: Popularity, products: NDArray[np.int64]) -> Columns:
    """How the whole shop buys each product, as shares that compare between histories of any length."""
    n_orders, n_customers = max(history.n_orders, 1), max(int((history.orders_per_customer > 0).sum()), 1)
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
    pairs = np.unique(lines.rows * history.n_products + lines.products)
    distinct = np.bincount(pairs // history.n_products, minlength=n_rows)
    first = history.customer_start[customers]
    last = np.maximum(history.customer_start[customers + 1] - 1, 0)
    lately = np.bincount(lines.rows[lines.back < 3], minlength=n_rows) / np.clip(n_own, 1, 3)
    days = np.where(has_orders, history.order_day[last] - history.order_day[np.minimum(first, last)], 0.0)
    of_customer: Columns = {
        "customer_orders": n_own.astype(np.float32),
        "customer_order_size": n_lines / np.maximum(n_own, 1),
        "customer_repeat_share": 1 - distinct / np.maximum(n_lines, 1),
        "customer_last_size": np.where(has_orders, history.order_start[last + 1] - history.order_start[last], 0),
        "customer_late_size": lately,
        "customer_gap": days / np.maximum(n_own - 1, 1),
        "customer_last_gap": np.where(
            n_own > 1, history.order_day[last] - history.order_day[np.maximum(last - 1, 0)], np.nan
        ),
        "customer_days_silent": np.where(has_orders, moment - history.order_day[last], np.nan),
    }
    return {name: values[rows].astype(np.float32) for name, values in of_customer.items()}
