"""Counting the cube: any two dimensions of customers, products and behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.insight.faces import ALL, COUNTED, CUSTOMER, PRODUCT, SCHEMA, Cube, Dimension
from training.insight.shop import Shop


def make_cube(shop: Shop, dimensions: Sequence[Dimension]) -> Cube:
    """Every pair of dimensions, and each alone, in orders of the last 364 days.

    The tables cube_trips and cube_NAME are those that training.insight.dimensions made with these dimensions.
    Formula and source: as `Cube.face`.
    """
    own = [one for one in dimensions if one.kind == CUSTOMER]
    codes = {one.name: pa.array(one.codes) for one in own}
    given = pa.table({"customer": np.arange(shop.customers, dtype=np.int32)} | codes)
    shop.con.register("cube_codes_given", given)
    shop.con.execute("CREATE OR REPLACE TABLE cube_codes AS SELECT * FROM cube_codes_given")
    shop.con.unregister("cube_codes_given")
    shop.con.execute(
        """
        CREATE OR REPLACE TABLE cube_customers AS
        SELECT c.*, n.* EXCLUDE (customer) FROM cube_codes c JOIN (
            SELECT customer, count(*) FILTER (bought) AS orders, sum(units) AS units, sum(spend) AS spend,
                   sum(margin) AS margin
            FROM cube_trips GROUP BY customer) n USING (customer)
        """
    )
    parts = [_cells(shop, first, second) for first, second in combinations(dimensions, 2)]
    parts += [_cells(shop, one, None) for one in dimensions]
    return Cube(dimensions, pa.concat_tables(parts).combine_chunks())


def _cells(shop: Shop, first: Dimension, second: Dimension | None) -> pa.Table:
    pair = [one for one in (first, second) if one is not None]
    if all(one.kind == CUSTOMER for one in pair):
        source, customers, orders = "cube_customers", "count(*) FILTER (orders > 0)", "sum(orders)"
    else:
        source, customers, orders = (
            _source(shop, pair),
            "count(DISTINCT customer) FILTER (bought)",
            "count(*) FILTER (bought)",
        )
    names = ("first", "second")
    chosen = ", ".join(f'"{one.name}" AS {name}' for one, name in zip(pair, names, strict=False))
    cells: pa.Table = shop.con.execute(
        f"""
        SELECT {chosen}, {customers} AS customers, {orders} AS orders, sum(units)::DOUBLE AS units, sum(spend) AS spend,
               sum(margin) AS margin
        FROM {source} GROUP BY {", ".join(names[: len(pair)])} ORDER BY {", ".join(names[: len(pair)])}
        """
    ).to_arrow_table()
    n = cells.num_rows
    columns = {
        "rows": pa.array([first.name] * n),
        "columns": pa.array([ALL if second is None else second.name] * n),
        "row": cells["first"],
        "column": pa.array(np.zeros(n, dtype=np.int16)) if second is None else cells["second"],
        **{name: cells[name] for name in COUNTED},
    }
    return pa.table({field.name: pc.cast(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)


def _source(shop: Shop, pair: Sequence[Dimension]) -> str:
    """What a pair is counted over: orders, or orders by a value of products, or by two."""
    products = [one.name for one in pair if one.kind == PRODUCT]
    others = [one for one in pair if one.kind != PRODUCT]
    if len(products) == 2:
        one, other = products
        return f"""(
            SELECT trip, any_value(l.customer) AS customer, coalesce(a.code, {_rest(pair[0])}) AS "{one}",
                   coalesce(b.code, {_rest(pair[1])}) AS "{other}", coalesce(bool_or(quantity > 0), false) AS bought,
                   sum(spend) AS spend, sum({shop.margin}) AS margin,
                   coalesce(sum(quantity) FILTER (quantity > 0), 0) AS units
            FROM lines l JOIN goods g USING (product) LEFT JOIN values_{one} a ON g.{one} = a.value
            LEFT JOIN values_{other} b ON g.{other} = b.value
            WHERE trip IN (SELECT trip FROM cube_trips) GROUP BY trip, 3, 4)"""
    if not products:
        return (
            "cube_trips JOIN cube_codes USING (customer)" if any(o.kind == CUSTOMER for o in others) else "cube_trips"
        )
    base = f"cube_{products[0]}"
    if not others:
        return base
    if others[0].kind == CUSTOMER:
        return f"{base} JOIN cube_codes USING (customer)"
    return f'{base} JOIN (SELECT trip, "{others[0].name}" FROM cube_trips) USING (trip)'


def _rest(dimension: Dimension) -> int:
    return len(dimension.values) - 1
