"""On what terms a product is sold lately, and on what terms the customer buys it: price, discount, quantity.

A product on offer is bought sooner than its rhythm says, and by some customers only then; who took a supply of it waits
longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases, Terms
from training.candidates.pairs import find
from training.candidates.running import Running, Sales

Columns = dict[str, NDArray[np.float32]]
#: Days before the moment that discounts are counted over.
WINDOWS = (3.0, 7.0, 14.0)
LATELY = 7.0
#: Lines that a product's share of discounted ones, and money that its depth of discount, is drawn towards the usual by.
PRIOR_LINES, PRIOR_MONEY = 2.0, 3.0
#: A line is on offer from so much off, in the shop's currency.
LEAST_SAVED = 0.005
_TINY = 1e-9


def _ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where there is nothing below."""
    return np.where(under > _TINY, over / np.maximum(under, _TINY), np.nan)


def _terms(history: Purchases) -> dict[str, NDArray[np.float64]]:
    """(lines,) what is summed of each line; nothing paid where its terms are not known."""
    n_lines = len(history.products)
    unknown = np.full(n_lines, np.nan, dtype=np.float32)
    terms = history.terms or Terms(unknown, unknown, unknown, np.empty(0, dtype=np.int32), 0)
    paid, saved = np.nan_to_num(terms.paid).astype(np.float64), np.nan_to_num(terms.saved).astype(np.float64)
    return {
        "lines": np.ones(n_lines),
        "offers": (saved > LEAST_SAVED).astype(np.float64),
        "paid": paid,
        "full": paid + saved,
        "quantity": terms.quantity.astype(np.float64),
    }


class Prices:
    """Running sums of terms by product, and totals by customer and by pair."""

    def fit(self, history: Purchases) -> Prices:
        """Every line of a history with its terms; where it has none, all features are unknown."""
        values = _terms(history)
        self.known_ = history.terms is not None and bool(np.isfinite(history.terms.paid).any())
        self.n_products_ = history.n_products
        self.usual_offers_ = float(values["offers"].sum()) / max(len(history.products), 1)
        self.of_product_: Sales = Running(
            history.products.astype(np.int64), history.order_day[history.line_order], values
        )
        self._know(history, values)
        return self

    def about(self, history: Purchases) -> Prices:
        """The same asked about the customers of another history."""
        found = copy(self)
        found._know(history, _terms(history))
        return found

    def at_moment(self, moment: float) -> Prices:
        """The same for one moment alone: sums instead of sales."""
        found = copy(self)
        found.of_product_ = self.of_product_.at(moment, np.inf, *WINDOWS)
        return found

    def _know(self, history: Purchases, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Totals of the history's customers, and of each with each product."""
        owner = history.line_customer.astype(np.int64)
        self.of_customer_: dict[str, NDArray[np.float64]] = {
            name: np.bincount(owner, weights=of, minlength=history.n_customers).astype(np.float64)
            for name, of in values.items()
        }
        pair = owner * history.n_products + history.products
        by_pair = np.argsort(pair, kind="stable")  # within a pair, lines stay in time
        pair = pair[by_pair]
        start = np.flatnonzero(np.diff(pair, prepend=-1))
        last = by_pair[np.append(start[1:], len(pair)) - 1] if len(pair) else by_pair
        self.pairs_ = pair[start]
        self.of_pair_ = {
            name: np.add.reduceat(of[by_pair], start) if len(start) else of for name, of in values.items()
        } | {f"last_{name}": of[last] for name, of in values.items()}

    def at(
        self,
        customers: NDArray[np.int32],
        moment: NDArray[np.float64],
        rows: NDArray[np.int64],
        products: NDArray[np.int64],
    ) -> Columns:
        """Features of pairs (customers[rows], products): of others' purchases only those strictly before `moment`."""
        ever, *recent = self.of_product_.before(products, moment[rows], np.inf, *WINDOWS)
        lately = recent[WINDOWS.index(LATELY)]
        usual = (ever["offers"] + PRIOR_LINES * self.usual_offers_) / (ever["lines"] + PRIOR_LINES)
        depth = (ever["full"] - ever["paid"] + 0.05) / (ever["full"] + 0.5)
        columns: dict[str, NDArray[np.float64]] = {"offer_share": usual}
        for days, of in zip(WINDOWS, recent, strict=True):
            share = (of["offers"] + PRIOR_LINES * usual) / (of["lines"] + PRIOR_LINES)
            columns[f"offer_share_{days:g}"], columns[f"offer_more_{days:g}"] = share, share - usual
        depth_lately = (lately["full"] - lately["paid"] + PRIOR_MONEY * depth) / (lately["full"] + PRIOR_MONEY)
        columns["depth_lately"], columns["depth_more"] = depth_lately, depth_lately - depth
        unit = _ratio(ever["paid"], ever["quantity"])
        unit_now = np.where(lately["quantity"] > 0, _ratio(lately["paid"], lately["quantity"]), unit)
        columns["price_now"] = _ratio(unit_now, unit)
        columns["line_paid"] = _ratio(ever["paid"], ever["lines"])
        columns |= self._own(customers, rows, products, _ratio(ever["quantity"], ever["lines"]), unit_now)
        customer = customers[rows]
        lines = self.of_customer_["lines"][customer]
        columns["customer_offer_share"] = _ratio(self.of_customer_["offers"][customer], lines)
        columns["customer_line_paid"] = _ratio(self.of_customer_["paid"][customer], lines)
        columns["paid_of_usual"] = _ratio(columns["line_paid"], columns["customer_line_paid"])
        columns["offer_affinity"] = (columns["own_offer_share"] - usual) * columns[f"offer_more_{LATELY:g}"]
        return {
            name: (values if self.known_ else np.full(len(rows), np.nan)).astype(np.float32)
            for name, values in columns.items()
        }

    def _own(
        self,
        customers: NDArray[np.int32],
        rows: NDArray[np.int64],
        products: NDArray[np.int64],
        usual_quantity: NDArray[np.float64],
        unit_now: NDArray[np.float64],
    ) -> dict[str, NDArray[np.float64]]:
        """The customer's own terms with the product, NaN where it was never bought."""
        wanted = customers[rows].astype(np.int64) * self.n_products_ + products
        place, bought = find(self.pairs_, wanted)

        def of(name: str) -> NDArray[np.float64]:
            values = self.of_pair_[name]
            return np.where(bought, values[place], np.nan) if len(values) else np.full(len(wanted), np.nan)

        quantity = of("quantity") / of("lines")
        return {
            "own_offer_share": of("offers") / of("lines"),
            "own_last_offer": of("last_offers"),
            "own_last_supply": _ratio(of("last_quantity"), quantity),
            "own_last_supply_of_usual": _ratio(of("last_quantity"), usual_quantity),
            "own_supply_of_usual": _ratio(quantity, usual_quantity),
            "own_price_now": _ratio(unit_now, _ratio(of("last_paid"), of("last_quantity"))),
        }
