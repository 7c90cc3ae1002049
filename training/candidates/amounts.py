"""A customer's history by how much they bought: a clock that runs in lines, and orders of the last one's size.

A small order between two large ones hardly brings a household nearer to the end of what it has in the cupboard.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.history import Lines, numbered_orders
from training.candidates.pairs import in_order

#: Weight of an order one further back, where orders are weighed by their size, or by likeness to the last one.
LARGE_DECAY, LIKE_DECAY = 0.9, 0.95
#: A purchase weighs half as much after so many orders of the customer's mean size were bought since.
HALF_LIFE_ORDERS = 8.0
AMOUNT_FEATURES = (
    "lines_since",
    "lines_gap",
    "lines_due",
    "decay_lines",
    "share_of_large",
    "share_after_size",
    "gap_regularity",
    "mean_log_size",
)


def own_amounts(
    history: Purchases, customers: NDArray[np.int32], lines: Lines, keys: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Features of `keys`, the sorted pairs of every customer asked about and product they bought.

    lines_since: lines the customer bought after the order that held the product last; lines_gap: the mean of that
    between its purchases; lines_due: the one over the other; decay_lines: its purchases, each weighing less the more
    was bought since. share_of_large: share of orders that held it, weighed by size and age. share_after_size: the same
    of those that followed an order about as large as the last. gap_regularity: deviation of its gaps in days over their
    mean. mean_log_size: of the orders that held it. NaN where too few purchases tell.
    """
    if len(keys) == 0:
        return {name: np.empty(0, dtype=np.float32) for name in AMOUNT_FEATURES}
    n_products, n_rows = history.n_products, len(customers)
    new_order, order_of_line = numbered_orders(lines)
    row, back, day = lines.rows[new_order], lines.back[new_order], history.order_day[lines.orders[new_order]]
    size = np.bincount(order_of_line).astype(np.float64)
    total = np.bincount(row, weights=size, minlength=n_rows)
    # Lines bought up to the end of each order, within the customer.
    clock = np.cumsum(size) - (np.cumsum(total) - total)[row]
    log_size = np.log(size)
    last_log_size = np.zeros(n_rows)
    last_log_size[row[back == 0]] = log_size[back == 0]
    first = np.diff(row, prepend=-1) != 0
    size_before = np.concatenate(([0.0], log_size[:-1]))
    after_size = np.where(first, 0.0, np.exp(-np.abs(size_before - last_log_size[row])) * LIKE_DECAY**back)

    line_key = lines.rows * n_products + lines.products
    by_pair = in_order(line_key)  # within a pair, orders stay in time
    pair, of = np.searchsorted(keys, line_key[by_pair]), order_of_line[by_pair]
    start = np.flatnonzero(np.diff(pair, prepend=-1))
    end = np.append(start[1:], len(pair))
    count = end - start
    rows = keys // n_products
    gaps = np.maximum(count - 1, 1)

    def share(weight: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.bincount(row, weights=weight, minlength=n_rows)
        found: NDArray[np.float64] = np.add.reduceat(weight[of], start) / np.maximum(whole, 1e-9)[rows]
        return found

    since = total[rows] - clock[of[end - 1]]
    lines_gap = np.where(count > 1, (clock[of[end - 1]] - clock[of[start]]) / gaps, np.nan)
    usual = total / np.maximum(history.orders_per_customer[customers], 1)
    age = (total[rows[pair]] - clock[of]) / (HALF_LIFE_ORDERS * np.maximum(usual, 1))[rows[pair]]
    again = np.diff(pair) == 0
    gap_days = (day[of[1:]] - day[of[:-1]])[again]
    mean, square = (
        np.bincount(pair[1:][again], weights=values, minlength=len(keys)) / gaps for values in (gap_days, gap_days**2)
    )
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    own = {
        "lines_since": since,
        "lines_gap": lines_gap,
        "lines_due": since / np.maximum(lines_gap, 0.5),
        "decay_lines": np.add.reduceat(0.5**age, start),
        "share_of_large": share(size * LARGE_DECAY**back),
        "share_after_size": share(after_size),
        "gap_regularity": np.where(count > 2, deviation / np.maximum(mean, 0.05), np.nan),
        "mean_log_size": np.add.reduceat(log_size[of], start) / count,
    }
    return {name: values.astype(np.float32) for name, values in own.items()}
