"""The table the ranker ranks: every candidate pair of customer and product, with its features and its source."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.matrix import Purchases
from training.candidates.als import AlsCandidates
from training.candidates.amounts import own_amounts
from training.candidates.attributes import Attributes, habit_columns
from training.candidates.history import ORDER_DECAYS, lines_of, own_history, typical_gap_days
from training.candidates.item_item import ItemItemCandidates
from training.candidates.kinds import FORESEEN, NextKinds, next_kind_columns
from training.candidates.neighbours import Neighbours
from training.candidates.next_order import NextOrder
from training.candidates.pairs import distinct, rank_within
from training.candidates.popularity import Popularity, RecentPopularity, popularity
from training.candidates.prices import Prices
from training.candidates.reorder import ReorderRates
from training.candidates.rhythm import own_rhythm
from training.candidates.stores import Stores
from training.candidates.transitions import Transitions
from training.pair_features import customer_columns, own_columns, product_columns, relative_columns
from training.ranked_lists import SOURCES

OWN, ALS, ITEM_ITEM, POPULAR, NEXT_ORDER, NEIGHBOURS = range(len(SOURCES))
#: Weight of an order one further back: for taste (slow) and for what the next order follows on (fast).
TASTE_DECAY, NEIGHBOUR_DECAY, RECENT_DECAY, LAST_DECAY = 0.98, 0.9, 0.8, 0.3
#: Older orders weigh too little to be asked what follows on them.
LEAST_WEIGHT = 0.02


@dataclass(frozen=True)
class CandidateConfig:
    """How many candidates each source gives a customer."""

    own: int = 300
    als: int = 40
    item_item: int = 40
    popular: int = 50
    transitions: int = 40
    next_order: int = 60
    neighbours: int = 60
    factors: int = 32
    linear_products: int = 1_500  # of the best sold, that the linear model of the next order knows
    pool: int = 15_000  # customers that neighbours are sought among
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True)
class PairTable:
    """Candidate pairs of some customers: sorted `keys` = row * n_products + product, `values` (pairs, features).

    Each feature's values lie together in memory.
    """

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


def _side_by_side(columns: Sequence[NDArray[np.generic]], rows: int) -> NDArray[np.float32]:
    found = np.empty((len(columns), rows), dtype=np.float32)
    for place, column in enumerate(columns):
        found[place] = column
    return found.T


def decayed(history: Purchases, decay: float, *, least: float = 0.0) -> sparse.csr_matrix:
    """(customers, products) purchases, each weighing `decay` to the power of how many orders it lies back.

    Orders that weigh less than `least` are left out.
    """
    history = replace(history, terms=None)
    if least > 0:
        history = history.keep_orders(decay**history.orders_from_end >= least)
    weight = np.repeat((decay**history.orders_from_end).astype(np.float32), history.order_sizes)
    start = history.order_start[history.customer_start]
    shape = (history.n_customers, history.n_products)
    # Equal products are added up in place, so the matrix has its own.
    matrix = sparse.csr_matrix((weight, history.products.copy(), start), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _prices(history: Purchases, moment: float | None) -> Prices:
    fitted = Prices().fit(history)
    return fitted if moment is None else fitted.at_moment(moment)


def _stores(history: Purchases, moment: float | None) -> Stores:
    fitted = Stores().fit(history)
    return fitted if moment is None else fitted.at_moment(moment)


class CandidateSources:
    """All sources fitted on one history; `table` asks them about customers. The history must hold no label."""

    def __init__(self, config: CandidateConfig, attributes: Attributes | None = None) -> None:
        self.config = config
        self.attributes = attributes

    def fit(
        self, history: Purchases, *, als: AlsCandidates | None = None, moment: float | None = None
    ) -> CandidateSources:
        """Fit every source on the whole history; `als` says who factorises it, if not implicit in this process.

        With `moment`, only that one will be asked about (see `at`), which takes less memory.
        """
        config = self.config
        self.gap_days_ = typical_gap_days(history)
        self.popularity_: Popularity = popularity(history)
        taste = decayed(history, TASTE_DECAY)
        taste.data = np.log1p(taste.data)
        # Each fit below looks at the history alone: the slowest start first, each on a thread of its own.
        with ThreadPoolExecutor(config.threads) as pool:
            item_item = pool.submit(ItemItemCandidates(threads=1).fit, taste)
            next_order = pool.submit(NextOrder(products=config.linear_products).fit, history)
            als = als or AlsCandidates(factors=config.factors, threads=1, seed=config.seed)
            factors = pool.submit(als.fit, taste)
            transitions = pool.submit(Transitions().fit, history)
            neighbours = Neighbours(pool=config.pool, decay=NEIGHBOUR_DECAY, seed=config.seed)
            alike = pool.submit(neighbours.fit, history)
            reorder = pool.submit(ReorderRates().fit, history)
            recent = pool.submit(RecentPopularity().fit, history, gap_days=self.gap_days_)
            prices, stores = pool.submit(_prices, history, moment), pool.submit(_stores, history, moment)
            kinds = {
                name: pool.submit(NextKinds(classes, products=config.linear_products).fit, history)
                for name, classes in (self.attributes.classes.items() if self.attributes else ())
                if name in FORESEEN
            }
        self.item_item_, self.next_order_, self.als_ = item_item.result(), next_order.result(), factors.result()
        self.transitions_, self.neighbours_ = transitions.result(), alike.result()
        self.reorder_, self.recent_popularity_ = reorder.result(), recent.result()
        self.prices_, self.stores_ = prices.result(), stores.result()
        self.next_kinds_ = {name: fitted.result() for name, fitted in kinds.items()}
        self.reorder_of_kind_ = {
            name: self.reorder_.pooled(classes)
            for name, classes in (self.attributes.classes.items() if self.attributes else ())
        }
        self._ask_about(history)
        return self

    def _ask_about(self, history: Purchases) -> None:
        self.history_ = history
        self.taste_ = decayed(history, NEIGHBOUR_DECAY)
        self.recent_ = decayed(history, RECENT_DECAY, least=LEAST_WEIGHT)
        self.last_ = decayed(history, LAST_DECAY, least=LEAST_WEIGHT)
        self.best_ = self.popularity_.best_first[: self.config.popular].astype(np.int64)

    def about(self, history: Purchases, codes: NDArray[np.int32]) -> CandidateSources:
        """The same sources asked about other customers than all of the history fitted: some of them, by their orders.

        `codes` (customers,) are the numbers that the customers of `history` had when the sources were fitted;
        products are coded as they were. Answers are those of `table` about the same customers.
        """
        found = copy(self)
        found._ask_about(history)
        found.als_, found.neighbours_ = self.als_.about(codes), self.neighbours_.about(codes)
        found.next_order_ = self.next_order_.about(history)
        found.next_kinds_ = {name: fitted.about(history) for name, fitted in self.next_kinds_.items()}
        found.prices_, found.stores_ = self.prices_.about(history), self.stores_.about(history)
        return found

    def at(self, moment: float) -> CandidateSources:
        """The same for one moment (days since 1970): sales are kept as sums before it, not line by line."""
        found = copy(self)
        found.prices_, found.stores_ = self.prices_.at_moment(moment), self.stores_.at_moment(moment)
        return found

    def table(self, customers: NDArray[np.int32], moment: NDArray[np.float64]) -> PairTable:
        """Candidates of `customers` (codes) asked about at `moment` (customers,) days since 1970."""
        history, config, n_products = self.history_, self.config, self.history_.n_products
        n_rows = len(customers)
        own_keys, own = own_history(history, customers, moment, gap_days=self.gap_days_)
        strength = own[f"decay_{ORDER_DECAYS[0]}"] + 0.5 * own[f"decay_{ORDER_DECAYS[1]}"]
        lines = lines_of(history, customers)
        rates = self.reorder_.at(own["last_back"], own_keys % n_products)
        own |= own_rhythm(history, customers, moment, lines, own_keys, rates, self.popularity_.orders)
        own |= own_amounts(history, customers, lines, own_keys)
        own["rank"] = rank_within(own_keys // n_products, strength).astype(np.float32)
        near = self.item_item_.scored(self.recent_[customers])
        follows = self.transitions_.scored(self.last_[customers])
        alike, alike_next = self.neighbours_.scored(customers, self.taste_[customers])
        linear = self.next_order_.scores(history, customers)
        proposed = {
            POPULAR: (np.arange(n_rows, dtype=np.int64)[:, None] * n_products + self.best_).ravel(),
            ITEM_ITEM: near.best(config.item_item),
            ALS: self.als_.candidates(customers, config.als),
            NEIGHBOURS: np.concatenate((alike.best(config.neighbours), alike_next.best(config.neighbours))),
            NEXT_ORDER: np.concatenate(
                (follows.best(config.transitions), self._best_linear(linear, config.next_order))
            ),
            OWN: own_keys[own["rank"] < config.own],
        }
        keys = distinct(np.concatenate(list(proposed.values())))
        # The last that proposed a pair names it; own history comes last.
        sources = np.full(len(keys), POPULAR, dtype=np.uint8)
        for code, part in proposed.items():
            sources[np.searchsorted(keys, part)] = code
        rows, products = keys // n_products, keys % n_products
        columns = own_columns(keys, own_keys, own)
        columns["als"] = self.als_.score(customers, keys)
        for name, scored in (("item_item", near), ("follows", follows), ("alike", alike), ("alike_next", alike_next)):
            columns[name] = scored.at(keys)
        place = np.full(n_products, -1)
        place[self.next_order_.codes_] = np.arange(len(self.next_order_.codes_))
        known = place[products] >= 0
        columns["linear"] = (
            np.where(known, linear[rows, place[products]], np.nan) if linear.size else np.full(len(keys), np.nan)
        )
        columns["reorder_rate"] = self.reorder_.of_last(columns["own_last_back"], products)
        for name, rates_of_kind in self.reorder_of_kind_.items():
            columns[f"{name}_reorder"] = rates_of_kind.of_last(columns["own_last_back"], products)
        columns["reorder_overall"] = self.reorder_.overall_[products]
        columns |= self.recent_popularity_.at(moment, rows, products)
        columns |= product_columns(self.popularity_, products)
        n_own = history.orders_per_customer[customers]
        if self.attributes is not None:
            for name, classes in self.attributes.classes.items():
                own_decayed = columns[f"own_decay_{ORDER_DECAYS[0]}"]
                columns |= habit_columns(lines, n_own, keys, classes, own_decayed, name)
        columns |= next_kind_columns(self.next_kinds_, customers, rows, products, columns)
        columns |= self.prices_.at(customers, moment, rows, products)
        columns |= self.stores_.at(customers, moment, rows, products)
        columns |= customer_columns(history, customers, moment, lines, rows)
        columns |= relative_columns(columns, rows)
        return PairTable(
            keys=keys,
            values=_side_by_side(list(columns.values()), len(keys)),
            names=tuple(columns),
            sources=sources,
            own_orders=np.minimum(columns["own_orders"], 65535).astype(np.uint16),
            n_rows=n_rows,
            n_products=n_products,
        )

    def _best_linear(self, scores: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
        depth = min(depth, scores.shape[1])
        if depth == 0:
            return np.empty(0, dtype=np.int64)
        best = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
        rows = np.arange(len(scores), dtype=np.int64)[:, None]
        keys: NDArray[np.int64] = (rows * self.history_.n_products + self.next_order_.codes_[best]).ravel()
        return keys
