"""The ledger made and kept by Spark: the same arrays, computed by the same functions, customers spread over executors.

Every executor takes whole customers, in order, and makes their part of each table by `ledger_of`. Rows of all tables
leave it in one wide form (what a table does not have is null), and lie in a folder for each. What was sold of a product
comes from many customers, so those parts are spread anew, by product, and added up.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.home import new_directory
from features.lake import Lake
from features.ledger import SALES, Catalogue
from features.ledger_files import CUSTOMER, MANIFEST, arrow_of, names_of
from features.ledger_input import COLUMNS, ORDER, PART_LINES, catalogue_of, parts_of
from features.ledger_sales import by_product_and_day, sales_so_far
from features.ledger_tables import ledger_of
from features.schema import ORDER_LINES, C
from features.spark import BATCH_ROWS, said_plainly
from features.spark_backend import as_it_is, spark_schema

_TABLE, _DAY = "table", "day"
_DAYS = "days_of_"


@dataclass(frozen=True)
class SparkLedger:
    """A ledger in Spark's files. `kinds`: Spark's schema of each table, as JSON."""

    path: Path
    backend: Any
    kinds: Mapping[str, Any]

    def rows(self, table: str, moment: datetime) -> Any:  # noqa: ARG002 (all rows, whatever the moment)
        """See features.ledger_files.Ledger. Customers are told apart by their id."""
        from pyspark.sql.types import StructType

        # Told the columns, Spark need not look into the files for them.
        reader = self.backend.session.read.schema(StructType.fromJson(self.kinds[table]))
        rows = self.backend.of_frame(reader.parquet(as_it_is(self.path / f"{_TABLE}={table}")))
        return rows.mutate(**{CUSTOMER: rows[C.CUSTOMER_ID]}) if C.CUSTOMER_ID in rows.columns else rows


def open_spark_ledger(path: Path, backend: Any) -> SparkLedger | None:
    """The ledger in a folder, read on `backend`; None when it is not (wholly) there."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        return None
    return SparkLedger(path, backend, json.loads(manifest.read_text(encoding="utf-8"))["tables"])


def write_spark_ledger(lake: Lake, backend: Any, path: Path, say: Callable[[str], None] = lambda _: None) -> None:
    """Make the ledger of the lake in a new folder, all of it or nothing."""
    catalogue = catalogue_of(lake.tables(backend))
    (nobody,) = parts_of(iter(()), catalogue)
    kinds = {name: rows.schema for name, rows in _made_of(nobody, catalogue)}
    session = backend.session
    lines = backend.frame(lake.tables(backend)[ORDER_LINES.name].select(*COLUMNS))
    parts = max(lake.rows[ORDER_LINES.name] // PART_LINES + 1, int(session.conf.get("spark.sql.shuffle.partitions")))
    by_customer = lines.repartition(parts, C.CUSTOMER_ID).sortWithinPartitions(*ORDER)
    shared = session.sparkContext.broadcast(catalogue)
    say(f"ledger: {lake.rows[ORDER_LINES.name]:,} order lines in {parts} parts")
    with new_directory(path) as aside:
        _write(by_customer, _Wide.of(kinds), lambda batches: _of_customers(batches, shared.value), aside)
        for name in SALES:
            say(f"ledger: {name}")
            single = kinds.pop(f"{_DAYS}{name}")
            folder = aside / f"{_TABLE}={_DAYS}{name}"
            folder.mkdir(exist_ok=True)
            days = session.read.schema(spark_schema(single)).parquet(as_it_is(folder))
            kinds[name] = _so_far(single.empty_table(), catalogue).schema
            so_far = _SalesOf(name, shared)
            _write(days.repartition(parts, C.PRODUCT_ID), _Wide.of({name: kinds[name]}), so_far, aside)
            shutil.rmtree(folder)
        for name in kinds:  # those of which nobody had a row, too
            (aside / f"{_TABLE}={name}").mkdir(exist_ok=True)
        tables = {name: spark_schema(_stored(kind)).jsonValue() for name, kind in kinds.items()}
        (aside / MANIFEST).write_text(json.dumps({"tables": tables}), encoding="utf-8")
    shared.destroy()


@dataclass(frozen=True)
class _Wide:
    """One form for the rows of several tables: every column of any, and the table's name."""

    schema: pa.Schema

    @classmethod
    def of(cls, kinds: Mapping[str, pa.Schema]) -> _Wide:
        fields = {field.name: field for kind in kinds.values() for field in _stored(kind)}
        return cls(pa.schema([pa.field(_TABLE, pa.string()), *fields.values()]))

    def batches(self, name: str, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Rows of a table in this form, some at a time."""
        for start in range(0, rows.num_rows, BATCH_ROWS):
            some = rows.slice(start, BATCH_ROWS)
            n = some.num_rows
            columns = [
                pa.array([name]).take(pa.array(np.zeros(n, np.int64)))
                if field.name == _TABLE
                else some[field.name].combine_chunks().cast(field.type)
                if field.name in some.column_names
                else pa.nulls(n, field.type)
                for field in self.schema
            ]
            yield pa.RecordBatch.from_arrays(
                [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns], schema=self.schema
            )


def _write(
    rows: Any, wide: _Wide, made: Callable[[Iterator[pa.RecordBatch]], Iterator[tuple[str, pa.Table]]], aside: Path
) -> None:
    """Write what is made of each part of the rows into a folder for each table."""

    def in_wide_form(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for name, table in made(batches):
            yield from wide.batches(name, table)

    found = rows.mapInArrow(in_wide_form, spark_schema(wide.schema))
    with said_plainly():
        found.write.mode("append").partitionBy(_TABLE).parquet(str(aside.resolve()))


def _stored(kind: pa.Schema) -> pa.Schema:
    """Without the customers' numbers, which differ from part to part."""
    return pa.schema([field for field in kind if field.name != CUSTOMER])


def _of_customers(batches: Iterator[pa.RecordBatch], catalogue: Catalogue) -> Iterator[tuple[str, pa.Table]]:
    for part in parts_of((batch for batch in batches if batch.num_rows), catalogue):
        yield from _made_of(part, catalogue)


def _made_of(part: Any, catalogue: Catalogue) -> Iterator[tuple[str, pa.Table]]:
    """The tables of some customers, sales as single days."""
    for name, columns in ledger_of(part, catalogue).items():
        if name in SALES:
            yield f"{_DAYS}{name}", _plain(arrow_of(columns, names_of(catalogue, None)))
        else:
            yield name, _plain(arrow_of(columns, names_of(catalogue, part)))


@dataclass(frozen=True)
class _SalesOf:
    """Single days of some products made into what was sold of each so far."""

    name: str
    catalogue: Any  # broadcast

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, pa.Table]]:
        days = [batch for batch in batches if batch.num_rows]
        if days:
            yield self.name, _so_far(pa.Table.from_batches(days), self.catalogue.value)


def _so_far(days: pa.Table, catalogue: Catalogue) -> pa.Table:
    columns = {name: _numbers(days[name]) for name in days.column_names if name not in (C.PRODUCT_ID, _DAY)}
    ids = days[C.PRODUCT_ID].combine_chunks()
    product = pc.index_in(ids, catalogue.products).to_numpy(zero_copy_only=False).astype(np.int64)
    whole = by_product_and_day(product, _numbers(days[_DAY]), columns)
    return _plain(arrow_of(sales_so_far(whole), names_of(catalogue, None)))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    whole = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    numbers: NDArray[np.int64] = whole.to_numpy()
    return numbers


def _plain(table: pa.Table) -> pa.Table:
    """Texts as texts: Spark takes no dictionaries."""
    fields = [
        pa.field(field.name, pa.string()) if pa.types.is_dictionary(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(fields))
