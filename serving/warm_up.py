"""Requests replayed on a scoring before it answers: what is read from disk or compiled on first use is read here."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from serving.at_risk import at_risk
from serving.circumstances import Circumstances
from serving.recommend import recommend
from serving.schemas import RecommendationRequest
from serving.schemas_customers import AtRiskQuery
from serving.state import State

_CUSTOMERS = 50


def warm_up(state: State) -> int:
    """How many requests were replayed: customers spread over the scoring, carts of their products, lists, strangers."""
    customers = _spread(state)
    requests = [RecommendationRequest(), RecommendationRequest(customer_id="\n")]
    requests += [RecommendationRequest(customer_id=customer) for customer in customers]
    if state.catalogue is not None:
        ids = state.catalogue.ids
        requests += [RecommendationRequest(cart=[ids[code]]) for code in state.catalogue.popular[:_CUSTOMERS]]
    for request in requests:
        msgspec.json.encode(recommend(state, request, Circumstances(request_id="")))
    msgspec.json.encode(at_risk(state, AtRiskQuery()))
    return len(requests) + 1


def _spread(state: State) -> list[str]:
    """About _CUSTOMERS ids, evenly over the scoring."""
    if state.customers is None:
        return []
    n = state.customers.num_rows
    found: list[str] = state.customers["customer_id"].take(pa.array(range(0, n, max(1, n // _CUSTOMERS)))).to_pylist()
    return found
