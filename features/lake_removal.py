"""Taking rows out of the lake: a new version without them takes the place of all that held them.

What was computed from those versions goes too; it is made anew when it is next asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from features.duckdb_load import DuckDbLoad
from features.errors import NotReadyError
from features.home import ASIDE, Home, new_file, remove_directory, sweep
from features.lake import Lake, read_lake
from features.lake_writer import content_before, write_version
from features.left_out import TIMES, has_customers
from features.merging import Content, content_of, one
from features.pseudonyms import MANIFEST_KEY
from features.quality_files import keep_quality
from features.quarantine import SetAside, quarantine_file, set_aside_rows
from features.schema import INTERACTIONS, TABLES, C
from features.scratch import scratch_database, scratch_folder
from features.settings import Settings
from features.sql import quote, text

Say = Callable[[str], None]


@dataclass(frozen=True)
class Goes:
    """What is to go: rows of tables as SQL conditions, and rows set aside of them."""

    rows: Mapping[str, str]
    set_aside: Callable[[str, SetAside], bool]
    why: str  # kept in the manifest's list of loads, so that the same files are looked at again


def of_customers(customers: Collection[str], sessions: Collection[str] = ()) -> Goes:
    """All that names these customers, and what was done in visits of theirs."""
    theirs = f"{C.CUSTOMER_ID} IN ({', '.join(map(text, sorted(customers)))})"
    rows = {table: theirs for table in TABLES if has_customers(table)}
    if sessions:
        visits = ", ".join(map(text, sorted(sessions)))
        rows[INTERACTIONS.name] += f" OR ({C.CUSTOMER_ID} IS NULL AND {C.SESSION_ID} IN ({visits}))"
    named = set(customers)
    return Goes(rows, lambda _table, row: not named.isdisjoint(row.may_name()), "erased")


def older_than(before: Mapping[str, datetime]) -> Goes:
    """Of each table what is older than its moment; of rows set aside, those loaded before it."""
    rows = {table: f"{quote(TIMES[table])} < TIMESTAMP '{moment}'" for table, moment in before.items()}
    return Goes(rows, lambda table, row: table in before and row.loaded_at < before[table], "too old")


def count_rows(home: Home, goes: Goes) -> dict[str, int]:
    """Rows that would go, by table: the most that any version kept of the lake holds. Tables without any are left out.

    Rows set aside count under "quarantine".
    """
    counts: dict[str, int] = {}
    with duckdb.connect() as con:
        for version in _versions(home):
            found = dict.fromkeys(goes.rows, 0)
            for table, rows in _read(version, goes.rows):
                found[table] = int(one(con, f"SELECT count(*) FROM {rows} WHERE {goes.rows[table]}"))
            found["quarantine"] = sum(1 for table in TABLES for _ in _set_aside(con, version, table, goes))
            counts = {name: max(count, counts.get(name, 0)) for name, count in found.items()}
    return {name: count for name, count in counts.items() if count}


def sessions_of(home: Home, customers: Collection[str]) -> set[str]:
    """Visits that the lake says were these customers'."""
    found: set[str] = set()
    theirs = ", ".join(map(text, sorted(customers)))
    with duckdb.connect() as con:
        for version in _versions(home):
            for _, rows in _read(version, [INTERACTIONS.name]):
                query = (
                    f"SELECT DISTINCT {C.SESSION_ID} FROM {rows} "
                    f"WHERE {C.CUSTOMER_ID} IN ({theirs}) AND {C.SESSION_ID} IS NOT NULL"
                )
                found |= {str(row[0]) for row in con.execute(query).fetchall()}
    return found


def customers_named(home: Home, customers: Collection[str]) -> set[str]:
    """Those of the customers whom any version kept of the lake names, in a row set aside too."""
    found: set[str] = set()
    theirs = ", ".join(map(text, sorted(customers)))
    with duckdb.connect() as con:
        for version in _versions(home):
            for _, rows in _read(version, filter(has_customers, TABLES)):
                query = f"SELECT DISTINCT {C.CUSTOMER_ID} FROM {rows} WHERE {C.CUSTOMER_ID} IN ({theirs})"
                found |= {str(row[0]) for row in con.execute(query).fetchall()}
            for table in TABLES:
                for row in set_aside_rows(con, version, table):
                    found |= set(customers) & ({row.customer_id} if row.customer_id else set())
    return found


def remove_rows(home: Home, settings: Settings, goes: Goes, *, now: datetime, say: Say = lambda _: None) -> int:
    """How many rows of the current version went. Call it holding the locks "ingest", "features" and "ledger".

    Killed at any moment and called again, it completes. `now` is naive UTC.
    """
    sweep(home.lake)
    try:
        lake = read_lake(home)
    except NotReadyError:
        return 0
    with scratch_folder(home) as scratch, scratch_database(home, scratch, settings) as con:
        set_aside = sum(_drop_set_aside(con, lake.path, table, goes) for table in TABLES)
        gone = _write_without(con, scratch, home, lake, goes, changed=bool(set_aside), now=now, say=say)
    current = read_lake(home).version
    for version in _versions(home):
        if version.name != current:
            remove_directory(version)
    for made in (home.features, home.ledgers, home.spark_ledgers):
        sweep(made)
        for folder in list(made.iterdir()) if made.is_dir() else []:
            remove_directory(folder)
    if gone or set_aside:
        keep_quality(home, settings)
    return gone + set_aside


def _write_without(
    con: duckdb.DuckDBPyConnection,
    scratch: Path,
    home: Home,
    lake: Lake,
    goes: Goes,
    *,
    changed: bool,
    now: datetime,
    say: Say,
) -> int:
    """A version without the rows that go becomes current, where there are any; how many there were."""
    contents: dict[str, Content] = {}
    gone = 0
    for table, rows in lake.rows.items():
        condition = goes.rows.get(table, "false")
        con.execute(
            f"CREATE TEMP VIEW lake_{table} AS SELECT * FROM read_parquet({text(str(lake.file(table)))}) "
            f"WHERE ({condition}) IS NOT TRUE"
        )
        left = int(one(con, f"SELECT count(*) FROM lake_{table}"))
        known = content_before(lake, table) if left == rows else None
        contents[table] = known or content_of(con, f"lake_{table}")
        gone += rows - left
    if not gone and not changed:
        return 0
    before = lake.manifest
    about = {
        "sources": before["sources"],
        "watermarks": before.get("watermarks", {}),
        MANIFEST_KEY: before.get(MANIFEST_KEY),
        # The first stays, for it says where this lake began.
        "loads": [*before["loads"], f"{goes.why} {now.isoformat(timespec='seconds')}"],
        "warnings": before["warnings"],
        "grown": None,
    }
    write_version(DuckDbLoad(con, scratch), home, lake, contents, [], about, now=now, say=say)
    return gone


def _versions(home: Home) -> Sequence[Path]:
    folder = home.lake / "versions"
    return [path for path in folder.iterdir() if not path.name.startswith(ASIDE)] if folder.is_dir() else []


def _read(version: Path, tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of the tables that a version has, and the SQL that reads each."""
    for table in tables:
        file = version / f"{table}.parquet"
        if file.is_file():
            yield table, f"read_parquet({text(str(file))})"


def _set_aside(con: duckdb.DuckDBPyConnection, version: Path, table: str, goes: Goes) -> Iterator[int]:
    """Numbers of the rows set aside that go."""
    yield from (row.number for row in set_aside_rows(con, version, table) if goes.set_aside(table, row))


def _drop_set_aside(con: duckdb.DuckDBPyConnection, version: Path, table: str, goes: Goes) -> int:
    numbers = list(_set_aside(con, version, table, goes))
    if numbers:
        file = quarantine_file(version, table)
        with new_file(file) as aside:
            con.execute(
                f"COPY (SELECT * EXCLUDE (file_row_number) FROM read_parquet({text(str(file))}, file_row_number=true) "
                f"WHERE file_row_number NOT IN ({', '.join(map(str, numbers))})) TO {text(str(aside))} (FORMAT parquet)"
            )
    return len(numbers)
