"""The query engine: Ibis on DuckDB, with threads and memory set on purpose."""

from __future__ import annotations

import warnings
from typing import Any

import ibis

from features.settings import Settings


def connect(settings: Settings) -> Any:
    """A fresh in-memory Ibis DuckDB backend; it spills to the data home when memory runs short."""
    # Ibis asks DuckDB in a deprecated way, and Feast has every such warning shown once it is imported.
    warnings.filterwarnings("ignore", r"fetch_arrow_table\(\) is deprecated", DeprecationWarning)
    spill = settings.home / "tmp"
    return ibis.duckdb.connect(
        threads=settings.threads,
        memory_limit=settings.memory_limit,
        temp_directory=str(spill),
        preserve_insertion_order=False,
    )
