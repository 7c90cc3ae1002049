"""Ranked lists of everybody, as the server reads them, from fitted sources and a ranker."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.engine import connect
from features.matrix import Purchases, day_number
from features.schema import INTERACTIONS, PRODUCTS, C
from training.evidence import Evidence
from training.gather_evidence import OwnPurchases, gather, own_purchases
from training.newcomer_lists import newcomer_lists
from training.pair_table import CandidateSources
from training.protocols import Context
from training.ranked_lists import NO_PRODUCT, RankedLists
from training.ranking import Ranker
from training.together import bought_together
from training.two_stage import Recommended, recommend

DEPTH = 100
POPULAR_DEPTH = 1_000


def catalogue(context: Context) -> pa.Table:
    """One row per product that was sold or is in the products table, sorted by product_id.

    product_id, name, department, category, brand, price (as listed, else the median paid for one), in_stock,
    hidden, listed_at, expires_at.
    """
    backend = connect(context.settings)
    lines = f"read_parquet('{context.lake.file('order_lines')}')"
    texts = (C.NAME, C.DEPARTMENT, C.CATEGORY, C.BRAND)
    kinds = dict.fromkeys(texts, "VARCHAR") | {
        **{C.PRICE: "DOUBLE", C.IN_STOCK: "BOOLEAN", C.HIDDEN: "BOOLEAN"},
        **{C.LISTED_AT: "TIMESTAMP", C.EXPIRES_AT: "TIMESTAMP"},
    }
    given: set[str] = set()
    if PRODUCTS.name in context.lake.rows:
        # A lake loaded by an earlier release lacks the columns that came since.
        given = set(pq.read_schema(context.lake.file(PRODUCTS.name)).names)
        source = f"read_parquet('{context.lake.file(PRODUCTS.name)}')"
    else:
        source = "(SELECT NULL::VARCHAR AS product_id WHERE false)"
    columns = ", ".join(f"{name if name in given else 'NULL'}::{kind} AS {name}" for name, kind in kinds.items())
    table: pa.Table = backend.raw_sql(
        f"""
        WITH sold AS (
            SELECT product_id, median(amount / quantity) FILTER (amount > 0)::DOUBLE AS paid
            FROM {lines} WHERE quantity > 0 GROUP BY product_id
        ), listed AS (SELECT product_id, {columns} FROM {source})
        SELECT product_id, name, department, category, brand, coalesce(price, paid) AS price,
               coalesce(in_stock, true) AS in_stock, coalesce(hidden, false) AS hidden, listed_at, expires_at
        FROM listed FULL JOIN sold USING (product_id) ORDER BY product_id
        """
    ).to_arrow_table()
    return table.combine_chunks()


def _recode(codes: NDArray[np.int32], place: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.where(codes >= 0, place[np.maximum(codes, 0)], NO_PRODUCT).astype(np.int32)


def places(purchases: Purchases, products: pa.Table) -> NDArray[np.int32]:
    """(products,) the row of the catalogue `products` for each product of `purchases`."""
    found: NDArray[np.int32] = pc.index_in(purchases.product_ids, value_set=products[C.PRODUCT_ID]).to_numpy()
    return found.astype(np.int32)


def lists_of_asked(
    sources: CandidateSources, ranker: Ranker, place: NDArray[np.int32], *, as_of_day: float
) -> Recommended:
    """What is recommended to each customer that the sources are asked about; products are numbered by `place`."""
    customers = np.arange(sources.history_.n_customers, dtype=np.int32)
    found = recommend(sources, ranker, customers, np.full(len(customers), as_of_day), depth=DEPTH)
    return replace(found, lists=_recode(found.lists, place), because=_recode(found.because, place))


def rank_all(
    context: Context, purchases: Purchases, sources: CandidateSources, ranker: Ranker, *, as_of: datetime, about: Any
) -> RankedLists:
    """Lists of every customer of `purchases` as of `as_of`, by sources fitted on them. Codes number `catalogue`."""
    products = catalogue(context)
    place = places(purchases, products)
    found = lists_of_asked(sources, ranker, place, as_of_day=day_number(as_of.replace(tzinfo=None)))
    own = own_purchases(purchases, place)
    return with_the_shop(context, purchases, sources, products, place, found, own, as_of=as_of, about=about)


def with_the_shop(
    context: Context,
    purchases: Purchases,
    sources: CandidateSources,
    products: pa.Table,
    place: NDArray[np.int32],
    found: Recommended,
    own: OwnPurchases,
    *,
    as_of: datetime,
    about: Any,
) -> RankedLists:
    """What was found for each customer, and what the whole shop's orders say beside it."""
    evidence, neighbours, lift = _beside(context, purchases, place, products, own, as_of)
    return RankedLists(
        customers=pa.table({C.CUSTOMER_ID: purchases.customer_ids}),
        products=products,
        lists=found.lists,
        scores=found.scores,
        sources=found.sources,
        own_orders=found.own_orders,
        popular=place[sources.popularity_.best_first[:POPULAR_DEPTH]],
        neighbours=neighbours,
        neighbour_lift=lift,
        about=about,
        evidence=evidence,
        because=found.because,
        newcomers=newcomer_lists(context, purchases, place, n_products=products.num_rows),
    )


def _beside(
    context: Context,
    purchases: Purchases,
    place: NDArray[np.int32],
    products: pa.Table,
    own: OwnPurchases,
    as_of: datetime,
) -> tuple[Evidence, NDArray[np.int32], NDArray[np.float32]]:
    """The evidence, and the neighbours of each product with their lifts."""
    beside = bought_together(purchases)
    shape = (products.num_rows, beside.neighbours.shape[1])
    neighbours = np.full(shape, NO_PRODUCT, dtype=np.int32)
    lift, confidence, strength = (np.zeros(shape, dtype=np.float32) for _ in range(3))
    support = np.zeros(shape, dtype=np.int32)
    neighbours[place], lift[place] = _recode(beside.neighbours, place), beside.lift
    support[place], confidence[place], strength[place] = beside.support, beside.confidence, beside.strength
    evidence = gather(
        purchases,
        place,
        own=own,
        n_products=products.num_rows,
        as_of_day=day_number(as_of.replace(tzinfo=None)),
        against=_against(context, purchases, products),
        support=support,
        confidence=confidence,
        strength=strength,
    )
    return evidence, neighbours, lift


def _against(context: Context, purchases: Purchases, products: pa.Table) -> NDArray[np.int64]:
    """Pairs (customer * products + product) sent back in full, or disliked or returned on the site since bought."""
    lines = f"read_parquet('{context.lake.file('order_lines')}')"
    sql = f"SELECT customer_id, product_id FROM {lines} GROUP BY ALL HAVING min(quantity) < 0 AND sum(quantity) <= 0"
    if INTERACTIONS.name in context.lake.rows:
        said = f"read_parquet('{context.lake.file(INTERACTIONS.name)}')"
        sql += f"""
            UNION SELECT customer_id, product_id
            FROM (SELECT customer_id, product_id, max(occurred_at) AS said FROM {said}
                  WHERE kind IN ('dislike', 'return') AND customer_id IS NOT NULL GROUP BY ALL)
            LEFT JOIN (SELECT customer_id, product_id, max(ordered_at) AS bought FROM {lines}
                       WHERE quantity > 0 GROUP BY ALL) USING (customer_id, product_id)
            WHERE bought IS NULL OR said >= bought
        """
    found = connect(context.settings).raw_sql(sql).to_arrow_table()
    customer = _positions(found["customer_id"], purchases.customer_ids)
    product = _positions(found["product_id"], products["product_id"])
    known = (customer >= 0) & (product >= 0)
    pairs: NDArray[np.int64] = customer[known] * products.num_rows + product[known]
    return pairs


def _positions(values: pa.ChunkedArray, among: pa.Array) -> NDArray[np.int64]:
    found: NDArray[np.int64] = pc.index_in(values, value_set=among).fill_null(-1).to_numpy().astype(np.int64)
    return found
