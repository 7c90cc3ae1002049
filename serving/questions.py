"""Each question's chain of sources: what was asked for first, then plainer ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from numpy.typing import NDArray

from serving import candidates
from serving.candidates import (
    AGAINST_WEIGHT,
    BOUGHT_WEIGHT,
    CART,
    CART_WEIGHT,
    CATEGORY,
    DUE,
    NEW,
    PROFILE,
    SEGMENT,
    SESSION,
    TOGETHER,
    TRENDING,
    VIEW_WEIGHT,
    Candidate,
    Seed,
)
from serving.catalogue import Catalogue
from serving.circumstances import Circumstances
from serving.filters import Eligible
from serving.insights import arrivals, own_taste
from serving.live import Bought
from serving.schemas import RecommendationRequest
from serving.state import EPOCH, State
from training.ranked_lists import RankedLists

PERSONAL, POPULAR, STATIC, NONE = "personal", "popular", "static", "none"
STRATEGIES = (
    *(PERSONAL, CART, SESSION, TOGETHER, DUE, CATEGORY, TRENDING, NEW, PROFILE, SEGMENT, POPULAR),
    *(candidates.PINNED, STATIC, NONE),
)
Source = tuple[str, Iterable[Candidate]]
#: Products of a visit that lead: the latest. More would cost time and say less of what is wanted now.
_MOST_SEEDS = 10
AROUND_ONE = ("similar", "bought_together")


class Asking(Struct, gc=False):
    """One question, with all that its sources look at."""

    state: State
    ranking: RankedLists
    catalogue: Catalogue
    request: RecommendationRequest
    circumstances: Circumstances
    row: int | None  # of the customer's list
    moment: datetime  # to which days are counted
    bought: Mapping[int, Bought]
    why: list[str]
    taste: Mapping[str, NDArray] | None = None

    @property
    def days(self) -> float:
        """The moment in days since 1970."""
        return (self.moment - EPOCH).total_seconds() / candidates.SECONDS_PER_DAY

    @property
    def cart(self) -> Sequence[str]:
        """What lies in the cart, the latest last."""
        live = self.circumstances.interest.cart
        return [*self.request.cart, *live] if live else self.request.cart

    @property
    def session(self) -> Sequence[str]:
        """What was looked at in this visit, the latest last."""
        live = self.circumstances.interest.views
        return [*live, *self.request.session] if live else self.request.session

    def known(self, products: Sequence[str], where: str) -> list[int]:
        """Codes of those products that are known; `why` names the others."""
        codes = self.catalogue.codes
        unknown = [product for product in products if product not in codes]
        if unknown:
            named = ", ".join(f"'{product}'" for product in unknown[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            self.why.append(f"not known in the {where}: {named}{more}")
        return [codes[product] for product in products if product in codes]


def sources_of(asking: Asking) -> list[Source]:
    """The sources that the question asks for, best first."""
    return _SOURCES[asking.request.question](asking)


def _next_purchase(asking: Asking) -> list[Source]:
    seeds, led = _seeds(asking)
    own = _own(asking)
    if not seeds:
        return own
    ties: Source = (led, candidates.together(asking.ranking, seeds))
    # What was bought says less of the next purchase than the customer's own list.
    only_bought = all(seed.weight in (BOUGHT_WEIGHT, AGAINST_WEIGHT) for seed in seeds)
    return [*own, ties] if only_bought or asking.circumstances.own_list_first else [ties, *own]


def _seeds(asking: Asking) -> tuple[list[Seed], str]:
    """What says what is wanted now, and what leads: the cart, else the visit."""
    cart, session, against = asking.cart, asking.session, asking.circumstances.interest.against
    if not (cart or session or asking.bought):
        return [], ""
    seeds, led = [], SESSION
    parts = (
        (asking.known(cart, CART) if cart else (), CART_WEIGHT, CART),
        (asking.known(session, SESSION) if session else (), VIEW_WEIGHT, SESSION),
        (list(asking.bought), BOUGHT_WEIGHT, SESSION),
    )
    for codes, weight, source in parts:
        if codes:
            seeds += [Seed(code, weight, source) for code in list(dict.fromkeys(codes))[-_MOST_SEEDS:]]
            if source == CART:
                led = CART
    if seeds and against:
        of = asking.catalogue.codes
        seeds += [Seed(of[one], AGAINST_WEIGHT, SESSION) for one in against[-_MOST_SEEDS:] if one in of]
    return seeds, led


def _own(asking: Asking) -> list[Source]:
    state, customer = asking.state, asking.request.customer_id
    if customer is None:
        return []
    if asking.row is not None:
        return [(PERSONAL, candidates.personal(asking.ranking, asking.row, fronts=state.fronts, bought=asking.bought))]
    again: list[Source] = [(PERSONAL, candidates.bought_again(asking.bought))] if asking.bought else []
    profile = state.newcomer_rows.get(customer)
    if profile is not None and asking.ranking.newcomers is not None:
        asking.why.append(f"customer '{customer}' has no order yet")
        liked = asking.ranking.newcomers.lists[profile].tolist()
        return [*again, (PROFILE, candidates.listed(liked, PROFILE))]
    asking.why.append(f"customer '{customer}' {'has no list yet' if customer in state.rows else 'is not known'}")
    return again


def _buy_again(asking: Asking) -> list[Source]:
    own = _own(asking)
    evidence = asking.ranking.evidence
    if asking.row is None or evidence is None:
        return own
    return [
        (DUE, candidates.due(evidence, asking.row, asking.days)),
        (PERSONAL, candidates.owned(evidence, asking.row)),
        *own,
    ]


def _trending(asking: Asking) -> list[Source]:
    insights = asking.state.insights
    return [(TRENDING, candidates.trending(insights.trending, insights.growth))]


def _new_arrivals(asking: Asking) -> list[Source]:
    evidence = asking.ranking.evidence
    if asking.row is not None and evidence is not None:
        asking.taste = own_taste(evidence, asking.row, asking.catalogue)
    at = (asking.moment - EPOCH).total_seconds()
    codes, scores = arrivals(asking.state.insights, asking.catalogue, asking.taste, moment=at)
    return [(NEW, candidates.listed(codes, NEW, scores=scores)), *_own(asking)]


def _around(asking: Asking) -> list[Source]:
    request = asking.request
    known = asking.known([request.product_id or ""], "request")
    if request.question == "similar":
        return [(CATEGORY, candidates.similar(asking.catalogue, known[0]) if known else ())]
    return [(TOGETHER, candidates.together(asking.ranking, [Seed(code, 1.0, TOGETHER) for code in known]))]


def fillers(asking: Asking, eligible: Eligible) -> Iterator[Source]:
    """What completes a list: what customers of the same stage buy, what everybody buys, then everything eligible."""
    state, customer = asking.state, asking.request.customer_id
    row = None if customer is None else state.rows.get(customer)
    if row is not None and state.columns is not None:
        favourites = state.segments.get(state.columns.stage(row))
        if favourites is not None:  # a segment too small has none
            yield SEGMENT, candidates.listed(favourites, SEGMENT)
    yield POPULAR, candidates.popular(asking.catalogue)
    yield POPULAR, candidates.remaining(asking.catalogue, eligible)


_SOURCES: Mapping[str, Callable[[Asking], list[Source]]] = {
    "next_purchase": _next_purchase,
    "buy_again": _buy_again,
    "trending": _trending,
    "new_arrivals": _new_arrivals,
    "category": _next_purchase,
    "similar": _around,
    "bought_together": _around,
}
