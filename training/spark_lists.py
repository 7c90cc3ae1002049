"""Everybody's ranked lists made on Spark: the lists of one machine, customers spread over executors in blocks.

This process fits the candidate sources on all purchases, as models are learned in one process (their factors by MLlib
where `spark_als` says so), and writes them once into the data home. Every executor maps those files, makes the
purchases of a block of customers from their order lines by the SQL of one machine, asks the sources about them and
ranks. Rows lie in Parquet files until they become the arrays of the server, on disk: no customer's row is held by this
process.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.engine import connect
from features.errors import DataError
from features.matrix import READ, Purchases, day_number, purchases_of
from features.schema import ORDER_LINES, C
from features.scratch import scratch_folder
from features.spark import said_plainly
from features.spark_backend import spark_schema
from training.candidates.als import AlsCandidates
from training.everyone import DEPTH, catalogue, lists_of_asked, places, with_the_shop
from training.fitted_files import load_sources, save_sources
from training.gather_evidence import OwnPurchases, own_purchases
from training.pair_table import CandidateConfig, CandidateSources
from training.profiles import last_moment
from training.protocols import Context
from training.ranked_lists import RankedLists
from training.ranking import Ranker
from training.recommender import RANKER, fitted_on_lake, kept_lists
from training.spark_als import SparkAls
from training.two_stage import Recommended

#: A block has about so many customers, or order lines, at most: one core of an executor holds one block.
BLOCK_CUSTOMERS, BLOCK_LINES = 2_000, 1_000_000
_CODE, _BOUGHT = "code", "bought"
#: What comes back for each customer beside their number and how many products they bought: one list for each array of
#: Recommended and of OwnPurchases, with its type there and on Spark, which knows no numbers without a sign.
_LISTS = {
    "lists": ("int32", pa.int32()),
    "scores": ("float32", pa.float32()),
    "sources": ("uint8", pa.int16()),
    "own_orders": ("uint16", pa.int32()),
    "because": ("int32", pa.int32()),
}
_OWN = {
    "products": ("int32", pa.int32()),
    "orders": ("uint16", pa.int32()),
    "last": ("float64", pa.float64()),
    "gap": ("float32", pa.float32()),
}
_ARRAYS = {f"list_{name}": kind for name, kind in _LISTS.items()} | {f"own_{name}": kind for name, kind in _OWN.items()}
_SCHEMA = pa.schema(
    [(_CODE, pa.int64()), (_BOUGHT, pa.int64()), *((name, pa.list_(kind)) for name, (_, kind) in _ARRAYS.items())]
)


@contextmanager
def lists_on_spark(context: Context, bundle: Path) -> Iterator[RankedLists]:
    """Ranked lists of everybody who ever bought, as of the lake's end; arrays are on disk until the block ends.

    Those of the bundle where the lake is the one it was trained on. Raises DataError as `rank_everyone` does.
    """
    kept = kept_lists(context, bundle)
    if kept is not None:
        yield kept
        return
    # What is fitted or counted over the whole shop is so in this process.
    here = replace(context, settings=context.settings.model_copy(update={"engine": "duckdb"}))
    Ranker.load(bundle / RANKER)  # one that cannot be used is named before everybody waits
    with scratch_folder(context.home) as scratch:

        def als(config: CandidateConfig) -> AlsCandidates:
            return SparkAls(connect(context.settings), scratch, factors=config.factors, seed=config.seed)

        purchases, sources = fitted_on_lake(here, bundle, als=als if context.settings.spark_als else None)
        products = catalogue(here)
        place = places(purchases, products)
        as_of = last_moment(context)
        fitted, rows = scratch / "fitted", scratch / "rows"
        _write_fitted(fitted, bundle, purchases, sources, place, as_of_day=day_number(as_of.replace(tzinfo=None)))
        _ask(context, fitted, rows, purchases)
        found, own = _arrays(rows, scratch, purchases)
        about = {"as_of": as_of.isoformat()}
        yield with_the_shop(here, purchases, sources, products, place, found, own, as_of=as_of, about=about)


def _write_fitted(
    folder: Path,
    bundle: Path,
    purchases: Purchases,
    sources: CandidateSources,
    place: NDArray[np.int32],
    *,
    as_of_day: float,
) -> None:
    """All that executors need but the order lines, as files that they map."""
    (folder / "sources").mkdir(parents=True)
    save_sources(sources, folder / "sources", moment=as_of_day)
    shutil.copyfile(bundle / RANKER, folder / RANKER)
    np.save(folder / "place.npy", place)
    np.save(folder / "as_of_day.npy", np.array([as_of_day]))
    stores = purchases.terms.store_ids if purchases.terms is not None else None
    ids = {"customers": purchases.customer_ids, "products": purchases.product_ids, "stores": stores}
    for name, values in ids.items():
        table = pa.table({"id": pa.array([], pa.string()) if values is None else values})
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)


def _ask(context: Context, fitted: Path, rows: Path, purchases: Purchases) -> None:
    """Executors write a row of _SCHEMA for every customer, sorted by their number."""
    backend = connect(context.settings)
    lines = context.lake.tables(backend)[ORDER_LINES.name]
    columns = {name: lines[name] for name in READ}
    frame = backend.frame(lines.filter(lines[C.QUANTITY] > 0).select(**columns))
    blocks = max(
        purchases.n_customers // BLOCK_CUSTOMERS + 1,
        context.lake.rows[ORDER_LINES.name] // BLOCK_LINES + 1,
        int(backend.session.conf.get("spark.sql.shuffle.partitions")),
    )
    # By range, so that a block's customers stand together in the sorted list of all.
    spread = frame.repartitionByRange(blocks, C.CUSTOMER_ID)
    with said_plainly():
        spread.mapInArrow(_AskBlock(str(fitted.resolve())), spark_schema(_SCHEMA)).write.parquet(str(rows.resolve()))


@dataclass(frozen=True)
class _Fitted:
    """What an executor maps once for all its blocks."""

    sources: CandidateSources
    ranker: Ranker
    place: NDArray[np.int32]
    as_of_day: float
    customers: pa.ChunkedArray
    products: pa.Array
    stores: pa.Array


@lru_cache(maxsize=1)
def _open(folder: str) -> _Fitted:
    root = Path(folder)

    def ids(name: str) -> pa.ChunkedArray:
        return pa.ipc.open_file(pa.memory_map(str(root / f"{name}.arrow"))).read_all()["id"]

    return _Fitted(
        sources=load_sources(root / "sources"),
        ranker=Ranker.load(root / RANKER),
        place=np.load(root / "place.npy"),
        as_of_day=float(np.load(root / "as_of_day.npy")[0]),
        customers=ids("customers"),
        products=ids("products").combine_chunks(),
        stores=ids("stores").combine_chunks(),
    )


@dataclass(frozen=True)
class _AskBlock:
    """Runs on executors: all order lines of some customers in, their rows of _SCHEMA out. `folder`: what is fitted."""

    folder: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Batches of _SCHEMA."""
        lines = [batch for batch in batches if batch.num_rows]
        if not lines:
            return
        fitted = _open(self.folder)
        # An executor has as many tasks as cores: one thread for each.
        with threadpool_limits(1):
            block = purchases_of(pa.Table.from_batches(lines), fitted.products, fitted.stores)
            codes = _codes(block.customer_ids, fitted.customers)
            asked = fitted.sources.about(block, codes)
            asked.config = replace(asked.config, threads=1)
            found = lists_of_asked(asked, fitted.ranker, fitted.place, as_of_day=fitted.as_of_day)
            own = own_purchases(block, fitted.place)
        yield from _rows(codes, found, own).to_batches()


def _codes(block: pa.Array, customers: pa.ChunkedArray) -> NDArray[np.int32]:
    """The numbers of a block's customers: they stand together among all. Raises DataError where they do not."""
    first, low, high = block[0].as_py(), 0, len(customers)
    while low < high:
        middle = (low + high) // 2
        # As bytes, for so all engines sort texts.
        low, high = (middle + 1, high) if customers[middle].as_py().encode() < first.encode() else (low, middle)
    if not customers.slice(low, len(block)).combine_chunks().equals(block):
        raise DataError(f"The order lines of customers from {first!r} on changed while lists were made. Score again.")
    return np.arange(low, low + len(block), dtype=np.int32)


def _rows(codes: NDArray[np.int32], found: Recommended, own: OwnPurchases) -> pa.Table:
    n, depth = found.lists.shape
    values = {f"list_{name}": getattr(found, name).reshape(-1) for name in _LISTS}
    values |= {f"own_{name}": getattr(own, name) for name in _OWN}
    every = np.arange(n + 1, dtype=np.int32) * depth
    columns = {
        name: pa.ListArray.from_arrays(
            every if name.startswith("list_") else own.start.astype(np.int32), pa.array(values[name]).cast(kind)
        )
        for name, (_, kind) in _ARRAYS.items()
    }
    return pa.table({_CODE: codes.astype(np.int64), _BOUGHT: np.diff(own.start), **columns}, schema=_SCHEMA)


def _arrays(rows: Path, scratch: Path, purchases: Purchases) -> tuple[Recommended, OwnPurchases]:
    """The rows of all customers as arrays on disk, a batch at a time. Raises DataError where some are missing."""
    files = sorted(rows.glob("part-*.parquet"), key=lambda file: int(file.name.split("-")[1]))
    counted = pa.concat_tables([pq.read_table(file, columns=[_CODE, _BOUGHT]) for file in files])
    n = purchases.n_customers
    if not np.array_equal(counted[_CODE].to_numpy(), np.arange(n)):
        raise DataError(f"Of {n} customers {counted.num_rows} came back from Spark, or not in order. Score again.")
    starts = np.concatenate(([0], np.cumsum(counted[_BOUGHT].to_numpy())))
    depth = min(DEPTH, purchases.n_products)
    arrays = {
        name: np.lib.format.open_memmap(
            scratch / f"{name}.npy",
            mode="w+",
            dtype=kind,
            shape=(n, depth) if name.startswith("list_") else (int(starts[-1]),),
        )
        for name, (kind, _) in _ARRAYS.items()
    }
    row = 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=BLOCK_CUSTOMERS):
            end = row + batch.num_rows
            for name, array in arrays.items():
                values = batch.column(name).flatten().to_numpy()
                if name.startswith("list_"):
                    array[row:end] = values.reshape(-1, depth)
                else:
                    array[starts[row] : starts[end]] = values
            row = end
    return (
        Recommended(**{name: arrays[f"list_{name}"] for name in _LISTS}),
        OwnPurchases(start=starts, **{name: arrays[f"own_{name}"] for name in _OWN}),
    )
