"""Who stands in a place of the cube: the customers that its measure `customers` counts, found in the lake again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.schema import CUSTOMERS, ORDER_LINES, PRODUCTS
from training.insight.faces import ATTRIBUTE, BEHAVIOUR, CUSTOMER, NOT_KNOWN, OTHER, PRODUCT, Cube, Dimension

#: Dimensions of orders by name: the column of an order that is the value, and SQL of the number of the value.
_COLUMNS: Mapping[str, str] = {"channel": "channel", "store": "store_id"}
_NUMBERS: Mapping[str, str] = {"weekday": "isodow(ordered_at) - 1", "daypart": "hour(ordered_at) // 6"}
_BUYERS = """
WITH sold AS (
    SELECT customer_id, order_id, ordered_at, quantity, channel, store_id, {of_kind} AS of_kind
    FROM read_parquet($lines) {goods} WHERE ordered_at < $as_of
), trips AS (
    SELECT customer_id, coalesce(min(ordered_at) FILTER (quantity > 0), min(ordered_at)) AS ordered_at,
           min(channel) AS channel, min(store_id) AS store_id,
           coalesce(bool_or(quantity > 0 AND of_kind), false) AS bought
    FROM sold GROUP BY customer_id, order_id
)
SELECT DISTINCT customer_id FROM trips WHERE bought AND ordered_at >= $since {of_order}
"""


def buyers_in(
    lake: Path, cube: Cube, place: Mapping[str, str], *, as_of: datetime, window_days: int, threads: int, memory: str
) -> pa.Array:
    """Ids of who bought in the window before `as_of` in a place: values of dimensions of products and of orders.

    `lake` is the folder of the version that the cube was counted from. As `training.insight.cube` counts: an order is
    at its first purchase, and of one channel and store. Raises FileNotFoundError where the lake is gone.
    """
    dimensions = [one for one in cube.dimensions if one.name in place and one.kind != CUSTOMER]
    lines = lake / f"{ORDER_LINES.name}.parquet"
    if not lines.is_file():
        raise FileNotFoundError(lines)
    moment = as_of.astimezone(UTC).replace(tzinfo=None)
    since = moment - timedelta(days=window_days)
    values: dict[str, Any] = {"lines": str(lines), "as_of": moment, "since": since}
    of_kind = [_is(one, f'goods."{one.name}"', place, values) for one in dimensions if one.kind == PRODUCT]
    of_order = [_of_order(one, place, values) for one in dimensions if one.kind == BEHAVIOUR]
    goods = ""
    if of_kind:
        values["goods"] = str(lake / f"{PRODUCTS.name}.parquet")
        goods = "LEFT JOIN read_parquet($goods) goods USING (product_id)"
    query = _BUYERS.format(
        of_kind=" AND ".join(of_kind) or "true", goods=goods, of_order="".join(f" AND {one}" for one in of_order)
    )
    return _ids(query, values, threads=threads, memory=memory)


def with_attribute(lake: Path, dimension: Dimension, value: str, *, threads: int, memory: str) -> tuple[pa.Array, bool]:
    """Ids of customers by what the shop says of them, and whether these are who has the value, or all who have not."""
    column = f'"{dimension.name.removeprefix(ATTRIBUTE)}"::VARCHAR'
    values: dict[str, Any] = {"customers": str(lake / f"{CUSTOMERS.name}.parquet")}
    if value == NOT_KNOWN:
        condition = f"{column} IS NOT NULL"
    elif value == OTHER and dimension.values[-1] == OTHER:
        values["given"] = list(dimension.values[:-1])
        condition = f"NOT list_contains($given, {column})"
    else:
        values["given"] = value
        condition = f"{column} = $given"
    query = f"SELECT customer_id FROM read_parquet($customers) WHERE {condition}"
    return _ids(query, values, threads=threads, memory=memory), value != NOT_KNOWN


def _is(dimension: Dimension, column: str, place: Mapping[str, str], values: dict[str, Any]) -> str:
    """SQL of whether a column has the value asked for; the last value of these dimensions is all others."""
    wanted, name = place[dimension.name], f"of_{dimension.name}"
    if wanted == dimension.values[-1]:
        values[name] = list(dimension.values[:-1])
        return f"NOT coalesce(list_contains(${name}::VARCHAR[], {column}), false)"
    values[name] = wanted
    return f"coalesce({column} = ${name}, false)"


def _of_order(dimension: Dimension, place: Mapping[str, str], values: dict[str, Any]) -> str:
    name, wanted = dimension.name, place[dimension.name]
    if name in _COLUMNS:
        return _is(dimension, _COLUMNS[name], place, values)
    if wanted not in dimension.values:
        return "false"
    if name in _NUMBERS:
        values[name] = dimension.values.index(wanted)
        return f"{_NUMBERS[name]} = ${name}"
    begun = datetime.fromisoformat(wanted)
    at = dimension.values.index(wanted) + 1
    values["begun"] = begun
    if at == len(dimension.values):
        return "ordered_at >= $begun"
    values["ended"] = datetime.fromisoformat(dimension.values[at])
    return "ordered_at >= $begun AND ordered_at < $ended"


def _ids(query: str, values: Mapping[str, Any], *, threads: int, memory: str) -> pa.Array:
    with duckdb.connect(config={"threads": threads, "memory_limit": memory}) as con:
        found = con.execute(query, dict(values)).to_arrow_table()
    return found["customer_id"].combine_chunks().cast(pa.string())
