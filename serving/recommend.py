"""Recommendations from a state: pure functions, so the server and the command line give the same answers.

Each answer is a chain of candidate sources: what was asked for, then plainer ones, then anything eligible. So a
list has exactly k products whenever k eligible ones exist, and `fallback` says in words when it is plainer than asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain

from msgspec import UNSET, Struct

from serving import candidates
from serving.candidates import Candidate
from serving.catalogue import Catalogue
from serving.deadline import NEVER, Deadline
from serving.filters import Eligible
from serving.live import NO_INTEREST, Bought, Interest
from serving.request_ids import with_origin
from serving.schemas import Filters, Item, RecommendationRequest, Recommendations
from serving.state import State

MODEL = "recommender"
PERSONAL, CART, SESSION, TOGETHER, CATEGORY, SEGMENT, POPULAR, STATIC, NONE = (
    "personal",
    "cart",
    "session",
    "bought_together",
    "category",
    "segment",
    "popular",
    "static",
    "none",
)
STRATEGIES = (PERSONAL, CART, SESSION, TOGETHER, CATEGORY, SEGMENT, POPULAR, STATIC, NONE)
#: Products of a visit that lead: the latest. More would cost time and say less of what is wanted now.
_MOST_SEEDS = 10
Source = tuple[str, Iterable[Candidate]]


class Circumstances(Struct, frozen=True):
    """What an answer depends on besides the state and the request.

    `rebuy_after`: a product bought live after this moment (UTC) is not recommended; None: none is kept back.
    `notes` stand before the answer's own in `fallback`.
    """

    request_id: str
    interest: Interest = NO_INTEREST
    rebuy_after: datetime | None = None
    own_list_first: bool = False
    experiment: str | None = None
    variant: str | None = None
    deadline: Deadline = NEVER
    static: Sequence[str] = ()
    notes: tuple[str, ...] = ()


def recommend(state: State, request: RecommendationRequest, circumstances: Circumstances) -> Recommendations:
    """Products for a cart, a visit or a customer: the cart leads, then the visit, the customer, what is popular."""
    if state.ranking is None or state.catalogue is None:
        return _without_ranking(state, request, circumstances)
    ranking, catalogue, interest = state.ranking, state.catalogue, circumstances.interest
    why = list(circumstances.notes)
    cart = [*request.cart, *interest.cart] if interest.cart else request.cart
    session = [*interest.views, *request.session] if interest.views else request.session
    bought = _by_code(catalogue, interest.bought)
    sources: list[Source] = []
    for strategy, products in ((CART, cart), (SESSION, session)):
        known = _known(catalogue, products, strategy, why) if products else []
        if known:
            found = candidates.together(ranking, catalogue, known[-_MOST_SEEDS:], source=strategy)
            sources.append((strategy, found))
    if bought and not sources:
        found = candidates.together(ranking, catalogue, list(bought)[-_MOST_SEEDS:], source=SESSION)
        sources.append((SESSION, found))
        # What was bought says less of the next purchase than the customer's own list.
        own = _own(state, request, why, bought)
        sources = [*own, *sources]
    else:
        own = _own(state, request, why, bought)
        sources = [*own, *sources] if circumstances.own_list_first else [*sources, *own]
    kept_back = _kept_back(interest.bought, circumstances.rebuy_after)
    eligible = Eligible(catalogue, request.filters, never=[*cart, *session, *kept_back])
    fillers = _fillers(state, catalogue, request.customer_id, eligible)
    chosen, strategy = _fill(sources, fillers, eligible, k=request.k, deadline=circumstances.deadline, why=why)
    if sources and strategy != sources[0][0] and not circumstances.deadline.passed():
        why.append(f"nothing eligible came from the {sources[0][0]} list")
    return _answer(state, catalogue, chosen, strategy, why, circumstances, request)


def bought_together(state: State, product_id: str, circumstances: Circumstances, *, k: int) -> Recommendations:
    """Products often in the same orders as this one; popular ones when it is not known."""
    request = RecommendationRequest(k=k)
    if state.ranking is None or state.catalogue is None:
        return _without_ranking(state, request, circumstances)
    why = list(circumstances.notes)
    known = _known(state.catalogue, [product_id], "request", why)
    ours = candidates.together(state.ranking, state.catalogue, known, source=TOGETHER)
    return _around(state, state.catalogue, product_id, (TOGETHER, ours), why, circumstances, request)


def similar(state: State, product_id: str, circumstances: Circumstances, *, k: int) -> Recommendations:
    """Products of the same category, most popular first; popular ones when it is not known or has no category."""
    request = RecommendationRequest(k=k)
    if state.ranking is None or state.catalogue is None:
        return _without_ranking(state, request, circumstances)
    why = list(circumstances.notes)
    known = _known(state.catalogue, [product_id], "request", why)
    ours = candidates.same_category(state.catalogue, known[0]) if known else ()
    return _around(state, state.catalogue, product_id, (CATEGORY, ours), why, circumstances, request)


def _around(
    state: State,
    catalogue: Catalogue,
    product_id: str,
    source: Source,
    why: list[str],
    circumstances: Circumstances,
    request: RecommendationRequest,
) -> Recommendations:
    eligible = Eligible(catalogue, Filters(), never=[product_id])
    chosen, strategy = _fill(
        [source],
        _fillers(state, catalogue, None, eligible),
        eligible,
        k=request.k,
        deadline=circumstances.deadline,
        why=why,
    )
    if not why and strategy != source[0]:
        why.append(f"product '{product_id}' has none")
    return _answer(state, catalogue, chosen, strategy, why, circumstances, request)


def _own(state: State, request: RecommendationRequest, why: list[str], bought: Mapping[int, Bought]) -> list[Source]:
    customer = request.customer_id
    if customer is None or state.ranking is None:
        return []
    row = state.ranked_rows.get(customer)
    if row is not None:
        return [(PERSONAL, candidates.personal(state.ranking, row, bought=bought))]
    why.append(f"customer '{customer}' {'has no list yet' if customer in state.rows else 'is not known'}")
    return [(PERSONAL, candidates.bought_again(bought))] if bought else []


def _by_code(catalogue: Catalogue, bought: Mapping[str, Bought]) -> dict[int, Bought]:
    codes = catalogue.codes
    return {codes[product]: found for product, found in bought.items() if product in codes}


def _kept_back(bought: Mapping[str, Bought], after: datetime | None) -> list[str]:
    return [] if after is None else [product for product, found in bought.items() if found.last > after]


def _known(catalogue: Catalogue, products: Sequence[str], where: str, why: list[str]) -> list[int]:
    unknown = [product for product in products if product not in catalogue.codes]
    if unknown:
        named = ", ".join(f"'{product}'" for product in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        why.append(f"not known in the {where}: {named}{more}")
    return [catalogue.codes[product] for product in products if product in catalogue.codes]


def _fill(
    sources: Sequence[Source],
    fillers: Iterable[Source],
    eligible: Eligible,
    *,
    k: int,
    deadline: Deadline,
    why: list[str],
) -> tuple[list[Candidate], str]:
    """The chosen candidates, each product once, and the strategy that the first of them came by.

    Once the deadline has passed, what is asked for is left out and only popular products fill the list.
    """
    chosen: list[Candidate] = []
    seen, passed = eligible.never, eligible.passed
    led = sources[0][0] if sources else POPULAR
    for strategy, found in chain(sources, fillers):
        if strategy != POPULAR and deadline.passed():
            why.append(f"the {deadline.seconds * 1000:g} ms a request may take were spent before the {strategy} list")
            continue
        for candidate in found:
            code = candidate.code
            if code in seen or not passed[code]:
                continue
            if not chosen:
                led = strategy
            seen.add(code)
            chosen.append(candidate)
            if len(chosen) == k:
                return chosen, led
    return chosen, led


def _fillers(state: State, catalogue: Catalogue, customer_id: str | None, eligible: Eligible) -> Iterator[Source]:
    """What completes a list: what customers of the same stage buy, what everybody buys, then everything eligible."""
    row = None if customer_id is None else state.rows.get(customer_id)
    if row is not None and state.columns is not None:
        favourites = state.segments.get(state.columns.stage(row))
        if favourites is not None:  # a segment too small has none
            yield SEGMENT, candidates.segment(favourites)
    yield POPULAR, candidates.popular(catalogue)
    yield POPULAR, candidates.remaining(catalogue, eligible)


def _without_ranking(state: State, request: RecommendationRequest, circumstances: Circumstances) -> Recommendations:
    """From the static file, else nothing; both say so."""
    missing = "nothing is scored yet" if state.version is None else "there is no recommender champion"
    why = [*circumstances.notes, f"{missing}; run:  regulars train && regulars score"]
    never = {*request.cart, *request.session, *request.filters.exclude}
    named = any((request.filters.department, request.filters.category, request.filters.brand))
    # Of products in the file nothing is known, so none can be said to pass a filter.
    ids = [] if named else [product for product in circumstances.static if product not in never][: request.k]
    items = [Item(rank, product, None, None, STATIC, "From the shop's own list") for rank, product in enumerate(ids, 1)]
    return _complete(state, items, STATIC if items else NONE, why, circumstances, request)


def _answer(
    state: State,
    catalogue: Catalogue,
    chosen: Sequence[Candidate],
    strategy: str,
    why: Sequence[str],
    circumstances: Circumstances,
    request: RecommendationRequest,
) -> Recommendations:
    fields = request.fields
    ids, names, categories, prices = catalogue.ids, catalogue.names, catalogue.categories, catalogue.prices
    items = []
    for rank, found in enumerate(chosen, start=1):
        code = found.code
        known = (categories[code], prices[code], catalogue.details(code, fields) if fields else UNSET)
        items.append(Item(rank, ids[code], names[code], found.score, found.source, found.reason, *known))
    return _complete(state, items, strategy, why, circumstances, request)


def _complete(
    state: State,
    items: list[Item],
    strategy: str,
    why: Sequence[str],
    circumstances: Circumstances,
    request: RecommendationRequest,
) -> Recommendations:
    version = state.models.get(MODEL)
    return Recommendations(
        items=items,
        strategy=strategy,
        fallback="; ".join(why) or None,
        model=MODEL,
        model_version=version,
        as_of=state.as_of,
        request_id=with_origin(
            circumstances.request_id,
            strategy=strategy,
            model_version=version,
            experiment=circumstances.experiment,
            variant=circumstances.variant,
            placement=request.placement,
        ),
        customer_id=request.customer_id,
        placement=request.placement,
        experiment=circumstances.experiment,
        variant=circumstances.variant,
    )
