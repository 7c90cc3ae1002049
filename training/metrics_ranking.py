"""Ranking metrics over lists of products: pure functions of arrays. Definitions: docs/metrics.md.

Throughout, `lists` is (customers, depth) int32 product codes, best first, padded with -1; the truth of customer i is
`truth.indices[truth.indptr[i]:truth.indptr[i + 1]]` (a Truth). A customer without truth does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.candidates.pairs import find

KS = (5, 10, 20)


@dataclass(frozen=True)
class Truth:
    """What each evaluated customer went on to buy: product codes in compressed rows, each once per customer."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(customers,) number of products in each truth."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> NDArray[np.int64]:
        """(entries,) which customer each entry belongs to."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def between(self, start: int, stop: int) -> Truth:
        """Only the customers [start, stop)."""
        indptr = self.indptr[start : stop + 1]
        return Truth(indptr - indptr[0], self.indices[indptr[0] : indptr[-1]])

    def keep(self, mask: NDArray[np.bool_]) -> Truth:
        """The same customers with only the entries where `mask` (entries,) is true."""
        kept = np.concatenate(([0], np.cumsum(mask)))
        return Truth(kept[self.indptr], self.indices[mask])


def contains(
    keys: NDArray[np.int64], rows: NDArray[np.int64], products: NDArray[np.int32], n_products: int
) -> NDArray[np.bool_]:
    """Whether each (row, product) is among sorted `keys` = row * n_products + product; products below 0 never are."""
    _, there = find(keys, rows * n_products + products)
    return there & (products >= 0)


def hits(lists: NDArray[np.int32], truth: Truth, n_products: int) -> NDArray[np.bool_]:
    """(customers, depth) whether each listed product is in the customer's truth."""
    keys = np.sort(truth.rows * n_products + truth.indices)
    rows = np.broadcast_to(np.arange(len(lists))[:, None], lists.shape)
    return contains(keys, rows, lists, n_products)


def per_customer(hit: NDArray[np.bool_], truth_sizes: NDArray[np.int64], k: int) -> dict[str, NDArray[np.float64]]:
    """Each metric at k for each customer: recall, precision, phr, mrr, map, ndcg, ndcg_full; NaN without a truth.

    `map` is the sum of the precision at each hit, over min(k, truth). `ndcg` divides by the best gain k places can
    give, over min(k, truth) products; `ndcg_full` by that of the whole truth (Järvelin and Kekäläinen 2002, binary
    gain, log2 discount). `phr` is 1 for a customer with any hit, whose mean is called hit rate elsewhere.
    """
    counted = truth_sizes > 0
    size = np.maximum(truth_sizes, 1)
    top = np.zeros((len(hit), k), dtype=bool)
    top[:, : min(k, hit.shape[1])] = hit[:, :k]
    found = top.sum(axis=1)
    longest = max(k, int(size.max(initial=1)))
    discount = 1.0 / np.log2(np.arange(2, longest + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discount)))
    gain = top @ discount[:k]
    precision_at_hit = np.where(top, np.cumsum(top, axis=1) / np.arange(1, k + 1), 0.0).sum(axis=1)
    first = np.where(found > 0, top.argmax(axis=1) + 1.0, np.inf)
    values = {
        "recall": found / size,
        "precision": found / k,
        "phr": (found > 0).astype(float),
        "mrr": 1.0 / first,
        "map": precision_at_hit / np.minimum(k, size),
        "ndcg": gain / ideal[np.minimum(k, size)],
        "ndcg_full": gain / ideal[size],
    }
    return {name: np.where(counted, value, np.nan) for name, value in values.items()}


def customer_metrics(
    lists: NDArray[np.int32], truth: Truth, *, repeat: NDArray[np.bool_], n_products: int, ks: Sequence[int] = KS
) -> dict[str, NDArray[np.float64]]:
    """Every metric at every k for each customer, as `recall@10` and so on; NaN where it is not defined.

    `repeat` (truth entries,) says which truths the customer had bought before; `repeat_recall@k` and
    `explore_recall@k` count only those and only the others, for customers that have any.
    """
    hit = hits(lists, truth, n_products)
    parts = {"repeat": truth.keep(repeat), "explore": truth.keep(~repeat)}
    part_hits = {name: hits(lists, part, n_products) for name, part in parts.items()}
    result: dict[str, NDArray[np.float64]] = {}
    for k in ks:
        for name, values in per_customer(hit, truth.sizes, k).items():
            result[f"{name}@{k}"] = values
        for name, part in parts.items():
            result[f"{name}_recall@{k}"] = per_customer(part_hits[name], part.sizes, k)["recall"]
    return result


def mean(values: NDArray[np.float64]) -> float:
    """The mean of what is defined; 0 where nothing is."""
    defined = ~np.isnan(values)
    return float(values[defined].mean()) if defined.any() else 0.0


def coverage(lists: NDArray[np.int32], k: int, catalogue: int) -> float:
    """The share of `catalogue` (number of products known at the time) on any list of length k."""
    shown = np.unique(lists[:, :k])
    return float((shown >= 0).sum() / max(catalogue, 1))


def ranking_metrics(
    lists: NDArray[np.int32],
    truth: Truth,
    *,
    repeat: NDArray[np.bool_],
    n_products: int,
    catalogue: int,
    ks: Sequence[int] = KS,
) -> dict[str, float]:
    """Means over customers of `customer_metrics`, and `coverage@k`."""
    values = customer_metrics(lists, truth, repeat=repeat, n_products=n_products, ks=ks)
    result = {name: mean(value) for name, value in values.items()}
    return result | {f"coverage@{k}": coverage(lists, k, catalogue) for k in ks}


def bootstrap_interval(
    values: NDArray[np.float64], rng: np.random.Generator, *, replicates: int = 500, level: float = 0.95
) -> NDArray[np.float64]:
    """(metrics, 2) ends of percentile intervals of the means of `values` (customers, metrics), NaN where undefined.

    Customers are drawn with replacement (Efron 1979): they are independent, the products of one customer are not.
    """
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    n = len(values)
    means = np.empty((replicates, values.shape[1]))
    for replicate in range(replicates):
        drawn = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        means[replicate] = (drawn @ filled) / np.maximum(drawn @ defined, 1.0)
    tail = (1 - level) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0).T
