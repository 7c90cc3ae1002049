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
from starlette.responses import RedirectResponse, Response

from features.home import Home
from features.schema import CONTACTS
from serving.answering import catch_up, count
from serving.at_risk import customer_page
from serving.console.cube_members import AND, WITHOUT, known_of, who
from serving.console.forms import asked_of
from serving.console.handlers_actions import OfCustomer, address_of, forms_of
from serving.console.handlers_shop import insight_of
from serving.console.history import lake_file, monthly_spend
from serving.console.past_scores import past_scores
from serving.console.picture import GROUPS, name_of
from serving.console.timeline import MOST_ORDERS, Happening, Past, campaigns_of, past_of, written_of
from serving.console.visit import Visit
from serving.console.words import words
from serving.state import State
from training.insight.words import word

#: Customers that a search shows at most, and a page of a group.
MOST_FOUND, OF_A_PAGE = 20, 50
#: What of an address is no group of customers.
_OTHERS = ("id", "find", "done", "page", "lately")


class _Page(Struct, frozen=True):
    page: Annotated[int, Meta(ge=1, le=2**40)] = 1
    lately: bool = False  # only who ordered within the window of the picture, as the cube counts


class _Asked(Struct, frozen=True):
    id: Annotated[str, Meta(max_length=200)] | None = None
    find: Annotated[str, Meta(max_length=200)] | None = None
    done: Annotated[str, Meta(max_length=200)] | None = None


async def one(visit: Visit) -> Response:
    """GET /console/customer: the customer named, or those whose id holds what is searched for."""
    asked = asked_of(visit.request, _Asked)
    if asked.id is not None:
        return await _customer(visit, visit.runtime.known_as(asked.id), done=asked.done)
    given = {name: value for name, value in visit.request.query_params.items() if value and name not in _OTHERS}
    if asked.find is None and given:
        return await _group(visit, given, asked_of(visit.request, _Page))
    found = []
    if asked.find is not None:
        known = visit.runtime.known_as(asked.find)
        found = [known] if known in visit.state.rows else await asyncio.to_thread(search, visit.state, asked.find)
    if len(found) == 1:
        return RedirectResponse(address_of(found[0]), status_code=303)
    rows = [(customer, visit.state.customer(customer)) for customer in found]
    return visit.page("search.html", find=asked.find, rows=rows, most=MOST_FOUND)


def search(state: State, text: str) -> list[str]:
    """Ids that hold the text, shortest first."""
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


async def _group(visit: Visit, given: Mapping[str, str], asked: _Page) -> Response:
    """Customers of groups of the shop's picture and of places of its cube, those that spent most lately first."""
    insight = await insight_of(visit)
    if insight is None:
        return visit.page("group.html", insight=None)
    wanted, runtime = known_of(insight, given), visit.runtime
    if not wanted:
        return visit.page("search.html", find=None, rows=[], most=MOST_FOUND)
    within = await asyncio.to_thread(who, insight, runtime.holder.home, runtime.settings, wanted, lately=asked.lately)
    places = np.empty(0, dtype=int) if within is None else np.flatnonzero(within)
    spend = insight.customers["spend_lately"].to_numpy(zero_copy_only=False).astype(float)[places]
    places = places[np.argsort(-np.nan_to_num(spend), kind="stable")]
    last_page = max(1, -(-len(places) // OF_A_PAGE))
    page = min(asked.page, last_page)
    rows = insight.customers.take(pa.array(places[(page - 1) * OF_A_PAGE :][:OF_A_PAGE])).to_pylist()
    return visit.page(
        "group.html",
        insight=insight,
        is_away=within is None,
        wanted=[(_called(group, visit), name_of(insight, group, value, visit.lang)) for group, value in wanted.items()],
        rows=[(row, visit.state.customer(row["customer_id"])) for row in rows],
        name=lambda value, group="": name_of(insight, group, value, visit.lang),
        total=len(places),
        lately=asked.lately or any(name not in (*GROUPS, "tag") for name in wanted),
        page=page,
        last_page=last_page,
        query=urlencode(wanted | ({"lately": "true"} if asked.lately else {})),
    )


def _called(group: str, visit: Visit) -> str:
    told = words(visit.lang)
    for more, text in ((AND, "and {name}"), (WITHOUT, "without {name}")):
        if group.startswith(more):
            return told.say(text, name=word(group.removeprefix(more), visit.lang))
    return word(group, visit.lang)


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
