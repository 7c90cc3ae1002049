"""Past moments to learn ranking from: each asks of the past what a split asks of its hidden part.

Where only some customers' orders are hidden, everybody else's latest orders are visible, and say what is bought now.
Training sees the same: customers are hidden fold by fold, and what others bought is counted without the whole fold,
never by taking a row's own label out of the counts, which would leak it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError
from features.matrix import Purchases
from training.splits import Split, cutoff_split, last_order_split

MIN_VISIBLE = 3


@dataclass(frozen=True)
class TaskConfig:
    """How many past moments train the ranker, and how many customers of each."""

    moments: int = 3  # of cut-offs; of last orders, the number adapts to the shop between 1 and most_moments
    most_moments: int = 4
    lists_wanted: int = 15_000  # customers asked over all moments: a small shop asks each more often
    most_fits: int = 12  # of the sources, over all moments and folds
    lines_read: int = 6_000_000  # lines of history that all fits together may read: a large shop asks less often
    cutoff_lines_read: int = 60_000_000  # the same of cut-offs, of which one is always asked about
    max_folds: int = 4
    max_customers: int = 12_000  # of one moment, chosen by chance
    seed: int = 0


def _sampled(split: Split, limit: int, rng: np.random.Generator) -> Split:
    if len(split.customers) <= limit:
        return split
    chosen = np.zeros(len(split.customers), dtype=bool)
    chosen[rng.choice(len(split.customers), limit, replace=False)] = True
    kept = split.truth.keep(chosen[split.truth.rows])
    start = np.concatenate(([0], np.cumsum(kept.sizes[chosen])))
    truth = type(kept)(start, kept.indices)
    return Split(split.name, split.history, split.customers[chosen], truth, split.moment[chosen])


def past_moments(split: Split, config: TaskConfig, *, horizon_days: float) -> Iterator[Split]:
    """Splits of `split.history`, newest first; each hides from its own history what it asks about."""
    rng = np.random.default_rng(config.seed)
    moments = _cutoffs(split, config, horizon_days) if split.name == "cutoff" else _last_orders(split, config, rng)
    found = False
    for moment in moments:
        found = True
        yield _sampled(moment, config.max_customers, rng)
    if not found:
        raise DataError(
            "There is not enough history to learn from: nobody has an order both before and after any earlier moment. "
            "Load more orders."
        )


def _cutoffs(split: Split, config: TaskConfig, horizon_days: float) -> Iterator[Split]:
    as_of = float(split.moment[0])
    affordable = round(config.cutoff_lines_read / max(len(split.history.products), 1))
    for back in range(1, int(np.clip(affordable, 1, config.moments)) + 1):
        try:
            yield cutoff_split(split.history, as_of_day=as_of - back * horizon_days, horizon_days=horizon_days)
        except DataError:
            return


def _last_orders(split: Split, config: TaskConfig, rng: np.random.Generator) -> Iterator[Split]:
    history = split.history
    eligible = np.flatnonzero(history.orders_per_customer >= MIN_VISIBLE).astype(np.int32)
    asked = len(split.customers) / max(len(np.union1d(eligible, split.customers)), 1)
    if asked <= 0.5 and len(eligible) >= config.max_folds:
        folds = int(np.clip(round(1 / asked), 2, config.max_folds))
        for fold in np.array_split(rng.permutation(eligible), folds):
            yield from _earlier_orders(history, np.sort(fold), _moments(history, len(eligible), folds, config))
        return
    yield from _earlier_orders(history, None, _moments(history, len(eligible), 1, config))


def _moments(history: Purchases, eligible: int, folds: int, config: TaskConfig) -> int:
    """How many past orders of each customer are asked about; every one takes a fit of the sources for each fold."""
    wanted = config.lists_wanted / max(eligible, 1)
    affordable = config.lines_read / max(len(history.products) * folds, 1)
    most = min(wanted, affordable, config.most_fits / folds)
    return int(np.clip(round(most), 1, config.most_moments))


def _earlier_orders(history: Purchases, among: NDArray[np.int32] | None, moments: int) -> Iterator[Split]:
    """The last order of `among`, then the one before it with the last hidden as well, and so on."""
    for _ in range(moments):
        try:
            moment = last_order_split(history, among=among, min_orders=MIN_VISIBLE)
        except DataError:
            return
        yield moment
        history = moment.history
