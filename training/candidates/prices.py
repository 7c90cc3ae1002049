"""On what terms a product is sold lately, and on what terms the customer buys it: price, discount, quantity.

A product on offer is bought sooner than its rhythm says, and by some customers only then; who took a supply of it waits
longer.
"""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases, Terms
from training.candidates.pairs import find
from training.candidates.parts import parts_of
from training.candidates.running import Running, Sales, Sums

Columns = dict[str, NDArray[np.float32]]
#: Days before the moment that discounts are counted over.
WINDOWS = (3.0, 7.0, 14.0)
LATELY = 7.0
#: Lines that a product's share of discounted ones, and money that its depth of discount, is drawn towards the usual by.
PRIOR_LINES, PRIOR_MONEY = 2.0, 3.0
#: A line is on offer from so much off, in the shop's currency.
LEAST_SAVED = 0.005
_TINY = 1e-9
#: What is summed of each customer; and of each with each product, and of the last line of both, as it is kept: counts
#: and what one line says lose nothing by half the room.
TOTALS = ("lines", "offers", "paid")
LAST = "last_"
OF_PAIR = {
    "lines": np.float32,
    "offers": np.float32,
    "quantity": np.float64,
    "last_offers": np.float32,
    "last_quantity": np.float32,
    "last_paid": np.float32,
}


def _ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN where there is nothing below."""
    return np.where(under > _TINY, over / np.maximum(under, _TINY), np.nan)


def _terms(history: Purchases) -> Terms:
    """The terms of each line, NaN where the history has none."""
    unknown = np.full(0 if history.terms else len(history.products), np.nan, dtype=np.float32)
    return history.terms or Terms(unknown, unknown, unknown, np.empty(0, dtype=np.int32), 0)


def _paid(terms: Terms) -> NDArray[np.float64]:
    """(lines,) what was paid, nothing where it is not known."""
    return np.nan_to_num(terms.paid).astype(np.float64)


def _totals(history: Purchases) -> tuple[Sums, NDArray[np.int64], dict[str, NDArray[np.floating]]]:
    """TOTALS of each customer, sorted keys of each with each product they bought, and OF_PAIR of those."""
    terms = _terms(history)
    of_line = {
        "lines": np.ones(len(history.products)),
        "offers": (terms.saved > LEAST_SAVED).astype(np.float64),
        "paid": _paid(terms),
        "quantity": terms.quantity.astype(np.float64),
    }
    owner = history.line_customer.astype(np.int64)
    of_customer = {
        name: np.bincount(owner, weights=of_line[name], minlength=history.n_customers).astype(np.float64)
        for name in TOTALS
    }
    pair = owner * history.n_products + history.products
    by_pair = np.argsort(pair, kind="stable")  # within a pair, lines stay in time
    pair = pair[by_pair]
    start = np.flatnonzero(np.diff(pair, prepend=-1))
    last = by_pair[np.append(start[1:], len(pair)) - 1] if len(pair) else by_pair
    of_pair: dict[str, NDArray[np.floating]] = {}
    for name, exact in OF_PAIR.items():
        of = of_line[name.removeprefix(LAST)]
        values = of[last] if name.startswith(LAST) else np.add.reduceat(of[by_pair], start) if len(start) else of
        of_pair[name] = values.astype(exact)
    return of_customer, pair[start], of_pair


class Prices:
    """Running sums of terms by product, and totals by customer and by pair."""

    def fit(self, history: Purchases) -> Prices:
        """Every line of a history with its terms; where it has none, all features are unknown."""
        terms = _terms(history)
        self.known_ = history.terms is not None and bool(np.isfinite(history.terms.paid).any())
        self.n_products_ = history.n_products
        offers = terms.saved > LEAST_SAVED
        self.usual_offers_ = float(offers.sum()) / max(len(history.products), 1)
        self.of_product_: Sales = Running(
            history.products,
            np.repeat(history.order_day, history.order_sizes),
            {
                "lines": None,
                "offers": offers,
                "paid": lambda: _paid(terms),
                "full": lambda: _paid(terms) + np.nan_to_num(terms.saved),
                "quantity": terms.quantity,
            },
        )
        self._know(history)
        return self

    def about(self, history: Purchases) -> Prices:
        """The same asked about the customers of another history."""
        found = copy(self)
        found._know(history)
        return found

    def at_moment(self, moment: float) -> Prices:
        """The same for one moment alone: sums instead of sales."""
        found = copy(self)
        found.of_product_ = self.of_product_.at(moment, np.inf, *WINDOWS)
        return found

    def _know(self, history: Purchases) -> None:
        """Totals of the history's customers, and of each with each product."""
        found = [(first, *_totals(part)) for first, part in parts_of(history)]
        self.of_customer_: Sums = {name: np.concatenate([of[name] for _, of, _, _ in found]) for name in TOTALS}
        self.pairs_ = np.concatenate([first * history.n_products + pairs for first, _, pairs, _ in found])
        self.of_pair_: dict[str, NDArray[np.floating]] = {
            name: np.concatenate([of[name] for *_, of in found]) for name in OF_PAIR
        }

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
            return (
                np.where(bought, values[place].astype(np.float64), np.nan)
                if len(values)
                else np.full(len(wanted), np.nan)
            )

        quantity = of("quantity") / of("lines")
        return {
            "own_offer_share": of("offers") / of("lines"),
            "own_last_offer": of("last_offers"),
            "own_last_supply": _ratio(of("last_quantity"), quantity),
            "own_last_supply_of_usual": _ratio(of("last_quantity"), usual_quantity),
            "own_supply_of_usual": _ratio(quantity, usual_quantity),
            "own_price_now": _ratio(unit_now, _ratio(of("last_paid"), of("last_quantity"))),
        }
