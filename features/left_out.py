"""Rows that a load must not bring in: those of erased customers, and those older than the shop keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb

from features.erased import Erased
from features.merging import one
from features.quarantine import values_of
from features.schema import CONTACTS, FACT_TIMES, INTERACTIONS, ORDER_LINES, RESPONSES, TABLES, C
from features.settings import Settings
from features.sql import quote, text

#: The time of each row that may be kept for so many days.
TIMES = {**FACT_TIMES, INTERACTIONS.name: C.OCCURRED_AT}


@dataclass(frozen=True)
class LeaveOut:
    """Whose rows, and of each table those before which moment (naive UTC)."""

    erased: Erased = field(default_factory=Erased)
    before: Mapping[str, datetime] = field(default_factory=dict)


def too_old(settings: Settings, *, now: datetime) -> dict[str, datetime]:
    """Of each table of the lake that is kept for so many days, the moment (naive UTC) before which nothing is."""
    privacy = settings.privacy
    days = {
        ORDER_LINES.name: privacy.keep_orders_days,
        INTERACTIONS.name: privacy.keep_events_days,
        CONTACTS.name: privacy.keep_outcomes_days,
        RESPONSES.name: privacy.keep_outcomes_days,
    }
    return {table: now - timedelta(days=kept) for table, kept in days.items() if kept is not None}


def has_customers(table: str) -> bool:
    """Whether rows of the table name customers."""
    return any(column.name == C.CUSTOMER_ID for column in TABLES[table].columns)


def leave_out(con: duckdb.DuckDBPyConnection, table: str, what: LeaveOut) -> int:
    """How many rows were taken out of the tables `typed` and `rejects`."""
    gone = 0
    if table in what.before:
        gone += _delete(con, "typed", f"{quote(TIMES[table])} < TIMESTAMP '{what.before[table]}'")
    if not what.erased.by_hash or not has_customers(table):
        return gone
    names = con.execute(f"SELECT DISTINCT {C.CUSTOMER_ID} FROM typed WHERE {C.CUSTOMER_ID} IS NOT NULL").fetchall()
    theirs = what.erased.among(str(row[0]) for row in names)
    if theirs:
        gone += _delete(con, "typed", f"{C.CUSTOMER_ID} IN ({', '.join(map(text, sorted(theirs)))})")
    lines = con.execute("SELECT rowid, row_text FROM rejects WHERE row_text IS NOT NULL").fetchall()
    named = [str(row) for row, line in lines if what.erased.among(values_of(line))]
    if named:
        gone += _delete(con, "rejects", f"rowid IN ({', '.join(named)})")
    return gone


def _delete(con: duckdb.DuckDBPyConnection, table: str, condition: str) -> int:
    count = int(one(con, f"SELECT count(*) FROM {table} WHERE {condition}"))
    if count:
        con.execute(f"DELETE FROM {table} WHERE {condition}")
    return count
