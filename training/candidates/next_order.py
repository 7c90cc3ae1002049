"""A linear model of the next order, in closed form: what past orders held, regressed on what came before them.

The next-basket form of EASE and SLIST (Steck 2019; Choi et al. 2021): as the target is a later order than the input,
no diagonal needs to be forbidden, and buying again is learned with the rest.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from features.matrix import Purchases
from training.candidates.transitions import newest_targets

#: Orders of the past that an input looks at.
DEPTH = 30


def weighted_orders(
    baskets: sparse.csr_matrix,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    *,
    decay: float,
    depth: int = DEPTH,
) -> sparse.csr_matrix:
    """(spans, products) mean of the orders of each span [start, end), each weighing `decay` less than the one after.

    Only the last `depth` orders of a span count; an empty span gives an empty row.
    """
    length = np.minimum(ends - starts, depth)
    rows = np.repeat(np.arange(len(ends)), length)
    lag = np.arange(len(rows)) - np.repeat(np.cumsum(length) - length, length)
    weight = decay**lag
    total = np.bincount(rows, weights=weight, minlength=len(ends))
    pick = sparse.csr_matrix(
        ((weight / total[rows]).astype(np.float32), (rows, ends[rows] - 1 - lag)), shape=(len(ends), baskets.shape[0])
    )
    mean: sparse.csr_matrix = (pick @ baskets).tocsr()
    return mean


#: Pairs explained at once: their inputs are as wide as twice the products that take part.
_PAIRS_AT_ONCE = 2_000


class NextOrder:
    """Scores of the best-selling products for the next order, by ridge regression on taste and last order."""

    def __init__(
        self,
        *,
        products: int = 1_500,
        rows: int = 20_000,
        per_customer: int = 10,
        ridge: float = 30.0,
        decay: float = 0.9,
    ) -> None:
        self.products = products
        self.rows = rows
        self.per_customer = per_customer
        self.ridge = ridge
        self.decay = decay

    def fit(self, history: Purchases) -> NextOrder:
        """Weights from products of past orders to products of the next; `products` sold most lately take part."""
        targets = newest_targets(history, per_customer=self.per_customer, at_most=self.rows)
        baskets = history.baskets()
        following = baskets[targets]
        sold = np.bincount(history.products, minlength=history.n_products)
        sold_next = np.bincount(following.indices, minlength=history.n_products)
        best = np.argsort(-(sold_next + 1e-3 * sold), kind="stable")[: self.products]
        self.codes_ = np.sort(best[sold[best] > 0])
        self.baskets_ = baskets[:, self.codes_]
        # Small orders weigh more, as they do in recall; the mean weight is 1 so that the ridge keeps its meaning.
        weight = 1.0 / np.sqrt(np.maximum(np.diff(following.indptr), 1))
        weight = (weight / max(float(weight.mean()) if len(weight) else 1.0, 1e-9)).astype(np.float32)
        wanted = self.baskets_[targets]
        self.mean_ = (np.asarray(wanted.T @ weight).ravel() / max(len(targets), 1)).astype(np.float32)
        inputs = self._inputs(history.customer_start[history.order_customer[targets]], targets)
        weighted = inputs * weight[:, None]
        gram = weighted.T @ inputs
        gram[np.diag_indices_from(gram)] += self.ridge
        cross = np.asarray((wanted.T @ weighted).T, dtype=np.float32) - weighted.sum(axis=0)[:, None] * self.mean_
        self.weights_: NDArray[np.float32] = linalg.solve(gram, cross, assume_a="pos", check_finite=False)
        return self

    def about(self, history: Purchases) -> NextOrder:
        """The same asked about the customers of another history."""
        found = copy(self)
        found.baskets_ = history.baskets()[:, self.codes_]
        return found

    def _inputs(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float32]:
        n = len(self.codes_)
        inputs = np.zeros((len(ends), 2 * n), dtype=np.float32)
        taste = weighted_orders(self.baskets_, starts, ends, decay=self.decay)
        inputs[np.repeat(np.arange(len(ends)), np.diff(taste.indptr)), taste.indices] = taste.data
        some = np.flatnonzero(ends > starts)
        last = self.baskets_[ends[some] - 1]
        inputs[np.repeat(some, np.diff(last.indptr)), n + last.indices] = 0.5 * last.data
        return inputs

    def scores(self, history: Purchases, customers: NDArray[np.int32]) -> NDArray[np.float32]:
        """(customers, codes_) expected content of the next order of each."""
        inputs = self._inputs(history.customer_start[customers], history.customer_start[customers + 1])
        return inputs @ self.weights_ + self.mean_

    def strongest(
        self, history: Purchases, customers: NDArray[np.int32], rows: NDArray[np.int64], products: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """(pairs,) the bought product that gives most of the score of a product; -1 where none gives any.

        `rows` number `customers`. A bought product gives the sum of its weights in taste and last order.
        """
        best = np.full(len(rows), -1, dtype=np.int32)
        at = np.searchsorted(self.codes_, products)
        known = np.flatnonzero(self.codes_[np.minimum(at, len(self.codes_) - 1)] == products)
        if not len(known):
            return best
        asked, row_of = np.unique(rows[known], return_inverse=True)
        chosen = customers[asked]
        inputs = self._inputs(history.customer_start[chosen], history.customer_start[chosen + 1])
        n = len(self.codes_)
        for start in range(0, len(known), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            given = inputs[row_of[part]] * self.weights_[:, at[known[part]]].T
            both = given[:, :n] + given[:, n:]
            top = both.argmax(axis=1)
            positive = both[np.arange(len(top)), top] > 0
            best[known[part]] = np.where(positive, self.codes_[top], -1)
        return best
