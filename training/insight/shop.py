"""The shop as it was known at a moment, coded for counting: small tables of whole numbers in DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.engine import connect, require_duckdb
from features.errors import DataError
from features.schema import CONTACTS, CUSTOMERS, PRODUCTS, RESPONSES, C
from features.snapshot import Snapshot, columns_given, naive_utc
from training.protocols import Context

#: A period of the pictures over time: four weeks, so that each has the same weekdays.
PERIOD_DAYS = 28
#: What a customer did lately is measured over so many days: a year, so that no season is missing.
WINDOW_DAYS = 364
_DAY_US = 86_400_000_000
_TEXTS = (C.NAME, C.DEPARTMENT, C.CATEGORY, C.BRAND)


@dataclass(frozen=True)
class Shop:
    """Rows before `as_of` (naive UTC) as tables of `con`, a DuckDB connection. Money is in the shop's currency.

    who: customer (0, 1, … in the order of customer_id), customer_id; those who bought.
    goods: product, product_id, name, department, category, brand, cost of one (null where not known).
    lines: trip, customer, product, ordered_at, quantity, spend, margin, discount. Returns are negative.
    trips: trip, customer, ordered_at, bought (false for returns alone), spend, margin, lines, units, channel, store_id.
    """

    con: Any
    as_of: datetime
    horizon_days: int
    given: frozenset[str]
    currency: str = ""

    def has(self, *columns: str) -> bool:
        """Whether all of these columns (table.column) hold any value in the lake."""
        return self.given.issuperset(columns)

    @property
    def has_spend(self) -> bool:
        """Whether the shop knows what was paid."""
        return self.has("order_lines.amount")

    @cached_property
    def has_margin(self) -> bool:
        """Whether what products cost the shop is known for all that was sold: part of a margin would mislead."""
        return (
            self.has_spend
            and self.has("products.cost")
            and self.number("SELECT count(*) FROM lines") == self.number("SELECT count(margin) FROM lines")
        )

    @property
    def margin(self) -> str:
        """SQL of the margin of a line or a trip: nothing where it is not known of all, as a part would mislead."""
        return "margin" if self.has_margin else "NULL::DOUBLE"

    @property
    def grouping(self) -> str | None:
        """The column by which products are grouped in pictures: category, else department, else none."""
        return next((name for name in (C.CATEGORY, C.DEPARTMENT) if self.has(f"{PRODUCTS.name}.{name}")), None)

    def ago(self, days: int) -> str:
        """SQL of how many spans of so many days end after the one in which `ordered_at` lies: 0 for the last.

        The last ends at `as_of`, and a row at the very first moment of a span, a midnight, is in it.
        """
        return f"((epoch_us(TIMESTAMP '{self.as_of}') - 1 - epoch_us(ordered_at)) // {_DAY_US * days})"

    def frame(self, sql: str, values: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """The answer as a frame; `values` stand for $names in the query."""
        found: pd.DataFrame = self.con.execute(sql, values or {}).df()
        return found

    def number(self, sql: str) -> Any:
        """The one value of an answer."""
        row = self.con.execute(sql).fetchone()
        return None if row is None else row[0]

    @cached_property
    def customer_ids(self) -> pa.Array:
        """The ids of `who`, sorted."""
        table = self.con.execute("SELECT customer_id FROM who ORDER BY customer").to_arrow_table()
        return table["customer_id"].combine_chunks()

    @property
    def customers(self) -> int:
        """How many ever bought."""
        return len(self.customer_ids)

    def per_customer(self, sql: str, *, missing: float = 0.0) -> dict[str, NDArray[np.float64]]:
        """Columns of a query with one row per `customer`, as (customers,) arrays; `missing` where it has no row."""
        found = self.frame(sql)
        at = found["customer"].to_numpy(np.int64)
        columns = {}
        for name in found.columns.drop("customer"):
            values = np.full(self.customers, missing)
            values[at] = found[name].to_numpy(np.float64, na_value=np.nan)
            columns[str(name)] = values
        return columns

    def name_codes(self, name: str, values: NDArray[Any] | pd.Series) -> None:
        """A table `name` of customer and value, from an array aligned with `who`, for queries to join."""
        table = pa.table({"customer": np.arange(self.customers, dtype=np.int32), "value": pa.array(values)})
        self.con.register(f"{name}_given", table)
        self.con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {name}_given")
        self.con.unregister(f"{name}_given")


def shop_before(context: Context, as_of: datetime, *, horizon_days: int) -> Shop:
    """The lake as it was known at `as_of`. Raises DataError where nobody had bought before."""
    require_duckdb(context.settings.engine, "picture of the shop's customers")
    backend = connect(context.settings)
    lake = context.lake
    return coded(
        Snapshot(lake.tables(backend), naive_utc(as_of), columns_given(lake)),
        backend,
        horizon_days=horizon_days,
        currency=context.settings.currency,
    )


def coded(snapshot: Snapshot, backend: Any, *, horizon_days: int, currency: str = "") -> Shop:
    """The tables of a Shop, made of a snapshot, which alone cuts rows at the moment."""
    con = backend.con
    _make(con, "taken_lines", snapshot.lines)
    _make_goods(con, snapshot)
    con.execute(_CODES)
    con.execute(_LINES)
    con.execute(_TRIPS)
    for name in (CONTACTS.name, RESPONSES.name):
        if name in snapshot.tables:
            _make(con, name, snapshot.table(name))
    if CUSTOMERS.name in snapshot.tables:
        _make(con, "attributes", snapshot.tables[CUSTOMERS.name].drop(C.JOINED_AT))
    shop = Shop(con, snapshot.as_of, horizon_days, snapshot.given, currency)
    if not shop.customers:
        raise DataError(f"Nobody had bought before {snapshot.as_of:%Y-%m-%d}. Ask for a later moment, or load orders.")
    return shop


def earlier(shop: Shop, moment: datetime) -> Shop:
    """The same shop as it was known before, at `moment`; made of its tables, in a schema of their own.

    Raises DataError where nobody had bought before.
    """
    if moment > shop.as_of:
        raise DataError(f"{moment} is after {shop.as_of:%Y-%m-%d}, so it is not earlier.")
    con = shop.con.cursor()
    con.execute(_EARLIER.format(name=f"{moment:%Y%m%d%H%M%S%f}", moment=moment))
    con.execute(_TRIPS)
    found = replace(shop, con=con, as_of=moment)
    if not found.customers:
        raise DataError(f"Nobody had bought before {moment:%Y-%m-%d}. Ask for a later moment.")
    return found


def attribute_names(shop: Shop) -> list[str]:
    """The open attributes of customers that hold any value."""
    prefix = f"{CUSTOMERS.name}."
    names = (name.removeprefix(prefix) for name in shop.given if name.startswith(prefix))
    return sorted(name for name in names if name not in (C.CUSTOMER_ID, C.JOINED_AT))


def _make(con: Any, name: str, expression: Any) -> None:
    con.execute(f"CREATE OR REPLACE TABLE {name} AS {ibis.to_sql(expression, dialect='duckdb')}")


def _make_goods(con: Any, snapshot: Snapshot) -> None:
    if PRODUCTS.name not in snapshot.tables:
        texts = ", ".join(f"{name} VARCHAR" for name in (C.PRODUCT_ID, *_TEXTS))
        con.execute(f"CREATE OR REPLACE TABLE taken_goods ({texts}, {C.COST} DOUBLE)")
        return
    products = snapshot.tables[PRODUCTS.name]
    # A lake loaded by an earlier release has no cost.
    cost = products[C.COST].cast("float64") if C.COST in products.columns else ibis.null("float64")
    _make(con, "taken_goods", products.select(C.PRODUCT_ID, *_TEXTS, cost.name(C.COST)))


_CODES = """
CREATE OR REPLACE TABLE who AS
SELECT (row_number() OVER (ORDER BY customer_id) - 1)::INTEGER AS customer, customer_id
FROM (SELECT DISTINCT customer_id FROM taken_lines WHERE quantity > 0);
CREATE OR REPLACE TABLE goods AS
SELECT (row_number() OVER (ORDER BY product_id) - 1)::INTEGER AS product, product_id,
       coalesce(name, product_id) AS name, department, category, brand, cost
FROM (SELECT DISTINCT product_id FROM taken_lines) LEFT JOIN taken_goods USING (product_id);
CREATE OR REPLACE TABLE trip_names AS
SELECT (row_number() OVER (ORDER BY customer, order_id) - 1)::INTEGER AS trip, customer, order_id
FROM (SELECT DISTINCT customer, order_id FROM taken_lines JOIN who USING (customer_id));
"""
_LINES = """
CREATE OR REPLACE TABLE lines AS
SELECT trip, customer, product, ordered_at, quantity, channel, store_id, amount::DOUBLE AS spend,
       amount::DOUBLE - quantity * cost AS margin,
       coalesce(discount, 0)::DOUBLE + coalesce(coupon, 0)::DOUBLE AS discount
FROM taken_lines JOIN who USING (customer_id) JOIN trip_names USING (customer, order_id)
JOIN goods USING (product_id);
DROP TABLE taken_lines; DROP TABLE taken_goods; DROP TABLE trip_names;
"""
_TRIPS = """
CREATE OR REPLACE TABLE trips AS
SELECT trip, any_value(customer) AS customer,
       coalesce(min(ordered_at) FILTER (quantity > 0), min(ordered_at)) AS ordered_at,
       coalesce(bool_or(quantity > 0), false) AS bought, sum(spend) AS spend, sum(margin) AS margin,
       count(*) FILTER (quantity > 0) AS lines, coalesce(sum(quantity) FILTER (quantity > 0), 0) AS units,
       min(channel) AS channel, min(store_id) AS store_id
FROM lines GROUP BY trip;
"""
_EARLIER = """
CREATE OR REPLACE SCHEMA then_{name};
SET schema = 'then_{name}';
CREATE TABLE who AS
SELECT (row_number() OVER (ORDER BY customer) - 1)::INTEGER AS customer, customer AS customer_later, customer_id
FROM main.who
WHERE customer IN (SELECT customer FROM main.lines WHERE ordered_at < TIMESTAMP '{moment}' AND quantity > 0);
CREATE TABLE lines AS
SELECT l.* REPLACE (w.customer AS customer) FROM main.lines l JOIN who w ON l.customer = w.customer_later
WHERE ordered_at < TIMESTAMP '{moment}';
"""
