"""Quarantine: the rows that were set aside, each with its reason, beside the version of the lake they did not get into.

Columns: reason, source (file name), row (JSON of the columns the mapping reads, or the line as it stood), loaded_at
(naive UTC), file (SHA-256 of the file). A file loaded again, with another mapping perhaps, replaces its own rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.home import new_file
from features.sql import text

FOLDER = "quarantine"


def quarantine_file(version: Path, table: str) -> Path:
    """Where a version of the lake keeps what was set aside of a table; absent when nothing was."""
    return version / FOLDER / f"{table}.parquet"


def write_quarantine(
    con: duckdb.DuckDBPyConnection, target: Path, *, table: str, file_hash: str, kept: Path | None, now: datetime
) -> None:
    """Table `set_aside_<table>` and the rows `kept` of other files, as file `target`; none when there are none."""
    known = f"read_parquet({text(str(kept))})" if kept else None
    since = f"TIMESTAMP '{now}'"
    parts = []
    if known:
        since = f"coalesce((SELECT min(loaded_at) FROM {known} WHERE file = {text(file_hash)}), {since})"
        parts.append(f"SELECT reason, source, row, loaded_at, file FROM {known} WHERE file <> {text(file_hash)}")
    parts.append(f"SELECT reason, source, row, {since} AS loaded_at, {text(file_hash)} AS file FROM set_aside_{table}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW quarantined AS {' UNION ALL '.join(parts)}")
    if con.execute("SELECT count(*) FROM (FROM quarantined LIMIT 1)").fetchone() == (0,):
        if target.exists():
            target.unlink()
        return
    with new_file(target) as aside:
        con.execute(
            f"COPY (FROM quarantined ORDER BY loaded_at, source, reason, row) TO {text(str(aside))} (FORMAT parquet)"
        )


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


def count_quarantined(con: duckdb.DuckDBPyConnection, file: Path) -> dict[str, int]:
    """Rows by reason in a quarantine file; none when it is absent."""
    if not file.is_file():
        return {}
    rows = con.execute(f"SELECT reason, count(*) FROM read_parquet({text(str(file))}) GROUP BY 1 ORDER BY 1").fetchall()
    return {str(reason): int(count) for reason, count in rows}
