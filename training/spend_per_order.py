"""What an order of each customer is worth: their own mean, drawn towards the shop's the fewer orders it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from features.errors import DataError

Floats = NDArray[np.float64]

#: The shop's mean counts as at least and at most so many orders of a customer.
LEAST_ORDERS, MOST_ORDERS = 0.1, 100.0


@dataclass(frozen=True)
class SpendPerOrder:
    """The customer's own mean, weighing as many orders as it is of, and that of the shop, weighing `shop_orders`.

    Credibility (Bühlmann and Straub 1970), the form the gamma-gamma model of Fader and Hardie (2013) takes too. There
    the weight of the shop is the likeliest under gamma distributions; amounts have heavier tails, which makes that
    too small, so here it is what foretold best.
    """

    of_shop: float
    shop_orders: float

    def expected(self, orders: Floats, mean: Floats) -> Floats:
        """(customers,) worth of a coming order after so many of this mean; a mean below 0 (returns) counts as 0."""
        own = orders * np.maximum(mean, 0.0)
        found: Floats = (own + self.shop_orders * self.of_shop) / (orders + self.shop_orders)
        return found

    def as_json(self) -> dict[str, float]:
        """Its two numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> SpendPerOrder:
        """The inverse of `as_json`."""
        return cls(**{name: float(value) for name, value in found.items()})


def fit_spend_per_order(orders: Floats, mean: Floats, after: Floats, spent_after: Floats) -> SpendPerOrder:
    """The weights by which `orders` of this `mean` best foretell what each of the orders `after` was worth.

    All are (rows,), `spent_after` the sum over the orders after; squared error, each row counting its orders after.
    Raises DataError where nobody paid for an order before, or nobody ordered after.
    """
    paid = float(np.maximum(mean, 0.0) @ orders)
    came = after > 0
    if not paid > 0 or not came.any():
        raise DataError("Nobody has paid for an order and then ordered again, so what one is worth cannot be learned.")
    of_shop = paid / float(orders.sum())

    def error(logarithm: float) -> float:
        said = SpendPerOrder(of_shop, float(np.exp(logarithm))).expected(orders[came], mean[came])
        return float(after[came] @ (spent_after[came] / after[came] - said) ** 2)

    bounds = np.log([LEAST_ORDERS, MOST_ORDERS])
    found = minimize_scalar(error, bounds=tuple(bounds), method="bounded")
    return SpendPerOrder(of_shop, float(np.exp(found.x)))
