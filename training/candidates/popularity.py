"""What the whole shop buys: over all time, lately, in customers' most recent orders, and just before a moment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.matrix import Purchases
from training.candidates.pairs import Scored
from training.candidates.parts import parts_of

#: The share of the history's days that counts as lately, and its bounds in days.
RECENT_SHARE, RECENT_DAYS = 0.08, (7.0, 60.0)
#: The history is cut into at most so many periods, none shorter than a day.
MAX_PERIODS = 120
#: Periods before the moment that are counted together.
WINDOWS = {"popular_period": 1, "popular_periods": 4, "popular_season": 16}


@dataclass(frozen=True)
class Popularity:
    """Counts by product code, each (products,) float32, of a history that holds no label of the rows it serves."""

    orders: NDArray[np.float32]
    recent: NDArray[np.float32]
    in_last_orders: NDArray[np.float32]  # customers whose last order holds it
    in_last_three: NDArray[np.float32]
    in_small_last_orders: NDArray[np.float32]  # last orders that hold it, each divided by its size
    in_small_orders: NDArray[np.float32]  # orders that hold it, each divided by its size
    buyers: NDArray[np.float32]
    rebuyers: NDArray[np.float32]
    n_orders: int
    n_customers: int  # with an order

    @property
    def best_first(self) -> NDArray[np.int32]:
        """Product codes that were bought at all, most bought lately first."""
        score = self.in_last_three + self.recent + 1e-3 * self.orders
        order = np.argsort(-score, kind="stable")
        return order[self.orders[order] > 0].astype(np.int32)


def popularity(history: Purchases) -> Popularity:
    """Counts over a history. `recent` takes the last share of its days."""
    n_products = history.n_products

    def count(keep: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        products = history.products if keep is None else history.products[np.repeat(keep, history.order_sizes)]
        return np.bincount(products, minlength=n_products).astype(np.float32)

    back, days = history.orders_from_end, history.order_day
    span = float(np.ptp(days)) if len(days) else 0.0
    window = float(np.clip(span * RECENT_SHARE, *RECENT_DAYS))
    buyers, rebuyers = _buyers(history)
    part = np.repeat(1.0 / np.maximum(history.order_sizes, 1), history.order_sizes)
    return Popularity(
        orders=count(),
        recent=count(days > days.max(initial=0.0) - window),
        in_last_orders=count(back < 1),
        in_last_three=count(back < 3),
        in_small_last_orders=np.bincount(
            history.products, weights=part * np.repeat(back < 1, history.order_sizes), minlength=n_products
        ).astype(np.float32),
        in_small_orders=np.bincount(history.products, weights=part, minlength=n_products).astype(np.float32),
        buyers=buyers,
        rebuyers=rebuyers,
        n_orders=history.n_orders,
        n_customers=int((history.orders_per_customer > 0).sum()),
    )


def _buyers(history: Purchases) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(products,) customers who bought each product, and those who did so more than once."""
    found = np.zeros((2, history.n_products), dtype=np.int64)
    for _, part in parts_of(history):
        key = np.sort(part.line_customer.astype(np.int64) * history.n_products + part.products)
        first = np.flatnonzero(np.diff(key, prepend=-1))
        products = key[first] % history.n_products
        several = np.diff(first, append=len(key)) > 1
        found[0] += np.bincount(products, minlength=history.n_products)
        found[1] += np.bincount(products[several], minlength=history.n_products)
    buyers, rebuyers = found.astype(np.float32)
    return buyers, rebuyers


class RecentPopularity:
    """Each product's share of orders in the periods that ended before a moment, whenever that was."""

    def fit(self, history: Purchases, *, gap_days: float) -> RecentPopularity:
        """Counts by period of about half a usual gap between orders."""
        days = history.order_day
        first, last = float(days.min(initial=np.inf)), float(days.max(initial=-np.inf))
        span = max(last - first, 0.0) if len(days) else 0.0
        self.length_ = max(gap_days / 2, span / MAX_PERIODS, 1.0)
        self.first_ = first if len(days) else 0.0
        self.n_products_ = history.n_products
        # A period counts for moments after its end; the one that holds the last order ends just after it.
        period = self._period(days)
        self.periods_ = int(period.max(initial=0)) + 1
        counts = reduce(add, (self._counts(part) for _, part in parts_of(history)))
        orders = np.bincount(period, minlength=self.periods_).astype(np.float64)
        self.windows_ = {name: self._window(counts, orders, width) for name, width in WINDOWS.items()}
        return self

    def _period(self, days: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.floor((days - self.first_) / self.length_).astype(np.int64)

    def _counts(self, history: Purchases) -> sparse.csr_matrix:
        """(periods, products) lines."""
        period = np.repeat(self._period(history.order_day), history.order_sizes)
        ones = np.ones(len(period), dtype=np.float32)
        return sparse.csr_matrix((ones, (period, history.products)), shape=(self.periods_, history.n_products))

    def _window(self, counts: sparse.csr_matrix, orders: NDArray[np.float64], width: int) -> Scored:
        periods = self.periods_
        ends = np.repeat(np.arange(periods), width)
        starts = ends - np.tile(np.arange(width), periods)
        within = starts >= 0
        take = sparse.csr_matrix(
            (np.ones(int(within.sum()), dtype=np.float32), (ends[within], starts[within])), shape=(periods, periods)
        )
        total = (take @ counts).tocsr()
        total.sort_indices()
        seen = np.maximum(np.bincount(ends[within], weights=orders[starts[within]], minlength=periods), 1.0)
        period = np.repeat(np.arange(periods, dtype=np.int64), np.diff(total.indptr))
        return Scored(period * self.n_products_ + total.indices, (total.data / seen[period]).astype(np.float32))

    def at(
        self, moment: NDArray[np.float64], rows: NDArray[np.int64], products: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        """By name of the window, (pairs,) share of the orders in the periods wholly before each row's moment."""
        ended = np.floor((moment - self.first_) / self.length_).astype(np.int64) - 1
        ended = np.minimum(ended, self.periods_ - 1)[rows]
        wanted = ended * self.n_products_ + products
        found = {}
        inside = np.arange(len(wanted))
        # What was not sold in a longer window was not in a shorter one.
        for name in sorted(self.windows_, key=WINDOWS.__getitem__, reverse=True):
            share = np.zeros(len(wanted), dtype=np.float32)
            share[inside] = self.windows_[name].at(wanted[inside], missing=0.0)
            inside = np.flatnonzero(share)
            share[ended < 0] = np.nan
            found[name] = share
        return {name: found[name] for name in self.windows_}
