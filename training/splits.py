"""Splits of purchases into what a recommender may see and what it is asked to foresee."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError
from features.matrix import Purchases
from training.metrics_ranking import Truth, contains

MIN_ORDERS = 4


@dataclass(frozen=True)
class Split:
    """One question put to a recommender: what will these customers, with this history, buy next.

    `customers` (n,) codes, `truth` aligned with them, `moment` (n,) the day the question is asked, in days since 1970.
    """

    name: str
    history: Purchases
    customers: NDArray[np.int32]
    truth: Truth
    moment: NDArray[np.float64]

    def repeat_truth(self) -> NDArray[np.bool_]:
        """(truth entries,) whether the customer had bought the product before."""
        bought = self.history.line_customer.astype(np.int64)
        n_products = self.history.n_products
        keys = np.unique(bought * n_products + self.history.products)
        return contains(
            keys, self.customers[self.truth.rows].astype(np.int64), self.truth.indices, self.history.n_products
        )


def _truth_of_orders(purchases: Purchases, hidden: NDArray[np.bool_], customers: NDArray[np.int32]) -> Truth:
    """The distinct products of each customer's hidden orders."""
    masked = purchases.keep_orders(hidden)
    rows = masked.line_customer.astype(np.int64)
    keys = np.unique(rows * purchases.n_products + masked.products)
    owner = (keys // purchases.n_products).astype(np.int64)
    counts = np.bincount(owner, minlength=purchases.n_customers)
    start = np.concatenate(([0], np.cumsum(counts)))
    products = (keys % purchases.n_products).astype(np.int32)
    sizes = counts[customers]
    index = np.concatenate([np.arange(start[c], start[c + 1]) for c in customers]) if len(customers) else keys[:0]
    return Truth(np.concatenate(([0], np.cumsum(sizes))), products[index])


def last_order_split(
    purchases: Purchases, *, among: NDArray[np.int32] | None = None, min_orders: int = MIN_ORDERS
) -> Split:
    """The last order of every customer with at least `min_orders`, hidden; `among` limits whose is.

    The protocol of the next-basket papers. Everybody else's whole history stays visible. The question is asked at the
    customer's last visible order, for the time of the hidden one would be known only afterwards.
    """
    eligible = purchases.orders_per_customer >= min_orders
    if among is not None:
        named = np.zeros(purchases.n_customers, dtype=bool)
        named[among] = True
        eligible &= named
    customers = np.flatnonzero(eligible).astype(np.int32)
    if len(customers) == 0:
        raise DataError(
            f"No customer {'named ' if among is not None else ''}has {min_orders} orders or more, "
            "so there is no last order to hide. Load more history, or use --split cutoff."
        )
    last = (purchases.orders_from_end == 0) & eligible[purchases.order_customer]
    history = purchases.keep_orders(~last)
    moment = history.order_day[history.customer_start[customers + 1] - 1]
    return Split("last-order", history, customers, _truth_of_orders(purchases, last, customers), moment)


def cutoff_split(
    purchases: Purchases, *, as_of_day: float, horizon_days: float, among: NDArray[np.int32] | None = None
) -> Split:
    """What customers with an order before `as_of_day` bought in [as_of, as_of + horizon); everything after is hidden.

    Customers who bought nothing in that time have no truth and are not asked about.
    """
    history = purchases.before(as_of_day)
    hidden = (purchases.order_day >= as_of_day) & (purchases.order_day < as_of_day + horizon_days)
    buyers = np.zeros(purchases.n_customers, dtype=bool)
    buyers[purchases.order_customer[hidden]] = True
    buyers &= history.orders_per_customer > 0
    if among is not None:
        named = np.zeros(purchases.n_customers, dtype=bool)
        named[among] = True
        buyers &= named
    customers = np.flatnonzero(buyers).astype(np.int32)
    if len(customers) == 0:
        raise DataError(
            f"No customer ordered both before day {as_of_day:.0f} and within {horizon_days:.0f} days after it. "
            "Choose another --as-of, or load more history."
        )
    truth = _truth_of_orders(purchases, hidden, customers)
    return Split("cutoff", history, customers, truth, np.full(len(customers), as_of_day))
