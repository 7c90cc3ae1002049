"""What came of contacting customers: kept once each, and heeded by the list of customers at risk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import sqlalchemy as sa
from msgspec import Meta, Struct

from features.erased import read_erased
from features.settings import Settings
from serving.database import Database, contact_plan_members, open_database, outcomes
from serving.desk import NOTHING_NOTED, DeskNote, notes_since
from serving.doorbell import Doorbell
from serving.event_types import EventId, as_utc, moment_fault
from serving.schemas import Name

DOORBELL = "outcomes.doorbell"
MOST_OUTCOMES = 1000
OPTED_OUT, CONTACTED_LATELY, HELD_OUT, SNOOZED = "opted_out", "contacted_lately", "held_out", "snoozed"
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
class Planned:
    """The last place of one customer in a recorded contact plan. Times in UTC; `until`: when its effect is known."""

    campaign_id: str
    treated: bool
    at: datetime
    until: datetime


@dataclass(frozen=True)
class Contacts:
    """The last contact of each customer who had any, the last plan that names them, and what agents noted of them.

    `version` differs whenever outcomes do, `plans_version` whenever plans do, `desk_version` whenever notes do.
    """

    by_customer: Mapping[str, Contact] = field(default_factory=dict)
    version: int = 0
    heard: bytes | None = None
    planned: Mapping[str, Planned] = field(default_factory=dict)
    plans_version: int = 0
    desk: Mapping[str, DeskNote] = field(default_factory=dict)
    desk_version: int = 0

    def note(self, customer_id: str) -> DeskNote:
        """What agents noted of a customer."""
        return self.desk.get(customer_id, NOTHING_NOTED)

    def left_out(
        self, *, now: datetime | None, rest_days: float = 0, opted_out_only: bool = False
    ) -> Iterator[tuple[str, str]]:
        """Each customer who must not be on a list at `now` (UTC), and why: opted_out, contacted_lately, held_out or
        snoozed.

        Whoever stands on a recorded list counts as contacted when it was made; whoever it holds out is left alone until
        its effect is known. Without `now`, only who opted out.
        """
        opted_out_only = opted_out_only or now is None
        now = now or datetime.max
        rested = now - timedelta(days=rest_days)
        for customer, contact in self.by_customer.items():
            if contact.opted_out:
                yield customer, OPTED_OUT
            elif contact.at >= rested and not opted_out_only:
                yield customer, CONTACTED_LATELY
        if opted_out_only:
            return
        for customer, plan in self.planned.items():
            if plan.treated and plan.at >= rested:
                yield customer, CONTACTED_LATELY
            elif not plan.treated and plan.until > now:
                yield customer, HELD_OUT
        for customer, note in self.desk.items():
            if note.is_snoozed(now):
                yield customer, SNOOZED


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
        """How many were new; when this returns, all are on disk. Raises StoreAwayError when none was written.

        Of a customer who was erased nothing is kept.
        """
        erased = read_erased(self.database.home)
        ids = [one.outcome_id for one in sent]
        with self.database.write() as connection:
            wanted = sa.select(outcomes.c.outcome_id).where(outcomes.c.outcome_id.in_(ids))
            seen = set(connection.scalars(wanted))
            new = []
            for one in sent:
                if one.outcome_id not in seen and not erased.holds(one.customer_id):
                    seen.add(one.outcome_id)
                    row = {name: getattr(one, name) for name in Outcome.__struct_fields__}
                    new.append(row | {"occurred_at": as_utc(one.occurred_at), "received_at": at})
            if new:
                connection.execute(sa.insert(outcomes), new)
        self.doorbell.ring()
        return len(new)

    def contacts(self, known: Contacts) -> Contacts:
        """The last contact and plan of each customer; `known` itself when nothing is new. Raises StoreAwayError."""
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
            planned, last_plan = _planned(connection, known)
            desk, last_note = notes_since(connection, known.desk, known.desk_version)
        return Contacts(found, last, heard, planned, last_plan, desk, last_note)


def known_contacts(settings: Settings) -> Contacts:
    """What this shop's database says now; nothing where there is none yet. Raises StoreAwayError."""
    database = open_database(settings)
    if database.is_sqlite and not Path(database.url.database or "").is_file():
        return Contacts()
    try:
        return OutcomeLog(database).contacts(Contacts())
    finally:
        database.close()


def _planned(connection: sa.Connection, known: Contacts) -> tuple[Mapping[str, Planned], int]:
    """The last plan of each customer, and the number of the newest row read."""
    row = contact_plan_members.c
    columns = (row.seq, row.customer_id, row.campaign_id, row.treated, row.planned_at, row.until)
    wanted = sa.select(*columns).where(row.seq > known.plans_version).order_by(row.seq)
    found, last = dict(known.planned), known.plans_version
    for seq, customer, campaign, treated, at, until in connection.execute(wanted):
        found[customer] = Planned(campaign, treated, at, until)
        last = seq
    return found, last
