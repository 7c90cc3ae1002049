"""Merging staged rows with what the lake holds: facts add up, each copy once; keyed rows are replaced by the newer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from features.schema import FACT_TIMES, TABLES
from features.sql import Queries, quote


@dataclass(frozen=True)
class Content:
    """How many rows there are, and the sum of the hashes of each: equal for equal rows in any order."""

    rows: int
    total: int

    def __add__(self, other: Content) -> Content:
        return Content(self.rows + other.rows, self.total + other.total)

    def __str__(self) -> str:
        return f"{self.rows}:{self.total:x}"

    @classmethod
    def parse(cls, said: str) -> Content:
        """The content written so by `str`."""
        rows, total = said.split(":")
        return cls(int(rows), int(total, 16))


@dataclass(frozen=True)
class Merged:
    """What merging did to a table: rows that are new, keyed rows whose newer version replaced them, and all rows.

    `since` is the time of the earliest new fact: before it the table is as it was. None where rows have no time of
    their own, or are replaced.
    """

    added: int
    updated: int
    content: Content
    since: datetime | None = None


def one(con: Queries, sql: str) -> Any:
    """The first value of the first row."""
    row = con.execute(sql).fetchone()
    return row[0] if row else None


def columns_of(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """The names of a relation's columns."""
    return [row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]


def content_of(con: duckdb.DuckDBPyConnection, relation: str, *, leave_out: str = "") -> Content:
    """The content of a relation. A column with no value counts as absent."""
    names = sorted(name for name in columns_of(con, relation) if name != leave_out)
    counts = con.execute(f"SELECT {', '.join(f'count({quote(name)})' for name in names)} FROM {relation}").fetchone()
    given = [name for name, count in zip(names, counts or (), strict=True) if count]
    # MD5 and not DuckDB's own hash, which another release may compute in another way.
    row = ", ".join(f"coalesce('\x1f{name}\x1e' || {quote(name)}::VARCHAR, '')" for name in given) or "''"
    found = con.execute(f"SELECT count(*), sum(md5_number_lower(concat({row}))::HUGEINT) FROM {relation}").fetchone()
    rows, total = found or (0, 0)
    return Content(int(rows), int(total or 0))


def merge(con: duckdb.DuckDBPyConnection, table: str, old: str | None, old_content: Content | None) -> Merged:
    """Makes view `lake_<table>` of what the lake will hold, from `staged_<table>` and the `old` rows, if any (SQL).

    View `added_<table>` has the rows among them that are not old ones.
    """
    con.execute(f"DROP VIEW IF EXISTS lake_{table}")
    if TABLES[table].key:
        return _merge_keyed(con, table, old)
    return _merge_facts(con, table, old, old_content)


def _merge_keyed(con: duckdb.DuckDBPyConnection, table: str, before: str | None) -> Merged:
    staged = f"staged_{table}"
    con.execute(f"CREATE OR REPLACE TEMP VIEW added_{table} AS FROM {staged}")
    rows = int(one(con, f"SELECT count(*) FROM {staged}"))
    if before is None:
        con.execute(f"CREATE TEMP VIEW lake_{table} AS FROM {staged}")
        return Merged(rows, 0, content_of(con, f"lake_{table}"))
    key = ", ".join(quote(name) for name in TABLES[table].key)
    con.execute(
        f"CREATE TEMP VIEW lake_{table} AS FROM {staged} UNION ALL BY NAME "
        f"SELECT * FROM {before} ANTI JOIN {staged} USING ({key})"
    )
    added = int(one(con, f"SELECT count(*) FROM {staged} ANTI JOIN {before} USING ({key})"))
    # Compared by name, for attributes may differ; only keys that both have are looked at.
    con.execute(f"CREATE OR REPLACE TEMP VIEW known AS SELECT * FROM {before} SEMI JOIN {staged} USING ({key})")
    con.execute(f"CREATE OR REPLACE TEMP VIEW newer AS SELECT * FROM {staged} SEMI JOIN {before} USING ({key})")
    both = "(FROM newer UNION ALL BY NAME FROM known)"
    names = ", ".join(quote(name) for name in columns_of(con, both))
    same = int(one(con, f"SELECT count(*) FROM (SELECT {names} FROM {both} GROUP BY ALL HAVING count(*) > 1)"))
    return Merged(added, rows - added - same, content_of(con, f"lake_{table}"))


def _merge_facts(con: duckdb.DuckDBPyConnection, table: str, old: str | None, old_content: Content | None) -> Merged:
    staged = f"staged_{table}"
    names = [name for name in columns_of(con, staged) if name != "copies"]
    columns = ", ".join(quote(name) for name in names)
    new = f"new_{table}"
    if old is None:
        con.execute(f"CREATE OR REPLACE TEMP VIEW {new} AS FROM {staged}")
    else:
        same = " AND ".join(f"s.{quote(name)} IS NOT DISTINCT FROM h.{quote(name)}" for name in names)
        # Only rows equal to a staged one are counted, so that a day's file costs little beside years of orders.
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE held AS SELECT {columns}, count(*) AS copies "
            f"FROM {old} AS h SEMI JOIN {staged} AS s ON {same} GROUP BY ALL"
        )
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {new} AS SELECT s.* REPLACE (s.copies - coalesce(h.copies, 0) AS copies) "
            f"FROM {staged} AS s LEFT JOIN held AS h ON {same} WHERE s.copies > coalesce(h.copies, 0)"
        )
        con.execute("DROP TABLE held")
    once = one(con, f"SELECT coalesce(max(copies), 1) FROM {new}") == 1
    each = (
        f"SELECT {columns} FROM {new}"
        if once
        else f"SELECT {columns} FROM (SELECT *, unnest(range(copies)) FROM {new})"
    )
    before = "" if old is None else f" UNION ALL BY NAME FROM {old}"
    con.execute(f"CREATE OR REPLACE TEMP VIEW added_{table} AS {each}")
    con.execute(f"CREATE TEMP VIEW lake_{table} AS FROM added_{table}{before}")
    content = content_of(con, f"({each})")
    added = content.rows
    if old is not None:
        content += old_content or content_of(con, old)
    time = FACT_TIMES[table]
    since = one(con, f"SELECT min({quote(time)}) FROM {new}")
    return Merged(added, 0, content, since)
