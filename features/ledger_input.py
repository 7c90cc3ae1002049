"""Order lines and products as the numbers that the ledger is made of, some customers at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.errors import DataError
from features.ledger import MONEY, UNITS, Catalogue, Lines, key_of_day
from features.mixes import MIXES, known_column, mix_values
from features.runs import Ints, Runs
from features.schema import ORDER_LINES, PRODUCTS, C

#: Order lines of the customers worked at together: some hundred megabytes of memory.
PART_LINES = 2_000_000
#: The usual price of a unit of a category is what everybody paid in the days before, so many.
USUAL_DAYS = 180
#: Order lines lie in this order, and with these columns they are what a ledger is made of.
ORDER = (C.CUSTOMER_ID, C.ORDERED_AT, C.ORDER_ID, C.PRODUCT_ID)
COLUMNS = (*ORDER, C.QUANTITY, C.AMOUNT, C.DISCOUNT, C.COUPON, C.STORE_ID, C.CHANNEL)
_IDS = (C.CUSTOMER_ID, C.ORDER_ID, C.PRODUCT_ID, C.STORE_ID, C.CHANNEL)
_NO_LINES = pa.schema(
    {
        **dict.fromkeys(_IDS, pa.string()),
        C.ORDERED_AT: pa.timestamp("us"),
        C.QUANTITY: pa.float64(),
        **dict.fromkeys((C.AMOUNT, C.DISCOUNT, C.COUPON), pa.decimal128(18, 4)),
    }
).empty_table()


def catalogue_of(tables: Mapping[str, Any]) -> Catalogue:
    """Every product that is listed or was ever in an order."""
    lines = tables[ORDER_LINES.name]
    known = lines.select(C.PRODUCT_ID).distinct()
    if PRODUCTS.name in tables:
        known = known.union(tables[PRODUCTS.name].select(C.PRODUCT_ID), distinct=True)
    products = known.order_by(C.PRODUCT_ID).to_pyarrow()[C.PRODUCT_ID].combine_chunks()
    none = np.full(len(products), -1)
    if PRODUCTS.name not in tables:
        return Catalogue(products, pa.array([], pa.string()), none, none, {}, none[:0], np.zeros(0))
    listed = tables[PRODUCTS.name]
    columns = dict.fromkeys([C.PRODUCT_ID, C.CATEGORY, C.BRAND, *(mix.column for mix in MIXES)])
    described = listed.select(*columns).to_pyarrow()
    place = pc.index_in(products, described[C.PRODUCT_ID].combine_chunks())
    by_product = {name: described[name].combine_chunks().take(place) for name in columns}
    category, categories = _numbered(by_product[C.CATEGORY])
    brand, _ = _numbered(by_product[C.BRAND])
    mixed = {}
    for mix in MIXES:
        values = by_product[mix.column]
        mixed[known_column(mix)] = _flag(pc.is_valid(values))
        for value, short in mix_values(tables, mix).items():
            mixed[f"{mix.column}_{short}"] = _flag(pc.equal(values, value))
    return Catalogue(products, categories, category, brand, mixed, *_usual_prices(lines, listed, categories))


def _flag(values: pa.Array) -> Ints:
    flags: Ints = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(np.int64)
    return flags


def _numbered(values: pa.Array) -> tuple[Ints, pa.Array]:
    """Numbers from 0 on (-1: unknown), and the values that they stand for."""
    coded = values.dictionary_encode()
    return pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary


def _usual_prices(lines: Any, products: Any, categories: pa.Array) -> tuple[Ints, NDArray[np.float64]]:
    """What a unit of each category cost everybody in the days before each day on which it was sold, by key of both."""
    sold = lines.filter((lines[C.QUANTITY] > 0) & lines[C.AMOUNT].notnull())
    sold = sold.join(products.select(C.PRODUCT_ID, C.CATEGORY), C.PRODUCT_ID)
    sold = sold.filter(sold[C.CATEGORY].notnull())
    day = (sold[C.ORDERED_AT].truncate("D").epoch_seconds() // 86_400).cast("int64").name("day")
    found = sold.group_by([C.CATEGORY, day]).aggregate(
        paid=(sold[C.AMOUNT].sum() * MONEY).cast("int64"),
        units=(sold[C.QUANTITY].cast("decimal(18, 6)").sum() * UNITS).cast("int64"),
    )
    table = found.to_pyarrow()
    category = pc.index_in(table[C.CATEGORY].combine_chunks(), categories).to_numpy().astype(np.int64)
    keys = key_of_day(category, table["day"].to_numpy())
    order = np.argsort(keys)
    keys = keys[order]
    # Before a category's first day lie 2^24 days of the one before it, of which the last are never reached.
    start = np.searchsorted(keys, keys - USUAL_DAYS)
    sums = [np.append(0, np.cumsum(table[name].to_numpy()[order])) for name in ("paid", "units")]
    paid, units = (so_far[:-1] - so_far[start] for so_far in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        return keys, np.where(units > 0, (paid / MONEY) / (units / UNITS), np.nan)


def lake_batches(file: Path) -> Iterator[pa.RecordBatch]:
    """The order lines of a lake, which writes them in the order needed; ids as dictionaries."""
    lines = pq.ParquetFile(file, read_dictionary=list(_IDS))
    yield from lines.iter_batches(batch_size=PART_LINES // 16, columns=list(COLUMNS))


def sorted_batches(lines: Any) -> Iterator[pa.RecordBatch]:
    """The order lines of any table, put in order."""
    yield from lines.select(*COLUMNS).order_by(ORDER).to_pyarrow().to_batches()


def parts_of(batches: Iterator[pa.RecordBatch], catalogue: Catalogue) -> Iterator[Lines]:
    """The order lines of all customers, some customers at a time; one part of none where there are none.

    Raises DataError when the lines of a customer do not come together and by time.
    """
    waiting: list[pa.RecordBatch] = []
    seen = 0
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= PART_LINES:
            table = pa.Table.from_batches(waiting)
            last = _begins(table[C.CUSTOMER_ID])
            if last:
                yield (part := _lines(table.slice(0, last), catalogue, seen))
                seen += len(part.customers)
            waiting = table.slice(last).to_batches()
            rows -= last
    if rows or not seen:
        yield _lines(pa.Table.from_batches(waiting) if rows else _NO_LINES, catalogue, seen)


def _begins(customers: pa.ChunkedArray) -> int:
    """The row with which the last customer begins."""
    final = customers[-1].as_py()
    row = len(customers)
    for chunk in reversed(customers.chunks):
        same = pc.equal(chunk.cast(pa.string()) if pa.types.is_dictionary(chunk.type) else chunk, final)
        others = np.flatnonzero(~same.to_numpy(zero_copy_only=False))
        if len(others):
            return row - len(chunk) + int(others[-1]) + 1
        row -= len(chunk)
    return 0


def _lines(table: pa.Table, catalogue: Catalogue, seen: int) -> Lines:
    coded = {}
    table = table.unify_dictionaries()
    for name in _IDS:
        encoded = table[name].combine_chunks()
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        coded[name] = (indices, encoded.dictionary)
    customer, customers = coded[C.CUSTOMER_ID]
    product, products = coded[C.PRODUCT_ID]
    number = pc.index_in(products, catalogue.products).to_numpy(zero_copy_only=False).astype(np.int64)
    quantity = table[C.QUANTITY].to_numpy()
    amount, priced = _money(table[C.AMOUNT])
    time = table[C.ORDERED_AT].cast(pa.int64()).to_numpy()
    runs = Runs(customer)
    if (
        len(np.unique(customer[runs.starts])) != len(runs.starts)
        or not (np.diff(time) >= 0)[np.diff(customer) == 0].all()
    ):
        raise DataError("The lake's order lines are not in order. Load your data anew:  regulars ingest --replace")
    return Lines(
        first_customer=seen,
        customers=customers.take(pa.array(customer[runs.starts])),
        customer=runs.ids,
        order=coded[C.ORDER_ID][0],
        product=number[product],
        time=time,
        units=np.round(quantity * UNITS).astype(np.int64),
        amount=amount,
        priced=priced,
        discount=_money(table[C.DISCOUNT])[0],
        coupon=_money(table[C.COUPON])[0],
        store=coded[C.STORE_ID][0],
        channel=coded[C.CHANNEL][0],
    )


def _money(column: pa.ChunkedArray) -> tuple[Ints, NDArray[np.bool_]]:
    """In 1/10,000, 0 where not given; and where it is. The lake's decimals are those numbers in 128 bits."""
    values = column.cast(pa.decimal128(18, 4)).combine_chunks()
    given = pc.is_valid(values).to_numpy(zero_copy_only=False)
    words = np.frombuffer(values.buffers()[1], np.int64)[2 * values.offset : 2 * (values.offset + len(values)) : 2]
    return np.where(given, words, 0), given
