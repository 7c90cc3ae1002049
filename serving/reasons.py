"""Why each product is suggested: words and numbers computed from what put it on the list."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from serving import candidates as c
from serving.candidates import NOTHING, Candidate
from serving.catalogue import NO_VALUE, Catalogue
from serving.insights import ago, every
from serving.live import Bought
from serving.schemas import Grounds
from training.evidence import Evidence
from training.ranked_lists import RankedLists

POPULAR_REASON = "Popular with all customers now"
#: They name no segment and no attribute: whose page it is on may not be who should know it.
SEGMENT_REASON = "Popular with customers like this one"
PROFILE_REASON = "Popular with customers of a profile like this one"
CATALOGUE_REASON = "From the catalogue; it fills the list"
PINNED_REASON = "Placed here by the shop"
_PLAIN = {
    c.ALS: "Bought by customers who buy what you buy",
    c.ITEM_ITEM: "Bought by the buyers of what you buy",
    c.NEXT_ORDER: "Often bought in the order that follows ones like yours",
    c.SIMILAR_CUSTOMERS: "Bought by customers whose orders are like yours",
    c.SEGMENT: SEGMENT_REASON,
    c.PROFILE: PROFILE_REASON,
    c.CATALOGUE: CATALOGUE_REASON,
    c.PINNED: PINNED_REASON,
    c.POPULAR: POPULAR_REASON,
    c.OWN_HISTORY: "Bought before",
}
Reason = tuple[str, Grounds | UnsetType]
_EPOCH = datetime(1970, 1, 1)
_EPOCH_DAY = _EPOCH.date()
_MOST_TOLD = 1000
#: A smaller share of orders says less than how much more than chance it is.
_LEAST_SHARE = 0.05
_MOST_REMEMBERED = 50_000
_BOUGHT = ("", "Bought once before", *(f"Bought in {orders} of your orders" for orders in range(2, _MOST_TOLD)))


class Known(NamedTuple):
    """What reasons are computed from. `row`: of the customer, None without orders; `moment`: days since 1970."""

    ranking: RankedLists
    catalogue: Catalogue
    since: NDArray[np.float64]
    row: int | None
    moment: float
    bought: Mapping[int, Bought]
    told: dict[tuple[int, int, str], tuple[str, Grounds | UnsetType]]
    taste: Mapping[str, NDArray[np.float64]] | None = None


def reasons(chosen: Sequence[Candidate], known: Known) -> list[Reason]:
    """One reason for each candidate, in their order."""
    own = _own_places(chosen, known)
    return [_reason(found, place, known) for found, place in zip(chosen, own, strict=True)]


def _own_places(chosen: Sequence[Candidate], known: Known) -> Sequence[int]:
    """Of each candidate that the customer bought before, its place in the evidence; NOTHING for the others."""
    evidence, row = known.ranking.evidence, known.row
    nowhere = [NOTHING] * len(chosen)
    if evidence is None or row is None:
        return nowhere
    mine: list[int] = []
    first = 0
    for position, found in enumerate(chosen):
        if found.orders:
            if not mine:  # read once, and as a list, which costs less to search for a few than an array
                own = evidence.own(row)
                first, mine = own.start, evidence.own_products[own].tolist()
            at = bisect_left(mine, found.code)
            if at < len(mine) and mine[at] == found.code:
                nowhere[position] = first + at
    return nowhere


def _reason(found: Candidate, own: int, known: Known) -> Reason:
    if found.orders:
        if own != NOTHING and known.ranking.evidence is not None:
            return _rhythm(found, own, known.ranking.evidence, known)
        orders = found.orders
        return (_BOUGHT[orders] if orders < _MOST_TOLD else f"Bought in {orders} of your orders"), Grounds(
            orders=orders
        )
    source = found.source
    if found.seed != NOTHING:
        if source == c.ITEM_ITEM:
            return f"People who buy {known.catalogue.label(found.seed)} buy this", _about(found.seed, known)
        if source == c.NEXT_ORDER:
            return f"Often bought after {known.catalogue.label(found.seed)}", _about(found.seed, known)
        if source == c.CATEGORY:
            return _kind(found, known)
        # The same pairs are told again and again, and always the same.
        key = (found.seed, found.place, source)
        told = known.told.get(key)
        if told is None:
            if len(known.told) >= _MOST_REMEMBERED:
                known.told.clear()
            told = known.told[key] = _neighbour(found, known)
        return told
    if source == c.TRENDING and known.ranking.evidence is not None:
        return _trend(found, known.ranking.evidence)
    if source == c.NEW:
        return _arrival(found, known)
    return _PLAIN[source], UNSET


def _rhythm(found: Candidate, own: int, evidence: Evidence, known: Known) -> Reason:
    live = known.bought.get(found.code)
    last, gap = float(evidence.own_last[own]), float(evidence.own_gap[own])
    orders = int(evidence.own_orders[own])
    if live is not None:
        orders += live.times
        last = max(last, (live.last - _EPOCH).total_seconds() / c.SECONDS_PER_DAY)
    days_ago = max(0, int(known.moment - last))
    if orders == 1:
        return f"Bought once before, {ago(days_ago)}", Grounds(orders=1, days_ago=days_ago)
    if gap != gap:  # the second order came since the evidence was gathered
        return f"Bought in {orders} of your orders, last {ago(days_ago)}", Grounds(orders=orders, days_ago=days_ago)
    due_on = _date(int(last + gap))
    text = f"You buy this about {every(gap)}; last {ago(days_ago)}"
    return text, Grounds(orders=orders, every_days=round(gap, 1), days_ago=days_ago, due_on=due_on)


def _about(code: int, known: Known) -> Grounds:
    return Grounds(product_id=known.catalogue.ids[code])


@lru_cache(maxsize=4096)
def _date(days: int) -> str:
    return (_EPOCH_DAY + timedelta(days=days)).isoformat()


def _neighbour(found: Candidate, known: Known) -> Reason:
    label, ranking = known.catalogue.label(found.seed), known.ranking
    seed, place = found.seed, found.place
    product, evidence = known.catalogue.ids[seed], ranking.evidence
    if evidence is None:
        return f"Often in the same order as {label}", Grounds(product_id=product)
    confidence, support = (
        float(evidence.neighbour_confidence[seed, place]),
        int(evidence.neighbour_support[seed, place]),
    )
    # As it was, and not drawn towards 1 as the one that ranks.
    lift = confidence * evidence.orders / max(int(evidence.sold_orders[found.code]), 1)
    where = " in your cart" if found.source == c.CART else ""
    if confidence >= _LEAST_SHARE:
        text = f"Bought with {label}{where} in {confidence * 100:.0f}% of the orders with it"
    else:
        text = f"Bought with {label}{where} in {support} orders, {lift:.1f} times as often as by chance"
    return text, Grounds(product_id=product, support=support, confidence=round(confidence, 4), lift=round(lift, 2))


def _kind(found: Candidate, known: Known) -> Reason:
    catalogue = known.catalogue
    parts = []
    for name in ("category", "department"):
        column = catalogue.attributes[name].of_product
        if column[found.code] == column[found.seed] != NO_VALUE:
            parts.append(str(catalogue.value(name, found.code)))
            break
    brand = catalogue.attributes["brand"].of_product
    same_brand = brand[found.code] == brand[found.seed] != NO_VALUE
    text = f"Also in {parts[0]}" + (f", also by {catalogue.value('brand', found.code)}" if same_brand else "")
    return text, Grounds(product_id=catalogue.ids[found.seed])


def _trend(found: Candidate, evidence: Evidence) -> Reason:
    lately, before = int(evidence.sold_lately[found.code]), int(evidence.sold_before[found.code])
    days = round(evidence.window_days)
    text = f"In {lately} orders of the last {days} days, in {before} of the {days} before"
    return text, Grounds(lately=lately, before=before, window_days=days)


def _arrival(found: Candidate, known: Known) -> Reason:
    since = datetime.fromtimestamp(float(known.since[found.code]), UTC).date().isoformat()
    text, of_kind = f"New since {since}", None
    for name in ("category", "brand"):
        value = int(known.catalogue.attributes[name].of_product[found.code])
        count = 0 if known.taste is None or value == NO_VALUE else int(known.taste[name][value])
        if count:
            what = known.catalogue.attributes[name].values[value]
            text += f"; you bought {what} {'once' if count == 1 else f'{count} times'}"
            of_kind = count
            break
    return text, Grounds(listed_on=since, of_kind=of_kind)
