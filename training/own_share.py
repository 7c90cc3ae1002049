"""How likely each customer is to buy any of some products, from how many of their orders held them.

An order of a customer holds a product with the share of their orders that held it, drawn towards the shop's share by
PRIOR_ORDERS orders. Products are taken as independent, and orders to come as a Poisson count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evidence import Evidence

PRIOR_ORDERS = 10.0
#: A probability of 1 would say that a customer orders without end.
MOST_CERTAIN = 0.999


class Likelihood(NamedTuple):
    """Of each customer of the lists: probability, products of it bought (once in each order), the day of the last."""

    probability: NDArray[np.float64]
    times: NDArray[np.int64]
    last: NDArray[np.float64]


def orders_by_chance(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orders expected of a Poisson count of which one or more come with this probability."""
    found: NDArray[np.float64] = -np.log1p(-np.minimum(probability, MOST_CERTAIN))
    return found


def likelihood(evidence: Evidence, wanted: NDArray[np.bool_], orders_ahead: NDArray[np.float64]) -> Likelihood:
    """That each customer buys any of the `wanted` (products,), with so many orders ahead; one pass over all pairs."""
    at = np.flatnonzero(wanted[evidence.own_products])
    row = np.searchsorted(evidence.own_start, at, side="right") - 1
    total = evidence.customer_orders + PRIOR_ORDERS
    of_shop = evidence.sold_orders / max(evidence.orders, 1)
    product = evidence.own_products[at]
    prior = PRIOR_ORDERS * of_shop[product]
    share = np.minimum((evidence.own_orders[at] + prior) / total[row], MOST_CERTAIN)
    n = len(total)
    # As if nothing were bought, which depends on the number of orders alone; then what was bought instead.
    totals, of_customer = np.unique(total, return_inverse=True)
    nothing = np.array([np.log1p(-PRIOR_ORDERS * of_shop[wanted] / each).sum() for each in totals])
    instead = np.bincount(row, weights=np.log1p(-share) - np.log1p(-prior / total[row]), minlength=n)
    in_order = -np.expm1(nothing[of_customer] + instead)
    probability = -np.expm1(-orders_ahead * in_order)
    times = np.bincount(row, weights=evidence.own_orders[at], minlength=n).astype(np.int64)
    last = np.full(n, -np.inf)
    np.maximum.at(last, row, evidence.own_last[at])
    return Likelihood(probability, times, last)
