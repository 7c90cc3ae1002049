"""The query engine: Ibis on DuckDB, with threads and memory set on purpose."""

from __future__ import annotations

from typing import Any

import ibis

from features.settings import Settings


def connect(settings: Settings) -> Any:
    """A fresh in-memory Ibis DuckDB backend; it spills to the data home when memory runs short."""
    spill = settings.home / "tmp"
    return ibis.duckdb.connect(
        threads=settings.threads,
        memory_limit=settings.memory_limit,
        temp_directory=str(spill),
        preserve_insertion_order=False,
    )
