"""What customers of each stage of life buy: what to show a customer of that stage who has no list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.ranked_lists import NO_PRODUCT, RankedLists

#: In a smaller segment, what one customer buys would pass for what the segment buys.
LEAST_CUSTOMERS = 20
MOST_PRODUCTS = 200
_ROWS_AT_ONCE = 20_000


def segment_favourites(
    ranking: RankedLists, ranked_rows: Mapping[str, int], rows: Mapping[str, int], customers: pa.Table
) -> dict[str, Sequence[int]]:
    """Product codes by stage: those that most of its customers bought, best first, of the products on their lists.

    `rows`: the row in `customers` of each; the same object as `ranked_rows` where the lists have the same rows.
    """
    stages = customers["stage"].combine_chunks().dictionary_encode()
    names: list[str] = stages.dictionary.to_pylist()
    codes = stages.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    stage_of_row = codes
    if ranked_rows is not rows:
        stage_of_row = np.full(len(ranking.lists), -1, dtype=np.int64)
        for row, customer in enumerate(ranking.customers["customer_id"].to_pylist()):
            found = rows.get(customer)
            if found is not None:
                stage_of_row[row] = codes[found]
    return {
        name: _favourites(ranking, np.flatnonzero(stage_of_row == code))
        for code, name in enumerate(names)
        if int((stage_of_row == code).sum()) >= LEAST_CUSTOMERS
    }


def _favourites(ranking: RankedLists, rows: NDArray[np.int64]) -> Sequence[int]:
    products = ranking.products.num_rows
    buyers = np.zeros(products, dtype=np.int64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        lists = ranking.lists[part]
        bought = (ranking.own_orders[part] > 0) & (lists != NO_PRODUCT)
        buyers += np.bincount(lists[bought], minlength=products)
    best: NDArray[np.int64] = np.argsort(-buyers, kind="stable")[:MOST_PRODUCTS]
    codes: Sequence[int] = best[buyers[best] > 0].tolist()
    return codes
