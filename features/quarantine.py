"""Quarantine: the rows that were set aside, each with its reason, beside the version of the lake they did not get into.

Columns: reason, source (file name), row (JSON of the columns the mapping reads, or the line as it stood), customer_id
(where it could be read; missing in files of an earlier release), loaded_at (naive UTC), file (SHA-256 of the file). A
file loaded again, with another mapping perhaps, replaces its own rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.home import new_file
from features.load_engine import LoadEngine
from features.schema import C
from features.sql import text

FOLDER = "quarantine"
#: What stands between the values of a line that could not be split into columns.
_BETWEEN = re.compile(r"[,;\t|\"\r\n]+")
_LINE = re.compile(r"^line [0-9]+: ")


def quarantine_file(version: Path, table: str) -> Path:
    """Where a version of the lake keeps what was set aside of a table; absent when nothing was."""
    return version / FOLDER / f"{table}.parquet"


def write_quarantine(
    engine: LoadEngine, target: Path, *, table: str, file_hash: str, kept: Path | None, now: datetime
) -> None:
    """Table `set_aside_<table>` and the rows `kept` of other files, as file `target`; none when there are none."""
    since = f"TIMESTAMP '{now}'"
    columns = ("reason", "source", "row", C.CUSTOMER_ID, "loaded_at", "file")
    parts = []
    if kept:
        engine.view("kept", kept)
        there = set(engine.columns("kept"))
        known = [name if name in there else f"NULL::VARCHAR AS {name}" for name in columns]
        since = f"coalesce((SELECT min(loaded_at) FROM kept WHERE file = {text(file_hash)}), {since})"
        parts.append(f"SELECT {', '.join(known)} FROM kept WHERE file <> {text(file_hash)}")
    parts.append(
        f"SELECT reason, source, row, customer_id, {since} AS loaded_at, {text(file_hash)} AS file "
        f"FROM set_aside_{table}"
    )
    quarantined = f"({' UNION ALL '.join(parts)}) AS quarantined"
    if engine.execute(f"SELECT 1 FROM {quarantined} LIMIT 1").fetchone() is None:
        if target.exists():
            target.unlink()
        return
    with new_file(target) as aside:
        order = "loaded_at, source, reason, row, file, customer_id"
        engine.save(f"SELECT {', '.join(columns)} FROM {quarantined} ORDER BY {order}", aside)


def read_quarantine(
    version: Path, tables: Sequence[str], *, reason: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Rows set aside of these tables, with `table`, `reason`, `source` and `row`; the newest loads first."""
    found: list[dict[str, Any]] = []
    with duckdb.connect() as con:
        for table in tables:
            file = quarantine_file(version, table)
            if file.is_file() and (limit is None or len(found) < limit):
                only = f"WHERE reason = {text(reason)}" if reason else ""
                most = "" if limit is None else f"LIMIT {limit - len(found)}"
                rows = con.execute(
                    f"SELECT reason, source, row FROM read_parquet({text(str(file))}) {only} "
                    f"ORDER BY loaded_at DESC, source, reason, row {most}"
                ).fetchall()
                found += [{"table": table, "reason": why, "source": source, "row": row} for why, source, row in rows]
    return found


def count_quarantined(engine: LoadEngine, file: Path) -> dict[str, int]:
    """Rows by reason in a quarantine file; none when it is absent."""
    if not file.is_file():
        return {}
    engine.view("quarantined", file)
    rows = engine.execute("SELECT reason, count(*) FROM quarantined GROUP BY 1 ORDER BY 1").fetchall()
    return {str(reason): int(count) for reason, count in rows}


@dataclass(frozen=True)
class SetAside:
    """One row set aside: its number in its file, as it stood, when it was loaded (naive UTC), whose it is."""

    number: int
    row: str
    loaded_at: datetime
    customer_id: str | None
    told: bool  # whether the file says whose rows are

    def may_name(self) -> Collection[str]:
        """The customer it names; any of its values where that cannot be told."""
        if self.customer_id is not None:
            return {self.customer_id}
        if self.told and self.row.startswith("{"):
            return ()
        return values_of(self.row)


def set_aside_rows(con: duckdb.DuckDBPyConnection, version: Path, table: str) -> Iterator[SetAside]:
    """Every row set aside of a table in a version of the lake."""
    file = quarantine_file(version, table)
    if not file.is_file():
        return
    rows = f"read_parquet({text(str(file))}, file_row_number=true)"
    told = any(row[0] == "customer_id" for row in con.execute(f"DESCRIBE FROM {rows}").fetchall())
    # Copies are kept as rows of the contract in every release, so they say whose they are themselves.
    whose = "customer_id" if told else "try(json_extract_string(row, '$.customer_id'))"
    found = con.execute(f"SELECT file_row_number, row, loaded_at, {whose} FROM {rows}").fetchall()
    for number, row, at, customer in found:
        yield SetAside(number, row, at, customer, told)


def values_of(row: str) -> Collection[str]:
    """The values of a row set aside: those of its JSON, or what stands between the separators of its line."""
    if row.startswith("{"):
        try:
            return {str(value).strip() for value in json.loads(row).values() if value is not None}
        except ValueError:
            pass  # a line that only begins so
    return {part.strip() for part in _BETWEEN.split(_LINE.sub("", row))}
