"""What kinds of products the next order holds: the linear model of the next order over categories in place of products.

Most products are bought by too few for a model of their own; what a household needs next of their kind is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.matrix import Purchases
from features.schema import C
from training.candidates.next_order import NextOrder
from training.candidates.pairs import distinct

#: Kinds fine enough that one of them in an order says something of its products.
FORESEEN = (C.SUBCATEGORY, C.CATEGORY)


def in_kinds(history: Purchases, classes: NDArray[np.int32]) -> Purchases:
    """The same orders with the class (products,) of each product in its place, each class once; -1 drops the line."""
    n_classes = int(classes.max(initial=-1)) + 1
    of_line = classes[history.products].astype(np.int64)
    known = of_line >= 0
    order = history.line_order
    key = distinct(order[known] * n_classes + of_line[known])
    sizes = np.bincount(key // max(n_classes, 1), minlength=history.n_orders)
    return replace(
        history,
        product_ids=pa.array(np.arange(n_classes).astype(str)),
        order_start=np.concatenate(([0], np.cumsum(sizes))),
        products=(key % max(n_classes, 1)).astype(np.int32),
        terms=None,
    )


class NextKinds:
    """Expected content of each customer's next order by class of one kind, for every product of the class."""

    def __init__(self, classes: NDArray[np.int32], *, products: int) -> None:
        self.classes = classes
        self.products = products

    def fit(self, history: Purchases) -> NextKinds:
        """The model of the next order over classes; the `products` sold most lately take part."""
        self.history_ = in_kinds(history, self.classes)
        self.model_ = NextOrder(products=self.products).fit(self.history_)
        self.place_ = np.full(self.history_.n_products, -1)
        self.place_[self.model_.codes_] = np.arange(len(self.model_.codes_))
        return self

    def about(self, history: Purchases) -> NextKinds:
        """The same asked about the customers of another history."""
        found = copy(self)
        found.history_ = in_kinds(history, self.classes)
        found.model_ = self.model_.about(found.history_)
        return found

    def at(
        self, customers: NDArray[np.int32], rows: NDArray[np.int64], products: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(pairs,) score of each product's class for the customer numbered by `rows`; NaN where no class takes part."""
        scores = self.model_.scores(self.history_, customers)
        found = np.full(len(rows), np.nan, dtype=np.float32)
        of_class = self.classes[products]
        known = np.flatnonzero(of_class >= 0)
        known = known[self.place_[of_class[known]] >= 0]
        found[known] = scores[rows[known], self.place_[of_class[known]]]
        return found


def next_kind_columns(
    foreseen: Mapping[str, NextKinds],
    customers: NDArray[np.int32],
    rows: NDArray[np.int64],
    products: NDArray[np.int64],
    columns: Mapping[str, NDArray[np.floating]],
) -> dict[str, NDArray[np.float32]]:
    """By kind: the score of the product's class, and the product's part of it by the customer's and the shop's orders.

    `columns` are those of the pairs so far: `{kind}_part` and `popular_share` are read.
    """
    found = {}
    for kind, model in foreseen.items():
        score = model.at(customers, rows, products)
        found[f"{kind}_next"] = score
        found[f"{kind}_next_own"] = (score * np.minimum(columns[f"{kind}_part"], 1)).astype(np.float32)
        found[f"{kind}_next_popular"] = (score * columns["popular_share"]).astype(np.float32)
    return found
