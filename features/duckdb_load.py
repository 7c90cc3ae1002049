"""Loading by DuckDB, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.left_out import LeaveOut
from features.merging import Content, Merged, columns_of, merge
from features.source_files import SourceFile
from features.sql import text
from features.staging import Staged, stage


@dataclass(frozen=True)
class DuckDbLoad:
    """See `features.load_engine.LoadEngine`."""

    con: duckdb.DuckDBPyConnection
    scratch: Path

    def execute(self, query: str, /) -> Any:
        """Run a query."""
        return self.con.execute(query)

    def columns(self, relation: str) -> Sequence[str]:
        """The names of a view's columns."""
        return columns_of(self.con, relation)

    def view(self, name: str, file: Path) -> None:
        """A Parquet file under a name."""
        self.con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM {_rows(file)}")

    def stage(self, file: SourceFile, *, now: datetime, say: Callable[[str], None], without: LeaveOut) -> Staged:
        """See `features.staging.stage`."""
        return stage(self.con, file, self.scratch, now=now, say=say, without=without)

    def merge(self, table: str, old: Path | None, old_content: Content | None) -> Merged:
        """See `features.merging.merge`."""
        return merge(self.con, table, _rows(old) if old else None, old_content)

    def save(self, query: str, target: Path) -> None:
        """What a query gives, in its order, as one Parquet file."""
        self.con.execute(f"COPY ({query}) TO {text(str(target))} (FORMAT parquet, COMPRESSION zstd)")


def _rows(file: Path) -> str:
    return f"read_parquet({text(str(file))})"
