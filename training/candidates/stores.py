"""What the store sells that the customer went to last, and what the customer buys there."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.pairs import Scored
from training.candidates.parts import parts_of
from training.candidates.running import Running, Sales

#: Days before the moment that a store's sales are counted over; infinite: all.
WINDOWS = {"store_orders": np.inf, "store_orders_28": 28.0, "store_orders_7": 7.0}
#: Weight of a visit to the store one order further back.
DECAY = 0.95


def _store_of(history: Purchases) -> NDArray[np.integer]:
    """(orders,) the code of each one's store; -1: not known."""
    return np.full(history.n_orders, -1) if history.terms is None else history.terms.store


class Stores:
    """Sales of each product in each store, and of each customer in the store of their last order."""

    def fit(self, history: Purchases) -> Stores:
        """Every line of a history by its store; where none is known, all features are."""
        store = _store_of(history)
        self.n_products_ = history.n_products
        order = history.line_order
        products = history.products
        known = store[order] >= 0
        self.sold_: Sales = Running(
            store[order][known].astype(np.int64) * history.n_products + products[known],
            history.order_day[order][known],
            {"orders": None},
        )
        self.total_: Sales = Running(products, history.order_day[order], {"orders": None})
        self._know(history, store)
        return self

    def about(self, history: Purchases) -> Stores:
        """The same asked about the customers of another history."""
        found = copy(self)
        found._know(history, _store_of(history))
        return found

    def at_moment(self, moment: float) -> Stores:
        """The same for one moment alone: sums instead of sales."""
        found = copy(self)
        found.sold_ = self.sold_.at(moment, *WINDOWS.values())
        found.total_ = self.total_.at(moment, np.inf)
        return found

    def _know(self, history: Purchases, store: NDArray[np.integer]) -> None:
        """The last store of each of the history's customers, and what they buy there."""
        self.last_ = np.full(history.n_customers, -1)
        has = history.orders_per_customer > 0
        self.last_[has] = store[history.customer_start[1:][has] - 1]
        pairs: list[NDArray[np.int64]] = []
        shares: list[NDArray[np.float32]] = []
        for first, part in parts_of(history):
            found = self._shares(part, _store_of(part), self.last_[first : first + part.n_customers])
            pairs.append(found.keys + first * history.n_products)
            shares.append(found.scores)
        self.shares_ = Scored(np.concatenate(pairs), np.concatenate(shares))

    @staticmethod
    def _shares(history: Purchases, store: NDArray[np.integer], last: NDArray[np.integer]) -> Scored:
        """Of every customer and product bought in the `last` store (customers,): decayed share of the orders there."""
        owner, order = history.order_customer, history.line_order
        weight = np.where((store == last[owner]) & (store >= 0), DECAY**history.orders_from_end, 0.0)
        whole = np.bincount(owner, weights=weight, minlength=history.n_customers)
        pair = history.line_customer.astype(np.int64) * history.n_products + history.products
        of_line = weight[order]
        there = of_line > 0
        pairs, of = np.unique(pair[there], return_inverse=True)
        held = np.bincount(of, weights=of_line[there], minlength=len(pairs))
        shares = held / np.maximum(whole[pairs // max(history.n_products, 1)], 1e-9)
        return Scored(pairs, shares.astype(np.float32))

    def at(
        self,
        customers: NDArray[np.int32],
        moment: NDArray[np.float64],
        rows: NDArray[np.int64],
        products: NDArray[np.int64],
    ) -> dict[str, NDArray[np.float32]]:
        """Features of pairs (customers[rows], products), NaN where the customer's last store is not known.

        store_orders: of the product in the store, ever and lately, strictly before `moment`; store_share: its part of
        the product's orders anywhere; own_store_share: decayed share of the customer's orders there that held it.
        """
        customer = customers[rows]
        store = self.last_[customer].astype(np.int64)
        known = store >= 0
        code = np.maximum(store, 0) * self.n_products_ + products
        sold = self.sold_.before(code, moment[rows], *WINDOWS.values())
        columns: dict[str, NDArray[np.floating]] = {name: of["orders"] for name, of in zip(WINDOWS, sold, strict=True)}
        (anywhere,) = self.total_.before(products, moment[rows], np.inf)
        columns["store_share"] = columns["store_orders"] / np.maximum(anywhere["orders"], 1)
        wanted = customer.astype(np.int64) * self.n_products_ + products
        columns["own_store_share"] = self.shares_.at(wanted, missing=0.0)
        return {name: np.where(known, values, np.nan).astype(np.float32) for name, values in columns.items()}
