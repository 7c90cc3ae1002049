from __future__ import annotations

import numpy as np

from tests.training.recommender.tiny import purchases
from training.baselines import fill, global_top_frequency, group_and_personal_top_frequency, personal_top_frequency

#: Sold: a 4, b 3, c 2, d 1 (orders that hold them); x is in the catalogue and was never sold.
SHOP = purchases(
    {
        "ann": [(1, "ab"), (2, "ac"), (3, "ab")],
        "bob": [(1, "b"), (2, "c"), (3, "ad")],
    },
    products=["x"],
)
A, B, C, D, X = range(5)
BOTH = np.array([0, 1], dtype=np.int32)


def test_personal_top_frequency_counts_orders_and_breaks_ties_by_what_the_shop_sells() -> None:
    lists = personal_top_frequency(SHOP, BOTH, 4)
    assert lists[0].tolist() == [A, B, C, -1]  # three orders, two, one
    assert lists[1].tolist() == [A, B, C, D]  # one order each; the shop sold 4, 3, 2 and 1


def test_global_top_frequency_is_the_same_for_everybody() -> None:
    assert global_top_frequency(SHOP, 2, 3).tolist() == [[A, B, C], [A, B, C]]


def test_group_and_personal_top_frequency_fills_with_what_everybody_buys() -> None:
    lists = group_and_personal_top_frequency(SHOP, BOTH, 4)
    assert lists.tolist() == [[A, B, C, D], [A, B, C, D]]


def test_customers_may_be_asked_in_any_order() -> None:
    assert personal_top_frequency(SHOP, BOTH[::-1].copy(), 4).tolist()[1] == [A, B, C, -1]


def test_fill_adds_no_product_twice_and_leaves_full_lists_alone() -> None:
    lists = np.array([[C, -1, -1], [D, B, A]], dtype=np.int32)
    assert fill(lists, np.array([C, A, B], dtype=np.int32), 3).tolist() == [[C, A, B], [D, B, A]]


def test_fill_without_candidates_leaves_padding() -> None:
    assert fill(np.array([[C, -1]], dtype=np.int32), np.empty(0, dtype=np.int32), 2).tolist() == [[C, -1]]
