"""What customers ordered, read from the lake of the scores: their lines lie together there, sorted by customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import RegularsError
from features.home import Home
from features.lake import read_lake
from features.schema import ORDER_LINES, C
from serving.state import State

MONTHS = 12


def lake_file(state: State, home: Home, table: str = ORDER_LINES.name) -> Path | None:
    """The file of the lake that the scores were made of; of the lake as it is now where that is gone; None without."""
    version = state.about.get("lake_version")
    if version is not None:
        named = home.lake / "versions" / str(version) / f"{table}.parquet"
        if named.is_file():
            return named
    try:
        now = read_lake(home).file(table)
    except RegularsError:
        return None
    return now if now.is_file() else None


def order_lines(file: Path, customers: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """The lines of those customers; only the parts of the file that may hold them are read."""
    return pq.read_table(file, columns=list(columns), filters=[(C.CUSTOMER_ID, "in", list(customers))])


def monthly_spend(file: Path, customers: Sequence[str], *, until: datetime) -> Mapping[str, list[float]]:
    """What each customer spent in each of the MONTHS months that end with that of `until`, the oldest first.

    Where the shop has no amounts, the lines bought. Returns are taken off.
    """
    lines = order_lines(file, customers, (C.CUSTOMER_ID, C.ORDERED_AT, C.AMOUNT, C.QUANTITY))
    moments = lines[C.ORDERED_AT]
    place = (
        MONTHS - 1 - ((until.year - _numbers(pc.year(moments))) * 12 + until.month - _numbers(pc.month(moments)))
    ).astype(int)
    amounts = lines[C.AMOUNT]
    worth = amounts if amounts.null_count < len(amounts) else lines[C.QUANTITY]
    values = np.nan_to_num(np.asarray(worth.cast(pa.float64()).to_numpy(), dtype=float))
    row_of = {customer: row for row, customer in enumerate(customers)}
    rows = np.array([row_of[customer] for customer in lines[C.CUSTOMER_ID].to_pylist()], dtype=int)
    within = (place >= 0) & (place < MONTHS)
    spent = np.zeros((len(customers), MONTHS))
    np.add.at(spent, (rows[within], place[within]), values[within])
    return dict(zip(customers, spent.tolist(), strict=True))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.to_numpy())
