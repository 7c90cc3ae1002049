"""A customer's own history with each product: how often, how lately, and whether it is due."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.pairs import in_order

#: Weight of an order that lies one order further back, for slow and fast habits (Hu et al. 2020, TIFU-KNN, decays so).
ORDER_DECAYS = (0.95, 0.8, 0.5)
#: Half-lives in typical gaps between orders.
HALF_LIVES = (6.0, 25.0)
#: The same with each order's weight divided among its products: who buys one thing buys that one on purpose.
SMALL_DECAYS = (0.95, 0.8)
#: Purchases within so many last orders.
RECENT_ORDERS = (3, 6, 12)
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
    *(f"small_{decay}" for decay in SMALL_DECAYS),
    "last_size",
    *(f"in_last_{recent}" for recent in RECENT_ORDERS),
)


def typical_gap_days(history: Purchases) -> float:
    """Median days between a customer's consecutive orders, at least 0.05; 1 where nobody ordered twice."""
    gaps = np.diff(history.order_day)
    same = np.diff(history.order_customer) == 0
    return max(float(np.median(gaps[same])), 0.05) if same.any() else 1.0


@dataclass(frozen=True)
class Lines:
    """What some customers bought, one entry per (order, product): `rows` numbers the customers asked about.

    Within a row, entries are in time. `back` counts orders from the row's last one (0).
    """

    rows: NDArray[np.int64]
    orders: NDArray[np.int64]
    products: NDArray[np.int64]
    back: NDArray[np.int64]


def spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of every range [start, start + length), one range after the other."""
    before = np.cumsum(lengths) - lengths
    found: NDArray[np.int64] = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
    return found


def lines_of(history: Purchases, customers: NDArray[np.int32]) -> Lines:
    """The purchases of `customers`, in their order; only theirs are touched."""
    n_orders = history.orders_per_customer[customers]
    orders = spans(history.customer_start[customers], n_orders)
    row_of_order = np.repeat(np.arange(len(customers)), n_orders)
    back_of_order = np.repeat(history.customer_start[customers + 1], n_orders) - 1 - orders
    sizes = history.order_start[orders + 1] - history.order_start[orders]
    return Lines(
        rows=np.repeat(row_of_order, sizes),
        orders=np.repeat(orders, sizes),
        products=history.products[spans(history.order_start[orders], sizes)].astype(np.int64),
        back=np.repeat(back_of_order, sizes),
    )


def numbered_orders(lines: Lines) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(lines,) whether each begins an order, and which order it is of, numbered from 0 as they come."""
    begins = (np.diff(lines.orders, prepend=-1) != 0) | (np.diff(lines.rows, prepend=-1) != 0)
    return begins, np.cumsum(begins) - 1


def own_history(
    history: Purchases, customers: NDArray[np.int32], moment: NDArray[np.float64], *, gap_days: float
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    """Sorted pair keys of every (customer asked about, product they bought), and features of each pair.

    Orders are counted back from the customer's last (0). Gaps and due-ness are NaN for a product bought once.
    """
    lines = lines_of(history, customers)
    line_key = lines.rows * history.n_products + lines.products
    order = in_order(line_key)  # within a pair, orders stay in time
    line_key, line_order, back = line_key[order], lines.orders[order], lines.back[order].astype(np.float64)
    first = np.flatnonzero(np.diff(line_key, prepend=-1))
    end = np.append(first[1:], len(line_key))
    keys = line_key[first]
    rows = keys // history.n_products
    if len(keys) == 0:
        return keys, {name: np.empty(0, dtype=np.float32) for name in OWN_FEATURES}

    count = (end - first).astype(np.float64)
    day = history.order_day[line_order]
    own: dict[str, NDArray[np.floating]] = {"orders": count}
    orders_back, weights = back.astype(np.int64), {}
    for decay in ORDER_DECAYS:
        weights[decay] = (decay ** np.arange(back.max() + 1))[orders_back]
        own[f"decay_{decay}"] = np.add.reduceat(weights[decay], first)
    age = moment[line_key // history.n_products] - day
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
    size = (history.order_start[line_order + 1] - history.order_start[line_order]).astype(np.float64)
    own["small_orders"] = np.add.reduceat(1.0 / size, first)
    for decay in SMALL_DECAYS:
        own[f"small_{decay}"] = np.add.reduceat(weights[decay] / size, first)
    own["last_size"] = size[end - 1]
    for recent in RECENT_ORDERS:
        own[f"in_last_{recent}"] = np.add.reduceat((back < recent).astype(np.float64), first)
    return keys, {name: values.astype(np.float32) for name, values in own.items()}
