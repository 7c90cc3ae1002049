"""What came of contacting customers: kept once each, and heeded by the list of customers at risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import sqlalchemy as sa
from msgspec import Meta, Struct

from serving.database import Database, outcomes
from serving.doorbell import Doorbell
from serving.event_types import EventId, as_utc, moment_fault
from serving.schemas import Name

DOORBELL = "outcomes.doorbell"
MOST_OUTCOMES = 1000
OPTED_OUT = "opted_out"
OutcomeKind = Literal["reached", "saved", "lost", "opted_out"]


class Outcome(Struct, forbid_unknown_fields=True, frozen=True):
    """What came of one contact with one customer."""

    outcome_id: Annotated[EventId, Meta(description="The contact; a repeated id is the same one.")]
    customer_id: Annotated[EventId, Meta(description="Who was contacted.")]
    outcome: Annotated[
        OutcomeKind, Meta(description="reached; saved: stays; lost: left; opted_out: wants no contact, ever.")
    ]
    occurred_at: Annotated[datetime, Meta(tz=True, description="When, with its offset from UTC.")]
    campaign_id: Name | None = None
    channel: Name | None = None
    who: Annotated[Annotated[str, Meta(max_length=200)] | None, Meta(description="Who made the contact.")] = None
    note: Annotated[Annotated[str, Meta(max_length=2000)] | None, Meta(description="In the agent's words.")] = None


class OutcomeBatch(Struct, forbid_unknown_fields=True, frozen=True):
    """Outcomes accepted together or refused together."""

    outcomes: Annotated[list[Outcome], Meta(min_length=1, max_length=MOST_OUTCOMES)]


class OutcomesAnswer(Struct, frozen=True):
    """What became of the outcomes sent. All are on disk."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class Contact:
    """The last outcome of one customer; whether they ever opted out. Time in UTC."""

    outcome: str
    at: datetime
    opted_out: bool


@dataclass(frozen=True)
class Contacts:
    """The last contact of each customer who had any. `version` differs whenever they do."""

    by_customer: Mapping[str, Contact] = field(default_factory=dict)
    version: int = 0
    heard: bytes | None = None


def fault(outcome: Outcome, *, now: datetime) -> tuple[str, str] | None:
    """(field, what is wrong) with an outcome that has the right types; None when it can be kept."""
    for name in ("outcome_id", "customer_id"):
        if getattr(outcome, name).endswith("\n"):
            return name, "ends with a line feed"
    if any("\0" in text for text in (outcome.who or "", outcome.note or "")):
        return "note", "holds a zero character"
    return moment_fault(outcome.occurred_at, now=now)


class OutcomeLog:
    """Appends and reads outcomes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.doorbell = Doorbell(database.folder / DOORBELL)

    def append(self, sent: Sequence[Outcome], *, at: datetime) -> int:
        """How many were new; when this returns, all are on disk. Raises StoreAwayError when none was written."""
        ids = [one.outcome_id for one in sent]
        with self.database.write() as connection:
            wanted = sa.select(outcomes.c.outcome_id).where(outcomes.c.outcome_id.in_(ids))
            seen = set(connection.scalars(wanted))
            new = []
            for one in sent:
                if one.outcome_id not in seen:
                    seen.add(one.outcome_id)
                    row = {name: getattr(one, name) for name in Outcome.__struct_fields__}
                    new.append(row | {"occurred_at": as_utc(one.occurred_at), "received_at": at})
            if new:
                connection.execute(sa.insert(outcomes), new)
        self.doorbell.ring()
        return len(new)

    def contacts(self, known: Contacts) -> Contacts:
        """The last contact of each customer; `known` itself when nothing is new. Raises StoreAwayError."""
        heard = self.doorbell.read()
        if heard == known.heard:
            return known
        found: dict[str, Contact] = dict(known.by_customer)
        columns = (outcomes.c.seq, outcomes.c.customer_id, outcomes.c.outcome, outcomes.c.occurred_at)
        wanted = sa.select(*columns).where(outcomes.c.seq > known.version).order_by(outcomes.c.seq)
        last = known.version
        with self.database.read() as connection:
            for seq, customer, outcome, moment in connection.execute(wanted):
                before = found.get(customer)
                opted_out = outcome == OPTED_OUT or (before is not None and before.opted_out)
                newest = before is None or moment >= before.at
                found[customer] = (
                    Contact(outcome, moment, opted_out)
                    if newest or before is None
                    else Contact(before.outcome, before.at, opted_out)
                )
                last = seq
        return Contacts(found, last, heard)
