"""What lists are like beside being right: novel, varied, fair to the catalogue. Definitions: docs/metrics.md.

As in metrics_ranking, `lists` is (customers, depth) product codes, best first, padded with -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from features.schema import C
from training.candidates.attributes import Attributes
from training.metrics_ranking import KS, coverage

#: Of the kinds known of products, by which lists are called varied: the first there is.
VARIED_BY = (C.CATEGORY, C.SUBCATEGORY, C.DEPARTMENT, C.BRAND)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Catalogue:
    """What is known of products before the question: (products,) how many of `n_customers` bought each, and its kind.

    `taste` (customers asked,) is the mean popularity of what each had bought; NaN for a customer who had bought
    nothing. `kinds` are class codes, -1 where unknown; None where no kind is known.
    """

    buyers: NDArray[np.int64]
    n_customers: int
    taste: Floats
    kinds: NDArray[np.int32] | None
    kind: str | None

    @cached_property
    def popularity(self) -> Floats:
        """(products,) share of customers who bought each."""
        return self.buyers / max(self.n_customers, 1)

    @cached_property
    def surprise(self) -> Floats:
        """(products,) in bits, how unlikely a customer is to have bought each."""
        # One more customer than there are has bought everything: what nobody bought surprises, but not without end.
        found: Floats = -np.log2((self.buyers + 1) / (self.n_customers + 1))
        return found

    @property
    def sold(self) -> int:
        """Products with a sale."""
        return int((self.buyers > 0).sum())


def catalogue_of(history: Purchases, customers: NDArray[np.int32], attributes: Attributes) -> Catalogue:
    """What the visible history says of products and of the customers asked."""
    n_products = history.n_products
    lines = history.line_customer.astype(np.int64)
    pairs = np.unique(lines * n_products + history.products)
    owner, product = pairs // n_products, pairs % n_products
    buyers = np.bincount(product, minlength=n_products)
    n_customers = len(np.unique(owner))
    popularity = buyers / max(n_customers, 1)
    bought = np.bincount(owner, minlength=history.n_customers)
    total = np.bincount(owner, weights=popularity[product], minlength=history.n_customers)
    taste = np.full(history.n_customers, np.nan)
    np.divide(total, bought, out=taste, where=bought > 0)
    kind = next((name for name in VARIED_BY if name in attributes.classes), None)
    return Catalogue(buyers, n_customers, taste[customers], None if kind is None else attributes.classes[kind], kind)


def novelty(lists: NDArray[np.int32], k: int, catalogue: Catalogue) -> Floats:
    """(customers,) mean surprise in bits of the first k: -log2 of the share of customers who bought (Zhou 2010)."""
    return _mean_of(lists, k, catalogue.surprise)


def diversity(lists: NDArray[np.int32], k: int, catalogue: Catalogue) -> Floats:
    """(customers,) share of the pairs among the first k that are of two kinds (Ziegler 2005); NaN for less than two.

    Products of no known kind do not count.
    """
    if catalogue.kinds is None:
        return np.full(len(lists), np.nan)
    top = lists[:, :k]
    codes = np.where(top >= 0, catalogue.kinds[top], -1).astype(np.int64)
    rows, places = np.nonzero(codes >= 0)
    n_kinds = int(catalogue.kinds.max(initial=0)) + 1
    keys, count = np.unique(rows * n_kinds + codes[rows, places], return_counts=True)
    same = np.bincount(keys // n_kinds, weights=count * (count - 1) / 2, minlength=len(lists))
    known = (codes >= 0).sum(axis=1)
    pairs = known * (known - 1) / 2
    found = np.full(len(lists), np.nan)
    np.divide(pairs - same, pairs, out=found, where=pairs > 0)
    return found


def popularity_lift(lists: NDArray[np.int32], k: int, catalogue: Catalogue) -> float:
    """How much more popular the first k are than what the same customers buy, as a share (Abdollahpouri 2019).

    0: as popular as their own products; above: the lists drive customers to what sells anyway.
    """
    shown = _mean_of(lists, k, catalogue.popularity)
    both = ~np.isnan(shown) & ~np.isnan(catalogue.taste)
    if not both.any():
        return 0.0
    return float(shown[both].mean() / catalogue.taste[both].mean() - 1)


def gini(lists: NDArray[np.int32], k: int, catalogue: Catalogue) -> float:
    """How unevenly the first k of all lists fall on the products sold: 0 evenly, towards 1 all on one (Gini 1912)."""
    top = lists[:, :k]
    shown = np.bincount(top[top >= 0], minlength=len(catalogue.buyers))
    # Products that were never sold count only where they are listed.
    counts = np.sort(shown[(catalogue.buyers > 0) | (shown > 0)])
    n, total = len(counts), counts.sum()
    if not total:
        return 0.0
    return float(2 * (np.arange(1, n + 1) @ counts) / (n * total) - (n + 1) / n)


def each_list(lists: NDArray[np.int32], catalogue: Catalogue, ks: Sequence[int] = KS) -> dict[str, Floats]:
    """Novelty and, where kinds are known, diversity of each customer's list, as `novelty@10` and so on."""
    found = {f"novelty@{k}": novelty(lists, k, catalogue) for k in ks}
    if catalogue.kinds is None:
        return found
    return found | {f"diversity@{k}": diversity(lists, k, catalogue) for k in ks if k > 1}


def all_lists(lists: NDArray[np.int32], catalogue: Catalogue, ks: Sequence[int] = KS) -> dict[str, float]:
    """Coverage, Gini and popularity lift of all lists together."""
    found = {}
    for k in ks:
        found[f"coverage@{k}"] = coverage(lists, k, catalogue.sold)
        found[f"gini@{k}"] = gini(lists, k, catalogue)
        found[f"popularity_lift@{k}"] = popularity_lift(lists, k, catalogue)
    return found


def _mean_of(lists: NDArray[np.int32], k: int, values: Floats) -> Floats:
    """(customers,) mean over the listed of the first k; NaN for an empty list."""
    top = lists[:, :k]
    listed = top >= 0
    total = np.where(listed, values[top], 0.0).sum(axis=1)
    found = np.full(len(lists), np.nan)
    np.divide(total, listed.sum(axis=1), out=found, where=listed.any(axis=1))
    return found
