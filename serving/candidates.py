"""Where recommended products come from: each function yields candidates best first, with a score and a true reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

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


class Candidate(NamedTuple):
    """A product that may be recommended. `score` compares within one source only."""

    code: int
    score: float | None
    source: str
    reason: str


NOTHING_BOUGHT: Mapping[int, Bought] = {}


def personal(ranking: RankedLists, row: int, *, bought: Mapping[int, Bought] = NOTHING_BOUGHT) -> Iterator[Candidate]:
    """The customer's own ranked list, then what they bought since it was made and it does not hold.

    `bought` has the live purchases by code; they count as orders in the reasons.
    """
    lists, scores = ranking.lists[row].tolist(), ranking.scores[row].tolist()
    sources, own_orders = ranking.sources[row].tolist(), ranking.own_orders[row].tolist()
    for code, score, source, orders in zip(lists, scores, sources, own_orders, strict=True):
        if code != NO_PRODUCT:
            since = bought[code].times if code in bought else 0
            yield Candidate(code, score, SOURCES[source], _personal_reason(SOURCES[source], orders + since))
    yield from bought_again(bought)


def bought_again(bought: Mapping[int, Bought]) -> Iterator[Candidate]:
    """What was bought in live purchases, most often first."""
    for code in sorted(bought, key=lambda code: (-bought[code].times, code)):
        yield Candidate(code, None, OWN_HISTORY, _personal_reason(OWN_HISTORY, bought[code].times))


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
    lifts = {
        code: dict(zip(ranking.neighbours[code].tolist(), ranking.neighbour_lift[code].tolist(), strict=True))
        for code in codes
    }
    total: dict[int, float] = {}
    for of_one in lifts.values():
        of_one.pop(NO_PRODUCT, None)
        for neighbour, lift in of_one.items():
            total[neighbour] = total.get(neighbour, 0.0) + lift
    for negative, neighbour in sorted((-lift, code) for code, lift in total.items()):
        tie = max(lifts, key=lambda code, near=neighbour: lifts[code].get(near, float("-inf")))  # type: ignore[misc]
        yield Candidate(neighbour, -negative, source, f"Often in the same order as {catalogue.label(tie)}")


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
