"""How likely each customer is to buy any of some products, from how many of their orders held them.

An order of a customer holds a product with the share of their orders that held it, drawn towards the shop's share by
PRIOR_ORDERS orders. Products are taken as independent, and orders to come as a Poisson count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evidence import Evidence

Floats = NDArray[np.float64]
PRIOR_ORDERS = 10.0
#: A probability of 1 would say that a customer orders without end.
MOST_CERTAIN = 0.999


class Likelihood(NamedTuple):
    """Of each customer of the lists: probability, products of it bought (once in each order), the day of the last."""

    probability: Floats
    times: NDArray[np.int64]
    last: Floats


def orders_by_chance(probability: Floats) -> Floats:
    """The orders expected of a Poisson count of which one or more come with this probability."""
    found: Floats = -np.log1p(-np.minimum(probability, MOST_CERTAIN))
    return found


def likelihood(evidence: Evidence, wanted: NDArray[np.bool_], orders_ahead: Floats) -> Likelihood:
    """That each customer buys any of the `wanted` (products,), with so many orders ahead; one pass over all pairs."""
    found = likelihoods(evidence, np.where(wanted, 0, -1), 1, orders_ahead)
    return Likelihood(*(of_all[0] for of_all in found))


def likelihoods(evidence: Evidence, group: NDArray[np.int64], n_groups: int, orders_ahead: Floats) -> Likelihood:
    """The same of groups of products, (groups, customers) each. `group` (products,) numbers them; -1: in none."""
    at = np.flatnonzero(group[evidence.own_products] >= 0)
    row = np.searchsorted(evidence.own_start, at, side="right") - 1
    total = evidence.customer_orders + PRIOR_ORDERS
    shape = n_groups, len(total)
    product = evidence.own_products[at]
    prior = PRIOR_ORDERS * evidence.sold_orders / max(evidence.orders, 1)
    share = np.minimum((evidence.own_orders[at] + prior[product]) / total[row], MOST_CERTAIN)
    # As if nothing were bought, which depends on the number of orders alone; then what was bought instead.
    some = np.flatnonzero(group >= 0)
    totals, of_customer = np.unique(total, return_inverse=True)
    nothing = [np.bincount(group[some], np.log1p(-prior[some] / each), n_groups) for each in totals]
    place = group[product] * len(total) + row
    instead = np.bincount(place, np.log1p(-share) - np.log1p(-prior[product] / total[row]), np.prod(shape))
    in_order = -np.expm1(np.reshape(nothing, (len(totals), n_groups)).T[:, of_customer] + instead.reshape(shape))
    probability = -np.expm1(-orders_ahead * in_order)
    times = np.bincount(place, evidence.own_orders[at], np.prod(shape)).astype(np.int64).reshape(shape)
    last = np.full(shape, -np.inf)
    np.maximum.at(last.reshape(-1), place, evidence.own_last[at])
    return Likelihood(probability, times, last)
