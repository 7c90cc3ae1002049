"""Recommendations from a state: pure functions, so the server and the command line give the same answers.

Each answer is a chain of candidate sources: what was asked for, then plainer ones, then anything eligible. So a
list has exactly k products whenever k eligible ones exist, and `fallback` says in words when it is plainer than asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from serving import candidates
from serving.candidates import Candidate
from serving.catalogue import Catalogue
from serving.filters import allowed, choose
from serving.schemas import Filters, Item, RecommendationRequest, Recommendations
from serving.state import State
from training.ranked_lists import SOURCES

MODEL = "recommender"
PERSONAL, CART, SESSION, TOGETHER, CATEGORY, POPULAR, NONE = (
    "personal",
    "cart",
    "session",
    "bought_together",
    "category",
    "popular",
    "none",
)
_PERSONAL_SOURCES = frozenset(SOURCES)


def recommend(state: State, request: RecommendationRequest, *, request_id: str) -> Recommendations:
    """Products for a cart, a visit or a customer: the cart leads, then the visit, the customer, what is popular."""
    if state.ranking is None or state.catalogue is None:
        return _nothing(state, request, request_id=request_id)
    ranking, catalogue = state.ranking, state.catalogue
    why: list[str] = []
    sources: list[tuple[str, Iterable[Candidate]]] = []
    for strategy, products in ((CART, request.cart), (SESSION, request.session)):
        known = _known(catalogue, products, strategy, why)
        if known:
            sources.append((strategy, candidates.together(ranking, catalogue, known, source=strategy)))
    if request.customer_id is not None:
        row = state.ranked_rows.get(request.customer_id)
        if row is None:
            scored = request.customer_id in state.rows
            why.append(f"customer '{request.customer_id}' {'has no list yet' if scored else 'is not known'}")
        else:
            sources.append((PERSONAL, candidates.personal(ranking, row)))
    mask = allowed(catalogue, request.filters, never=[*request.cart, *request.session])
    items, strategy = _fill(catalogue, sources, mask=mask, k=request.k)
    if sources and strategy != sources[0][0]:
        why.append(f"nothing eligible came from the {sources[0][0]} list")
    return _answer(state, catalogue, items, strategy, why, request_id, request.customer_id, request.placement)


def bought_together(state: State, product_id: str, *, k: int, request_id: str) -> Recommendations:
    """Products often in the same orders as this one; popular ones when it is not known."""
    request = RecommendationRequest(k=k)
    if state.ranking is None or state.catalogue is None:
        return _nothing(state, request, request_id=request_id)
    why: list[str] = []
    known = _known(state.catalogue, [product_id], "request", why)
    ours = candidates.together(state.ranking, state.catalogue, known, source=TOGETHER)
    return _around(state, state.catalogue, product_id, [(TOGETHER, ours)], why, k=k, request_id=request_id)


def similar(state: State, product_id: str, *, k: int, request_id: str) -> Recommendations:
    """Products of the same category, most popular first; popular ones when it is not known or has no category."""
    if state.ranking is None or state.catalogue is None:
        return _nothing(state, RecommendationRequest(k=k), request_id=request_id)
    why: list[str] = []
    known = _known(state.catalogue, [product_id], "request", why)
    ours = candidates.same_category(state.catalogue, known[0]) if known else ()
    return _around(state, state.catalogue, product_id, [(CATEGORY, ours)], why, k=k, request_id=request_id)


def _around(
    state: State,
    catalogue: Catalogue,
    product_id: str,
    sources: Sequence[tuple[str, Iterable[Candidate]]],
    why: list[str],
    *,
    k: int,
    request_id: str,
) -> Recommendations:
    mask = allowed(catalogue, Filters(), never=[product_id])
    items, strategy = _fill(catalogue, sources, mask=mask, k=k)
    if not why and strategy != sources[0][0]:
        why.append(f"product '{product_id}' has none")
    return _answer(state, catalogue, items, strategy, why, request_id, None, None)


def _known(catalogue: Catalogue, products: Sequence[str], where: str, why: list[str]) -> list[int]:
    unknown = [product for product in products if product not in catalogue.codes]
    if unknown:
        named = ", ".join(f"'{product}'" for product in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        why.append(f"not known in the {where}: {named}{more}")
    return [catalogue.codes[product] for product in products if product in catalogue.codes]


def _fill(
    catalogue: Catalogue, sources: Sequence[tuple[str, Iterable[Candidate]]], *, mask: NDArray[np.bool_], k: int
) -> tuple[list[Candidate], str]:
    """The chosen candidates, and the strategy that the first of them came by."""
    fillers = (candidates.popular(catalogue, mask), candidates.remaining(catalogue, mask))
    chosen = choose(chain(*(found for _, found in sources), *fillers), mask, k=k)
    names = [strategy for strategy, _ in sources]
    if not chosen:
        return chosen, names[0] if names else POPULAR
    first = chosen[0]
    if first.source in names:
        return chosen, first.source
    if PERSONAL in names and first.source in _PERSONAL_SOURCES and first.score is not None:
        return chosen, PERSONAL
    return chosen, POPULAR


def _nothing(state: State, request: RecommendationRequest, *, request_id: str) -> Recommendations:
    missing = "nothing is scored yet" if state.version is None else "there is no recommender champion"
    return Recommendations(
        items=[],
        strategy=NONE,
        fallback=f"{missing}; run:  regulars train && regulars score",
        model=MODEL,
        model_version=state.models.get(MODEL),
        as_of=state.as_of,
        request_id=request_id,
        customer_id=request.customer_id,
        placement=request.placement,
    )


def _answer(
    state: State,
    catalogue: Catalogue,
    chosen: Sequence[Candidate],
    strategy: str,
    why: Sequence[str],
    request_id: str,
    customer_id: str | None,
    placement: str | None,
) -> Recommendations:
    return Recommendations(
        items=[_item(catalogue, candidate, rank) for rank, candidate in enumerate(chosen, start=1)],
        strategy=strategy,
        fallback="; ".join(why) or None,
        model=MODEL,
        model_version=state.models.get(MODEL),
        as_of=state.as_of,
        request_id=request_id,
        customer_id=customer_id,
        placement=placement,
    )


def _item(catalogue: Catalogue, candidate: Candidate, rank: int) -> Item:
    code = candidate.code
    return Item(
        rank=rank,
        product_id=catalogue.ids[code],
        name=catalogue.names[code],
        score=candidate.score,
        source=candidate.source,
        reason=candidate.reason,
        category=catalogue.value("category", code),
        price=catalogue.prices[code],
    )
