"""Item-item collaborative filtering: nearest neighbours of products, from implicit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.candidates.pairs import RowScores


def weighted_by_rarity(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """(customers, products) TF-IDF: a customer of few products says more of each; every product has length 1."""
    distinct = np.diff(weights.indptr)
    # The floor keeps a customer who bought the whole catalogue from erasing what they bought.
    rarity = np.maximum(np.log(weights.shape[1]) - np.log1p(distinct), 0.05)
    values = np.sqrt(weights.data) * np.repeat(rarity, distinct)
    length = np.sqrt(np.bincount(weights.indices, weights=values**2, minlength=weights.shape[1]))
    return sparse.csr_matrix((values / length[weights.indices], weights.indices, weights.indptr), shape=weights.shape)


class ItemItemCandidates:
    """Products bought by the buyers of what a customer buys (TF-IDF weighted cosine, nearest `neighbours` of each)."""

    def __init__(self, *, neighbours: int = 30, threads: int = 2) -> None:
        self.neighbours = neighbours
        self.threads = threads

    def fit(self, weights: sparse.csr_matrix) -> ItemItemCandidates:
        """Similarity of products over the customers who bought them; `weights` (customers, products) above 0."""
        from implicit.nearest_neighbours import ItemItemRecommender

        model = ItemItemRecommender(K=self.neighbours, num_threads=self.threads)
        model.fit(weighted_by_rarity(weights), show_progress=False)
        self.similarity_: sparse.csr_matrix = model.similarity.tocsr()
        return self

    def scored(self, recent: sparse.csr_matrix) -> RowScores:
        """Score of every product near those in `recent` (rows, products), whose weights fall with age."""
        return RowScores(recent @ self.similarity_)

    def strongest(
        self, recent: sparse.csr_matrix, rows: NDArray[np.int64], products: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """(pairs,) of each row of `recent` and product, the bought product that gives most of its score; -1: none."""
        led_by = self.similarity_.T.tocsr()
        shares = recent[rows].multiply(led_by[products]).tocsr()
        best = np.full(len(rows), -1, dtype=np.int32)
        some = np.flatnonzero(np.diff(shares.indptr))
        if len(some):
            best[some] = np.asarray(shares[some].argmax(axis=1)).reshape(-1)
        return best
