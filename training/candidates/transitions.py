"""What follows what: products of customers' next orders, counted over everybody's consecutive orders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.matrix import Purchases
from training.candidates.pairs import RowScores, rank_within

#: Pairs of consecutive orders counted, newest first, of one customer and in all.
PAIRS_PER_CUSTOMER, MAX_PAIRS = 25, 150_000
#: A product's row counts as so many orders more, so that what was seen once does not look certain.
PRIOR_ORDERS = 5.0
#: Products that follow each product, the likeliest.
FOLLOWERS = 100


def newest_targets(history: Purchases, *, per_customer: int, at_most: int) -> NDArray[np.int64]:
    """Sorted positions of orders that have one before them by the same customer, the newest of each customer."""
    back = history.orders_from_end
    has_earlier = np.arange(history.n_orders) > history.customer_start[history.order_customer]
    limit = per_customer
    targets = np.flatnonzero(has_earlier & (back < limit))
    while len(targets) > at_most and limit > 1:
        limit = max(limit // 2, 1)
        targets = np.flatnonzero(has_earlier & (back < limit))
    return targets[:: max(len(targets) // at_most, 1)]


def divided(baskets: sparse.csr_matrix) -> sparse.csr_matrix:
    """The orders, each of weight 1 in all, divided among its products.

    Recall counts a product of a small order for more than one of a large order, and so do what uses this.
    """
    size = np.diff(baskets.indptr)
    values = (baskets.data / np.repeat(np.maximum(size, 1), size)).astype(np.float32)
    return sparse.csr_matrix((values, baskets.indices, baskets.indptr), shape=baskets.shape)


class Transitions:
    """Share of the next order that a product has given one in this order; a score sums over a customer's last order."""

    def fit(self, history: Purchases) -> Transitions:
        """Count over the newest consecutive orders of every customer."""
        targets = newest_targets(history, per_customer=PAIRS_PER_CUSTOMER, at_most=MAX_PAIRS)
        baskets = history.baskets()
        before, after = baskets[targets - 1], baskets[targets]
        counts = (before.T @ divided(after)).tocsr()
        rows = np.repeat(np.arange(counts.shape[0], dtype=np.int64), np.diff(counts.indptr))
        counts.data[rank_within(rows, counts.data) >= FOLLOWERS] = 0
        counts.eliminate_zeros()
        seen = np.bincount(before.indices, minlength=history.n_products) + PRIOR_ORDERS
        counts.data = (counts.data / np.repeat(seen, np.diff(counts.indptr))).astype(np.float32)
        self.chances_: sparse.csr_matrix = counts
        return self

    def scored(self, recent: sparse.csr_matrix) -> RowScores:
        """Sum of the chances over the products in `recent` (rows, products), by their weights."""
        return RowScores(recent @ self.chances_)
