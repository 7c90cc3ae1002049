"""Where recommended products come from: each function yields candidates best first, with a score and a true reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from serving.catalogue import Catalogue
from serving.filters import Eligible
from serving.live import Bought
from training.ranked_lists import NO_PRODUCT, SOURCES, RankedLists

OWN_HISTORY, ALS, ITEM_ITEM, POPULAR, NEXT_ORDER, SIMILAR_CUSTOMERS = SOURCES
#: Sources that only the server knows.
CATALOGUE, CATEGORY, SEGMENT = "catalogue", "category", "segment"

POPULAR_REASON = "Popular with all customers now"
#: It names no segment: whose page it is on may not be who should know it.
SEGMENT_REASON = "Popular with customers like this one"
CATALOGUE_REASON = "From the catalogue; it fills the list"


class Candidate(Struct, frozen=True, gc=False):
    """A product that may be recommended. `score` compares within one source only."""

    code: int
    score: float | None
    source: str
    reason: str


#: The beginning of a list is enough for most answers, and reading the rest would cost as much again.
_PARTS = (slice(0, 24), slice(24, None))
NOTHING_BOUGHT: Mapping[int, Bought] = {}


def personal(ranking: RankedLists, row: int, *, bought: Mapping[int, Bought] = NOTHING_BOUGHT) -> Iterator[Candidate]:
    """The customer's own ranked list, then what they bought since it was made and it does not hold.

    `bought` has the live purchases by code; they count as orders in the reasons.
    """
    for part in _PARTS:
        lists, scores = ranking.lists[row, part].tolist(), ranking.scores[row, part].tolist()
        sources, own_orders = ranking.sources[row, part].tolist(), ranking.own_orders[row, part].tolist()
        for code, score, source, orders in zip(lists, scores, sources, own_orders, strict=True):
            if code == NO_PRODUCT:
                continue
            if bought and code in bought:
                orders += bought[code].times
            reason = _BOUGHT[orders] if 0 < orders < _MOST_TOLD else _personal_reason(SOURCES[source], orders)
            yield Candidate(code, score, SOURCES[source], reason)
    if bought:
        yield from bought_again(bought)


def bought_again(bought: Mapping[int, Bought]) -> Iterator[Candidate]:
    """What was bought in live purchases, most often first."""
    for code in sorted(bought, key=lambda code: (-bought[code].times, code)):
        yield Candidate(code, None, OWN_HISTORY, _personal_reason(OWN_HISTORY, bought[code].times))


#: The reasons that most products on most lists have, by how many orders held them.
_MOST_TOLD = 1000
_BOUGHT = ("", "Bought once before", *(f"Bought in {orders} of your orders" for orders in range(2, _MOST_TOLD)))


def _personal_reason(source: str, orders: int) -> str:
    if orders > 0:
        return f"Bought in {orders} of your orders" if orders > 1 else "Bought once before"
    if source == OWN_HISTORY:
        return "Bought before"
    if source == ALS:
        return "Bought by customers who buy what you buy"
    if source == ITEM_ITEM:
        return "Bought by the buyers of what you buy"
    if source == NEXT_ORDER:
        return "Often bought in the order that follows ones like yours"
    if source == SIMILAR_CUSTOMERS:
        return "Bought by customers whose orders are like yours"
    return POPULAR_REASON


def together(ranking: RankedLists, catalogue: Catalogue, codes: Sequence[int], *, source: str) -> Iterator[Candidate]:
    """Products bought in the same orders as `codes`, by the sum of their lifts; the reason names the strongest tie."""
    total: dict[int, float] = {}
    strongest: dict[int, float] = {}
    reasons: dict[int, str] = {}
    for code in dict.fromkeys(codes):
        reason = f"Often in the same order as {catalogue.label(code)}"
        pairs = zip(ranking.neighbours[code].tolist(), ranking.neighbour_lift[code].tolist(), strict=True)
        for neighbour, lift in pairs:
            if neighbour not in total:
                total[neighbour] = strongest[neighbour] = lift
                reasons[neighbour] = reason
            else:
                total[neighbour] += lift
                if lift > strongest[neighbour]:
                    strongest[neighbour] = lift
                    reasons[neighbour] = reason
    total.pop(NO_PRODUCT, None)
    for neighbour in sorted(total, key=total.__getitem__, reverse=True):
        yield Candidate(neighbour, total[neighbour], source, reasons[neighbour])


def same_category(catalogue: Catalogue, code: int) -> Iterator[Candidate]:
    """Products of the same category, most popular first; none when the product has no category."""
    category = catalogue.value("category", code)
    if category is None:
        return
    alike = catalogue.has("category", category)
    for other in catalogue.by_popularity[alike[catalogue.by_popularity]].tolist():
        if other != code:
            yield Candidate(other, None, CATEGORY, f"Also in {category}")


def segment(codes: Sequence[int]) -> Iterator[Candidate]:
    """What customers of one segment buy, best first."""
    for code in codes:
        yield Candidate(code, None, SEGMENT, SEGMENT_REASON)


def popular(catalogue: Catalogue) -> Iterator[Candidate]:
    """What all customers buy, best first."""
    for code in catalogue.popular:
        yield Candidate(code, None, POPULAR, POPULAR_REASON)


def remaining(catalogue: Catalogue, eligible: Eligible) -> Iterator[Candidate]:
    """Every eligible product beyond the popular ones, so that a narrow filter still finds what there is."""
    codes = catalogue.by_popularity[catalogue.popular_count :]
    for code in codes[eligible.mask[codes]].tolist():
        yield Candidate(code, None, CATALOGUE, CATALOGUE_REASON)
