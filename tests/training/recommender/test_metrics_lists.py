from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.recommender.tiny import purchases
from training.candidates.attributes import Attributes
from training.metrics_lists import Catalogue, all_lists, catalogue_of, diversity, each_list, gini, novelty
from training.metrics_lists import popularity_lift as lift


def lists_of(*rows: list[int]) -> np.ndarray:
    width = max(len(row) for row in rows)
    return np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int32)


@pytest.fixture
def shop() -> Catalogue:
    """Three customers. Bread (0) is bought by all, cheese (1) by two, figs (2) by one, snails (3) by nobody."""
    history = purchases(
        {
            "ann": [(1.0, ["bread", "cheese"]), (2.0, ["bread"])],
            "bob": [(1.0, ["bread", "cheese", "figs"])],
            "cat": [(1.0, ["bread"])],
        },
        products=["snails"],
    )
    kinds = np.array([0, 0, 1, -1], dtype=np.int32)
    return catalogue_of(history, np.array([0, 1, 2], dtype=np.int32), Attributes({"category": kinds}))


def test_a_catalogue_counts_each_customer_once_and_knows_the_taste_of_each(shop: Catalogue) -> None:
    assert shop.buyers.tolist() == [3, 2, 1, 0]
    assert shop.n_customers == 3
    assert shop.sold == 3
    assert shop.taste == pytest.approx([(1 + 2 / 3) / 2, (1 + 2 / 3 + 1 / 3) / 3, 1])


def test_novelty_is_the_mean_surprise_in_bits(shop: Catalogue) -> None:
    # Of 3 + 1 customers 3 + 1, 2 + 1, 1 + 1 and 0 + 1 bought: 0, 0.415, 1 and 2 bits.
    found = novelty(lists_of([0, 1], [2, 3], [3], []), 2, shop)
    assert found[:3] == pytest.approx([np.log2(4 / 3) / 2, 1.5, 2.0])
    assert np.isnan(found[3])


def test_diversity_is_the_share_of_pairs_of_two_kinds_and_unknown_kinds_do_not_count(shop: Catalogue) -> None:
    found = diversity(lists_of([0, 1, 2], [0, 1, 3], [0, 3], [2, 0]), 3, shop)
    assert found[[0, 1, 3]] == pytest.approx([2 / 3, 0, 1])
    assert np.isnan(found[2])


def test_a_shop_that_knows_no_kinds_has_no_diversity() -> None:
    history = purchases({"ann": [(1.0, ["bread"])]})
    bare = catalogue_of(history, np.array([0], dtype=np.int32), Attributes({}))
    assert not any(name.startswith("diversity") for name in each_list(lists_of([0]), bare))
    assert np.isnan(diversity(lists_of([0]), 5, bare)).all()


def test_popularity_lift_compares_what_is_shown_with_what_the_same_customers_buy(shop: Catalogue) -> None:
    taste = np.mean([(1 + 2 / 3) / 2, (1 + 2 / 3 + 1 / 3) / 3, 1])
    assert lift(lists_of([0], [0], [0]), 1, shop) == pytest.approx(1 / taste - 1)
    assert lift(lists_of([2], [2], [2]), 1, shop) == pytest.approx((1 / 3) / taste - 1)
    assert lift(lists_of([], [], []), 1, shop) == 0


def test_gini_is_0_where_all_products_sold_are_shown_alike_and_high_where_one_is(shop: Catalogue) -> None:
    assert gini(lists_of([0], [1], [2]), 1, shop) == pytest.approx(0)
    assert gini(lists_of([0], [0], [0]), 1, shop) == pytest.approx(2 / 3)  # (n - 1) / n of n = 3 sold
    assert gini(lists_of([], []), 1, shop) == 0


@given(st.lists(st.lists(st.integers(0, 3), unique=True, max_size=4), min_size=1, max_size=6), st.integers(1, 5))
def test_every_metric_of_lists_is_within_its_bounds(rows: list[list[int]], k: int) -> None:
    history = purchases({f"c{i}": [(1.0, [f"p{p}" for p in row] or ["p0"])] for i, row in enumerate(rows)})
    n = history.n_products
    listed = lists_of(*[[p for p in row if p < n] for row in rows], [0])[:-1]
    about = catalogue_of(
        history, np.arange(len(rows), dtype=np.int32), Attributes({"brand": np.arange(n, dtype=np.int32) % 2})
    )
    for values in each_list(listed, about, [k]).values():
        defined = values[~np.isnan(values)]
        assert (defined >= 0).all()
    found = all_lists(listed, about, [k])
    assert -1e-9 <= found[f"gini@{k}"] < 1
    assert 0 <= found[f"coverage@{k}"] <= 1
    assert found[f"popularity_lift@{k}"] >= -1
