"""Two stages: candidates from several sources, ranked by what past customers of the same kind went on to buy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.home import Home
from features.matrix import Purchases
from training.baselines import fill
from training.candidates.attributes import Attributes
from training.candidates.pairs import top_lists
from training.pair_table import ITEM_ITEM, NEXT_ORDER, POPULAR, CandidateConfig, CandidateSources, PairTable
from training.ranking import Ranker, RankerConfig, RankingTask
from training.ranking_tasks import TaskConfig, past_moments
from training.splits import Split
from training.tuned import tuned_ranker

#: Customers whose candidates are in memory at once, for each thread.
BATCH = 500
#: The same where a ranker learns, which draws its sample batch by batch: another size learns another ranker.
LEARNED_AT_ONCE = 1_000


@dataclass(frozen=True)
class RecommenderConfig:
    """Settings of both stages; defaults adapt to the shop."""

    candidates: CandidateConfig = field(default_factory=CandidateConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    tasks: TaskConfig = field(default_factory=TaskConfig)

    @classmethod
    def of_shop(cls, home: Home, *, as_of: datetime) -> RecommenderConfig:
        """The defaults, with what was tuned for the shop on moments whose answers were known at `as_of`."""
        return cls(ranker=tuned_ranker(home, RankerConfig(), as_of=as_of))

    def on(self, *, threads: int, seed: int) -> RecommenderConfig:
        """The same with this many threads and this seed."""
        return RecommenderConfig(
            replace(self.candidates, threads=threads, seed=seed),
            replace(self.ranker, threads=threads, seed=seed),
            replace(self.tasks, seed=seed),
        )


@dataclass(frozen=True)
class Recommended:
    """(customers, depth) products, best first, padded with -1; score, source code and own orders of each place.

    `because`: of a product never bought, the bought one that says most for it, where its source is what the buyers of
    own products buy, or what follows them; else -1.
    """

    lists: NDArray[np.int32]
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]
    own_orders: NDArray[np.uint16]
    because: NDArray[np.int32]


def learn_ranker(
    split: Split, config: RecommenderConfig, *, horizon_days: float, attributes: Attributes | None = None
) -> Ranker:
    """A ranker learned from moments before the split's; it sees nothing the split hides."""
    return Ranker(config.ranker).fit(ranking_tasks(split, config, horizon_days=horizon_days, attributes=attributes))


def ranking_tasks(
    split: Split, config: RecommenderConfig, *, horizon_days: float, attributes: Attributes | None = None
) -> Iterator[RankingTask]:
    """What a ranker learns from: candidates at moments before the split's, by sources fitted on orders before each."""
    for moment in past_moments(split, config.tasks, horizon_days=horizon_days):
        same = np.ptp(moment.moment) == 0
        sources = CandidateSources(config.candidates, attributes).fit(
            moment.history, moment=float(moment.moment[0]) if same else None
        )
        for part, table in _tables(sources, moment.customers, moment.moment, LEARNED_AT_ONCE):
            yield RankingTask(table, moment.truth.between(part.start, part.stop))
        del sources, moment  # of a large shop, two of them are not to be in memory at once


def _tables(
    sources: CandidateSources, customers: NDArray[np.int32], moment: NDArray[np.float64], at_once: int
) -> Iterator[tuple[slice, PairTable]]:
    """Candidates of each batch of customers, in their order, made a little ahead of the caller.

    One thread makes one batch: NumPy and SciPy let others run while they compute.
    """
    ahead: deque[tuple[slice, Future[PairTable]]] = deque()
    threads = sources.config.threads
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(customers), at_once):
            part = slice(start, min(start + at_once, len(customers)))
            ahead.append((part, pool.submit(sources.table, customers[part], moment[part])))
            if len(ahead) > threads:
                first, table = ahead.popleft()
                yield first, table.result()
        while ahead:
            last, table = ahead.popleft()
            yield last, table.result()


def _name_reasons(
    sources: CandidateSources,
    customers: NDArray[np.int32],
    ranked: NDArray[np.int32],
    unowned: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    into: NDArray[np.int32],
) -> None:
    """Write into each place the own product that says most for it, where the source is one that can tell."""
    recent = sources.recent_[customers]
    for source in (ITEM_ITEM, NEXT_ORDER):
        rows, places = np.nonzero(unowned & (codes == source))
        products = ranked[rows, places].astype(np.int64)
        if source == ITEM_ITEM:
            into[rows, places] = sources.item_item_.strongest(recent, rows, products)
        else:
            into[rows, places] = sources.next_order_.strongest(sources.history_, customers, rows, products)


def recommend(
    sources: CandidateSources,
    ranker: Ranker,
    customers: NDArray[np.int32],
    moment: NDArray[np.float64],
    *,
    depth: int,
    new_only: bool = False,
) -> Recommended:
    """Ranked lists of exactly `depth` products each while the shop has as many, in the order of `customers`.

    With `new_only`, products the customer bought before are left out, and lists may be shorter.
    """
    history: Purchases = sources.history_
    depth = min(depth, history.n_products)
    shape = (len(customers), depth)
    lists = np.full(shape, -1, dtype=np.int32)
    scores = np.full(shape, np.nan, dtype=np.float32)
    codes = np.full(shape, POPULAR, dtype=np.uint8)
    own = np.zeros(shape, dtype=np.uint16)
    because = np.full(shape, -1, dtype=np.int32)
    for part, table in _tables(sources, customers, moment, BATCH):
        predicted = ranker.score(table)
        if new_only:
            predicted = np.where(table.own_orders > 0, -np.inf, predicted)
        ranked, position = top_lists(
            table.keys, predicted, n_rows=table.n_rows, n_products=table.n_products, depth=depth
        )
        found = position >= 0
        taken = position[found]
        lists[part] = ranked
        for target, values in ((scores, predicted), (codes, table.sources), (own, table.own_orders)):
            view = target[part]
            view[found] = values[taken]
        _name_reasons(sources, customers[part], ranked, found & (own[part] == 0), codes[part], because[part])
    if new_only:
        lists[np.isneginf(scores)] = -1
        return Recommended(lists, scores, codes, own, because)
    lists = fill(lists, sources.popularity_.best_first, depth)
    # A place filled from the popular list ranks behind everything the ranker scored.
    unscored = np.isnan(scores)
    worst = np.where(unscored, np.inf, scores).min(axis=1, initial=0.0, keepdims=True)
    below = worst - np.cumsum(unscored, axis=1)
    return Recommended(lists, np.where(unscored, below, scores).astype(np.float32), codes, own, because)
