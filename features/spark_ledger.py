"""The ledger made and kept by Spark: the same arrays, computed by the same functions, customers spread over executors.

Every executor takes whole customers, in order, makes their part of each table by `ledger_of`, and writes it as a file
of its own into the new folder, which all machines see: so rows of so many tables need not pass through Spark. It
answers with the names of its files. What was written by a task that was lost or done twice is named by no answer, and
never read. What was sold of a product comes from many customers, so those parts are spread anew, by product, and added
up.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.home import new_directory
from features.lake import Lake
from features.ledger import SALES, Catalogue
from features.ledger_files import CUSTOMER, MANIFEST, arrow_of, names_of
from features.ledger_input import COLUMNS, ORDER, PART_LINES, catalogue_of, parts_of
from features.ledger_sales import by_product_and_day, sales_so_far
from features.ledger_tables import ledger_of
from features.schema import ORDER_LINES, C
from features.spark import said_plainly
from features.spark_backend import as_it_is, spark_schema

_DAY, _DAYS = "day", "days_of_"
#: Rows read and asked about at a time.
_ROW_GROUP = 250_000


@dataclass(frozen=True)
class SparkLedger:
    """A ledger in files for Spark. `kinds`: Spark's schema of each table, as JSON; `files`: their names, by table."""

    path: Path
    backend: Any
    kinds: Mapping[str, Any]
    files: Mapping[str, Sequence[str]]

    def rows(self, table: str, moment: datetime) -> Any:  # noqa: ARG002 (all rows, whatever the moment)
        """See features.ledger_files.Ledger. Customers are told apart by their id."""
        from pyspark.sql.types import StructType

        kind = StructType.fromJson(self.kinds[table])
        rows = self.backend.of_frame(_read(self.backend.session, kind, self.path, self.files.get(table, ())))
        return rows.mutate(**{CUSTOMER: rows[C.CUSTOMER_ID]}) if C.CUSTOMER_ID in rows.columns else rows


def open_spark_ledger(path: Path, backend: Any) -> SparkLedger | None:
    """The ledger in a folder, read on `backend`; None when it is not (wholly) there."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        return None
    written = json.loads(manifest.read_text(encoding="utf-8"))
    return SparkLedger(path, backend, written["tables"], written["files"])


def write_spark_ledger(lake: Lake, backend: Any, path: Path, say: Callable[[str], None] = lambda _: None) -> None:
    """Make the ledger of the lake in a new folder, all of it or nothing."""
    catalogue = catalogue_of(lake.tables(backend))
    (nobody,) = parts_of(iter(()), catalogue)
    kinds = {name: _stored(rows.schema) for name, rows in _made_of(nobody, catalogue)}
    session = backend.session
    lines = backend.frame(lake.tables(backend)[ORDER_LINES.name].select(*COLUMNS))
    parts = max(lake.rows[ORDER_LINES.name] // PART_LINES + 1, int(session.conf.get("spark.sql.shuffle.partitions")))
    by_customer = lines.repartition(parts, C.CUSTOMER_ID).sortWithinPartitions(*ORDER)
    shared = session.sparkContext.broadcast(catalogue)
    say(f"ledger: {lake.rows[ORDER_LINES.name]:,} order lines in {parts} parts")
    with new_directory(path) as aside:
        files = _write(by_customer, lambda batches: _of_customers(batches, shared.value), aside)
        for name in SALES:
            say(f"ledger: {name}")
            single = kinds.pop(f"{_DAYS}{name}")
            days = _read(session, spark_schema(single), aside, files.pop(f"{_DAYS}{name}", []))
            kinds[name] = _stored(_so_far(single.empty_table(), catalogue).schema)
            files |= _write(days.repartition(parts, C.PRODUCT_ID), _SalesOf(name, shared), aside)
        named = {file for some in files.values() for file in some}
        for file in aside.iterdir():
            if file.name not in named:
                file.unlink()
        tables = {name: spark_schema(kind).jsonValue() for name, kind in kinds.items()}
        (aside / MANIFEST).write_text(json.dumps({"tables": tables, "files": files}), encoding="utf-8")
    shared.destroy()


def _read(session: Any, kind: Any, folder: Path, files: Sequence[str]) -> Any:
    """The rows of files in a folder. Told the columns, Spark need not look into the files for them."""
    if not files:
        return session.createDataFrame([], kind)
    return session.read.schema(kind).parquet(*(as_it_is(folder / file) for file in files))


def _write(
    rows: Any, made: Callable[[Iterator[pa.RecordBatch]], Iterator[tuple[str, pa.Table]]], folder: Path
) -> dict[str, list[str]]:
    """Write what is made of each part of the rows into a folder, a file for each table; their names, by table."""
    where = folder.resolve()

    def written(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # A name that no other try of this task has.
        task = uuid.uuid4().hex
        writers: dict[str, pq.ParquetWriter] = {}
        for name, table in made(batches):
            kept = table.select([column for column in table.column_names if column != CUSTOMER])
            if name not in writers:
                writers[name] = pq.ParquetWriter(where / f"{name}-{task}.parquet", kept.schema, compression="lz4")
            writers[name].write_table(kept, row_group_size=_ROW_GROUP)
        for writer in writers.values():
            writer.close()
        files = [f"{name}-{task}.parquet" for name in writers]
        yield pa.RecordBatch.from_pydict({"name": _texts(writers), "file": _texts(files)})

    found: dict[str, list[str]] = {}
    with said_plainly():
        for row in rows.mapInArrow(written, "name string, file string").collect():
            found.setdefault(row["name"], []).append(row["file"])
    return found


def _texts(values: Iterable[str]) -> pa.Array:
    return pa.array(list(values), pa.string())


def _stored(kind: pa.Schema) -> pa.Schema:
    """As Spark reads it: dictionaries are texts; without the customers' numbers, which differ from part to part."""
    fields = [
        pa.field(field.name, pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in kind
        if field.name != CUSTOMER
    ]
    return pa.schema(fields)


def _of_customers(batches: Iterator[pa.RecordBatch], catalogue: Catalogue) -> Iterator[tuple[str, pa.Table]]:
    for part in parts_of((batch for batch in batches if batch.num_rows), catalogue):
        yield from _made_of(part, catalogue)


def _made_of(part: Any, catalogue: Catalogue) -> Iterator[tuple[str, pa.Table]]:
    """The tables of some customers, sales as single days."""
    for name, columns in ledger_of(part, catalogue).items():
        if name in SALES:
            yield f"{_DAYS}{name}", arrow_of(columns, names_of(catalogue, None))
        else:
            yield name, arrow_of(columns, names_of(catalogue, part))


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
    return arrow_of(sales_so_far(whole), names_of(catalogue, None))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    whole = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    numbers: NDArray[np.int64] = whole.to_numpy()
    return numbers
