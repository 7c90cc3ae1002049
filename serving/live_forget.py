"""Taking customers, or what is too old, out of the database of what happens while serving."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
import sqlalchemy as sa

from features.errors import RegularsError
from features.settings import Settings
from features.sqlite_clean import clean
from serving.database import (
    Database,
    contact_plan_members,
    contact_plans,
    desk_notes,
    events,
    open_database,
    outcomes,
    saved_views,
)
from serving.doorbell import Doorbell
from serving.event_log import DOORBELL as EVENTS_DOORBELL
from serving.outcomes import DOORBELL as OUTCOMES_DOORBELL
from serving.outcomes import OPTED_OUT
from serving.schemas_contact import ContactPlanPage

#: Tables with a row or more for each customer.
TABLES = (events, outcomes, contact_plan_members, desk_notes)
_AT_ONCE = 500  # ids in one statement
Condition = sa.ColumnElement[bool]


@contextmanager
def database_there(settings: Settings) -> Iterator[Database | None]:
    """The database of what happens while serving; None where nobody has written to it, who would make the file."""
    database = open_database(settings)
    try:
        yield database if not database.is_sqlite or Path(database.url.database or "").is_file() else None
    finally:
        database.close()


def customers_in(database: Database, customers: Collection[str]) -> set[str]:
    """Those of the customers who are named."""
    found: set[str] = set()
    with database.read() as connection:
        for table in TABLES:
            for part in _parts(customers):
                theirs = sa.select(table.c.customer_id).where(table.c.customer_id.in_(part)).distinct()
                found |= set(connection.scalars(theirs))
    return found


def sessions_in(database: Database, customers: Collection[str]) -> set[str]:
    """Visits that are these customers': those of which they were the last to be known."""
    found: set[str] = set()
    with database.read() as connection:
        for part in _parts(customers):
            wanted = sa.select(events.c.session_id).where(
                events.c.customer_id.in_(part), events.c.session_id.is_not(None)
            )
            found |= set(connection.scalars(wanted.distinct()))
        others: set[str] = set()
        for part in _parts(found):
            last = (
                sa.select(events.c.session_id, sa.func.max(events.c.seq).label("seq"))
                .where(events.c.session_id.in_(part), events.c.customer_id.is_not(None))
                .group_by(events.c.session_id)
                .subquery()
            )
            wanted = sa.select(events.c.session_id, events.c.customer_id).join(last, last.c.seq == events.c.seq)
            others |= {session for session, owner in connection.execute(wanted) if owner not in customers}
    return found - others


def count_live(database: Database, customers: Collection[str]) -> dict[str, int]:
    """Rows that `forget_live` would remove or change, by table; tables without any are left out."""
    counts: dict[str, int] = {}
    with database.read() as connection:
        for table, condition in _conditions(customers, sessions_in(database, customers)):
            counts[table.name] = counts.get(table.name, 0) + _gone(connection, table, condition, dry_run=True)
        counts[contact_plans.name] = sum(1 for _ in _plans_of(connection, customers))
        counts[saved_views.name] = len(_views_of(connection, customers))
    return {name: count for name, count in counts.items() if count}


def forget_live(database: Database, customers: Collection[str]) -> dict[str, int]:
    """Rows removed or changed, by table, in one transaction; then their bytes go too.

    Servers of this machine hear of it at once by their bells.
    """
    counts: dict[str, int] = {}
    sessions = sessions_in(database, customers)
    with database.write() as connection:
        for plan, page in list(_plans_of(connection, customers)):
            less = msgspec.structs.replace(
                page,
                items=[item for item in page.items if item.customer_id not in customers],
                held_out=[customer for customer in page.held_out if customer not in customers],
            )
            packed = zlib.compress(msgspec.json.encode(less))
            connection.execute(
                sa.update(contact_plans).where(contact_plans.c.campaign_id == plan).values(answer=packed)
            )
            counts[contact_plans.name] = counts.get(contact_plans.name, 0) + 1
        views = _views_of(connection, customers)
        if views:
            connection.execute(sa.delete(saved_views).where(saved_views.c.view_id.in_(views)))
            counts[saved_views.name] = len(views)
        for table, condition in _conditions(customers, sessions):
            counts[table.name] = counts.get(table.name, 0) + _gone(connection, table, condition)
    _clean(database)
    ring(database)
    return {name: count for name, count in counts.items() if count}


def remove_older(database: Database, before: Mapping[str, datetime], *, dry_run: bool) -> dict[str, int]:
    """Rows older than `before` (naive UTC; by "events" and "outcomes") that were removed, by table. Opt-outs stay."""
    wanted: list[tuple[sa.Table, Condition]] = []
    if "events" in before:
        wanted.append((events, events.c.occurred_at < before["events"]))
    if "outcomes" in before:
        at = before["outcomes"]
        wanted += [
            (outcomes, (outcomes.c.occurred_at < at) & (outcomes.c.outcome != OPTED_OUT)),
            # A hold-out whose effect is not known yet is still needed to measure it by.
            (contact_plan_members, (contact_plan_members.c.planned_at < at) & (contact_plan_members.c.until < at)),
            (desk_notes, desk_notes.c.written_at < at),
        ]
    counts: dict[str, int] = {}
    with database.read() if dry_run else database.write() as connection:
        for table, condition in wanted:
            counts[table.name] = _gone(connection, table, condition, dry_run=dry_run)
        if "outcomes" in before:
            counts[contact_plans.name] = _old_plans(connection, before["outcomes"], dry_run=dry_run)
    if not dry_run and any(counts.values()):
        _clean(database)
        ring(database)
    return {name: count for name, count in counts.items() if count}


def ring(database: Database) -> None:
    """Have the servers of this machine look."""
    for bell in (EVENTS_DOORBELL, OUTCOMES_DOORBELL):
        Doorbell(database.folder / bell).ring()


def _old_plans(connection: sa.Connection, at: datetime, *, dry_run: bool) -> int:
    """Plans older than `at` none of whose members is kept."""
    kept = sa.select(contact_plan_members.c.campaign_id).where(
        (contact_plan_members.c.planned_at >= at) | (contact_plan_members.c.until >= at)
    )
    condition = (contact_plans.c.planned_at < at) & contact_plans.c.campaign_id.not_in(kept)
    return _gone(connection, contact_plans, condition, dry_run=dry_run)


def _gone(connection: sa.Connection, table: sa.Table, condition: Condition, *, dry_run: bool = False) -> int:
    """How many rows were removed, or would be."""
    if dry_run:
        return connection.scalar(sa.select(sa.func.count()).select_from(table).where(condition)) or 0
    return connection.execute(sa.delete(table).where(condition)).rowcount


def _conditions(customers: Collection[str], sessions: Collection[str]) -> Iterator[tuple[sa.Table, Condition]]:
    for table in TABLES:
        for part in _parts(customers):
            yield table, table.c.customer_id.in_(part)
    for part in _parts(sessions):
        yield events, events.c.customer_id.is_(None) & events.c.session_id.in_(part)


def _parts(values: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _plans_of(connection: sa.Connection, customers: Collection[str]) -> Iterator[tuple[str, ContactPlanPage]]:
    """Recorded plans whose answer names any of the customers."""
    for plan, answer in connection.execute(sa.select(contact_plans.c.campaign_id, contact_plans.c.answer)).all():
        page = msgspec.json.decode(zlib.decompress(answer), type=ContactPlanPage)
        if any(item.customer_id in customers for item in page.items) or not set(page.held_out).isdisjoint(customers):
            yield plan, page


def _views_of(connection: sa.Connection, customers: Collection[str]) -> list[str]:
    """Saved lists that look for just one of the customers."""
    found = connection.execute(sa.select(saved_views.c.view_id, saved_views.c.query))
    return [view for view, query in found if not set(parse_qs(query).get("find", ())).isdisjoint(customers)]


def _clean(database: Database) -> None:
    """Take what was deleted out of the database's files too."""
    if database.is_sqlite:
        with closing(database.engine.raw_connection()) as connection:
            raw = connection.driver_connection
            try:
                cleaned = raw is not None and clean(raw)
            except sqlite3.OperationalError:  # somebody writes all the while
                cleaned = False
        if not cleaned:
            raise RegularsError(
                f"{database.url.database}: another process used it all the while, so what was deleted is still in its "
                "files. Run the same command again."
            )
        return
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in (*TABLES, contact_plans, saved_views):
            connection.execute(sa.text(f"VACUUM {table.name}"))


def each_row(database: Database, customer: str) -> dict[str, list[dict[str, object]]]:
    """All rows of one customer, by table; of contact plans, what each says of them."""
    found: dict[str, list[dict[str, object]]] = {}
    sessions = sessions_in(database, [customer])
    with database.read() as connection:
        for table, condition in _conditions([customer], sessions):
            rows = connection.execute(sa.select(table).where(condition).order_by(table.c.seq)).mappings()
            found.setdefault(table.name, []).extend(dict(row) for row in rows)
        found[contact_plans.name] = [
            {
                "campaign_id": plan,
                "contact": [msgspec.to_builtins(item) for item in page.items if item.customer_id == customer],
                "held_out": customer in page.held_out,
            }
            for plan, page in _plans_of(connection, [customer])
        ]
    return {name: rows for name, rows in found.items() if rows}
