"""What a load asks of an engine: DuckDB in this process (`duckdb_load.py`), or Spark's executors (`spark_load.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from features.merging import Content, Merged

if TYPE_CHECKING:  # both import modules that import this one
    from features.left_out import LeaveOut
    from features.source_files import SourceFile
    from features.staging import Staged


class LoadEngine(Protocol):
    """Rows by name, as views: what is set aside of a table, what is new in it, and what the lake will hold of it.

    SQL is written as DuckDB's, in words that Spark has too.
    """

    def execute(self, query: str, /) -> Any:
        """Run a query, for the few rows that it gives."""

    def columns(self, relation: str) -> Sequence[str]:
        """The names of a view's columns."""

    def view(self, name: str, file: Path) -> None:
        """A Parquet file under a name."""

    def stage(self, file: SourceFile, *, now: datetime, say: Callable[[str], None], without: LeaveOut) -> Staged:
        """See `staging.stage`; makes view `set_aside_<table>`."""

    def merge(self, table: str, old: Path | None, old_content: Content | None) -> Merged:
        """See `merging.merge`: what was staged last, with the `old` file; makes view `lake_<table>`."""

    def save(self, query: str, target: Path) -> None:
        """What a query gives, in its order, as one Parquet file."""
