"""Where recommended products come from: each function yields candidates best first, with what put them there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from serving.catalogue import NO_VALUE, Catalogue
from serving.filters import Eligible
from serving.fronts import LENGTH, Entry, Fronts
from serving.live import Bought
from training.evidence import Evidence
from training.ranked_lists import NO_PRODUCT, SOURCES, RankedLists

OWN_HISTORY, ALS, ITEM_ITEM, POPULAR, NEXT_ORDER, SIMILAR_CUSTOMERS = SOURCES
#: Sources that only the server knows.
CART, SESSION, TOGETHER, DUE, CATEGORY, TRENDING, NEW, PROFILE, SEGMENT, CATALOGUE, PINNED = (
    *("cart", "session", "bought_together", "due", "category", "trending", "new", "profile", "segment", "catalogue"),
    "pinned",
)
SECONDS_PER_DAY = 86_400
NOTHING = -1


class Candidate(Struct, frozen=True, gc=False):
    """A product that may be recommended. `score` compares within one source only.

    `orders`: in how many of their orders the customer bought it. `seed` and `place`: the product whose neighbour it
    is, and where among them.
    """

    code: int
    score: float | None
    source: str
    orders: int = 0
    seed: int = NOTHING
    place: int = NOTHING


class Seed(NamedTuple):
    """A product that says what is wanted now, how strongly, and where it was said; below 0 it says what is not."""

    code: int
    weight: float
    source: str


#: A purchase says more than a cart, a cart more than a view; a dislike or a return counts against.
BOUGHT_WEIGHT, CART_WEIGHT, VIEW_WEIGHT, AGAINST_WEIGHT = 2.0, 1.0, 0.5, -2.0
NOTHING_BOUGHT: Mapping[int, Bought] = {}


def personal(
    ranking: RankedLists, row: int, *, fronts: Fronts | None = None, bought: Mapping[int, Bought] = NOTHING_BOUGHT
) -> Iterator[Candidate]:
    """The customer's own ranked list, then what they bought since it was made and it does not hold.

    `fronts`: the beginnings of the lists, where they are kept together. `bought` has the live purchases by code; they
    count as orders.
    """
    front = _entries(ranking, row, slice(0, LENGTH)) if fronts is None else fronts.of(row)
    for code, score, because, orders, source in chain(front, _entries(ranking, row, slice(LENGTH, None))):
        if code == NO_PRODUCT:
            continue
        if bought and code in bought:
            orders += bought[code].times
        yield Candidate(code, score, SOURCES[source], orders, because)
    if bought:
        yield from bought_again(bought)


def _entries(ranking: RankedLists, row: int, part: slice) -> Iterator[Entry]:
    lists = ranking.lists[row, part].tolist()
    because = repeat(NOTHING, len(lists)) if ranking.because is None else ranking.because[row, part].tolist()
    scores, orders = ranking.scores[row, part].tolist(), ranking.own_orders[row, part].tolist()
    yield from zip(lists, scores, because, orders, ranking.sources[row, part].tolist(), strict=True)


def bought_again(bought: Mapping[int, Bought]) -> Iterator[Candidate]:
    """What was bought in live purchases, most often first."""
    for code in sorted(bought, key=lambda code: (-bought[code].times, code)):
        yield Candidate(code, None, OWN_HISTORY, bought[code].times)


def together(ranking: RankedLists, seeds: Iterable[Seed]) -> Iterator[Candidate]:
    """Products bought in the same orders as the seeds, by the sum of weighted strengths; the strongest tie is named.

    In lists of an earlier release, by that of lifts.

    What only seeds below 0 lead to is left out.
    """
    total: dict[int, float] = {}
    strongest: dict[int, tuple[float, int, int, str]] = {}
    evidence = ranking.evidence
    strengths = ranking.neighbour_lift if evidence is None else evidence.neighbour_strength
    for seed, weight, source in seeds:
        pairs = zip(ranking.neighbours[seed].tolist(), strengths[seed].tolist(), strict=True)
        for place, (neighbour, strength) in enumerate(pairs):
            if neighbour == NO_PRODUCT:
                break
            tie = strength * weight
            if neighbour not in total:
                total[neighbour] = tie
                if weight > 0:
                    strongest[neighbour] = (tie, seed, place, source)
            else:
                total[neighbour] += tie
                if weight > 0 and (neighbour not in strongest or tie > strongest[neighbour][0]):
                    strongest[neighbour] = (tie, seed, place, source)
    for neighbour in sorted(strongest, key=total.__getitem__, reverse=True):
        if total[neighbour] > 0:
            _, seed, place, source = strongest[neighbour]
            yield Candidate(neighbour, total[neighbour], source, 0, seed, place)


def similar(catalogue: Catalogue, code: int) -> Iterator[Candidate]:
    """Products of the same category, else department: of the same brand and near in price first, then most popular.

    Products without a sale stand among them: nothing but the catalogue is asked.
    """
    score = None
    for attribute in ("category", "department"):
        column = catalogue.attributes[attribute]
        if column.of_product[code] != NO_VALUE:
            alike = np.flatnonzero(column.of_product == column.of_product[code])
            if len(alike) > 1:
                score = np.zeros(len(alike))
                break
    if score is None:
        return
    brand = catalogue.attributes["brand"].of_product
    if brand[code] != NO_VALUE:
        score += brand[alike] == brand[code]
    price = catalogue.price_of[code]
    if price > 0:
        with np.errstate(divide="ignore", invalid="ignore"):
            score += np.nan_to_num(np.exp(-np.abs(np.log(catalogue.price_of[alike] / price))))
    for position in np.lexsort((catalogue.place[alike], -score)).tolist():
        other = int(alike[position])
        if other != code:
            yield Candidate(other, float(score[position]), CATEGORY, seed=code)


def due(evidence: Evidence, row: int, moment: float) -> Iterator[Candidate]:
    """What a customer buys in a rhythm and is due by `moment` (days since 1970), by how likely it is wanted now.

    Due: the median gap is nearly over since the last order with it, and it is no longer overdue than two gaps more, or
    two weeks. The score is orders a day, less the longer it is overdue.
    """
    own = evidence.own(row)
    gap = np.maximum(evidence.own_gap[own].astype(np.float64), 0.5)
    overdue = moment - evidence.own_last[own] - gap
    score = np.exp(-np.maximum(overdue, 0) / np.maximum(gap, 7)) / gap
    is_due = (overdue >= -0.2 * gap) & (overdue <= np.maximum(2 * gap, 14))  # a gap not known compares false
    codes, orders = evidence.own_products[own], evidence.own_orders[own]
    for at in np.flatnonzero(is_due)[np.argsort(-score[is_due], kind="stable")].tolist():
        yield Candidate(int(codes[at]), float(score[at]), DUE, int(orders[at]))


def owned(evidence: Evidence, row: int) -> Iterator[Candidate]:
    """Everything a customer ever bought, most often and latest first."""
    own = evidence.own(row)
    codes, orders = evidence.own_products[own], evidence.own_orders[own]
    for at in np.lexsort((-evidence.own_last[own], -orders.astype(np.int64))).tolist():
        yield Candidate(int(codes[at]), None, OWN_HISTORY, int(orders[at]))


def trending(codes: Sequence[int], growth: Sequence[float]) -> Iterator[Candidate]:
    """What sells more than it did, surest first."""
    for code, score in zip(codes, growth, strict=True):
        yield Candidate(code, score, TRENDING)


def listed(codes: Sequence[int], source: str, *, scores: Sequence[float] | None = None) -> Iterator[Candidate]:
    """A list made beforehand, best first."""
    for at, code in enumerate(codes):
        if code != NO_PRODUCT:
            yield Candidate(code, None if scores is None else scores[at], source)


def popular(catalogue: Catalogue) -> Iterator[Candidate]:
    """What all customers buy, best first."""
    return listed(catalogue.popular, POPULAR)


def remaining(catalogue: Catalogue, eligible: Eligible) -> Iterator[Candidate]:
    """Every eligible product beyond the popular ones, so that a narrow filter still finds what there is."""
    codes = catalogue.by_popularity[catalogue.popular_count :]
    return listed(codes[eligible.mask[codes]].tolist(), CATALOGUE)
