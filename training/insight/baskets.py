"""What is bought in the same orders: rules with support, confidence, lift, leverage and conviction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.insight.shop import WINDOW_DAYS, Shop

#: Items looked at, those of most orders.
MOST_ITEMS = 2_000
#: A pair must have met in so many orders, and in so large a share of all.
LEAST_ORDERS, LEAST_SUPPORT = 10, 0.001
#: Entries of the product of baskets worked out at once.
_BATCH_ENTRIES = 20_000_000


@dataclass(frozen=True)
class Rule:
    """Orders with `item` hold `other` too: in `orders` of them. All shares are of orders."""

    item_id: str
    other_id: str
    item: str
    other: str
    orders: int
    support: float
    confidence: float
    lift: float
    leverage: float
    conviction: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Baskets:
    """`held` (orders, items) of ones; `items` are ids, `names` what they are called. Orders may be empty."""

    held: sparse.csr_matrix
    items: Sequence[str]
    names: Sequence[str]


def order_baskets(shop: Shop, *, by: str) -> Baskets:
    """Orders of the last 364 days by what they hold: `by` is product_id, or category, department or brand.

    The MOST_ITEMS items of most orders; every order counts, also one that holds none of them.
    """
    name = "any_value(name)" if by == "product_id" else by
    since = f"TIMESTAMP '{shop.as_of}' - INTERVAL {WINDOW_DAYS} DAY"
    shop.con.execute(
        f"""
        CREATE OR REPLACE TABLE basket_items AS
        SELECT {by} AS item, {name} AS name, count(DISTINCT trip) AS orders
        FROM lines JOIN goods USING (product) WHERE quantity > 0 AND {by} IS NOT NULL AND ordered_at >= {since}
        GROUP BY {by} ORDER BY orders DESC, item LIMIT {MOST_ITEMS};
        """
    )
    chosen = shop.frame("SELECT item, name FROM basket_items ORDER BY orders DESC, item")
    found = shop.frame(
        f"""
        WITH places AS (SELECT item, row_number() OVER (ORDER BY orders DESC, item) - 1 AS place FROM basket_items)
        SELECT DISTINCT trip, place FROM lines JOIN goods USING (product) JOIN places ON {by} = item
        WHERE quantity > 0 AND ordered_at >= {since}
        """
    )
    n = shop.number(f"SELECT count(DISTINCT trip) FROM lines WHERE quantity > 0 AND ordered_at >= {since}")
    _, order = np.unique(found["trip"].to_numpy(np.int64), return_inverse=True)
    ones = np.ones(len(found), dtype=np.float32)
    held = sparse.csr_matrix((ones, (order, found["place"].to_numpy(np.int64))), shape=(int(n or 0), len(chosen)))
    return Baskets(held, chosen["item"].tolist(), chosen["name"].tolist())


def pair_counts(
    held: sparse.csr_matrix, *, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of every pair of items that met in at least `least` orders: the first, the second (first < second), how often.

    Formula: entries above the diagonal of B' B, B the (orders, items) matrix of ones, worked out in parts.
    Source: the frequent itemsets of two items (Agrawal and Srikant 1994); compared with FP-Growth (Han, Pei and Yin
    2000) in the tests and in benchmarks.insights.
    """
    by_item = held.T.tocsr()
    sizes = np.asarray(held.sum(axis=1)).ravel()
    work = np.cumsum(by_item @ sizes) if held.shape[1] else np.zeros(0)
    last = float(work[-1]) if len(work) else 0.0
    batches = np.searchsorted(work, np.arange(0, last + _BATCH_ENTRIES, _BATCH_ENTRIES))
    edges = np.unique(np.concatenate(([0], np.minimum(batches, held.shape[1]), [held.shape[1]]))).astype(int)
    parts: list[tuple[NDArray[Any], ...]] = []
    for start, end in pairwise(edges):
        both = (by_item[start:end] @ held).tocoo()
        first, second = both.row + start, both.col
        kept = (first < second) & (both.data >= least)
        parts.append((first[kept], second[kept], np.rint(both.data[kept])))
    if not parts:
        return (np.empty(0, dtype=np.int64),) * 3
    first, second, n = (np.concatenate([part[place] for part in parts]).astype(np.int64) for place in range(3))
    order = np.lexsort((second, first))
    return first[order], second[order], n[order]


def basket_rules(baskets: Baskets, *, most: int = 50) -> list[Rule]:
    """The strongest rules of one item to one other, at most `most`, strongest first.

    Formula: with n orders, n_i with the item, n_j with the other, n_ij with both: support = n_ij / n; confidence =
    n_ij / n_i; lift = confidence / (n_j / n); leverage = support - n_i n_j / n^2; conviction = (1 - n_j / n) / (1 -
    confidence), null where confidence is 1. A pair counts that met in at least 10 orders and 0.1 % of all. Strength,
    by which they are ranked, is confidence times the logarithm of lift.
    Source: Agrawal, Imielinski and Swami (1993) for support and confidence; Brin et al. (1997) for lift (interest) and
    conviction; Piatetsky-Shapiro (1991) for leverage.
    """
    n = baskets.held.shape[0]
    least = max(LEAST_ORDERS, int(np.ceil(LEAST_SUPPORT * n)))
    first, second, both = pair_counts(baskets.held, least=least)
    # Sums of float32 are whole, but their products would be rounded.
    sold = np.asarray(baskets.held.sum(axis=0)).ravel().astype(np.float64)
    item, other = np.concatenate((first, second)), np.concatenate((second, first))
    together = np.concatenate((both, both)).astype(float)
    confidence = together / sold[item]
    lift = confidence * n / sold[other]
    strength = confidence * np.log(np.maximum(lift, 1e-12))
    best = np.lexsort((other, item, -strength))[:most]
    return [
        Rule(
            item_id=str(baskets.items[item[place]]),
            other_id=str(baskets.items[other[place]]),
            item=str(baskets.names[item[place]]),
            other=str(baskets.names[other[place]]),
            orders=int(together[place]),
            support=float(together[place] / n),
            confidence=float(confidence[place]),
            lift=float(lift[place]),
            leverage=float(together[place] / n - sold[item[place]] * sold[other[place]] / n**2),
            conviction=None
            if together[place] == sold[item[place]]
            else float((1 - sold[other[place]] / n) / (1 - confidence[place])),
        )
        for place in best
        if lift[place] > 1
    ]
