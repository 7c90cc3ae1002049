"""Recorded contact plans: each campaign's list and hold-out once, as answered, so that its effect can be measured."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from features.errors import RegularsError
from serving.contact_plans import contact_plan
from serving.database import Database, contact_plan_members, contact_plans, outcomes
from serving.doorbell import Doorbell
from serving.outcomes import DOORBELL, Contacts, OutcomeLog
from serving.schemas_contact import ContactPlanPage, ContactPlanRequest
from serving.state import State
from training.contact_plan import ContactPlan

#: Members written by one statement.
_AT_ONCE = 5_000


class CampaignTakenError(RegularsError):
    """The campaign is recorded, and was asked for with other numbers."""


class PlanLog:
    """Writes and reads plans."""

    def __init__(self, database: Database) -> None:
        self.database = database
        # The plans are read with the outcomes: both say who is left alone.
        self.doorbell = Doorbell(database.folder / DOORBELL)

    def read(self, campaign_id: str) -> ContactPlanPage | None:
        """The plan as it was answered; None where none of that name is recorded. Raises StoreAwayError."""
        with self.database.read() as connection:
            found = _stored(connection, campaign_id)
        return None if found is None else found[1]

    def recorded(self, asked: ContactPlanRequest) -> ContactPlanPage | None:
        """The plan recorded for this very request. Raises CampaignTakenError for other numbers, StoreAwayError."""
        with self.database.read() as connection:
            return _same(_stored(connection, asked.campaign_id), asked)

    def record(self, asked: ContactPlanRequest, page: ContactPlanPage, *, seen: Contacts) -> ContactPlanPage | None:
        """The plan, on disk when this returns; the one recorded before where there is one already.

        None where there are outcomes or plans newer than those `seen`: then the list may name who must rest. Raises
        CampaignTakenError where the campaign is recorded for another request, StoreAwayError where nothing was written.
        """
        page = msgspec.structs.replace(page, recorded=True)
        at = datetime.fromisoformat(page.planned_at).replace(tzinfo=None)
        until = at + timedelta(days=page.horizon_days or 0)
        every = [(item.customer_id, True) for item in page.items] + [(customer, False) for customer in page.held_out]
        rows = [
            {"campaign_id": page.campaign_id, "customer_id": who, "treated": treated, "planned_at": at, "until": until}
            for who, treated in every
        ]
        packed = zlib.compress(msgspec.json.encode(page))
        with self.database.write() as connection:
            before = _same(_stored(connection, asked.campaign_id), asked)
            if before is not None:
                return before
            # Rows may have been removed since, but never those that come after what was seen.
            if (
                _last(connection, outcomes) > seen.version
                or _last(connection, contact_plan_members) > seen.plans_version
            ):
                return None
            plan = {"campaign_id": page.campaign_id, "planned_at": at, "asked": _as_asked(asked), "answer": packed}
            connection.execute(sa.insert(contact_plans), plan)
            for start in range(0, len(rows), _AT_ONCE):
                connection.execute(sa.insert(contact_plan_members), rows[start : start + _AT_ONCE])
        self.doorbell.ring()
        return page

    def outcomes_of(self, campaign_id: str) -> tuple[Mapping[str, int], int]:
        """Customers of the list by their last outcome of this campaign; and how many held out have one."""
        member, said = contact_plan_members.c, outcomes.c
        wanted = (
            sa.select(member.treated, said.customer_id, said.outcome)
            .join(outcomes, (said.customer_id == member.customer_id) & (said.campaign_id == member.campaign_id))
            .where(member.campaign_id == campaign_id)
            .order_by(said.occurred_at, said.seq)
        )
        last: dict[str, str] = {}
        held_out: set[str] = set()
        with self.database.read() as connection:
            for treated, customer, outcome in connection.execute(wanted):
                if treated:
                    last[customer] = outcome
                else:
                    held_out.add(customer)
        counts: dict[str, int] = {}
        for outcome in last.values():
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts, len(held_out)


def planned(
    state: State,
    asked: ContactPlanRequest,
    outcome_log: OutcomeLog,
    plan_log: PlanLog,
    *,
    known: Contacts,
    now: datetime,
    rest_days: float,
) -> tuple[ContactPlanPage, ContactPlan | None]:
    """The campaign's plan: as recorded, else made now and recorded unless it is a dry run or names nobody.

    The plan behind the answer is None where it was recorded before. Raises CampaignTakenError, StoreAwayError and
    DataError.
    """
    before = plan_log.recorded(asked)
    if before is not None:
        return before, None
    while True:
        # Straight from the database: another host's outcomes ring no bell here.
        known = outcome_log.contacts(replace(known, heard=None))
        page, plan = contact_plan(state, asked, known, now=now, rest_days=rest_days)
        if asked.dry_run or not page.items:
            return page, plan
        kept = plan_log.record(asked, page, seen=known)
        if kept is not None:
            return kept, plan if kept.planned_at == page.planned_at else None


def _as_asked(asked: ContactPlanRequest) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(asked, dry_run=False))


def _stored(connection: sa.Connection, campaign_id: str) -> tuple[bytes, ContactPlanPage] | None:
    wanted = sa.select(contact_plans.c.asked, contact_plans.c.answer).where(contact_plans.c.campaign_id == campaign_id)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    return bytes(row[0]), msgspec.json.decode(zlib.decompress(row[1]), type=ContactPlanPage)


def _same(stored: tuple[bytes, ContactPlanPage] | None, asked: ContactPlanRequest) -> ContactPlanPage | None:
    if stored is None:
        return None
    before = msgspec.json.decode(stored[0], type=ContactPlanRequest)
    if before == msgspec.structs.replace(asked, dry_run=False):
        return stored[1]
    other = [
        name for name in asked.__struct_fields__ if name != "dry_run" and getattr(before, name) != getattr(asked, name)
    ]
    raise CampaignTakenError(
        f"Campaign '{asked.campaign_id}' is recorded already, with another {', '.join(other)}. Its list stands: "
        "ask for it by name, or give the new list another name."
    )


def _last(connection: sa.Connection, table: sa.Table) -> int:
    return connection.scalar(sa.select(sa.func.coalesce(sa.func.max(table.c.seq), 0))) or 0
