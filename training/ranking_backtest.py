"""A back-test of ranked lists: every metric with its interval, by band of customers and products, beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.candidates.attributes import Attributes
from training.metrics_lists import Catalogue, all_lists, catalogue_of, each_list
from training.metrics_ranking import KS, Truth, bootstrap_interval, customer_metrics, hits, mean, per_customer
from training.protocols import Metric
from training.splits import Split

OURS = "regulars"
#: The metric by which a baseline is the best.
BEST_BY = "ndcg@10"
#: Metrics by which ours is compared with others customer by customer.
PAIRED = ("recall@10", "ndcg@10", "recall@20", "ndcg@20", "explore_recall@10")
#: What a band is measured by.
BAND_METRICS = ("recall@10", "ndcg@10")
BAND_K = 10
#: First number of orders seen of each band of customers, and first number of earlier buyers of each band of products.
CUSTOMER_BANDS = (1, 2, 4, 10, 25)
PRODUCT_BANDS = (0, 1, 10, 100)

Lists = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankingTest:
    """A question and what measures the answers to it. Chance is of `seed`: the same lists give the same intervals."""

    question: Split
    attributes: Attributes
    seed: int
    ks: Sequence[int] = KS

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the visible history says of products."""
        return catalogue_of(self.question.history, self.question.customers, self.attributes)

    @cached_property
    def _repeat(self) -> NDArray[np.bool_]:
        return self.question.repeat_truth()

    @property
    def repeat_share(self) -> float:
        """Share of what was bought that the same customer had bought before."""
        return float(self._repeat.mean())

    def each(self, lists: Lists) -> dict[str, Floats]:
        """(customers,) of each metric of single lists."""
        question = self.question
        accuracy = customer_metrics(
            lists, question.truth, repeat=self._repeat, n_products=question.history.n_products, ks=self.ks
        )
        return accuracy | each_list(lists, self.catalogue, self.ks)

    def metrics(self, lists: Lists) -> list[Metric]:
        """Every metric, those of single lists with 95 % intervals over customers."""
        values = self.each(lists)
        together = all_lists(lists, self.catalogue, self.ks)
        return [*self._with_ends(values), *(Metric(name, value) for name, value in together.items())]

    def means(self, lists: Lists) -> dict[str, float]:
        """Every metric, without intervals."""
        return {name: mean(values) for name, values in self.each(lists).items()} | all_lists(
            lists, self.catalogue, self.ks
        )

    def ahead(self, ours: Lists, theirs: Lists) -> list[Metric]:
        """PAIRED of ours less theirs, of the same customers, with 95 % intervals: what is hard for both cancels."""
        mine, others = self.each(ours), self.each(theirs)
        return self._with_ends({name: mine[name] - others[name] for name in PAIRED if name in mine})

    def recall_by_k(self, lists: Lists) -> Floats:
        """(depth,) recall of the first 1, 2, … products."""
        hit = hits(lists, self.question.truth, self.question.history.n_products)
        sizes = self.question.truth.sizes
        return np.array([mean(per_customer(hit, sizes, k)["recall"]) for k in range(1, lists.shape[1] + 1)])

    def bands(self, ours: Lists, theirs: Lists) -> list[dict[str, Any]]:
        """A row for each band and metric: customers, ours with its interval, theirs, and the difference with its.

        Bands are of customers by their orders before the question, and of the products they went on to buy by how many
        customers had bought those before: 0 is a product with no sale yet. Empty bands are left out.
        """
        return [
            row
            for band, name, mine, others in [*self._by_orders(ours, theirs), *self._by_buyers(ours, theirs)]
            if (row := self._row(band, name, mine, others)) is not None
        ]

    def _by_orders(self, ours: Lists, theirs: Lists) -> list[tuple[str, str, Floats, Floats]]:
        mine, others = self.each(ours), self.each(theirs)
        orders = self.question.history.orders_per_customer[self.question.customers]
        band = np.searchsorted(CUSTOMER_BANDS, orders, side="right") - 1
        return [
            (f"customers with {_range(CUSTOMER_BANDS, place, 'order')}", name, mine[name][at], others[name][at])
            for place in range(len(CUSTOMER_BANDS))
            if (at := band == place).any()
            for name in BAND_METRICS
            if name in mine
        ]

    def _by_buyers(self, ours: Lists, theirs: Lists) -> list[tuple[str, str, Floats, Floats]]:
        question = self.question
        n_products = question.history.n_products
        band = np.searchsorted(PRODUCT_BANDS, self.catalogue.buyers[question.truth.indices], side="right") - 1

        def recall(lists: Lists, part: Truth) -> Floats:
            return per_customer(hits(lists, part, n_products), part.sizes, BAND_K)["recall"]

        return [
            (
                f"products with {_range(PRODUCT_BANDS, place, 'earlier buyer')}",
                f"recall@{BAND_K}",
                recall(ours, part),
                recall(theirs, part),
            )
            for place in range(len(PRODUCT_BANDS))
            if len((part := question.truth.keep(band == place)).indices)
        ]

    def _row(self, band: str, name: str, mine: Floats, others: Floats) -> dict[str, Any] | None:
        counted = int((~np.isnan(mine)).sum())
        if not counted:
            return None
        measured, lead = self._with_ends({name: mine, "ahead": mine - others})
        return {
            "band": band,
            "customers": counted,
            "metric": name,
            "ours": measured.value,
            "low": measured.low,
            "high": measured.high,
            "theirs": mean(others),
            "ahead": lead.value,
            "ahead_low": lead.low,
            "ahead_high": lead.high,
        }

    def _with_ends(self, values: Mapping[str, Floats]) -> list[Metric]:
        if not values:
            return []
        ends = bootstrap_interval(np.column_stack(list(values.values())), np.random.default_rng(self.seed))
        return [
            Metric(name, mean(value), float(low), float(high))
            for (name, value), (low, high) in zip(values.items(), ends, strict=True)
        ]


def best_baseline(results: Mapping[str, Mapping[str, float]]) -> str:
    """The name of the recommender beside ours that does best: the one to be ahead of."""
    return max((name for name in results if name != OURS), key=lambda name: results[name].get(BEST_BY, 0.0))


def _range(starts: Sequence[int], place: int, what: str) -> str:
    first = starts[place]
    if place == len(starts) - 1:
        return f"{first} or more {what}s"
    last = starts[place + 1] - 1
    if first == last:
        return f"no {what}" if first == 0 else f"{first} {what}{'' if first == 1 else 's'}"
    return f"{first} to {last} {what}s"
