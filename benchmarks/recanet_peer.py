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
from typing import Any

import numpy as np
import torch
from peer_files import DEPTH, NEW_DEPTH, Lists, Orders, answer_all
from recanet_examples import Examples, Ints, Pairs
from torch import nn

RARE, BATCH, PREDICT_BATCH = 5, 1024, 16_384
SEED = 12_321


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

    def learn_epoch(self) -> None:
        """One more epoch, or nothing where the time is up; then the lists as they are now."""
        if time.perf_counter() > self.until:
            print(f"  ReCANet: time is up after {len(self.epochs)} epochs", file=sys.stderr, flush=True)
            self.epochs.append(self.epochs[-1])
            return
        self.network.train()
        examples = Examples.drawn(self.pairs, self.examples, self.rng)
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


_LEARNERS: dict[tuple[tuple[str, Any], ...], Learner] = {}


def recanet(orders: Orders, *, epochs: int, **settings: Any) -> tuple[Lists, Lists]:
    """The lists after so many epochs; one network goes on learning from run to run that differ in epochs alone."""
    key = tuple(settings.items())
    if key not in _LEARNERS:
        _LEARNERS[key] = Learner(orders, **settings)
    learner = _LEARNERS[key]
    while len(learner.epochs) < epochs:
        learner.learn_epoch()
    return learner.epochs[epochs - 1], np.full((len(orders.asked), NEW_DEPTH), -1, dtype=np.int32)


if __name__ == "__main__":
    answer_all("ReCANet", {"ReCANet": recanet})
