"""Habits by category, brand and the like: how much and how lately a customer buys of a product's kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.lake import Lake
from features.matrix import Purchases
from features.schema import PRODUCTS, C
from training.candidates.history import Lines
from training.candidates.pairs import find, in_order

KINDS = (C.SUBCATEGORY, C.CATEGORY, C.DEPARTMENT, C.BRAND)
#: A kind helps when it puts several products into one class, and not all into a few of one product.
MIN_CLASSES, MIN_PRODUCTS_PER_CLASS = 2, 1.5
DECAY = 0.9


@dataclass(frozen=True)
class Attributes:
    """For each kind known of products, (products,) class codes, -1 where a product has none."""

    classes: dict[str, NDArray[np.int32]]


def read_attributes(lake: Lake, backend: Any, purchases: Purchases) -> Attributes:
    """The kinds of the products table that group products; none where there is no such table."""
    if PRODUCTS.name not in lake.rows:
        return Attributes({})
    backend.con.register(
        "wanted_products", pa.table({"product_id": purchases.product_ids, "position": np.arange(purchases.n_products)})
    )
    columns = ", ".join(
        f"CASE WHEN {kind} IS NOT NULL THEN dense_rank() OVER (ORDER BY {kind}) END AS {kind}" for kind in KINDS
    )
    found = backend.raw_sql(
        f"SELECT {columns} FROM (SELECT position, {', '.join(KINDS)} FROM wanted_products "
        f"LEFT JOIN read_parquet('{lake.file(PRODUCTS.name)}') USING (product_id)) ORDER BY position"
    ).to_arrow_table()
    classes = {}
    for kind in KINDS:
        codes = found[kind].fill_null(0).to_numpy()
        _, ranks = np.unique(codes, return_inverse=True)
        dense = (ranks - (1 if (codes == 0).any() else 0)).astype(np.int32)
        known = dense >= 0
        n_classes = int(dense.max(initial=-1)) + 1
        if n_classes >= MIN_CLASSES and known.sum() >= MIN_PRODUCTS_PER_CLASS * n_classes:
            classes[kind] = dense
    return Attributes(classes)


def habit_columns(
    lines: Lines,
    n_orders: NDArray[np.int64],
    keys: NDArray[np.int64],
    classes: NDArray[np.int32],
    own_decayed: NDArray[np.float32],
    name: str,
) -> dict[str, NDArray[np.float32]]:
    """Features of pairs `keys` from one kind: how much, how lately and how due its class is, the product's part of it.

    NaN where the product has no class. `lines` are all the customers bought, `n_orders` (customers,) their number of
    orders, `own_decayed` (pairs,) the product's own decayed count.
    """
    n_products = len(classes)
    n_classes = int(classes.max(initial=-1)) + 1
    line_class = classes[lines.products]
    used = line_class >= 0
    key, back = lines.rows[used] * n_classes + line_class[used], lines.back[used]
    place = in_order(key)
    key, back = key[place], back[place]
    # One entry per order and class, however many of its products the order holds.
    once = (np.diff(key, prepend=-1) != 0) | (np.diff(back, prepend=-1) != 0)
    key, back = key[once], back[once].astype(np.float64)
    first = np.flatnonzero(np.diff(key, prepend=-1))
    end = np.append(first[1:], len(key))
    group = key[first] if len(key) else key
    count = (end - first).astype(np.float64)
    decayed = np.add.reduceat(DECAY**back, first) if len(first) else count
    last_back = back[end - 1] if len(first) else count
    span = (back[first] - last_back) if len(first) else count
    gap = np.where(count > 1, span / np.maximum(count - 1, 1), np.nan)
    share = count / np.maximum(n_orders[group // max(n_classes, 1)], 1)

    pair_class = classes[keys % n_products]
    wanted = (keys // n_products) * n_classes + pair_class
    has_class = pair_class >= 0

    place, there = find(group, wanted)

    def column(values: NDArray[np.floating], missing: float) -> NDArray[np.float32]:
        # With nothing to find, every place is 0.
        found = np.append(values, 0.0).astype(np.float32)[place]
        return np.where(has_class, np.where(there, found, np.float32(missing)), np.float32(np.nan))

    class_decayed = column(decayed, 0.0)
    return {
        f"{name}_share": column(share, 0.0),
        f"{name}_decayed": class_decayed,
        f"{name}_last_back": column(last_back, np.nan),
        f"{name}_due": column((last_back + 1) / gap, np.nan),
        f"{name}_part": (own_decayed / np.maximum(class_decayed, 1e-3)).astype(np.float32),
    }
