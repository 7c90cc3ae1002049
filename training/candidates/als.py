"""Collaborative filtering by implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), from implicit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


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
            factors=min(self.factors, max(min(weights.shape) - 1, 1)),
            regularization=0.05,
            alpha=10.0,
            iterations=self.iterations,
            random_state=self.seed,
            num_threads=self.threads,
        )
        model.fit(weights, show_progress=False)
        self.model_: Any = model
        self.weights_ = weights
        return self

    def candidates(self, customers: NDArray[np.int32], depth: int) -> NDArray[np.int64]:
        """Keys of each customer's nearest products, bought before or not."""
        n_products = self.weights_.shape[1]
        depth = min(depth, n_products)
        ids, _ = self.model_.recommend(customers, self.weights_[customers], N=depth, filter_already_liked_items=False)
        rows = np.arange(len(customers), dtype=np.int64)[:, None]
        keys: NDArray[np.int64] = (rows * n_products + ids)[ids >= 0]
        return keys

    def score(self, customers: NDArray[np.int32], keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """(keys,) inner product of customer and product factors."""
        n_products = self.weights_.shape[1]
        users = self.model_.user_factors[customers][keys // n_products]
        items = self.model_.item_factors[keys % n_products]
        scores: NDArray[np.float32] = np.einsum("ij,ij->i", users, items).astype(np.float32)
        return scores
