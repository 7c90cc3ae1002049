"""What an agent does with one customer: record what came of a contact, assign, snooze."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import numpy as np
from msgspec import Meta, Struct
from starlette.responses import Response

from serving.console.forms import asked_of
from serving.console.handlers_list import lines_of
from serving.console.visit import Visit
from serving.console.words import words
from serving.desk import DeskLog
from serving.event_types import EventId
from serving.outcomes import Outcome, OutcomeKind, fault
from serving.problems import BadRequestError
from serving.schemas import Name

OUTCOMES = ("reached", "saved", "lost", "opted_out")
CHANNELS = ("phone", "e-mail", "letter", "message", "visit")
SNOOZES = (1, 3, 7, 14, 30)
#: What the answer is put into: the customer's row of the list, or the customer's page.
Part = Literal["row", "page"]


class OfCustomer(Struct, frozen=True):
    """Which customer."""

    id: EventId
    part: Part = "page"


class RecordForm(OfCustomer, frozen=True, kw_only=True):
    """What came of a contact. The form brings the outcome's id, so that sending it twice keeps it once."""

    outcome_id: EventId
    outcome: OutcomeKind
    campaign_id: Name | None = None
    channel: Name | None = None
    note: Annotated[str, Meta(max_length=2000)] | None = None


class AssignForm(OfCustomer, frozen=True, kw_only=True):
    """Who works on the customer; nobody where it is left empty."""

    to: Annotated[str, Meta(max_length=100)] | None = None


class SnoozeForm(OfCustomer, frozen=True, kw_only=True):
    """For how many days the customer is left alone; 0: no longer."""

    days: Annotated[int, Meta(ge=0, le=365)]


async def panel(visit: Visit) -> Response:
    """GET /console/customer/panel: the forms, as a part of a page."""
    asked = asked_of(visit.request, OfCustomer)
    return visit.page("panel.html", asked=asked, **forms_of(visit, asked))


def forms_of(visit: Visit, asked: OfCustomer) -> dict[str, Any]:
    """What the forms need."""
    return {
        "outcome_id": f"console-{uuid.uuid4().hex}",
        "outcomes": OUTCOMES,
        "channels": CHANNELS,
        "snoozes": SNOOZES,
        "note": visit.contacts.note(asked.id),
        "now": visit.now,
    }


async def record(visit: Visit) -> Response:
    """POST /console/outcomes: what came of a contact, on disk when this answers."""
    sent = await visit.form(RecordForm)
    one = Outcome(
        outcome_id=sent.outcome_id,
        customer_id=sent.id,
        outcome=sent.outcome,
        occurred_at=visit.now.replace(tzinfo=UTC),
        campaign_id=sent.campaign_id,
        channel=sent.channel,
        who=visit.who,
        note=sent.note,
    )
    found = fault(one, now=visit.now)
    if found is not None:
        raise BadRequestError(found[1], field=found[0], status=422)
    await asyncio.to_thread(visit.runtime.outcomes.append, [one], at=visit.now)
    told = words(visit.lang)
    return await _done(visit, sent, told.say("Recorded: {what}", what=told.say(sent.outcome)))


async def assign(visit: Visit) -> Response:
    """POST /console/assign."""
    sent = await visit.form(AssignForm)
    desk = DeskLog(visit.runtime.database, visit.runtime.outcomes.doorbell)
    await asyncio.to_thread(desk.assign, [sent.id], sent.to, who=visit.who, at=visit.now)
    told = words(visit.lang)
    what = told.say("Assigned to {who}", who=sent.to) if sent.to else told.say("Assigned to nobody")
    return await _done(visit, sent, what)


async def snooze(visit: Visit) -> Response:
    """POST /console/snooze."""
    sent = await visit.form(SnoozeForm)
    until = visit.now + timedelta(days=sent.days) if sent.days else None
    desk = DeskLog(visit.runtime.database, visit.runtime.outcomes.doorbell)
    await asyncio.to_thread(desk.snooze, [sent.id], until, who=visit.who, at=visit.now)
    told = words(visit.lang)
    what = told.many("Snoozed for 1 day", "Snoozed for {n} days", sent.days) if until else told.say("No longer snoozed")
    return await _done(visit, sent, what)


async def _done(visit: Visit, sent: OfCustomer, what: str) -> Response:
    """The customer's row as it is now, with a note of what was done; or the customer's page."""
    await visit.refresh_contacts()
    row = visit.state.rows.get(sent.id)
    if not visit.is_part or sent.part == "page" or row is None:
        return visit.go(address_of(sent.id, done=what))
    (line,) = await lines_of(visit, np.array([row], dtype=np.int32))
    return visit.page("row_part.html", line=line, done=what, headers={"HX-Trigger": "recorded"})


def address_of(customer_id: str, **more: str) -> str:
    """Where a customer's page is."""
    return f"/console/customer?{urlencode({'id': customer_id, **more})}"
