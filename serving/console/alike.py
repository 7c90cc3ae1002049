"""Customers who buy alike: the cosine of in how many orders each bought which product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.console.per_state import PerState
from serving.state import State
from training.evidence import Evidence


def alike(state: State, customer_id: str, *, most: int = 6) -> list[tuple[str, float]]:
    """The customers whose purchases are most like this one's, each with the cosine (0 to 1), likest first.

    Empty where the customer has no list, or the lists of an earlier release hold no purchases.
    """
    ranking, row = state.ranking, state.ranked_rows.get(customer_id)
    evidence = None if ranking is None else ranking.evidence
    if ranking is None or evidence is None or row is None:
        return []
    own = evidence.own(row)
    of_product = np.zeros(ranking.products.num_rows)
    of_product[evidence.own_products[own]] = evidence.own_orders[own]
    lengths = _lengths(state)
    dots = _by_customer(evidence, of_product[evidence.own_products] * evidence.own_orders)
    norms = lengths * np.sqrt(np.square(of_product).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(norms > 0, dots / norms, 0.0)
    cosine[row] = 0.0
    best = np.argsort(-cosine, kind="stable")[:most]
    best = best[cosine[best] > 0]
    ids = ranking.customers["customer_id"].take(best.tolist()).to_pylist()
    return list(zip(ids, cosine[best].tolist(), strict=True))


def _by_customer(evidence: Evidence, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the values of each customer's products."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(sums[evidence.own_start[1:]] - sums[evidence.own_start[:-1]])


def _made_lengths(state: State) -> NDArray[np.float64]:
    if state.ranking is None or state.ranking.evidence is None:
        return np.empty(0)
    evidence = state.ranking.evidence
    return np.sqrt(_by_customer(evidence, np.square(evidence.own_orders.astype(np.float64))))


_lengths = PerState(_made_lengths)
