"""A customer's own rhythm with each product: how often it came back after so long, what followed orders like the last.

Where a product's gaps are regular, how many of them were as long as the present one says more than their mean does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.history import Lines, numbered_orders
from training.candidates.pairs import in_order

#: A customer's own gaps count beside so many drawn from what the shop at large does.
PRIOR_GAPS = 3.0
#: Gaps up to a quarter longer than the present one count as of its length.
SLACK = 4
RHYTHM_FEATURES = ("hazard", "share_hazard", "hazard_days", "share_after_like", "share_lately")
#: Weight of an order one further back, for the recent part of a customer's orders that held a product.
LATE_DECAY = 0.9


def own_rhythm(
    history: Purchases,
    customers: NDArray[np.int32],
    moment: NDArray[np.float64],
    lines: Lines,
    keys: NDArray[np.int64],
    rates: NDArray[np.float32],
    bought: NDArray[np.floating],
) -> dict[str, NDArray[np.float32]]:
    """Features of `keys`, the sorted pairs of every customer asked about and product they bought.

    `rates` (keys,) is the shop's chance that the product is in the next order, given how long ago it was bought last;
    `bought` (products,) in how many of the shop's orders each product is.
    hazard: the same from the customer's own gaps in orders as well. share_hazard: how many of the gaps that lasted as
    long as the present one ended now. hazard_days: likewise in days, up to a usual gap from now. share_after_like: the
    share of orders that held it among those that followed an order like the last one. share_lately: decayed share of
    orders that held it.
    """
    if len(keys) == 0:
        return {name: np.empty(0, dtype=np.float32) for name in RHYTHM_FEATURES}
    n_products = history.n_products
    line_key = lines.rows * n_products + lines.products
    order = in_order(line_key)  # within a pair, orders stay in time
    pair = np.searchsorted(keys, line_key[order])
    back, day = lines.back[order].astype(np.float64), history.order_day[lines.orders[order]]
    last = np.append(np.flatnonzero(np.diff(pair)), len(pair) - 1)
    rows = keys // n_products
    again = np.diff(pair) == 0
    of = pair[1:][again]

    def among_gaps(wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(of, weights=wanted, minlength=len(keys)).astype(np.float64)

    gap = (back[:-1] - back[1:])[again]
    present = back[last] + 1
    slack = np.floor(present / SLACK)
    lasted = among_gaps(gap >= present[of])
    ended = among_gaps((gap >= present[of]) & (gap <= (present + slack)[of]))
    gap_days = (day[1:] - day[:-1])[again]
    silent = moment[rows] - day[last]
    first_order = history.customer_start[customers]
    last_order = np.maximum(history.customer_start[customers + 1] - 1, first_order)
    n_own = history.orders_per_customer[customers]
    usual = (history.order_day[last_order] - history.order_day[first_order]) / np.maximum(n_own - 1, 1)
    lasted_days = among_gaps(gap_days >= silent[of])
    ended_days = among_gaps((gap_days >= silent[of]) & (gap_days <= (silent + usual[rows])[of]))
    after_like = _after_orders_like_the_last(bought, lines, len(customers), line_key, keys)
    held = np.bincount(pair, weights=LATE_DECAY**back, minlength=len(keys))
    whole = (1 - LATE_DECAY ** n_own[rows]) / (1 - LATE_DECAY)
    own = {
        "hazard": (ended / (slack + 1) + PRIOR_GAPS * rates) / (lasted + PRIOR_GAPS),
        "share_hazard": np.where(lasted > 0, ended / np.maximum(lasted, 1), np.nan),
        "hazard_days": (ended_days + PRIOR_GAPS * rates) / (lasted_days + PRIOR_GAPS),
        "share_after_like": after_like,
        "share_lately": held / whole,
    }
    return {name: values.astype(np.float32) for name, values in own.items()}


def _after_orders_like_the_last(
    bought: NDArray[np.floating], lines: Lines, n_rows: int, line_key: NDArray[np.int64], keys: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(keys,) share of each product in the orders after those like the row's last, weighed by likeness."""
    rarity = 1.0 / np.sqrt(bought.astype(np.float64) + 10.0)  # a product everybody buys says little of likeness
    in_last = np.zeros(len(keys), dtype=bool)
    place = np.searchsorted(keys, line_key)
    in_last[place[lines.back == 0]] = True
    weight = rarity[lines.products]
    new_order, of = numbered_orders(lines)
    row_of = lines.rows[new_order]
    length = np.sqrt(np.bincount(of, weights=weight**2))
    shared = np.bincount(of, weights=np.where(in_last[place], weight**2, 0.0))
    likeness = shared / np.maximum(length, 1e-9) + 1e-3
    # Each order is weighed by how like the last one the order before it is; a row's first order follows none.
    before = np.concatenate(([0.0], likeness[:-1]))
    before[np.diff(row_of, prepend=-1) != 0] = 0.0
    total = np.bincount(row_of, weights=before, minlength=n_rows)
    found = np.bincount(place, weights=before[of], minlength=len(keys)).astype(np.float64)
    share: NDArray[np.float64] = found / np.maximum(total, 1e-12)[keys // len(bought)]
    return share
