"""The table the ranker ranks: every candidate pair of customer and product, with its features and its source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.matrix import Purchases
from training.candidates.als import AlsCandidates
from training.candidates.history import ORDER_DECAYS, own_history, typical_gap_days
from training.candidates.item_item import ItemItemCandidates
from training.candidates.pairs import rank_within
from training.candidates.popularity import Popularity, popularity
from training.ranked_lists import SOURCES

OWN, ALS, ITEM_ITEM, POPULAR = range(len(SOURCES))
#: Weight of an order one further back: for taste (slow) and for what the next order follows on (fast).
TASTE_DECAY, RECENT_DECAY = 0.98, 0.8


@dataclass(frozen=True)
class CandidateConfig:
    """How many candidates each source gives a customer."""

    own: int = 300
    als: int = 80
    item_item: int = 80
    popular: int = 50
    factors: int = 64
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True)
class PairTable:
    """Candidate pairs of some customers: sorted `keys` = row * n_products + product, `values` (pairs, features)."""

    keys: NDArray[np.int64]
    values: NDArray[np.float32]
    names: tuple[str, ...]
    sources: NDArray[np.uint8]
    own_orders: NDArray[np.uint16]
    n_rows: int
    n_products: int

    @property
    def rows(self) -> NDArray[np.int64]:
        """(pairs,) which of the customers asked about."""
        return self.keys // self.n_products

    @property
    def products(self) -> NDArray[np.int64]:
        """(pairs,) product codes."""
        return self.keys % self.n_products


def _weights(history: Purchases, decay: float) -> sparse.csr_matrix:
    weight = (decay ** np.repeat(history.orders_from_end, history.order_sizes)).astype(np.float32)
    owner = np.repeat(history.order_customer, history.order_sizes)
    matrix = sparse.csr_matrix(
        (weight, (owner, history.products)), shape=(history.n_customers, history.n_products), dtype=np.float32
    )
    matrix.sum_duplicates()
    return matrix


class CandidateSources:
    """All sources fitted on one history; `table` asks them about customers. The history must hold no label."""

    def __init__(self, config: CandidateConfig) -> None:
        self.config = config

    def fit(self, history: Purchases) -> CandidateSources:
        """Fit every source on the whole history."""
        config = self.config
        self.history_ = history
        self.gap_days_ = typical_gap_days(history)
        self.popularity_: Popularity = popularity(history)
        taste = _weights(history, TASTE_DECAY)
        taste.data = np.log1p(taste.data)
        self.als_ = AlsCandidates(factors=config.factors, threads=config.threads, seed=config.seed).fit(taste)
        self.item_item_ = ItemItemCandidates(threads=config.threads).fit(taste)
        self.recent_ = _weights(history, RECENT_DECAY)
        return self

    def table(self, customers: NDArray[np.int32], moment: NDArray[np.float64]) -> PairTable:
        """Candidates of `customers` (codes) asked about at `moment` (customers,) days since 1970."""
        history, config, n_products = self.history_, self.config, self.history_.n_products
        n_rows = len(customers)
        own_keys, own = own_history(history, customers, moment, gap_days=self.gap_days_)
        near = self.item_item_.scored(self.recent_[customers])
        near_rank = rank_within(near.keys // n_products, near.scores)
        best = self.popularity_.best_first[: config.popular].astype(np.int64)
        parts = [
            self.als_.candidates(customers, config.als),
            near.keys[near_rank < config.item_item],
            (np.arange(n_rows, dtype=np.int64)[:, None] * n_products + best).ravel(),
        ]
        strength = own[f"decay_{ORDER_DECAYS[0]}"] + 0.5 * own[f"decay_{ORDER_DECAYS[1]}"]
        own["rank"] = rank_within(own_keys // n_products, strength).astype(np.float32)
        parts.append(own_keys[own["rank"] < config.own])
        keys = np.unique(np.concatenate(parts))
        columns = self._features(customers, moment, keys, own_keys, own)
        columns["item_item"] = near.at(keys, missing=0.0)
        sources = np.full(len(keys), POPULAR, dtype=np.uint8)
        for code, part in ((ALS, parts[0]), (ITEM_ITEM, parts[1]), (OWN, own_keys)):
            sources[np.isin(keys, part, assume_unique=True)] = code
        return PairTable(
            keys=keys,
            values=np.column_stack(list(columns.values())).astype(np.float32, copy=False),
            names=tuple(columns),
            sources=sources,
            own_orders=np.minimum(columns["own_orders"], 65535).astype(np.uint16),
            n_rows=n_rows,
            n_products=n_products,
        )

    def _features(
        self,
        customers: NDArray[np.int32],
        moment: NDArray[np.float64],
        keys: NDArray[np.int64],
        own_keys: NDArray[np.int64],
        own: dict[str, NDArray[np.float32]],
    ) -> dict[str, NDArray[np.floating]]:
        history, n_products, n_rows = self.history_, self.history_.n_products, len(customers)
        rows, products = keys // n_products, keys % n_products
        columns: dict[str, NDArray[np.floating]] = {}
        bought = np.isin(keys, own_keys, assume_unique=True)
        place = np.searchsorted(own_keys, keys[bought])
        for name, values in own.items():
            # What counts is 0 for a product never bought; what measures time is unknown.
            missing = 0.0 if name.startswith(("orders", "decay", "half", "share", "small")) else np.nan
            column = np.full(len(keys), missing, dtype=np.float32)
            column[bought] = values[place]
            columns[f"own_{name}"] = column
        columns["als"] = self.als_.score(customers, keys)
        popular = self.popularity_
        n_orders = max(history.n_orders, 1)
        columns["popular_share"] = popular.orders[products] / n_orders
        columns["popular_last"] = popular.in_last_orders[products] / max(history.n_customers, 1)
        columns["popular_last_three"] = popular.in_last_three[products] / max(history.n_customers, 1)
        columns["popular_recent"] = popular.recent[products] / max(float(popular.recent.sum()), 1.0)
        columns["trend"] = (popular.recent[products] + 1) / (popular.orders[products] + 10)
        columns["buyers"] = popular.buyers[products]
        columns["rebuy_share"] = popular.rebuyers[products] / (popular.buyers[products] + 1)
        columns["orders_per_buyer"] = popular.orders[products] / np.maximum(popular.buyers[products], 1)
        n_own = history.orders_per_customer[customers]
        order_customer_lines = np.bincount(
            history.order_customer, weights=history.order_sizes, minlength=history.n_customers
        )[customers]
        distinct = np.bincount(own_keys // n_products, minlength=n_rows)
        last_order = np.maximum(history.customer_start[customers + 1] - 1, 0)
        has_orders = n_own > 0
        columns["customer_orders"] = n_own[rows].astype(np.float32)
        columns["customer_order_size"] = (order_customer_lines / np.maximum(n_own, 1))[rows]
        columns["customer_repeat_share"] = (1 - distinct / np.maximum(order_customer_lines, 1))[rows]
        columns["customer_last_size"] = np.where(has_orders, history.order_sizes[last_order], 0)[rows].astype(
            np.float32
        )
        silent = np.where(has_orders, moment - history.order_day[last_order], np.nan)
        columns["customer_days_silent"] = silent[rows]
        return columns
