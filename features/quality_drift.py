"""How far order lines of late have moved from those before, column by column, from counts that DuckDB makes."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import numpy as np
from numpy.typing import NDArray

from features.drift import BINS, index_of_counts
from features.lake import Lake
from features.schema import ORDER_LINES, PRODUCTS, C
from features.sql import text

#: Whole weeks, so that every weekday is on both sides; a load of a longer time is compared with as long a time before.
RECENT_DAYS = 28
NUMBERS = (C.QUANTITY, C.AMOUNT, C.DISCOUNT, C.COUPON)
VALUES = (C.CHANNEL, C.STORE_ID, C.CATEGORY, "weekday", "hour")


def line_drift(con: duckdb.DuckDBPyConnection, lake: Lake, before: Lake | None) -> tuple[dict[str, float], int]:
    """The stability index by column, largest first, and over how many days either side.

    Compares the lines of the last RECENT_DAYS, or of all the time that came after the load before where that is
    longer, with those of as many days before. Empty where either side has no lines.
    """
    last = datetime.fromisoformat(lake.manifest["last_order_at"])
    came = (last - datetime.fromisoformat(before.manifest["last_order_at"])).days if before else 0
    days = max(RECENT_DAYS, came)
    now, start = last - timedelta(days=days), last - timedelta(days=2 * days)
    lines = f"read_parquet({text(str(lake.file(ORDER_LINES.name)))})"
    category, described = "NULL::VARCHAR", ""
    if PRODUCTS.name in lake.rows:
        category = "p.category"
        described = f"LEFT JOIN read_parquet({text(str(lake.file(PRODUCTS.name)))}) p USING (product_id)"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE recent AS
        SELECT l.ordered_at > {text(str(now))}::TIMESTAMP AS now, l.quantity, l.amount::DOUBLE AS amount,
               l.discount::DOUBLE AS discount, l.coupon::DOUBLE AS coupon, l.channel, l.store_id,
               {category} AS category,
               dayofweek(l.ordered_at)::VARCHAR AS weekday, hour(l.ordered_at)::VARCHAR AS hour
        FROM {lines} l {described} WHERE l.ordered_at > {text(str(start))}::TIMESTAMP
        """
    )
    sides = con.execute("SELECT count(*) FILTER (now), count(*) FILTER (NOT now) FROM recent").fetchone() or (0, 0)
    if not all(sides):
        return {}, days
    found = {}
    for name in (*NUMBERS, *VALUES):
        if con.execute(f"SELECT count({name}) FROM recent").fetchone() != (0,):
            found[name] = index_of_counts(*_counts(con, _bin(con, name) if name in NUMBERS else name))
    con.execute("DROP TABLE recent")
    return dict(sorted(found.items(), key=lambda item: -item[1])), days


def _bin(con: duckdb.DuckDBPyConnection, name: str) -> str:
    """The number of the bin that a value is in: between quantiles of the values before."""
    shares = [share / BINS for share in range(1, BINS)]
    row = con.execute(f"SELECT quantile_cont({name}, {shares}) FROM recent WHERE NOT now").fetchone()
    edges = sorted({float(edge) for edge in (row[0] if row and row[0] else [])})
    above = " + ".join(f"({name} >= {edge!r})::INTEGER" for edge in edges) or "0"
    return f"CASE WHEN {name} IS NOT NULL THEN {above} END"


def _counts(con: duckdb.DuckDBPyConnection, value: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows before and now by value; no value is one, and all values that are new are another."""
    rows = con.execute(
        f"SELECT count(*) FILTER (NOT now), count(*) FILTER (now) FROM recent GROUP BY {value} ORDER BY {value}"
    ).fetchall()
    old, new = np.array(rows, dtype=float).T
    known = old > 0
    return np.append(old[known], 0.0), np.append(new[known], new[~known].sum())
