"""Loading on Spark: executors stage parts of a file and merge the rows of some keys; this process tells them how.

    a file -> parts, each staged by an executor -> rows spread by key -> merged with the lake's rows of those keys
           -> sorted and written by executors

What is done to a part or to the rows of some keys is what one machine does to all of them, by the same functions
(`spark_load_parts.py`). Between the steps rows lie in the load's scratch folder; this process holds none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot

from features.file_parts import parts_of_file
from features.home import Home
from features.left_out import LeaveOut
from features.merging import Content, Merged
from features.schema import TableContract
from features.scratch import scratch_database
from features.settings import Settings
from features.source_files import SourceFile
from features.spark import said_plainly
from features.spark_backend import SparkBackend, as_it_is, connect_spark, spark_schema
from features.spark_load_parts import (
    ASIDE,
    GOOD,
    NEW,
    OF_ASIDE,
    OLD,
    TOLD,
    WHAT,
    MergeRows,
    StageParts,
    Wide,
    Workplace,
)
from features.staging import Plan, Staged, check_usable, plan_of

#: Staged rows that one executor merges at a time, about; with as many of the lake at most, but for copies.
MERGED_ROWS = 200_000


@contextmanager
def spark_load(home: Home, settings: Settings, scratch: Path) -> Iterator[SparkLoad]:
    """The engine of one load; its views are gone afterwards."""
    with scratch_database(home, scratch, settings) as con, said_plainly():
        backend = connect_spark(settings)
        engine = SparkLoad(backend, con, scratch, Workplace(home, settings.memory_limit))
        try:
            yield engine
        finally:
            for name in engine.views:
                backend.session.catalog.dropTempView(name)


@dataclass(frozen=True)
class _Answer:
    rows: Sequence[tuple[Any, ...]]

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        return self.rows


@dataclass(frozen=True)
class _StagedRows:
    """What executors staged of a table: how, where it lies, and the number of good rows."""

    plan: Plan
    folder: Path
    good: int


@dataclass(frozen=True)
class SparkLoad:
    """See `features.load_engine.LoadEngine`."""

    backend: SparkBackend
    con: duckdb.DuckDBPyConnection  # where mappings are checked; no rows go through it
    scratch: Path
    place: Workplace
    views: set[str] = field(default_factory=set)
    staged: dict[str, _StagedRows] = field(default_factory=dict)

    def execute(self, query: str, /) -> _Answer:
        """Run a query, for the few rows that it gives."""
        return _Answer([tuple(row) for row in self._sql(query).collect()])

    def columns(self, relation: str) -> Sequence[str]:
        """The names of a view's columns."""
        names: list[str] = self.backend.session.table(relation).columns
        return names

    def view(self, name: str, file: Path) -> None:
        """A Parquet file under a name."""
        self._name(name, self.backend.session.read.parquet(as_it_is(file)))

    def stage(self, file: SourceFile, *, now: datetime, say: Callable[[str], None], without: LeaveOut) -> Staged:
        """See `features.staging.stage`; good rows are left in the scratch folder."""
        plan = plan_of(self.con, file, self.scratch, now, names_nobody=without.pseudonyms is not None)
        table, folder = plan.source.table, self.scratch / f"staged_{plan.source.table}"
        parts = parts_of_file(self.con, plan.found)
        say(f"{table}: reading {plan.source.path.name}, on Spark in {len(parts):,} parts")
        numbers = self.backend.session.range(0, len(parts), 1, len(parts))
        _write(numbers, StageParts(plan, parts, without, self.place), plan, folder)
        file.check_unchanged()
        told = self._told(plan, folder)
        read, good, left_out = (sum(part[name] for part in told) for name in ("read", "good", "left_out"))
        self._name(f"set_aside_{table}", self._set_aside(plan, folder))
        check_usable(self, plan, read, good, left_out, say)
        self.staged[table] = _StagedRows(plan, folder, good)
        return Staged(read, left_out)

    def merge(self, table: str, old: Path | None, old_content: Content | None) -> Merged:
        """See `features.merging.merge`; view `new_<table>` has the new rows of facts."""
        from pyspark.sql import functions as f

        staged, session = self.staged[table], self.backend.session
        plan, folder = staged.plan, self.scratch / f"merged_{table}"
        key = together(plan.source.contract)
        rows = self._rows(plan, staged.folder, GOOD).withColumn(WHAT, f.lit(GOOD))
        before = None if old is None else session.read.parquet(as_it_is(old))
        if before is not None:
            # Only rows of the lake that a staged one may be equal to are looked at.
            touched = before.join(rows.select(*key).distinct(), list(key), "left_semi")
            rows = rows.unionByName(touched.withColumn(WHAT, f.lit(OLD)), allowMissingColumns=True)
        merge = MergeRows(plan, None if before is None else before.columns, self.place)
        _write(rows.repartition(staged.good // MERGED_ROWS + 1, *key), merge, plan, folder)
        aside = self._set_aside(plan, staged.folder).unionAll(self._set_aside(plan, folder))
        self._name(f"set_aside_{table}", aside)
        new = lake = self._rows(plan, folder, NEW).select(*plan.names)
        self._name(f"new_{table}", new.withColumn("copies", f.lit(1)))
        if before is not None:
            kept = before.join(new.select(*key), list(key), "left_anti") if plan.source.contract.key else before
            lake = kept.unionByName(new, allowMissingColumns=True)
        self._name(f"lake_{table}", lake)
        return _sum_of(self._told(plan, folder), old_content)

    def save(self, query: str, target: Path) -> None:
        """What a query gives, in its order, as one Parquet file."""
        from pyspark.sql.pandas.types import to_arrow_schema

        rows = self._sql(query)
        fields = [pa.field(one.name, one.type) for one in to_arrow_schema(rows.schema)]
        self.backend.write(rows, target, pa.schema(fields))

    def _sql(self, query: str) -> Any:
        return self.backend.session.sql(sqlglot.transpile(query, read="duckdb", write="spark")[0])

    def _name(self, name: str, rows: Any) -> None:
        rows.createOrReplaceTempView(name)
        self.views.add(name)

    def _rows(self, plan: Plan, folder: Path, what: str) -> Any:
        kind = folder / f"{WHAT}={what}"
        kind.mkdir(exist_ok=True)  # there may be none
        schema = pa.schema([one for one in Wide.of(plan).schema if one.name != WHAT])
        return self.backend.session.read.schema(spark_schema(schema)).parquet(as_it_is(kind))

    def _set_aside(self, plan: Plan, folder: Path) -> Any:
        from pyspark.sql import functions as f

        return self._rows(plan, folder, ASIDE).select(*(f.col(ours).alias(name) for name, ours in OF_ASIDE.items()))

    def _told(self, plan: Plan, folder: Path) -> list[Mapping[str, Any]]:
        """What each part told of itself."""
        return [json.loads(row[0]) for row in self._rows(plan, folder, TOLD).select(TOLD).collect()]


def together(contract: TableContract) -> tuple[str, ...]:
    """Columns whose rows are merged together: the key, or those that every fact has."""
    return contract.key or contract.required


def _sum_of(told: Sequence[Mapping[str, Any]], before: Content | None) -> Merged:
    content = before or Content(0, 0)
    for part in told:
        content += Content(*part["content"])
    times = [datetime.fromisoformat(part["since"]) for part in told if part["since"]]
    added, updated = (sum(part[name] for part in told) for name in ("added", "updated"))
    return Merged(added, updated, content, min(times, default=None))


def _write(rows: Any, made: StageParts | MergeRows, plan: Plan, into: Path) -> None:
    """Write what is made of each part of the rows into a folder for each kind."""

    def rows_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from made(batches)

    found = rows.mapInArrow(rows_of, spark_schema(Wide.of(plan).schema))
    with said_plainly():
        found.write.partitionBy(WHAT).parquet(str(into.resolve()))
