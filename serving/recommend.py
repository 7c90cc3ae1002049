"""Recommendations from a state: pure functions, so the server and the command line give the same answers.

Each answer is a chain of candidate sources: what was asked for, then plainer ones, then anything eligible. So a
list has exactly k products whenever k eligible ones exist, and `fallback` says in words when it is plainer than asked.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

from msgspec import UNSET
from msgspec.structs import replace

from serving import candidates
from serving.candidates import PINNED, Candidate
from serving.choosing import STILL, Chosen, Dials, choose
from serving.circumstances import Circumstances
from serving.deadline import Deadline
from serving.filters import Eligible, narrows
from serving.questions import AROUND_ONE, NONE, POPULAR, STATIC, Asking, Source, fillers, sources_of
from serving.reasons import Known, reasons
from serving.request_ids import with_origin
from serving.rule_book import NOTHING
from serving.rules import NO_RULES
from serving.schemas import Filters, Item, RecommendationRequest, Recommendations
from serving.state import EPOCH, State

MODEL = "recommender"


def recommend(state: State, request: RecommendationRequest, circumstances: Circumstances) -> Recommendations:
    """Products for a question: by default, the cart leads, then the visit, the customer, what is popular."""
    if state.ranking is None or state.catalogue is None:
        return _without_ranking(state, request, circumstances)
    catalogue, interest, customer = state.catalogue, circumstances.interest, request.customer_id
    codes = catalogue.codes
    asking = Asking(
        state=state,
        ranking=state.ranking,
        catalogue=catalogue,
        request=request,
        circumstances=circumstances,
        row=None if customer is None else state.ranked_rows.get(customer),
        moment=state.moment(circumstances.now),
        bought={codes[product]: found for product, found in interest.bought.items() if product in codes}
        if interest.bought
        else candidates.NOTHING_BOUGHT,
        why=list(circumstances.notes),
    )
    around = request.question in AROUND_ONE
    sources = sources_of(asking)
    book = circumstances.rules
    rules = NO_RULES if book is None else book.rules
    now = circumstances.now or state.scored_at or EPOCH
    eligible = Eligible(
        catalogue,
        request.filters,
        offer=catalogue.offers.at((now - EPOCH).total_seconds()),
        hidden=None if book is None else book.hidden,
        never=_never(asking),
        never_codes=_not_again(asking),
    )
    chosen, led = _chosen(asking, sources, eligible, now)
    if not chosen.candidates and narrows(request.filters) and (request.if_nothing or rules.if_nothing) == "popular":
        asking.why.append("the filters leave nothing; these are popular products without them")
        wide = replace(request.filters, category=None, department=None, brand=None, min_price=None, max_price=None)
        chosen, led = _chosen(asking, [], eligible.widened(wide), now)
    elif sources and led not in (sources[0][0], PINNED) and not circumstances.deadline.passed():
        if around:
            if not asking.why:
                asking.why.append(f"product '{request.product_id}' has none")
        else:
            asking.why.append(f"nothing eligible came from the {sources[0][0]} list")
    return _answer(asking, chosen, led)


def bought_together(
    state: State, product_id: str, circumstances: Circumstances, *, k: int, filters: Filters | None = None
) -> Recommendations:
    """Products often in the same orders as this one; popular ones when it is not known."""
    asked = RecommendationRequest(question="bought_together", product_id=product_id, k=k, filters=filters or Filters())
    return recommend(state, asked, circumstances)


def similar(
    state: State, product_id: str, circumstances: Circumstances, *, k: int, filters: Filters | None = None
) -> Recommendations:
    """Products of the same kind, nearest first; popular ones when it is not known or there is none."""
    asked = RecommendationRequest(question="similar", product_id=product_id, k=k, filters=filters or Filters())
    return recommend(state, asked, circumstances)


def _never(asking: Asking) -> list[str]:
    """Products not to be returned: the one asked about, those of the visit, those just bought, those disliked."""
    request, interest = asking.request, asking.circumstances.interest
    if request.question in AROUND_ONE:
        never = [request.product_id or "", *request.cart, *interest.against]
    elif request.question == "category":
        return []  # the page shows its whole category
    else:
        never = [*asking.cart, *asking.session, *interest.against]
    after = asking.circumstances.rebuy_after
    if after is not None:
        never += [product for product, found in interest.bought.items() if found.last > after]
    return never


def _not_again(asking: Asking) -> Iterable[int]:
    """Codes of products not for this customer: bought before and not to be repeated, bought lately, sent back."""
    filters, row, evidence = asking.request.filters, asking.row, asking.ranking.evidence
    book = asking.circumstances.rules
    once = None if book is None else book.once
    days = filters.exclude_bought_days
    refused: list[int] = []
    if row is not None and evidence is not None and len(evidence.against_products):
        refused = evidence.against(row).tolist() if asking.request.question != "category" else []
    if filters.repeats is not False and not days and (once is None or filters.repeats):
        return refused
    if row is not None:
        if evidence is None:  # lists of an earlier release know of the products on the list alone
            on_list = asking.ranking.own_orders[row] > 0
            own = asking.ranking.lists[row][on_list]
            recent = own
        else:
            at = evidence.own(row)
            own = evidence.own_products[at]
            recent = own[evidence.own_last[at] >= asking.days - days] if days else own[:0]
        if filters.repeats is False:
            refused += own.tolist()
        elif once is not None and filters.repeats is None:
            refused += own[once[own]].tolist()
        if days:
            refused += recent.tolist()
    for code, found in asking.bought.items():
        lately = days and (asking.moment - found.last).total_seconds() <= days * candidates.SECONDS_PER_DAY
        if filters.repeats is False or lately or (once is not None and filters.repeats is None and once[code]):
            refused.append(code)
    return refused


def _chosen(asking: Asking, sources: Sequence[Source], eligible: Eligible, now: datetime) -> tuple[Chosen, str]:
    """What is shown, and what led: the strategy of the best candidate."""
    request, circumstances = asking.request, asking.circumstances
    led: list[str] = []
    book = circumstances.rules
    k = request.k + request.offset
    in_force = NOTHING if book is None else book.in_force(request.placement, now)
    dials = _dials(request, circumstances)
    never = eligible.never
    pins = [(place, code) for place, code in in_force.pins if place < k and code in eligible]
    never.update(code for _, code in pins)
    found = _eligible(asking, sources, eligible, never, circumstances.deadline, led)
    chosen = choose(
        found,
        k=k - len(pins),
        rules=in_force,
        dials=dials,
        known=asking.state.insights.known,
        catalogue=asking.catalogue,
        taken=[code for _, code in pins],
        chance=random.Random(circumstances.request_id) if dials.explore else None,  # noqa: S311
    )
    for place, code in pins:
        chosen.candidates.insert(place, Candidate(code, None, PINNED))
        if chosen.propensities is not None:
            chosen.propensities.insert(place, 1.0)
    if led:
        return chosen, led[0]
    return chosen, PINNED if pins else (sources[0][0] if sources else POPULAR)


def _dials(request: RecommendationRequest, circumstances: Circumstances) -> Dials:
    """The experiment's dials, else the request's, else those of the rules."""
    rules = NO_RULES if circumstances.rules is None else circumstances.rules.rules
    if rules is NO_RULES and circumstances.experiment is None and _asks_no_dial(request):
        return STILL
    found = []
    for name in Dials._fields:
        value = getattr(circumstances, name)
        value = getattr(request, name) if value is None else value
        found.append(getattr(rules, name) if value is None else value)
    return Dials(*found) if any(found) else STILL


def _asks_no_dial(request: RecommendationRequest) -> bool:
    return request.diversity is None and request.novelty is None and request.explore is None


def _eligible(
    asking: Asking,
    sources: Sequence[Source],
    eligible: Eligible,
    seen: set[int],
    deadline: Deadline,
    led: list[str],
) -> Iterator[Candidate]:
    """Each eligible candidate once, from all sources in turn; `led` gets the strategy of the first.

    Once the deadline has passed, what is asked for is left out and only popular products fill the list.
    """
    passed = eligible.passed
    for strategy, found in chain(sources, fillers(asking, eligible)):
        if strategy != POPULAR and deadline.passed():
            spent = f"the {deadline.seconds * 1000:g} ms a request may take were spent before the {strategy} list"
            asking.why.append(spent)
            continue
        for candidate in found:
            code = candidate.code
            if code in seen or not passed[code]:
                continue
            if not led:
                led.append(strategy)
            seen.add(code)
            yield candidate


def _without_ranking(state: State, request: RecommendationRequest, circumstances: Circumstances) -> Recommendations:
    """From the static file, else nothing; both say so."""
    missing = "nothing is scored yet" if state.version is None else "there is no recommender champion"
    why = [*circumstances.notes, f"{missing}; run:  regulars train && regulars score"]
    never = {*request.cart, *request.session, *request.filters.exclude, *circumstances.hidden, request.product_id}
    never |= {*circumstances.interest.against, *circumstances.interest.bought}
    # Of products in the file nothing is known, so none can be said to pass a filter.
    unknown = narrows(request.filters)
    ids = [] if unknown else [product for product in circumstances.static if product not in never]
    page = ids[request.offset : request.offset + request.k]
    items = [
        Item(rank, product, None, None, STATIC, "From the shop's own list")
        for rank, product in enumerate(page, start=request.offset + 1)
    ]
    return _complete(state, items, STATIC if items else NONE, why, circumstances, request)


def _answer(asking: Asking, chosen: Chosen, strategy: str) -> Recommendations:
    request, catalogue, evidence = asking.request, asking.catalogue, asking.ranking.evidence
    offset, fields = request.offset, request.fields
    shown = chosen.candidates[offset : offset + request.k]
    known = Known(
        asking.ranking,
        catalogue,
        asking.state.insights.since,
        asking.row,
        asking.days if evidence is not None else 0.0,
        asking.bought,
        asking.state.insights.told,
        asking.taste,
    )
    cards = catalogue.cards
    chances = chosen.propensities
    items = []
    for number, (found, (reason, grounds)) in enumerate(zip(shown, reasons(shown, known), strict=True), start=offset):
        product_id, name, category, price = cards[found.code]
        items.append(
            Item(
                number + 1,
                product_id,
                name,
                found.score,
                found.source,
                reason,
                category,
                price,
                catalogue.details(found.code, fields) if fields else UNSET,
                grounds,
                UNSET if chances is None else round(chances[number], 9),
            )
        )
    return _complete(asking.state, items, strategy, asking.why, asking.circumstances, request)


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
