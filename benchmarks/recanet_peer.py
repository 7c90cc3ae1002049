"""A network of repeat purchases after ReCANet (Ariannezhad et al., SIGIR 2022), on CPU, in an environment with torch.

    embeddings of customer and product -> dense layer; with it, each gap between the customer's last purchases of the
    product, counted in orders, the last until now -> dense layer -> two LSTMs -> two dense layers
    -> the chance that the next order holds the product, asked of every product the customer bought before

As in the paper: Adam on binary cross-entropy, learned on the customers' last 50 orders, up to five epochs of which
validation chooses. Not as in the paper: an epoch draws at most so many examples by lot, and batches hold histories of
one length, which saves a CPU the padding and changes no gradient of an example; products bought less than 5 times share
one embedding instead of being left out; gaps may be told by logarithm.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from peer_files import DEPTH, NEW_DEPTH, Lists, Orders, answer_all
from torch import nn

LAST_ORDERS, RARE, BATCH, PREDICT_BATCH = 50, 5, 1024, 16_384
SEED = 12_321

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
        """Of all order lines."""
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

    def gaps(self, pairs: Pairs, which: Ints, length: int) -> NDArray[np.float32]:
        """(which, length) orders from each of the last purchases to the next, and from the last until asked."""
        pair = self.pair[which]
        last = pairs.start[pair] + self.bought[which] - 1
        steps = last[:, None] + np.arange(1 - length, 1)[None, :]
        times = np.column_stack([pairs.orders[steps], self.at[which]])
        return np.diff(times, axis=1).astype(np.float32)


class Network(nn.Module):
    """Logits of the chance that an order holds a product bought before."""

    def __init__(self, customers: int, products: int, *, customer_size: int, product_size: int, hidden: int) -> None:
        super().__init__()
        self.customer = nn.Embedding(customers, customer_size)
        self.product = nn.Embedding(products, product_size)
        for embedding in (self.customer, self.product):
            nn.init.uniform_(embedding.weight, -0.05, 0.05)
        self.both = nn.Linear(customer_size + product_size, hidden)
        self.step = nn.Linear(hidden + 1, hidden)
        self.history = nn.LSTM(hidden, hidden, num_layers=2, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, customer: torch.Tensor, product: torch.Tensor, gaps: torch.Tensor) -> torch.Tensor:
        """(rows,) of rows of one length of history, gaps (rows, length)."""
        both = torch.relu(self.both(torch.cat([self.customer(customer), self.product(product)], dim=1)))
        steps = torch.cat([both[:, None, :].expand(-1, gaps.shape[1], -1), gaps[:, :, None]], dim=2)
        _, (state, _) = self.history(torch.relu(self.step(steps)))
        found: torch.Tensor = self.head(state[-1])[:, 0]
        return found


class Learner:
    """One network in learning: epochs are asked for one after the other, each answered with ranked lists."""

    def __init__(self, orders: Orders, *, size: int, window: int, gaps: str, examples: int, seconds: float) -> None:
        torch.manual_seed(SEED)
        torch.set_num_threads(orders.threads)
        self.rng = np.random.default_rng(SEED)
        self.orders, self.pairs = orders, Pairs.of(orders)
        self.window, self.logarithm, self.examples = window, gaps == "logarithm", examples
        self.until = time.perf_counter() + seconds
        often = np.flatnonzero(np.bincount(orders.product, minlength=orders.n_products) >= RARE)
        self.product_code = np.zeros(orders.n_products, dtype=np.int64)
        self.product_code[often] = np.arange(1, len(often) + 1)
        self.network = Network(
            orders.n_customers, len(often) + 1, customer_size=size // 2, product_size=size, hidden=size
        )
        self.optimizer = torch.optim.Adam(self.network.parameters())
        self.epochs: list[Lists] = []

    def batches(self, examples: Examples, size: int) -> Iterator[tuple[Ints, int]]:
        """Places of examples, of one length of history each, in an order by chance."""
        length = np.minimum(examples.bought, self.window)
        parts: list[tuple[Ints, int]] = []
        for one in np.unique(length):
            places = self.rng.permutation(np.flatnonzero(length == one))
            parts += [(part, int(one)) for part in np.array_split(places, math.ceil(len(places) / size))]
        for place in self.rng.permutation(len(parts)):
            yield parts[place]

    def logits(self, examples: Examples, which: Ints, length: int) -> torch.Tensor:
        """Of some examples of one length of history."""
        pair = examples.pair[which]
        gaps = examples.gaps(self.pairs, which, length)
        customer, product = self.pairs.customer[pair], self.product_code[self.pairs.product[pair]]
        told = np.log1p(gaps) if self.logarithm else gaps
        found: torch.Tensor = self.network(*(torch.from_numpy(values) for values in (customer, product, told)))
        return found

    def drawn(self) -> Examples:
        """Examples of an epoch: all there are, or so many by lot."""
        first, count = self.pairs.questions
        ends = np.cumsum(count)
        chosen = np.arange(ends[-1])
        if len(chosen) > self.examples:
            chosen = np.unique(self.rng.integers(0, ends[-1], self.examples))
        pair = np.searchsorted(ends, chosen, side="right")
        return Examples.of(self.pairs, pair, first[pair] + chosen - (ends[pair] - count[pair]))

    def learn_epoch(self) -> None:
        """One more epoch, or nothing where the time is up; then the lists as they are now."""
        if time.perf_counter() > self.until:
            print(f"  ReCANet: time is up after {len(self.epochs)} epochs", file=sys.stderr, flush=True)
            self.epochs.append(self.epochs[-1])
            return
        self.network.train()
        examples = self.drawn()
        for which, length in self.batches(examples, BATCH):
            if time.perf_counter() > self.until:
                break
            self.optimizer.zero_grad()
            label = torch.from_numpy(examples.label[which])
            loss = nn.functional.binary_cross_entropy_with_logits(self.logits(examples, which, length), label)
            loss.backward()
            self.optimizer.step()
        self.epochs.append(self.lists())

    @torch.no_grad()
    def lists(self) -> Lists:
        """Everything bought before by those asked, by the chance that the coming order holds it."""
        self.network.eval()
        row_of = np.full(self.orders.n_customers, -1)
        row_of[self.orders.asked] = np.arange(len(self.orders.asked))
        pair = np.flatnonzero(row_of[self.pairs.customer] >= 0)
        examples = Examples.of(self.pairs, pair, self.pairs.orders_of[pair])
        scores = np.empty(len(pair), dtype=np.float32)
        for which, length in self.batches(examples, PREDICT_BATCH):
            scores[which] = self.logits(examples, which, length).numpy()
        row = row_of[self.pairs.customer[pair]]
        order = np.lexsort((-scores, row))
        row = row[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        kept = rank < DEPTH
        found = np.full((len(self.orders.asked), DEPTH), -1, dtype=np.int32)
        found[row[kept], rank[kept]] = self.pairs.product[pair[order]][kept]
        return found


_LEARNERS: dict[tuple[tuple[str, object], ...], Learner] = {}


def recanet(orders: Orders, *, epochs: int, **settings: object) -> tuple[Lists, Lists]:
    """The lists after so many epochs; one network goes on learning from run to run that differ in epochs alone."""
    learner = _LEARNERS.setdefault(tuple(settings.items()), Learner(orders, **settings))  # type: ignore[arg-type]
    while len(learner.epochs) < epochs:
        learner.learn_epoch()
    return learner.epochs[epochs - 1], np.full((len(orders.asked), NEW_DEPTH), -1, dtype=np.int32)


if __name__ == "__main__":
    answer_all("ReCANet", {"ReCANet": recanet})
