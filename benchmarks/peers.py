"""Published next-basket and collaborative methods, as plain as their papers, to measure ours against.

Each is `scores(history, customers) -> (customers, products)` sparse scores, with a grid of settings tuned on the same
validation question as everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from features.matrix import Purchases

Settings = Mapping[str, Any]
Scores = Callable[[Purchases, NDArray[np.int32]], sparse.csr_matrix]
MOST_EASE_PRODUCTS = 5_000
_BATCH = 500


@dataclass(frozen=True)
class Peer:
    """A method and the settings it is tuned over."""

    name: str
    make: Callable[..., Scores]
    grid: Sequence[Settings] = field(default=({},))
    most_products: int | None = None


def _weighted(history: Purchases, weight_of_order: NDArray[np.float64]) -> sparse.csr_matrix:
    """(customers, products) sums of order weights."""
    owner = history.line_customer
    weight = np.repeat(weight_of_order, history.order_sizes).astype(np.float32)
    shape = (history.n_customers, history.n_products)
    matrix = sparse.csr_matrix((weight, (owner, history.products)), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _nearest(similarity: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    k = min(k, similarity.shape[1])
    nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    return nearest, np.take_along_axis(similarity, nearest, axis=1)


def _mixture(nearest: NDArray[np.int64], weight: NDArray[np.float32], of: sparse.csr_matrix) -> sparse.csr_matrix:
    indptr = np.arange(0, nearest.size + 1, nearest.shape[1])
    pick = sparse.csr_matrix((weight.ravel(), nearest.ravel(), indptr), shape=(len(nearest), of.shape[0]))
    return (pick @ of).tocsr()


def personal(history: Purchases, customers: NDArray[np.int32]) -> sparse.csr_matrix:
    """How often each bought what."""
    return _weighted(history, np.ones(history.n_orders))[customers]


def tifu_knn(*, neighbours: int, alpha: float, within: float, between: float, group: int) -> Scores:
    """TIFU-KNN (Hu et al. 2020): orders in groups, decaying within and between groups, mixed with nearest customers."""

    def scores(history: Purchases, customers: NDArray[np.int32]) -> sparse.csr_matrix:
        back = history.orders_from_end
        size = np.bincount(history.order_customer, minlength=history.n_customers)[history.order_customer]
        groups = np.maximum(np.ceil(size / group), 1)
        weight = within ** (back % group) * between ** (back // group) / (np.minimum(group, size) * groups)
        vectors = _weighted(history, weight)
        length = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
        parts = []
        for start in range(0, len(customers), _BATCH):
            batch = customers[start : start + _BATCH]
            own = vectors[batch]
            distance = length[batch][:, None] + length[None, :] - 2 * (own @ vectors.T).toarray()
            distance[np.arange(len(batch)), batch] = np.inf
            nearest, near = _nearest(-distance.astype(np.float32), neighbours)
            weights = np.where(np.isfinite(near), 1.0 / near.shape[1], 0.0).astype(np.float32)
            parts.append(alpha * own + (1 - alpha) * _mixture(nearest, weights, vectors))
        return sparse.vstack(parts, format="csr")

    return scores


def up_cf(*, recent: int, locality: float, asymmetry: float) -> Scores:
    """UP-CF@r (Faggioli et al. 2020): recent user-wise popularity of customers alike by asymmetric cosine."""

    def scores(history: Purchases, customers: NDArray[np.int32]) -> sparse.csr_matrix:
        n = np.maximum(np.minimum(history.orders_per_customer, recent), 1)
        wise = _weighted(history, (history.orders_from_end < recent) / n[history.order_customer])
        wise.eliminate_zeros()
        length = np.asarray(wise.multiply(wise).sum(axis=1)).ravel()
        parts = []
        for start in range(0, len(customers), _BATCH):
            batch = customers[start : start + _BATCH]
            dot = (wise[batch] @ wise.T).toarray()
            norm = (length[batch][:, None] ** asymmetry) * (np.maximum(length, 1e-9)[None, :] ** (1 - asymmetry))
            likeness = (dot / np.maximum(norm, 1e-9)) ** locality
            nearest, weight = _nearest(likeness.astype(np.float32), 600)
            parts.append(_mixture(nearest, weight, wise))
        return sparse.vstack(parts, format="csr")

    return scores


def item_knn(*, neighbours: int, decay: float) -> Scores:
    """Item-kNN (Sarwar et al. 2001): cosine of products over customers, from implicit."""

    def scores(history: Purchases, customers: NDArray[np.int32]) -> sparse.csr_matrix:
        from implicit.nearest_neighbours import ItemItemRecommender

        counts = _weighted(history, np.ones(history.n_orders))
        length = np.sqrt(np.bincount(counts.indices, weights=counts.data**2, minlength=history.n_products))
        unit = sparse.csr_matrix((counts.data / length[counts.indices], counts.indices, counts.indptr), counts.shape)
        model = ItemItemRecommender(K=neighbours, num_threads=1)
        model.fit(unit, show_progress=False)
        recent = _weighted(history, decay ** history.orders_from_end.astype(np.float64))
        return (recent[customers] @ model.similarity.tocsr()).tocsr()

    return scores


def _factors(model: Any, counts: sparse.csr_matrix, customers: NDArray[np.int32], depth: int) -> sparse.csr_matrix:
    ids, found = model.recommend(
        customers, counts[customers], N=min(depth, counts.shape[1]), filter_already_liked_items=False
    )
    rows = np.repeat(np.arange(len(customers)), ids.shape[1])
    # Scores may be negative; the place in the list is what counts.
    place = np.broadcast_to(np.arange(ids.shape[1], 0, -1, dtype=np.float32), ids.shape)
    kept = (ids.ravel() >= 0) & np.isfinite(found.ravel())
    return sparse.csr_matrix(
        (place.ravel()[kept], (rows[kept], ids.ravel()[kept])), shape=(len(customers), counts.shape[1])
    )


def als(*, factors: int, alpha: float) -> Scores:
    """ALS (Hu, Koren and Volinsky 2008), from implicit."""

    def scores(history: Purchases, customers: NDArray[np.int32]) -> sparse.csr_matrix:
        from implicit.als import AlternatingLeastSquares

        counts = _weighted(history, np.ones(history.n_orders))
        model = AlternatingLeastSquares(
            factors=factors, alpha=alpha, regularization=0.05, iterations=15, random_state=0, num_threads=1
        )
        model.fit(counts, show_progress=False)
        return _factors(model, counts, customers, 400)

    return scores


def bpr(*, factors: int, learning_rate: float) -> Scores:
    """BPR (Rendle et al. 2009), from implicit."""

    def scores(history: Purchases, customers: NDArray[np.int32]) -> sparse.csr_matrix:
        from implicit.bpr import BayesianPersonalizedRanking

        counts = _weighted(history, np.ones(history.n_orders))
        model = BayesianPersonalizedRanking(
            factors=factors, learning_rate=learning_rate, iterations=60, random_state=0, num_threads=1
        )
        model.fit(counts, show_progress=False)
        return _factors(model, counts, customers, 400)

    return scores


def ease(*, ridge: float) -> Scores:
    """EASE (Steck 2019): linear item-item weights in closed form, the diagonal zero."""

    def scores(history: Purchases, customers: NDArray[np.int32]) -> sparse.csr_matrix:
        counts = _weighted(history, np.ones(history.n_orders))
        counts.data = np.log1p(counts.data)
        gram = (counts.T @ counts).toarray()
        gram[np.diag_indices_from(gram)] += ridge
        inverse = linalg.inv(gram, check_finite=False)
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        return sparse.csr_matrix(np.maximum(counts[customers] @ weights, 0.0).astype(np.float32))

    return scores


def grid(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """Every combination of the choices."""
    rows: list[dict[str, Any]] = [{}]
    for name, values in choices.items():
        rows = [row | {name: value} for row in rows for value in values]
    return rows


PEERS = (
    Peer(
        "TIFU-KNN",
        tifu_knn,
        grid(neighbours=[100, 300], alpha=[0.5, 0.7, 0.9], within=[0.9], between=[0.6, 0.8], group=[3, 7]),
    ),
    Peer("UP-CF@r", up_cf, grid(recent=[3, 10, 50], locality=[1.0, 5.0, 20.0], asymmetry=[0.25, 0.5])),
    Peer("item-kNN", item_knn, grid(neighbours=[20, 100], decay=[0.8, 0.98])),
    Peer("ALS", als, grid(factors=[32, 128], alpha=[1.0, 10.0])),
    Peer("BPR", bpr, grid(factors=[64], learning_rate=[0.02, 0.1])),
    Peer("EASE", ease, grid(ridge=[10.0, 100.0, 1000.0]), most_products=MOST_EASE_PRODUCTS),
)
