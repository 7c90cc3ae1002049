"""Collaborative filtering by implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), from implicit."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: Products of the longest factors, tried first: most customers' nearest are among them.
LONGEST = 6_000
#: Scores and lengths are rounded: a product so much beyond reach, as a share, is out of it.
ROUNDED = 1e-4
#: Confidence in a purchase is so many times its weight; in what was not bought it is 1.
ALPHA, REGULARIZATION = 10.0, 0.05


def rank_of(factors: int, weights: sparse.csr_matrix) -> int:
    """So many factors, or fewer for a shop of fewer customers or products."""
    return min(factors, max(min(weights.shape) - 1, 1))


class AlsCandidates:
    """Products near a customer's factors. `weights` (customers, products) says how strongly each was bought."""

    def __init__(self, *, factors: int = 32, iterations: int = 6, threads: int = 2, seed: int = 0) -> None:
        self.factors = factors
        self.iterations = iterations
        self.threads = threads
        self.seed = seed

    def fit(self, weights: sparse.csr_matrix) -> AlsCandidates:
        """Factors of customers and products; those without any purchase are zero."""
        from implicit.als import AlternatingLeastSquares

        model = AlternatingLeastSquares(
            factors=rank_of(self.factors, weights),
            regularization=REGULARIZATION,
            alpha=ALPHA,
            iterations=self.iterations,
            random_state=self.seed,
            num_threads=self.threads,
        )
        model.fit(weights, show_progress=False)
        self.user_factors_, self.item_factors_ = model.user_factors, model.item_factors
        return self

    def about(self, codes: NDArray[np.int32]) -> AlsCandidates:
        """The same asked about some of the customers fitted, `codes`, numbered as they come."""
        found = copy(self)
        found.user_factors_ = self.user_factors_[codes]
        return found

    def candidates(self, customers: NDArray[np.int32], depth: int) -> NDArray[np.int64]:
        """Keys of each customer's nearest products, bought before or not."""
        from implicit.cpu.topk import topk

        n_products = len(self.item_factors_)
        depth = min(depth, n_products)
        users = self.user_factors_[customers]
        rows, found = np.arange(len(customers), dtype=np.int64), []
        if depth and n_products > 2 * LONGEST:
            # A product scores no more than the length of its factors times that of the customer's.
            length = np.sqrt(np.einsum("ij,ij->i", self.item_factors_, self.item_factors_))
            cut = n_products - LONGEST
            by_length = np.argpartition(length, cut)
            longest = np.sort(by_length[cut:])
            ids, scores = topk(self.item_factors_[longest], users, depth, num_threads=self.threads)
            reach = np.sqrt(np.einsum("ij,ij->i", users, users)) * length[by_length[cut]] * (1 + ROUNDED)
            sure = scores[:, -1] > reach
            found.append((rows[:, None] * n_products + longest[ids])[sure].ravel())
            rows = rows[~sure]
        ids, _ = topk(self.item_factors_, users[rows], depth, num_threads=self.threads)
        found.append((rows[:, None] * n_products + ids)[ids >= 0])
        return np.concatenate(found)

    def score(self, customers: NDArray[np.int32], keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """(keys,) inner product of customer and product factors."""
        n_products = len(self.item_factors_)
        users = self.user_factors_[customers][keys // n_products]
        items = self.item_factors_[keys % n_products]
        scores: NDArray[np.float32] = np.einsum("ij,ij->i", users, items).astype(np.float32)
        return scores
