"""Live events as requests: the contract of `interactions`, and what ties an event to the answer it came from."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from features.schema import EARLIEST
from serving.schemas import Name, Propensity

MOST_EVENTS = 1000
#: The lake trims text and takes none that is empty, so what would not come back as it was sent is refused.
_PATTERN = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
EventId = Annotated[str, Meta(min_length=1, max_length=200, pattern=_PATTERN)]
RequestId = Annotated[str, Meta(min_length=1, max_length=400, pattern=_PATTERN)]
EventKind = Literal["view", "cart", "impression", "click", "purchase", "dislike", "return"]
_AHEAD = timedelta(days=1)


class Event(Struct, forbid_unknown_fields=True, frozen=True):
    """One event on the site. Needs a customer or a session."""

    event_id: Annotated[EventId, Meta(description="The event; a repeated id is the same event.")]
    product_id: Annotated[EventId, Meta(description="The product.")]
    kind: EventKind
    occurred_at: Annotated[datetime, Meta(tz=True, description="When, with its offset from UTC.")]
    customer_id: Annotated[EventId | None, Meta(description="Who, when known.")] = None
    session_id: Annotated[EventId | None, Meta(description="The visit. With a customer_id, the visit is theirs.")] = (
        None
    )
    placement: Annotated[Name | None, Meta(description="Where on the site; else the one of the request_id.")] = None
    request_id: Annotated[RequestId | None, Meta(description="The answer that showed the product.")] = None
    experiment: Annotated[Name | None, Meta(description="The experiment; else the one of the request_id.")] = None
    variant: Annotated[Name | None, Meta(description="The variant; else the one of the request_id.")] = None
    propensity: Annotated[Propensity | None, Meta(description="The item's propensity, where the answer gave one.")] = (
        None
    )


class EventBatch(Struct, forbid_unknown_fields=True, frozen=True):
    """Events accepted together or refused together."""

    events: Annotated[list[Event], Meta(min_length=1, max_length=MOST_EVENTS)]


class EventsAnswer(Struct, frozen=True):
    """What became of the events sent. All are on disk."""

    accepted: Annotated[int, Meta(description="New.")]
    duplicates: Annotated[int, Meta(description="Known by their event_id already, or repeated in the call.")]
    dry_run: Annotated[bool, Meta(description="True: only checked; nothing was kept.")] = False


class EventsQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """How to take events."""

    dry_run: Annotated[bool, Meta(description="Check only; keep nothing.")] = False


class IdentifyRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Whose a visit is, once they sign in."""

    customer_id: EventId


class IdentifyAnswer(Struct, frozen=True):
    """The visit's events count for the customer from now on."""

    session_id: str
    customer_id: str


def fault(event: Event, *, now: datetime) -> tuple[str, str] | None:
    """(field, what is wrong) with an event that has the right types; None when it can be kept."""
    if event.customer_id is None and event.session_id is None:
        return "customer_id", "missing, and so is session_id; an event needs one of them"
    # In a pattern, $ also stands before a last line feed.
    for name in ("event_id", "product_id", "customer_id", "session_id", "request_id"):
        value = getattr(event, name)
        if value is not None and value.endswith("\n"):
            return name, "ends with a line feed"
    return moment_fault(event.occurred_at, now=now)


def is_unfit(value: str) -> bool:
    """Whether an id would not come back from the lake as it was sent."""
    return re.fullmatch(_PATTERN.removeprefix("^").removesuffix("$"), value) is None


def moment_fault(moment: datetime, *, now: datetime) -> tuple[str, str] | None:
    """What is wrong with an `occurred_at`; None when the lake would take it. `now` is naive UTC."""
    utc = as_utc(moment)
    if utc is None or utc < EARLIEST or utc > now + _AHEAD:
        limits = f"must lie between {EARLIEST:%Y-%m-%d} and a day from now"
        return "occurred_at", f"{limits}, found {moment.isoformat()}"
    return None


def as_utc(moment: datetime) -> datetime | None:
    """The moment in UTC without a zone; None where the calendar ends."""
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None


def as_row(event: Event) -> dict[str, Any]:
    """The columns of the contract, the time in UTC."""
    return {
        "event_id": event.event_id,
        "product_id": event.product_id,
        "kind": event.kind,
        "occurred_at": as_utc(event.occurred_at),
        "customer_id": event.customer_id,
        "session_id": event.session_id,
        "placement": event.placement,
        "request_id": event.request_id,
        "experiment": event.experiment,
        "variant": event.variant,
        "propensity": event.propensity,
    }
