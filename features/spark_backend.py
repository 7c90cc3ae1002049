"""Ibis on Spark. What Spark's SQL means by the same words as DuckDB's is put right here, and nowhere else."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot.expressions as sge
from ibis.backends.pyspark import Backend
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.util import gen_name

from features.settings import Settings
from features.spark import said_plainly, spark_session


class SparkCompiler(PySparkCompiler):
    """Ibis expressions as Spark SQL that gives DuckDB's answers."""

    __slots__ = ()

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: Any) -> Any:  # noqa: N802 (Ibis' name)
        """1.5 is a floating number, where Spark reads a decimal and would round what it divides."""
        made = super().visit_NonNullLiteral(op, value=value, dtype=dtype)
        return self.cast(made, dt.float64) if dtype.is_floating() and math.isfinite(value) else made

    def visit_ExtractEpochSeconds(self, op: Any, *, arg: Any) -> Any:  # noqa: ARG002, N802
        """Seconds with their fractions, where Spark would cut them off."""
        micros = self.f.unix_micros(self.cast(arg, dt.Timestamp("UTC")))
        return self.binop(sge.Div, self.cast(micros, dt.float64), self.cast(1_000_000, dt.float64))


class SparkBackend(Backend):
    """Ibis' backend of Spark, which reads a lake and a ledger as the one of DuckDB does."""

    compiler = SparkCompiler()

    @property
    def session(self) -> Any:
        """The Spark session."""
        return self._session

    def read_parquet(self, path: str | Path | Sequence[str], /, *, table_name: str | None = None, **kwargs: Any) -> Any:
        """The files as one table. A name with brackets is no pattern: `read.load` takes paths as they are."""
        files = [str(path)] if isinstance(path, str | Path) else list(path)
        rows = self.session.read.parquet(*map(as_it_is, files), **kwargs)
        return self.of_frame(rows, table_name)

    def of_frame(self, frame: Any, name: str | None = None) -> Any:
        """A Spark DataFrame as an Ibis table."""
        name = name or gen_name("regulars")
        frame.createOrReplaceTempView(name)
        return self.table(name)

    def frame(self, table: Any) -> Any:
        """An Ibis table as a Spark DataFrame."""
        return self.session.sql(self.compile(table))

    def save(self, table: Any, target: Path) -> None:
        """Compute an Ibis table into one Parquet file with the types that it has on DuckDB.

        Executors write the rows; what they wrote is put one after another, so this process never holds them all.
        """
        self.write(self.frame(table), target, table.schema().to_pyarrow())

    def write(self, frame: Any, target: Path, schema: pa.Schema) -> None:
        """The same of a Spark DataFrame, with the types of this schema."""
        parts = target.with_name(f"{target.name}.parts")
        try:
            with said_plainly():
                frame.write.mode("overwrite").parquet(_uri(parts))
            concatenate(parts, target, schema)
        finally:
            shutil.rmtree(parts, ignore_errors=True)


def connect_spark(settings: Settings) -> SparkBackend:
    """Ibis on the Spark session of this process."""
    _ = ibis.pyspark  # sets Ibis' own options of Spark, which the compiler reads
    backend: SparkBackend = SparkBackend().connect(spark_session(settings))
    return backend


def concatenate(folder: Path, target: Path, schema: pa.Schema) -> None:
    """The Parquet files of a folder, in the order of their names, as one file of this schema."""
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for file in sorted(folder.glob("*.parquet")):
            for batch in pq.ParquetFile(file).iter_batches(batch_size=100_000):
                table = pa.Table.from_batches([batch]).select(schema.names)
                writer.write_table(table.cast(schema))


def spark_schema(kind: pa.Schema) -> Any:
    """An Arrow schema as Spark's; times without a zone stay so."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(kind, prefer_timestamp_ntz=True)


def as_it_is(path: str | Path) -> str:
    """A path in which nothing is taken for a pattern."""
    return "".join(f"\\{letter}" if letter in "[]{}*?" else letter for letter in _uri(path))


def _uri(path: str | Path) -> str:
    return str(path) if "://" in str(path) else str(Path(path).resolve())
