"""Ranked lists of everybody, as the server reads them, from fitted sources and a ranker."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.engine import connect
from features.matrix import Purchases, day_number
from features.schema import PRODUCTS, C
from training.pair_table import CandidateSources
from training.protocols import Context
from training.ranked_lists import NO_PRODUCT, RankedLists
from training.ranking import Ranker
from training.together import bought_together
from training.two_stage import recommend

DEPTH = 100
POPULAR_DEPTH = 1_000


def catalogue(context: Context) -> pa.Table:
    """One row per product that was sold or is in the products table, sorted by product_id.

    product_id, name, department, category, brand, price (as listed, else the median paid for one), in_stock.
    """
    backend = connect(context.settings)
    lines = f"read_parquet('{context.lake.file('order_lines')}')"
    if PRODUCTS.name in context.lake.rows:
        listed = f"read_parquet('{context.lake.file(PRODUCTS.name)}')"
    else:
        blank = ", ".join(f"NULL::VARCHAR AS {name}" for name in (C.NAME, C.DEPARTMENT, C.CATEGORY, C.BRAND))
        listed = (
            f"(SELECT NULL::VARCHAR AS product_id, {blank}, NULL::DOUBLE AS price, NULL::BOOLEAN AS in_stock "
            "WHERE false)"
        )
    table: pa.Table = backend.raw_sql(
        f"""
        WITH sold AS (
            SELECT product_id, median(amount / quantity) FILTER (amount > 0)::DOUBLE AS paid
            FROM {lines} WHERE quantity > 0 GROUP BY product_id
        )
        SELECT product_id, name, department, category, brand,
               coalesce(price::DOUBLE, paid) AS price, coalesce(in_stock, true) AS in_stock
        FROM {listed} FULL JOIN sold USING (product_id) ORDER BY product_id
        """
    ).to_arrow_table()
    return table.combine_chunks()


def _recode(codes: NDArray[np.int32], place: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.where(codes >= 0, place[np.maximum(codes, 0)], NO_PRODUCT).astype(np.int32)


def rank_all(
    context: Context, purchases: Purchases, sources: CandidateSources, ranker: Ranker, *, as_of: datetime, about: Any
) -> RankedLists:
    """Lists of every customer of `purchases` as of `as_of`, by sources fitted on them. Codes number `catalogue`."""
    products = catalogue(context)
    place = pc.index_in(purchases.product_ids, value_set=products["product_id"]).to_numpy().astype(np.int32)
    customers = np.arange(purchases.n_customers, dtype=np.int32)
    moment = np.full(len(customers), day_number(as_of.replace(tzinfo=None)))
    found = recommend(sources, ranker, customers, moment, depth=DEPTH)
    beside = bought_together(purchases)
    neighbours = np.full((products.num_rows, beside.neighbours.shape[1]), NO_PRODUCT, dtype=np.int32)
    lift = np.zeros(neighbours.shape, dtype=np.float32)
    neighbours[place], lift[place] = _recode(beside.neighbours, place), beside.lift
    return RankedLists(
        customers=pa.table({"customer_id": purchases.customer_ids}),
        products=products,
        lists=_recode(found.lists, place),
        scores=found.scores,
        sources=found.sources,
        own_orders=found.own_orders,
        popular=place[sources.popularity_.best_first[:POPULAR_DEPTH]],
        neighbours=neighbours,
        neighbour_lift=lift,
        about=about,
    )
