"""What the cube can be cut by: dimensions of customers, of products and of behaviour, each with few values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.insight.faces import ATTRIBUTE, BEHAVIOUR, CUSTOMER, NOT_KNOWN, OTHER, PRODUCT, Dimension
from training.insight.shop import PERIOD_DAYS, WINDOW_DAYS, Shop, attribute_names

#: Values told apart of a dimension, those with the largest sales; the rest are OTHER.
MOST_VALUES = {"category": 20, "department": 20, "brand": 12, "store": 12, "channel": 12}
MOST_ATTRIBUTES, MOST_GROUPS = 6, 10
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYPARTS = ("night", "morning", "afternoon", "evening_hours")


def customer_dimension(
    name: str, labels: NDArray[Any] | pd.Series, values: Sequence[str], *, kind: str = CUSTOMER
) -> Dimension:
    """A dimension from one label per customer; those with a label not among `values` are OTHER."""
    known = list(values)
    codes = pd.Categorical(np.asarray(labels, dtype=object), categories=known).codes.astype(np.int16)
    if (codes < 0).any():
        known = [*known, OTHER] if OTHER not in known else known
        codes = np.where(codes < 0, known.index(OTHER), codes).astype(np.int16)
    return Dimension(name, kind, tuple(known), codes)


def attribute_dimensions(shop: Shop) -> list[Dimension]:
    """One dimension per attribute of the shop's customers with few values, at most MOST_ATTRIBUTES."""
    found = []
    for name in attribute_names(shop):
        column = shop.frame(
            f'SELECT customer, a."{name}"::VARCHAR AS value FROM who LEFT JOIN attributes a USING (customer_id)'
        )
        labels = column.sort_values("customer")["value"].fillna(NOT_KNOWN).to_numpy(object)
        counts = pd.Series(labels).value_counts()
        given = [value for value in counts.index if value != NOT_KNOWN]
        if len(given) > 1 and counts[given[:MOST_GROUPS]].sum() >= 0.8 * counts[given].sum():
            values = sorted(given[:MOST_GROUPS]) + ([NOT_KNOWN] if NOT_KNOWN in counts.index else [])
            found.append(customer_dimension(f"{ATTRIBUTE}{name}", labels, values))
    return found[:MOST_ATTRIBUTES]


def make_behaviour_table(shop: Shop) -> list[Dimension]:
    """Makes `cube_trips`, one row per order of the last WINDOW_DAYS, and says by which of its columns it can be cut."""
    since = f"TIMESTAMP '{shop.as_of}' - INTERVAL {WINDOW_DAYS} DAY"
    periods = WINDOW_DAYS // PERIOD_DAYS
    named: Mapping[str, str] = {"channel": "channel", "store": "store_id"}
    kept = {name: column for name, column in named.items() if shop.has(f"order_lines.{column}")}
    dimensions, joins, columns = [], [], []
    for name, column in kept.items():
        values = _top(shop, f"SELECT {column} AS value, spend FROM trips WHERE ordered_at >= {since}", name)
        dimensions.append(Dimension(name, BEHAVIOUR, values))
        joins.append(_register(shop, name, values, column, "t"))
        columns.append(f"coalesce(values_{name}.code, {len(values) - 1})::SMALLINT AS {name}")
    shop.con.execute(
        f"""
        CREATE OR REPLACE TABLE cube_trips AS
        SELECT trip, customer, bought, spend, {shop.margin} AS margin, units,
               (isodow(ordered_at) - 1)::SMALLINT AS weekday, (hour(ordered_at) // 6)::SMALLINT AS daypart,
               ({periods - 1} - {shop.ago(PERIOD_DAYS)})::SMALLINT AS period
               {"".join(f", {column}" for column in columns)}
        FROM trips t {" ".join(joins)} WHERE ordered_at >= {since}
        """
    )
    begun = [pd.Timestamp(shop.as_of) - pd.Timedelta(days=PERIOD_DAYS * ago) for ago in range(periods, 0, -1)]
    return [
        *dimensions,
        Dimension("weekday", BEHAVIOUR, WEEKDAYS),
        Dimension("daypart", BEHAVIOUR, DAYPARTS),
        Dimension("period", BEHAVIOUR, tuple(f"{day:%Y-%m-%d}" for day in begun)),
    ]


def make_product_tables(shop: Shop) -> list[Dimension]:
    """Makes `cube_NAME` for each dimension of products, one row per order of `cube_trips` and value."""
    found = []
    for name in ("department", "category", "brand"):
        if not shop.has(f"products.{name}"):
            continue
        since = f"TIMESTAMP '{shop.as_of}' - INTERVAL {WINDOW_DAYS} DAY"
        sold = f"SELECT {name} AS value, spend FROM lines JOIN goods USING (product) WHERE ordered_at >= {since}"
        values = _top(shop, sold, name)
        join = _register(shop, name, values, name, "g")
        shop.con.execute(
            f"""
            CREATE OR REPLACE TABLE cube_{name} AS
            SELECT trip, any_value(l.customer) AS customer,
                   coalesce(values_{name}.code, {len(values) - 1})::SMALLINT AS {name},
                   coalesce(bool_or(quantity > 0), false) AS bought, sum(spend) AS spend,
                   sum({shop.margin}) AS margin, coalesce(sum(quantity) FILTER (quantity > 0), 0) AS units
            FROM lines l JOIN goods g USING (product) {join}
            WHERE trip IN (SELECT trip FROM cube_trips) GROUP BY trip, 3
            """
        )
        found.append(Dimension(name, PRODUCT, values))
    return found


def _top(shop: Shop, sold: str, name: str) -> tuple[str, ...]:
    """The values with the largest sales, in their order, then OTHER."""
    rows = shop.con.execute(
        f"SELECT value FROM ({sold}) WHERE value IS NOT NULL GROUP BY value "
        f"ORDER BY sum(spend) DESC NULLS LAST, count(*) DESC, value LIMIT {MOST_VALUES[name]}"
    ).fetchall()
    return (*(str(row[0]) for row in rows), OTHER)


def _register(shop: Shop, name: str, values: Sequence[str], column: str, table: str) -> str:
    """Makes the table of the values' codes; the join that gives them."""
    shop.con.execute(f"CREATE OR REPLACE TABLE values_{name} (value VARCHAR, code SMALLINT)")
    if len(values) > 1:
        shop.con.executemany(
            f"INSERT INTO values_{name} VALUES (?, ?)", [(value, code) for code, value in enumerate(values[:-1])]
        )
    return f"LEFT JOIN values_{name} ON {table}.{column} = values_{name}.value"
