"""The query engine: Ibis on DuckDB, with threads and memory set on purpose; or on Spark, for more than one machine."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from features.errors import NotOnSparkError
from features.settings import Settings

SPARK = "spark"


def connect(settings: Settings) -> Any:
    """An Ibis backend of the engine that the settings name; see docs/spark.md for what runs on Spark."""
    if settings.engine == SPARK:
        from features.spark import require_spark

        require_spark()  # before anything is imported that needs it
        from features.spark_backend import connect_spark

        return connect_spark(settings)
    return connect_duckdb(settings)


def connect_duckdb(settings: Settings) -> Any:
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


def is_spark(backend: Any) -> bool:
    """Whether a backend is Spark's."""
    return bool(backend.name == "pyspark")


def require_duckdb(engine: str, what: str) -> None:
    """Raises NotOnSparkError where the engine (or the backend of that name) is Spark, which has no `what` yet."""
    if SPARK in engine:
        raise NotOnSparkError(
            f'engine = "spark" has no {what} yet, and DuckDB does not take its place unasked. '
            "Ask for it: put REGULARS_ENGINE=duckdb before this command. docs/spark.md says what runs on Spark."
        )


def save(table: Any, target: Path) -> None:
    """Compute an Ibis table into one Parquet file."""
    backend = table.get_backend()
    if is_spark(backend):
        backend.save(table, target)
    else:
        pq.write_table(table.to_pyarrow(), target, compression="zstd")
