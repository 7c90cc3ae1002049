"""A customer's own history with each product: how often, how lately, and whether it is due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases

#: Weight of an order that lies one order further back, for slow and fast habits (Hu et al. 2020, TIFU-KNN, decays so).
ORDER_DECAYS = (0.95, 0.8, 0.5)
#: Half-lives in typical gaps between orders.
HALF_LIVES = (6.0, 25.0)
OWN_FEATURES = (
    "orders",
    *(f"decay_{decay}" for decay in ORDER_DECAYS),
    *(f"half_life_{half_life:g}" for half_life in HALF_LIVES),
    "last_back",
    "first_back",
    "share",
    "share_since_first",
    "gap_orders",
    "due_orders",
    "days_since",
    "gap_days",
    "due_days",
    "last_gap",
    "small_orders",
)


def typical_gap_days(history: Purchases) -> float:
    """Median days between a customer's consecutive orders, at least 0.05; 1 where nobody ordered twice."""
    gaps = np.diff(history.order_day)
    same = np.diff(history.order_customer) == 0
    return max(float(np.median(gaps[same])), 0.05) if same.any() else 1.0


def own_history(
    history: Purchases, customers: NDArray[np.int32], moment: NDArray[np.float64], *, gap_days: float
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    """Sorted pair keys of every (customer asked about, product they bought), and features of each pair.

    Orders are counted back from the customer's last (0). Gaps and due-ness are NaN for a product bought once.
    """
    n_products = history.n_products
    row_of = np.full(history.n_customers, -1, dtype=np.int64)
    row_of[customers] = np.arange(len(customers))
    line_order = np.repeat(np.arange(history.n_orders), history.order_sizes)
    line_row = row_of[history.order_customer][line_order]
    asked = line_row >= 0
    line_order, line_row = line_order[asked], line_row[asked]
    line_key = line_row * n_products + history.products[asked]
    order = np.argsort(line_key, kind="stable")  # within a pair, orders stay in time
    line_key, line_order = line_key[order], line_order[order]
    first = np.flatnonzero(np.diff(line_key, prepend=-1))
    end = np.append(first[1:], len(line_key))
    keys = line_key[first]
    rows = keys // n_products
    if len(keys) == 0:
        return keys, {name: np.empty(0, dtype=np.float32) for name in OWN_FEATURES}

    count = (end - first).astype(np.float64)
    back = history.orders_from_end[line_order].astype(np.float64)
    day = history.order_day[line_order]
    own: dict[str, NDArray[np.floating]] = {"orders": count}
    for decay in ORDER_DECAYS:
        own[f"decay_{decay}"] = np.add.reduceat(decay**back, first)
    age = moment[line_key // n_products] - day
    if age.min() < 0:
        raise ValueError("own_history was given orders later than the moment they are asked about: that is leakage")
    for half_life in HALF_LIVES:
        own[f"half_life_{half_life:g}"] = np.add.reduceat(0.5 ** (age / (half_life * gap_days)), first)
    last_back, first_back = back[end - 1], back[first]
    own["last_back"], own["first_back"] = last_back, first_back
    own["share"] = count / history.orders_per_customer[customers][rows]
    own["share_since_first"] = count / (first_back + 1)
    several = count > 1
    gaps = np.maximum(count - 1, 1)
    own["gap_orders"] = np.where(several, (first_back - last_back) / gaps, np.nan)
    own["due_orders"] = (last_back + 1) / own["gap_orders"]
    own["days_since"] = moment[rows] - day[end - 1]
    own["gap_days"] = np.where(several, (day[end - 1] - day[first]) / gaps, np.nan)
    own["due_days"] = own["days_since"] / np.maximum(own["gap_days"], 0.04)
    own["last_gap"] = np.where(several, back[np.maximum(end - 2, first)] - last_back, np.nan)
    own["small_orders"] = np.add.reduceat(1.0 / history.order_sizes[line_order], first)
    return keys, {name: values.astype(np.float32) for name, values in own.items()}
