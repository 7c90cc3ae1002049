"""Past ranked lists against what customers who came back have bought since."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.engine import connect_duckdb
from features.matrix import day_number, read_purchases
from features.schema import C
from features.snapshot import naive_utc
from training.candidates.attributes import read_attributes
from training.judged import Judged, promised_of, with_ends
from training.protocols import Context
from training.ranked_lists import NO_PRODUCT
from training.ranking_backtest import RankingTest
from training.said import DEPTH, PRODUCTS
from training.splits import cutoff_split
from training.verdicts import verdict_of

RECOMMENDER, RANKED_BY = "recommender", "ndcg@10"
#: Metrics of lists that are told.
OF_LISTS = ("recall@10", "ndcg@10", "phr@10", "recall@20", "ndcg@20")


def judge_lists(context: Context, about: Mapping[str, Any], table: pa.Table) -> Judged:
    """The ranked lists, by what customers who came back bought within the horizon, as their back-test counts.

    Purchases are read in this process by DuckDB whatever the engine, as they are where lists are made.
    """
    backend = connect_duckdb(context.settings)
    purchases = read_purchases(context.lake, backend)
    as_of = naive_utc(datetime.fromisoformat(about["as_of"]))
    known = table.filter(table[PRODUCTS].is_valid())
    among = pc.index_in(known[C.CUSTOMER_ID], value_set=purchases.customer_ids).drop_null().to_numpy()
    split = cutoff_split(
        purchases, as_of_day=day_number(as_of), horizon_days=about["horizon_days"], among=among.astype(np.int32)
    )
    lists = _coded(known, purchases.customer_ids.take(pa.array(split.customers)), purchases.product_ids)
    test = RankingTest(split, read_attributes(context.lake, backend, purchases), context.settings.seed)
    came = with_ends([metric for metric in test.metrics(lists) if metric.name in OF_LISTS])
    promised = promised_of(about, RECOMMENDER, came)
    verdict, why = verdict_of(RANKED_BY, promised, came, ratio=None, rarer=len(split.customers))
    return Judged(
        model=RECOMMENDER,
        version=about["models"][RECOMMENDER],
        customers=len(split.customers),
        metric=RANKED_BY,
        promised=promised,
        came=came,
        verdict=verdict,
        why=why,
    )


def _coded(known: pa.Table, customers: pa.Array, products: pa.Array) -> NDArray[np.int32]:
    """(customers, DEPTH) codes of the products said for each, NO_PRODUCT behind the last.

    A product that nobody bought any more holds its place under a code of its own: it is a miss, and not a gap.
    """
    found = pc.index_in(customers, value_set=known[C.CUSTOMER_ID].combine_chunks())
    listed = known[PRODUCTS].combine_chunks().take(found)
    sizes = pc.list_value_length(listed).to_numpy()
    codes = pc.index_in(listed.flatten(), value_set=products).fill_null(NO_PRODUCT).to_numpy()
    lists = np.full((len(customers), DEPTH), NO_PRODUCT, dtype=np.int32)
    rows = np.repeat(np.arange(len(customers)), sizes)
    places = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    lists[rows, places] = codes
    return lists
