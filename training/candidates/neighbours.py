"""Customers alike: what those with similar orders buy, and what they bought next.

User neighbourhoods over decayed orders (TIFU-KNN, Hu et al. 2020; UP-CF, Faggioli et al. 2020), asked two questions:
what the neighbours buy on the whole, and what the order held that followed the history that looks like this one.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.matrix import Purchases
from training.candidates.next_order import weighted_orders
from training.candidates.pairs import RowScores
from training.candidates.transitions import divided

#: What is in less than this share of a neighbour's orders, weighted by age, is not proposed for their sake.
LEAST = 0.02
_BATCH = 500


def _unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix = matrix.tocsr()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    length = np.sqrt(np.bincount(rows, weights=matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[0]))
    scaled = (matrix.data / np.maximum(length, 1e-12)[rows]).astype(np.float32)
    return sparse.csr_matrix((scaled, matrix.indices, matrix.indptr), shape=matrix.shape)


class Neighbours:
    """The `neighbours` customers nearest to each, out of a pool of at most `pool` who ordered twice or more.

    `own_` (customers,) is each one's place in the pool, -1 where they are not in it: nobody is their own neighbour.
    """

    def __init__(self, *, neighbours: int = 200, pool: int = 15_000, decay: float = 0.9, seed: int = 0) -> None:
        self.neighbours = neighbours
        self.pool = pool
        self.decay = decay
        self.seed = seed

    def fit(self, history: Purchases) -> Neighbours:
        """The pool: each member's orders but the last describe them, the last is what they bought next."""
        members = np.flatnonzero(history.orders_per_customer > 1)
        if len(members) > self.pool:
            rng = np.random.default_rng(self.seed)
            members = np.sort(rng.choice(members, self.pool, replace=False))
        self.members_ = members
        self.own_ = np.full(history.n_customers, -1, dtype=np.int64)
        self.own_[members] = np.arange(len(members))
        last = history.customer_start[members + 1] - 1
        bought = np.bincount(history.products, minlength=history.n_products)
        #: A product everybody buys says little of likeness.
        self.rarity_ = (1.0 / np.sqrt(bought + 10.0)).astype(np.float32)
        baskets = history.baskets()
        described = weighted_orders(baskets, history.customer_start[members], last, decay=self.decay)
        self.likeness_ = _unit_rows(described.multiply(self.rarity_).tocsr()).T.tocsr()
        self.taste_ = described.copy()
        self.taste_.data[self.taste_.data < LEAST] = 0
        self.taste_.eliminate_zeros()
        self.next_ = divided(baskets[last])
        return self

    def about(self, codes: NDArray[np.int32]) -> Neighbours:
        """The same asked about some of the customers fitted, `codes`, numbered as they come."""
        found = copy(self)
        found.own_ = self.own_[codes]
        return found

    def scored(self, customers: NDArray[np.int32], vectors: sparse.csr_matrix) -> tuple[RowScores, RowScores]:
        """Scores of what neighbours buy, and of what they bought next; `vectors` (customers, products) are decayed."""
        described = _unit_rows(vectors.multiply(self.rarity_).tocsr())
        found: tuple[list[sparse.csr_matrix], list[sparse.csr_matrix]] = ([], [])
        for start in range(0, len(customers), _BATCH):
            likeness = (described[start : start + _BATCH] @ self.likeness_).toarray()
            own = self.own_[customers[start : start + _BATCH]]
            likeness[np.flatnonzero(own >= 0), own[own >= 0]] = 0.0
            k = min(self.neighbours, likeness.shape[1])
            nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k] if k else np.empty((len(own), 0), np.int64)
            weight = np.take_along_axis(likeness, nearest, axis=1)
            weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
            indptr = np.arange(len(own) + 1) * k
            pick = sparse.csr_matrix((weight.ravel(), nearest.ravel(), indptr), shape=likeness.shape)
            pick.eliminate_zeros()
            for part, of_members in zip(found, (self.taste_, self.next_), strict=True):
                part.append(pick @ of_members)
        taste, following = (RowScores(sparse.vstack(part, format="csr")) for part in found)
        return taste, following
