"""One customer on one page, and the search for one by id."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta, Struct
from starlette.responses import RedirectResponse, Response

from features.home import Home
from features.schema import CONTACTS
from serving.answering import catch_up, count
from serving.at_risk import customer_page
from serving.console.alike import alike
from serving.console.forms import asked_of
from serving.console.handlers_actions import OfCustomer, address_of, forms_of
from serving.console.history import lake_file, monthly_spend
from serving.console.past_scores import past_scores
from serving.console.timeline import MOST_ORDERS, Happening, Past, campaigns_of, past_of, written_of
from serving.console.visit import Visit
from serving.state import State

#: Customers that a search shows at most.
MOST_FOUND = 20


class _Asked(Struct, frozen=True):
    id: Annotated[str, Meta(max_length=200)] | None = None
    find: Annotated[str, Meta(max_length=200)] | None = None
    done: Annotated[str, Meta(max_length=200)] | None = None


async def one(visit: Visit) -> Response:
    """GET /console/customer: the customer named, or those whose id holds what is searched for."""
    asked = asked_of(visit.request, _Asked)
    if asked.id is not None:
        return await _customer(visit, asked.id, done=asked.done)
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
    nearest = pc.select_k_unstable(
        pa.table({"id": found, "length": pc.utf8_length(found)}),
        k=MOST_FOUND,
        sort_keys=[("length", "ascending"), ("id", "ascending")],
    )
    hits: list[str] = found.take(nearest).to_pylist()
    return hits


async def _customer(visit: Visit, customer: str, *, done: str | None) -> Response:
    runtime = visit.runtime
    await catch_up(runtime)
    state, circumstances = runtime.answer_from(customer_id=customer)
    page = customer_page(state, customer, circumstances, visit.contacts, lang=visit.lang)
    count(visit.request, [page.next_purchases])
    home = runtime.holder.home
    past, written, scores, like = await asyncio.gather(
        asyncio.to_thread(_past, state, home, customer, visit),
        asyncio.to_thread(written_of, runtime.database, customer),
        asyncio.to_thread(past_scores, home, customer),
        asyncio.to_thread(alike, state, customer),
    )
    happenings = sorted([*past.happenings, *written], key=lambda happened: happened.at, reverse=True)
    asked = OfCustomer(id=customer)
    return visit.page(
        "customer.html",
        status=200 if page.known or written else 404,
        page=page,
        past=past,
        happenings=happenings,
        past_scores=scores,
        alike=[(other, cosine, state.customer(other)) for other, cosine in like],
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
