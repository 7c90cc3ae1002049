"""What the whole shop buys: over all time, lately, and in customers' most recent orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases

#: The share of the history's days that counts as lately, and its bounds in days.
RECENT_SHARE, RECENT_DAYS = 0.08, (7.0, 60.0)


@dataclass(frozen=True)
class Popularity:
    """Counts by product code, each (products,) float32, of a history that holds no label of the rows it serves."""

    orders: NDArray[np.float32]
    recent: NDArray[np.float32]
    in_last_orders: NDArray[np.float32]  # customers whose last order holds it
    in_last_three: NDArray[np.float32]
    buyers: NDArray[np.float32]
    rebuyers: NDArray[np.float32]

    @property
    def best_first(self) -> NDArray[np.int32]:
        """Product codes that were bought at all, most bought lately first."""
        score = self.in_last_three + self.recent + 1e-3 * self.orders
        order = np.argsort(-score, kind="stable")
        return order[self.orders[order] > 0].astype(np.int32)


def popularity(history: Purchases) -> Popularity:
    """Counts over a history. `recent` takes the last share of its days."""
    n_products = history.n_products

    def count(keep: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        products = history.products if keep is None else history.products[np.repeat(keep, history.order_sizes)]
        return np.bincount(products, minlength=n_products).astype(np.float32)

    back, days = history.orders_from_end, history.order_day
    span = float(np.ptp(days)) if len(days) else 0.0
    window = float(np.clip(span * RECENT_SHARE, *RECENT_DAYS))
    owner = np.repeat(history.order_customer, history.order_sizes).astype(np.int64)
    pairs, times = np.unique(owner * n_products + history.products, return_counts=True)
    return Popularity(
        orders=count(),
        recent=count(days > days.max(initial=0.0) - window),
        in_last_orders=count(back < 1),
        in_last_three=count(back < 3),
        buyers=np.bincount(pairs % n_products, minlength=n_products).astype(np.float32),
        rebuyers=np.bincount(pairs[times > 1] % n_products, minlength=n_products).astype(np.float32),
    )
