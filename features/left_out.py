"""What a load must not bring in: rows of erased customers, rows older than the shop keeps, and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import duckdb

from features.erased import Erased
from features.merging import one
from features.pseudonyms import Pseudonyms, put_pseudonyms
from features.quarantine import values_of
from features.schema import CONTACTS, FACT_TIMES, INTERACTIONS, ORDER_LINES, RESPONSES, TABLES, C
from features.settings import Settings
from features.sql import quote, text

#: The time of each row that may be kept for so many days.
TIMES = {**FACT_TIMES, INTERACTIONS.name: C.OCCURRED_AT}


@dataclass(frozen=True)
class LeaveOut:
    """Whose rows, and of each table those before which moment (naive UTC); and ids, where there are pseudonyms."""

    erased: Erased = field(default_factory=Erased)
    before: Mapping[str, datetime] = field(default_factory=dict)
    pseudonyms: Pseudonyms | None = None


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
    """How many rows were taken out of the tables `typed` and `rejects`, which name nobody where that is wanted."""
    gone = 0
    if table in what.before:
        gone += _delete(con, "typed", f"{quote(TIMES[table])} < TIMESTAMP '{what.before[table]}'")
    gone += _leave_out_erased(con, table, what.erased)
    if what.pseudonyms is not None:
        put_pseudonyms(con, what.pseudonyms)
        # Who was erased before there were pseudonyms is on the list by their id, who was since, by theirs.
        gone += _leave_out_erased(con, table, what.erased)
    return gone


def _leave_out_erased(con: duckdb.DuckDBPyConnection, table: str, erased: Erased) -> int:
    gone = 0
    if not erased.by_hash or not has_customers(table):
        return gone
    names = con.execute(f"SELECT DISTINCT {C.CUSTOMER_ID} FROM typed WHERE {C.CUSTOMER_ID} IS NOT NULL").fetchall()
    theirs = erased.among(str(row[0]) for row in names)
    if theirs:
        gone += _delete(con, "typed", f"{C.CUSTOMER_ID} IN ({', '.join(map(text, sorted(theirs)))})")
    lines = con.execute("SELECT rowid, row_text FROM rejects WHERE row_text IS NOT NULL").fetchall()
    named = [str(row) for row, line in lines if erased.among(values_of(line))]
    if named:
        gone += _delete(con, "rejects", f"rowid IN ({', '.join(named)})")
    return gone


def _delete(con: duckdb.DuckDBPyConnection, table: str, condition: str) -> int:
    count = int(one(con, f"SELECT count(*) FROM {table} WHERE {condition}"))
    if count:
        con.execute(f"DELETE FROM {table} WHERE {condition}")
    return count
