"""The routes that write: events, whose visit it is, outcomes, stock; and what came of it all. Answered once on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from features.erased import read_erased
from serving import event_types, outcomes, stock
from serving.answering import runtime_of
from serving.event_log import Row, identify_row, rows_of
from serving.event_types import (
    Event,
    EventBatch,
    EventsAnswer,
    EventsQuery,
    IdentifyAnswer,
    IdentifyRequest,
)
from serving.exchange import MOST_BYTES_OF_MANY, NoQuery, as_json, decode, path_id, query, read_body
from serving.feedback import FeedbackQuery, feedback
from serving.keys import now_utc
from serving.outcomes import Outcome, OutcomeBatch, OutcomesAnswer
from serving.problems import BadRequestError
from serving.runtime import Runtime
from serving.stock import StockAnswer, StockBatch, Stocked

T = TypeVar("T")
Sent = TypeVar("Sent", Event, Outcome)
_NAMED = 20  # products unknown
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_event = msgspec.json.Decoder(Event)
_events = msgspec.json.Decoder(EventBatch)
_outcome = msgspec.json.Decoder(Outcome)
_outcomes = msgspec.json.Decoder(OutcomeBatch)
_stocked = msgspec.json.Decoder(Stocked)
_stock = msgspec.json.Decoder(StockBatch)
_identify = msgspec.json.Decoder(IdentifyRequest)


async def events(request: Request) -> Response:
    """POST /v1/events: one event, or {"events": [...]}."""
    body = await read_body(request, most=MOST_BYTES_OF_MANY)
    dry_run = query(request, EventsQuery).dry_run
    if "events" in decode(body, _parts):
        sent = decode(body, _events).events
        _check(sent, event_types.fault, name="events")
    else:
        sent = [decode(body, _event)]
        _check(sent, event_types.fault)
    runtime = runtime_of(request)
    rows = rows_of(_as_held(runtime, sent))
    if dry_run:
        kept = await asyncio.to_thread(runtime.events.count, rows)
        return as_json(EventsAnswer(kept.accepted, kept.duplicates, dry_run=True))
    kept = await runtime.commit.append(rows)
    runtime.feed.nudge()
    _count(runtime, [rows[position] for position in kept.fresh], duplicates=kept.duplicates)
    return as_json(EventsAnswer(kept.accepted, kept.duplicates))


def _count(runtime: Runtime, fresh: Sequence[Row], *, duplicates: int) -> None:
    metrics = runtime.metrics
    metrics.duplicates.inc(duplicates)
    for row in fresh:
        metrics.events.labels(kind=row["kind"]).inc()
        if row["strategy"] is not None and row["kind"] in ("impression", "click", "purchase"):
            metrics.feedback.labels(
                kind=row["kind"],
                placement=metrics.placement(row["placement"]),
                strategy=metrics.strategy(row["strategy"]),
                variant=metrics.variant(row["variant"]),
            ).inc()


async def identify(request: Request) -> Response:
    """POST /v1/sessions/{session_id}/customer: whose a visit is."""
    asked = decode(await read_body(request), _identify)
    query(request, NoQuery)
    session = path_id(request, "session_id")
    for name, value in (("session_id", session), ("customer_id", asked.customer_id)):
        if event_types.is_unfit(value):
            raise BadRequestError(
                "begins or ends with white space, or holds a control character", field=name, status=422
            )
    runtime = runtime_of(request)
    customer = runtime.known_as(asked.customer_id)
    if runtime.pseudonyms is None or not read_erased(runtime.holder.home).holds(asked.customer_id):
        await runtime.commit.append([identify_row(session, customer, at=now_utc())])
    return as_json(IdentifyAnswer(session, customer))


async def outcome(request: Request) -> Response:
    """POST /v1/outcomes: one outcome, or {"outcomes": [...]}."""
    body = await read_body(request, most=MOST_BYTES_OF_MANY)
    query(request, NoQuery)
    if "outcomes" in decode(body, _parts):
        sent = decode(body, _outcomes).outcomes
        _check(sent, outcomes.fault, name="outcomes")
    else:
        sent = [decode(body, _outcome)]
        _check(sent, outcomes.fault)
    runtime = runtime_of(request)
    kept = _as_held(runtime, sent)
    accepted = await asyncio.to_thread(runtime.outcomes.append, kept, at=now_utc())
    await asyncio.to_thread(runtime.refresh_contacts)
    return as_json(OutcomesAnswer(accepted, len(sent) - accepted))


async def in_stock(request: Request) -> Response:
    """PUT /v1/stock: one product, or {"products": [...]}."""
    body = await read_body(request, most=MOST_BYTES_OF_MANY)
    query(request, NoQuery)
    if "products" in decode(body, _parts):
        sent = decode(body, _stock).products
        _check(sent, lambda one, **_: stock.fault(one), name="products")
    else:
        sent = [decode(body, _stocked)]
        _check(sent, lambda one, **_: stock.fault(one))
    runtime = runtime_of(request)
    told = {one.product_id: one.in_stock for one in sent}
    changed = await asyncio.to_thread(runtime.shelf.log.write, told, at=now_utc())
    runtime.feed.nudge()
    catalogue = runtime.holder.state.catalogue
    unknown = [product for product in told if catalogue is None or product not in catalogue.codes]
    return as_json(StockAnswer(changed, len(told) - changed, unknown[:_NAMED]))


async def what_came_of_it(request: Request) -> Response:
    """GET /v1/feedback."""
    asked = query(request, FeedbackQuery)
    runtime = runtime_of(request)
    catalogue = runtime.holder.state.catalogue
    page = await asyncio.to_thread(
        feedback,
        runtime.database,
        runtime.experiments,
        since=now_utc() - timedelta(days=asked.days),
        products=0 if catalogue is None else len(catalogue.ids),
    )
    return as_json(page)


def _as_held(runtime: Runtime, sent: Sequence[Sent]) -> Sequence[Sent]:
    """What was sent, of customers by the names under which they are held, without whom was erased by their id."""
    if runtime.pseudonyms is None:
        return sent
    erased = read_erased(runtime.holder.home)
    return [
        one if one.customer_id is None else msgspec.structs.replace(one, customer_id=runtime.known_as(one.customer_id))
        for one in sent
        if not erased.holds(one.customer_id)
    ]


def _check(sent: Sequence[T], fault: Callable[..., tuple[str, str] | None], *, name: str | None = None) -> None:
    """Raises BadRequestError for the first that cannot be kept; then none is."""
    moment: datetime = now_utc()
    for number, one in enumerate(sent):
        found = fault(one, now=moment)
        if found is not None:
            field, what = found
            where = field if name is None else f"{name}[{number}].{field}"
            raise BadRequestError(what, field=where, status=422)
