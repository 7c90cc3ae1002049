"""How surely a product is bought again: by how many orders ago it was bought last, for the shop and each product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.matrix import Purchases
from training.candidates.parts import parts_of

#: Upper ends of the classes of orders since the last purchase; the last class is open.
LAGS = (1, 2, 3, 4, 6, 9, 14, 22, 40)
#: A product's own rate counts as so many chances to be bought again drawn towards the shop's.
PRIOR_CHANCES = 20.0


def _events_and_chances(history: Purchases) -> NDArray[np.float64]:
    """(2, classes of LAGS, products) purchases again, and the orders that might have held one."""
    n_products = history.n_products
    order_of_line = history.line_order
    key = history.line_customer.astype(np.int64) * n_products + history.products
    order = np.argsort(key, kind="stable")
    key, order_of_line = key[order], order_of_line[order]
    product = key % n_products
    end = history.customer_start[1:][key // n_products]
    again = np.zeros(len(key), dtype=bool)
    again[:-1] = key[1:] == key[:-1]
    following = np.append(order_of_line[1:], 0)
    # Orders from this purchase to the next, or to the end of the history for the last one.
    lag = np.where(again, following - order_of_line, end - 1 - order_of_line)
    edges = np.concatenate(([0], LAGS))
    found = np.zeros((2, len(edges), n_products))
    of_lag = np.searchsorted(LAGS, lag[again])
    found[0] = np.bincount(of_lag * n_products + product[again], minlength=found[0].size).reshape(found[0].shape)
    for place, low in enumerate(edges):
        high = edges[place + 1] if place + 1 < len(edges) else np.inf
        exposed = np.clip(lag - low, 0, high - low)
        found[1, place] = np.bincount(product, weights=exposed, minlength=n_products)
    return found


class ReorderRates:
    """Chance that the next order holds a product, given that its last purchase lies so many orders back.

    An empirical discrete hazard (Kaplan and Meier 1958): purchases over the orders that might have held one.
    """

    def fit(self, history: Purchases) -> ReorderRates:
        """Rates over every pair of customer and product of a history."""
        counted = np.zeros((2, len(LAGS) + 1, history.n_products))
        for _, part in parts_of(history):
            counted += _events_and_chances(part)
        self.events_, chances = counted.astype(np.float32)
        self.chances_ = chances
        shop = (self.events_.sum(axis=1) + 1e-3) / (chances.sum(axis=1) + 1.0)
        self.shop_ = np.minimum(shop, 1.0).astype(np.float32)
        self.rates_ = (self.events_ + PRIOR_CHANCES * self.shop_[:, None]) / (chances + PRIOR_CHANCES)
        total = float(self.events_.sum()) / max(float(chances.sum()), 1.0)
        self.overall_ = (self.events_.sum(axis=0) + PRIOR_CHANCES * total) / (chances.sum(axis=0) + PRIOR_CHANCES)
        return self

    def at(self, orders_back: NDArray[np.floating], products: NDArray[np.int64]) -> NDArray[np.float32]:
        """(pairs,) rate of each product for a last purchase `orders_back` before the last order (0: in it)."""
        place = np.searchsorted(LAGS, orders_back + 1)
        rates: NDArray[np.float32] = self.rates_[place, products].astype(np.float32)
        return rates

    def of_last(self, orders_back: NDArray[np.floating], products: NDArray[np.int64]) -> NDArray[np.float32]:
        """(pairs,) the same, NaN where the customer never bought the product and `orders_back` is NaN."""
        rates = self.at(np.nan_to_num(orders_back), products)
        return np.where(np.isnan(orders_back), np.nan, rates).astype(np.float32)

    def pooled(self, classes: NDArray[np.int32]) -> ReorderRates:
        """Rates pooled over the products of each class (products,), for every product; the shop's without a class.

        Most products are bought by few: what is bought again of their kind says more than their own rates.
        """
        n_classes = int(classes.max(initial=-1)) + 1
        known = classes >= 0
        pooled = ReorderRates()
        pooled.rates_ = np.repeat(self.shop_[:, None], len(classes), axis=1)
        for place, shop in enumerate(self.shop_):
            events, chances = (
                np.bincount(classes[known], weights=counts[place, known], minlength=n_classes)
                for counts in (self.events_, self.chances_)
            )
            of_class = (events + PRIOR_CHANCES * shop) / (chances + PRIOR_CHANCES)
            pooled.rates_[place, known] = of_class[classes[known]]
        return pooled
