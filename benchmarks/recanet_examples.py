"""What a network after ReCANet learns from: products bought before, the gaps between purchases, and what came next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.peer_files import Orders

#: Of each customer so many last orders are learned from, as in the paper.
LAST_ORDERS = 50

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Each (customer, product) bought, and in which of the customer's orders: those of pair p are
    `orders[start[p]:start[p + 1]]`, rising.
    """

    customer: Ints
    product: Ints
    start: Ints
    orders: Ints
    orders_of: Ints  # of the pair's customer

    @classmethod
    def of(cls, lines: Orders) -> Pairs:
        """Of all order lines of everybody."""
        key = lines.customer.astype(np.int64) * lines.n_products + lines.product
        order = np.lexsort((lines.order, key))
        pair, first = np.unique(key[order], return_index=True)
        customer = pair // lines.n_products
        return cls(
            customer,
            pair % lines.n_products,
            np.append(first, len(order)),
            lines.order[order].astype(np.int64),
            lines.orders_of[customer],
        )

    @property
    def questions(self) -> tuple[Ints, Ints]:
        """The first order each pair can be asked about in learning, and how many orders it can be asked about."""
        first = np.maximum(self.orders[self.start[:-1]] + 1, self.orders_of - LAST_ORDERS)
        return first, np.maximum(self.orders_of - first, 0)


@dataclass(frozen=True)
class Examples:
    """Pairs asked about in order `at`, after so many purchases (`bought`)."""

    pair: Ints
    at: Ints
    bought: Ints
    label: NDArray[np.float32]

    @classmethod
    def of(cls, pairs: Pairs, pair: Ints, at: Ints) -> Examples:
        """With what came of it."""
        longest = int(pairs.orders_of.max()) + 1
        sorted_keys = np.repeat(np.arange(len(pairs.customer)), np.diff(pairs.start)) * longest + pairs.orders
        place = np.searchsorted(sorted_keys, pair * longest + at)
        there = sorted_keys[np.minimum(place, len(sorted_keys) - 1)] == pair * longest + at
        return cls(pair, at, place - pairs.start[pair], there.astype(np.float32))

    @classmethod
    def drawn(cls, pairs: Pairs, most: int, rng: np.random.Generator) -> Examples:
        """All there are, or so many by lot."""
        first, count = pairs.questions
        ends = np.cumsum(count)
        chosen = np.arange(ends[-1]) if ends[-1] <= most else np.unique(rng.integers(0, ends[-1], most))
        pair = np.searchsorted(ends, chosen, side="right")
        return cls.of(pairs, pair, first[pair] + chosen - (ends[pair] - count[pair]))

    def gaps(self, pairs: Pairs, which: Ints, length: int) -> NDArray[np.float32]:
        """(which, length) orders from each of the last purchases to the next, and from the last until asked."""
        pair = self.pair[which]
        last = pairs.start[pair] + self.bought[which] - 1
        steps = last[:, None] + np.arange(1 - length, 1)[None, :]
        times = np.column_stack([pairs.orders[steps], self.at[which]])
        return np.diff(times, axis=1).astype(np.float32)
