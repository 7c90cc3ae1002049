"""One customer on one page, and the search for one by id."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta, Struct
from numpy.typing import NDArray
from starlette.responses import RedirectResponse, Response

from features.home import Home
from features.schema import CONTACTS
from serving.answering import catch_up, count
from serving.at_risk import customer_page
from serving.catalogue import FILTERED
from serving.console.forms import asked_of
from serving.console.handlers_actions import OfCustomer, address_of, forms_of
from serving.console.handlers_shop import insight_of
from serving.console.history import lake_file, monthly_spend
from serving.console.past_scores import past_scores
from serving.console.picture import members, name_of
from serving.console.timeline import MOST_ORDERS, Happening, Past, campaigns_of, past_of, written_of
from serving.console.visit import Visit
from serving.state import EPOCH, State
from training.insight.files import Insight
from training.insight.words import word

#: Customers that a search shows at most, and a page of a group.
MOST_FOUND, OF_A_PAGE = 20, 50
#: What the picture and the cube call lately.
LATELY_DAYS = 364
_Value = Annotated[str, Meta(max_length=200)]


class _Groups(Struct, frozen=True):
    segment: _Value | None = None
    grade: _Value | None = None
    stage: _Value | None = None
    decile: _Value | None = None
    behaviour: _Value | None = None
    tag: _Value | None = None
    usual_store: _Value | None = None
    category: _Value | None = None
    department: _Value | None = None
    brand: _Value | None = None
    page: Annotated[int, Meta(ge=1, le=2**40)] = 1


class _Asked(Struct, frozen=True):
    id: Annotated[str, Meta(max_length=200)] | None = None
    find: Annotated[str, Meta(max_length=200)] | None = None
    done: Annotated[str, Meta(max_length=200)] | None = None


async def one(visit: Visit) -> Response:
    """GET /console/customer: the customer named, or those whose id holds what is searched for."""
    asked = asked_of(visit.request, _Asked)
    if asked.id is not None:
        return await _customer(visit, asked.id, done=asked.done)
    groups = asked_of(visit.request, _Groups)
    if asked.find is None and groups != _Groups(page=groups.page):
        return await _group(visit, groups)
    found = [] if asked.find is None else await asyncio.to_thread(search, visit.state, asked.find)
    if len(found) == 1:
        return RedirectResponse(address_of(found[0]), status_code=303)
    rows = [(customer, visit.state.customer(customer)) for customer in found]
    return visit.page("search.html", find=asked.find, rows=rows, most=MOST_FOUND)


def search(state: State, text: str) -> list[str]:
    """Ids that are the text, else those that hold it, shortest first."""
    if text in state.rows:
        return [text]
    if state.customers is None:
        return []
    ids = state.customers["customer_id"]
    found = ids.filter(pc.match_substring(ids, text, ignore_case=True))
    if not len(found):  # Arrow can choose the first of some rows, and fails of none
        return []
    nearest = pc.select_k_unstable(
        pa.table({"id": found, "length": pc.utf8_length(found)}),
        k=MOST_FOUND,
        sort_keys=[("length", "ascending"), ("id", "ascending")],
    )
    hits: list[str] = found.take(nearest).to_pylist()
    return hits


async def _group(visit: Visit, asked: _Groups) -> Response:
    """Customers of groups of the shop's picture, those that spent most lately first."""
    insight = await insight_of(visit)
    if insight is None:
        return visit.page("group.html", insight=None, wanted=[], rows=[], total=0, page=1, last_page=1, query="")
    given = {name: getattr(asked, name) for name in asked.__struct_fields__ if name != "page" and getattr(asked, name)}
    bought = {name: given.pop(name) for name in FILTERED if name in given}
    within = await asyncio.to_thread(_members, visit.state, insight, given, bought)
    places = np.flatnonzero(within)
    spend = insight.customers["spend_lately"].to_numpy(zero_copy_only=False).astype(float)[places]
    places = places[np.argsort(-np.nan_to_num(spend), kind="stable")]
    last_page = max(1, -(-len(places) // OF_A_PAGE))
    page = min(asked.page, last_page)
    rows = insight.customers.take(pa.array(places[(page - 1) * OF_A_PAGE :][:OF_A_PAGE])).to_pylist()
    every = given | bought
    return visit.page(
        "group.html",
        insight=insight,
        wanted=[
            (word(group, visit.lang), name_of(insight, group, value, visit.lang)) for group, value in every.items()
        ],
        rows=[(row, visit.state.customer(row["customer_id"])) for row in rows],
        name=lambda value, group="": name_of(insight, group, value, visit.lang),
        total=len(places),
        page=page,
        last_page=last_page,
        query=urlencode(every),
    )


def _members(state: State, insight: Insight, groups: Mapping[str, str], bought: Mapping[str, str]) -> NDArray[np.bool_]:
    """(customers of the picture,) who is in all the groups and bought lately of all the kinds of products."""
    found = members(insight, groups)
    for name, value in bought.items():
        ids = pa.array(buyers(state, name, value), pa.string())
        found &= np.asarray(pc.is_in(insight.customers["customer_id"], value_set=ids).to_numpy(), dtype=bool)
    return found


def buyers(state: State, name: str, value: str) -> list[str]:
    """Who bought a product of that category, department or brand in the 364 days before the scores."""
    ranking, catalogue = state.ranking, state.catalogue
    evidence = None if ranking is None else ranking.evidence
    if ranking is None or evidence is None or catalogue is None or state.scored_at is None:
        return []
    column = catalogue.attributes[name]
    if value not in column.codes:
        return []
    since = (state.scored_at - EPOCH) / timedelta(days=1) - LATELY_DAYS
    of_kind = column.of_product[evidence.own_products] == column.codes[value]
    at = np.flatnonzero(of_kind & (evidence.own_last >= since))
    rows = np.unique(np.searchsorted(evidence.own_start, at, side="right") - 1)
    ids: list[str] = ranking.customers["customer_id"].take(pa.array(rows)).to_pylist()
    return ids


async def _customer(visit: Visit, customer: str, *, done: str | None) -> Response:
    runtime = visit.runtime
    await catch_up(runtime)
    state, circumstances = runtime.answer_from(customer_id=customer)
    page = customer_page(state, customer, circumstances, visit.contacts, lang=visit.lang)
    count(visit.request, [page.next_purchases])
    home = runtime.holder.home
    insight = await insight_of(visit)
    place = None if insight is None else insight.row_of(customer)
    past, written, scores = await asyncio.gather(
        asyncio.to_thread(_past, state, home, customer, visit),
        asyncio.to_thread(written_of, runtime.database, customer),
        asyncio.to_thread(past_scores, home, customer),
    )
    like = [] if insight is None or place is None else await asyncio.to_thread(insight.alike, place, k=6)
    happenings = sorted([*past.happenings, *written], key=lambda happened: happened.at, reverse=True)
    asked = OfCustomer(id=customer)
    return visit.page(
        "customer.html",
        status=200 if page.known or written else 404,
        page=page,
        past=past,
        happenings=happenings,
        past_scores=scores,
        alike=[(other, state.customer(other)) for other in like],
        portrait=None if insight is None or place is None else insight.customers.slice(place, 1).to_pylist()[0],
        name=lambda value, group="": str(value) if insight is None else name_of(insight, group, value, visit.lang),
        curve=_curve(state, customer),
        asked=asked,
        done=done,
        most_orders=MOST_ORDERS,
        **forms_of(visit, asked),
    )


def _past(state: State, home: Home, customer: str, visit: Visit) -> Past:
    file = lake_file(state, home)
    if file is None:
        return Past()
    past = past_of(file, customer, state.catalogue)
    until = (state.scored_at or visit.now) - timedelta(microseconds=1)
    months = monthly_spend(file, [customer], until=until)[customer]
    contacts = lake_file(state, home, CONTACTS.name)
    campaigns: list[Happening] = [] if contacts is None else campaigns_of(contacts, customer)
    return replace(past, happenings=[*past.happenings, *campaigns], months=months)


def _curve(state: State, customer: str) -> dict[str, object] | None:
    """The chance of an order by days ahead; None where the scores have none."""
    row = state.customer(customer)
    chances = None if row is None else row.get("order_within")
    days = state.about.get("curve_days")
    if not chances or not days:
        return None
    return {"x": [0, *days], "y": [0, *(round(chance, 4) for chance in chances)]}
