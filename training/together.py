"""Products bought in the same orders: support, confidence, lift, and a rule that removes pairs that chance explains."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from features.matrix import Purchases
from training.ranked_lists import NO_PRODUCT

#: A pair must have met in so many orders, whatever its lift.
MIN_SUPPORT = 3
#: Chance of naming even one pair that chance explains, over all pairs that met (Bonferroni).
FALSE_ALARM = 0.01
#: Orders a lift is drawn towards 1 by, so that rare pairs do not stand above well-known ones.
PRIOR_ORDERS = 1.0
_BATCH_ENTRIES = 20_000_000


@dataclass(frozen=True)
class Together:
    """For each product (rows), products of the same orders, strongest first: (products, m), padded with NO_PRODUCT.

    `support` counts orders with both; `confidence` is the share of the product's orders that hold the neighbour too;
    `lift` is that share over the neighbour's share of all orders, drawn towards 1 by PRIOR_ORDERS.
    `strength` is confidence times the logarithm of lift. Lift alone puts what hardly anybody buys first, confidence
    alone what everybody buys anyway.
    """

    neighbours: NDArray[np.int32]
    lift: NDArray[np.float32]
    support: NDArray[np.int32]
    confidence: NDArray[np.float32]
    strength: NDArray[np.float32]


def bought_together(purchases: Purchases, *, depth: int = 20) -> Together:
    """Neighbours of every product over all orders.

    A pair counts when it met MIN_SUPPORT times and more often than chance: were the lines dealt to the orders at
    random, orders keeping their sizes, a pair would meet n_i * n_j * sum(s (s - 1)) / (sum s)^2 times, and meets
    Poisson-distributed about that. Large orders hold every pair, so independence of orders alone would call too many
    pairs significant. The level is divided by the number of pairs that met.
    """
    n_products = purchases.n_products
    baskets = purchases.baskets()
    sizes = purchases.order_sizes.astype(np.float64)
    sold = np.bincount(purchases.products, minlength=n_products).astype(np.float64)
    lines = max(sizes.sum(), 1.0)
    meeting = float((sizes * (sizes - 1)).sum()) / lines**2
    n_orders = max(purchases.n_orders, 1)
    neighbours = np.full((n_products, depth), NO_PRODUCT, dtype=np.int32)
    lift = np.zeros((n_products, depth), dtype=np.float32)
    support = np.zeros((n_products, depth), dtype=np.int32)
    confidence = np.zeros((n_products, depth), dtype=np.float32)
    strength = np.zeros((n_products, depth), dtype=np.float32)
    by_product = baskets.T.tocsr()
    # Entries of the product of both, bounded from above, so that the batches fit in memory.
    work = np.cumsum(by_product @ sizes)
    met = max(float((sizes * (sizes - 1)).sum()) / 2, 1.0)
    batches = np.unique(np.searchsorted(work, np.arange(0, work[-1] + _BATCH_ENTRIES, _BATCH_ENTRIES)))
    edges = np.unique(np.concatenate(([0], batches, [n_products])))
    for start, end in pairwise(edges):
        counts = (by_product[start:end] @ baskets).tocoo()
        row, other, both = counts.row + start, counts.col, counts.data.astype(np.float64)
        kept = (row != other) & (both >= MIN_SUPPORT)
        row, other, both = row[kept], other[kept], both[kept]
        by_chance = sold[row] * sold[other] * meeting
        real = special.pdtrc(both - 1, by_chance) < FALSE_ALARM / met
        row, other, both = row[real], other[real], both[real]
        expected = sold[row] * sold[other] / n_orders
        drawn = (both + PRIOR_ORDERS) / (expected + PRIOR_ORDERS)
        tie = both / sold[row] * np.log(np.maximum(drawn, 1.0))
        order = np.lexsort((other, -tie, row))
        row, other, both, drawn, tie = row[order], other[order], both[order], drawn[order], tie[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        top = place < depth
        at = (row[top], place[top])
        neighbours[at] = other[top]
        lift[at] = drawn[top]
        strength[at] = tie[top]
        support[at] = both[top]
        confidence[at] = both[top] / sold[row[top]]
    return Together(neighbours, lift, support, confidence, strength)
