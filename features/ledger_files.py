"""The ledger on disk: made once for a version of the lake, customers in parts, rows by when they hold.

Rows of customers lie in epochs, each complete in itself: those still true at its start are repeated in it. So the rows
of a moment are all in one epoch, and reading them costs as much as there are customers, however long the history. An
epoch ends when it has some times as many new rows as it began with, which bounds what is repeated.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.errors import RegularsError
from features.home import new_directory
from features.ledger import (
    CUSTOMER_TABLES,
    FOREVER,
    KEYS,
    SALES,
    SINCE,
    UNTIL,
    Catalogue,
    Lines,
)
from features.ledger_input import catalogue_of, parts_of, sorted_batches
from features.ledger_sales import by_product_and_day, sales_so_far
from features.ledger_tables import ledger_of
from features.runs import Ints, Runs
from features.schema import ORDER_LINES, C

MANIFEST = "ledger.json"
#: New rows of an epoch for each that it repeats, and the fewest worth an epoch.
NEW_PER_REPEATED, FEWEST = 2, 8_000
MOST_EPOCHS = 30
#: Days of products added up at a time.
SALES_ROWS = 2_000_000
_DAYS = "days"  # single days of products, part by part, until all are added up
_TIMES = frozenset({SINCE, UNTIL, "before", "first_at", "last_at", "first_order_at", "last_order_at"})
_SMALL = frozenset({"bought", "lines_90d", "orders", "last_order", "streak"})
_NOT_STORED = frozenset({"line", "moment"})
#: Customers by number, which are joined faster than their ids.
CUSTOMER = "customer"

Say = Callable[[str], None]
Columns = Mapping[str, NDArray[Any]]


class Ledger(Protocol):
    """The tables of a ledger, as they are needed for a moment."""

    def rows(self, table: str, moment: datetime) -> Any:
        """Rows of a table (Ibis) among which are all that hold at the moment, and perhaps others."""


@dataclass(frozen=True)
class StoredLedger:
    """A ledger on disk. `epochs`: when those of a table begin, the first one aside."""

    path: Path
    backend: Any
    epochs: Mapping[str, Sequence[datetime]]

    def rows(self, table: str, moment: datetime) -> Any:
        """See Ledger."""
        return self.backend.read_parquet(self.files(table, moment))

    def files(self, table: str, moment: datetime) -> list[str]:
        """The Parquet files of those rows."""
        folder = self.path / table
        if table in self.epochs:
            folder /= str(bisect_left(self.epochs[table], moment))
        # By name: as a pattern, a home called shop[1] would not match itself.
        files = sorted(map(str, folder.glob("*.parquet")))
        if not files:
            raise RegularsError(f"{folder} was removed while it was read. Ask again: it is made anew.")
        return files


@dataclass(frozen=True)
class MemoryLedger:
    """A ledger of few rows."""

    tables: Mapping[str, pa.Table]

    def rows(self, table: str, moment: datetime) -> Any:  # noqa: ARG002 (all rows, whatever the moment)
        """See Ledger."""
        return ibis.memtable(self.tables[table])


def memory_ledger(tables: Mapping[str, Any]) -> MemoryLedger:
    """The ledger of contract tables (Ibis)."""
    catalogue = catalogue_of(tables)
    parts = [
        (part, ledger_of(part, catalogue)) for part in parts_of(sorted_batches(tables[ORDER_LINES.name]), catalogue)
    ]
    made: dict[str, pa.Table] = {}
    for name in KEYS:
        if name in SALES:
            days = [made[name] for _, made in parts]
            columns = {column: np.concatenate([day[column] for day in days]) for column in days[0]}
            product, day = columns.pop(C.PRODUCT_ID), columns.pop("day")
            made[name] = arrow_of(sales_so_far(by_product_and_day(product, day, columns)), names_of(catalogue, None))
        else:
            made[name] = pa.concat_tables([arrow_of(rows[name], names_of(catalogue, part)) for part, rows in parts])
    return MemoryLedger(made)


def open_ledger(path: Path, backend: Any) -> StoredLedger | None:
    """The ledger in a folder, read on `backend`; None when it is not (wholly) there."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        return None
    written = json.loads(manifest.read_text(encoding="utf-8"))
    epochs = {name: [datetime.fromisoformat(start) for start in starts] for name, starts in written["epochs"].items()}
    return StoredLedger(path, backend, epochs)


def write_ledger(
    tables: Mapping[str, Any],
    batches: Iterator[pa.RecordBatch],
    path: Path,
    say: Say = lambda _: None,
    *,
    threads: int = 1,
) -> None:
    """Make the ledger of contract tables (Ibis) and their order lines in a new folder, all of it or nothing."""
    catalogue = catalogue_of(tables)
    with new_directory(path) as aside:
        files: dict[str, _Epochs] = {}
        days: dict[str, list[Path]] = {name: [] for name in SALES}
        for number, (part, made) in enumerate(_made(parts_of(batches, catalogue), catalogue, threads)):
            say(f"ledger: {part.first_customer + len(part.customers):,} customers")
            for name, columns in made.items():
                if name in CUSTOMER_TABLES:
                    if name not in files:
                        files[name] = _Epochs(aside / name, _starts(columns, C.CUSTOMER_ID))
                    files[name].write(columns, names_of(catalogue, part))
                elif name in SALES:
                    days[name].append(_save(columns, aside / _DAYS / f"{name}-{number}"))
                else:
                    (aside / name).mkdir(exist_ok=True)
                    table = arrow_of(columns, names_of(catalogue, part))
                    pq.write_table(table, aside / name / f"{number}.parquet", row_group_size=_ROW_GROUP, **_HOW)
        # A system may allow as few as 256 open files, and there is one for each epoch.
        for written in files.values():
            written.close()
        for name in SALES:
            for columns in _whole_days(days[name], len(catalogue.products)):
                so_far = sales_so_far(columns)
                if name not in files:
                    files[name] = _Epochs(aside / name, _starts(so_far, C.PRODUCT_ID))
                files[name].write(so_far, names_of(catalogue, None))
            files[name].close()
        shutil.rmtree(aside / _DAYS)
        starts = {name: [_time(start).isoformat() for start in written.starts] for name, written in files.items()}
        (aside / MANIFEST).write_text(json.dumps({"epochs": starts}), encoding="utf-8")


#: Ids come in runs and repeat; numbers are read fastest plain. Every row group has all of every column's range, so
#: statistics would be written for nothing.
_HOW: dict[str, Any] = {
    "compression": "lz4",
    "use_dictionary": [C.CUSTOMER_ID, C.PRODUCT_ID, C.CATEGORY],
    "write_statistics": False,
}
_ROW_GROUP = 1_000_000


def _time(microseconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=int(microseconds))


def names_of(catalogue: Catalogue, part: Lines | None) -> Names:
    """What stands for the numbers of products, categories and the part's customers."""
    return Names(
        {C.PRODUCT_ID: catalogue.products, C.CATEGORY: catalogue.categories}
        | ({C.CUSTOMER_ID: part.customers} if part is not None else {}),
        part.first_customer if part is not None else 0,
    )


@dataclass(frozen=True)
class Names:
    """What the numbers in columns of ids stand for, and the number of the part's first customer among all."""

    texts: Mapping[str, pa.Array]
    first_customer: int


def arrow_of(columns: Columns, names: Names) -> pa.Table:
    """Columns of the ledger as they are stored: ids as texts, times as times, customers by number among all."""
    made = {}
    for name, values in columns.items():
        if name in names.texts:
            made[name] = pa.DictionaryArray.from_arrays(values.astype(np.int32), names.texts[name])
        elif name in _TIMES:
            made[name] = pa.array(values).cast(pa.timestamp("us"))
        elif name not in _NOT_STORED:
            made[name] = pa.array(values.astype(np.int32) if name in _SMALL else values)
        if name == C.CUSTOMER_ID:
            made[CUSTOMER] = pa.array((values + names.first_customer).astype(np.int32))
    return pa.table(made)


def _starts(columns: Columns, key: str) -> Ints:
    """When epochs begin, judged by these rows as if all others were spread over time like them."""
    first = Runs(columns[key]).starts
    since = np.sort(columns[SINCE])
    known = np.sort(columns[SINCE][first])
    starts: list[int] = []
    place, repeated = 0, 0
    fewest = max(len(since) // MOST_EPOCHS, min(FEWEST, len(since)))
    while True:
        place += max(NEW_PER_REPEATED * repeated, fewest)
        if place >= len(since):
            return np.array(starts, np.int64)
        starts.append(int(since[place]))
        repeated = int(np.searchsorted(known, since[place]))


class _Epochs:
    """The files of a table, one for each epoch."""

    def __init__(self, folder: Path, starts: Ints) -> None:
        self.folder = folder
        self.starts = starts
        self.writers: dict[int, pq.ParquetWriter] = {}

    def write(self, columns: Columns, names: Names) -> None:
        """Add rows to every epoch in which they hold at some moment."""
        since, until = columns[SINCE], columns[UNTIL]
        first = np.searchsorted(self.starts, since, side="right")
        last = np.where(until == FOREVER, len(self.starts), np.searchsorted(self.starts, until, side="left"))
        table = arrow_of(columns, names)
        for epoch in range(len(self.starts) + 1):
            rows = np.flatnonzero((first <= epoch) & (last >= epoch))
            if epoch not in self.writers:
                (self.folder / str(epoch)).mkdir(parents=True)
                where = self.folder / str(epoch) / "0.parquet"
                self.writers[epoch] = pq.ParquetWriter(where, table.schema, **_HOW)
            self.writers[epoch].write_table(table.take(rows), row_group_size=_ROW_GROUP)

    def close(self) -> None:
        """End the files."""
        for writer in self.writers.values():
            writer.close()


def _save(columns: Columns, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    return folder


def _whole_days(folders: Sequence[Path], products: int) -> Iterator[dict[str, NDArray[Any]]]:
    """The parts' days added up, some products at a time, in order."""
    counted = np.zeros(products, np.int64)
    for folder in folders:
        counted += np.bincount(_load(folder, C.PRODUCT_ID), minlength=products)
    chunk = np.cumsum(counted) // SALES_ROWS
    bounds = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), products]
    names = sorted(file.stem for file in folders[0].iterdir())
    for low, high in pairwise(bounds):
        # Opened anew for every range, so that what was read before does not stay in memory.
        cut = [slice(*np.searchsorted(_load(folder, C.PRODUCT_ID), (low, high))) for folder in folders]
        columns = {
            name: np.concatenate([_load(folder, name)[some] for folder, some in zip(folders, cut, strict=True)])
            for name in names
        }
        product, day = columns.pop(C.PRODUCT_ID), columns.pop("day")
        yield by_product_and_day(product, day, columns)


def _load(folder: Path, name: str) -> NDArray[Any]:
    column: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return column


def _made(parts: Iterator[Lines], catalogue: Catalogue, threads: int) -> Iterator[tuple[Lines, Mapping[str, Columns]]]:
    """The parts with what they make, in order; as many at once as there are threads."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Lines, Future[dict[str, dict[str, NDArray[Any]]]]]] = deque()
        for part in parts:
            waiting.append((part, pool.submit(ledger_of, part, catalogue)))
            if len(waiting) == threads:
                first, made = waiting.popleft()
                yield first, made.result()
        while waiting:
            first, made = waiting.popleft()
            yield first, made.result()
