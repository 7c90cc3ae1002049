"""A customer's own rhythm, places among their products, and how many rounds train."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from features.matrix import Purchases
from tests.training.recommender.tiny import purchases, random_orders
from training.candidates.history import lines_of
from training.candidates.rhythm import own_rhythm
from training.pair_features import RELATIVE, relative_columns
from training.ranking import best_round

ONE = np.array([0], dtype=np.int32)


def bought(shop: Purchases) -> NDArray[np.int64]:
    """In how many orders each product is."""
    return np.bincount(shop.products, minlength=shop.n_products)


def rhythm_of(orders: list[tuple[float, str]], moment: float) -> dict[str, dict[str, float]]:
    """Of one customer's products by name, at rates of 0.5."""
    shop = purchases({"ann": orders})
    lines = lines_of(shop, ONE)
    keys = np.unique(lines.products)
    rates = np.full(len(keys), 0.5, dtype=np.float32)
    found = own_rhythm(
        shop, ONE, np.array([moment]), lines, keys, rates, np.bincount(shop.products, minlength=shop.n_products)
    )
    names = shop.product_ids.to_pylist()
    return {
        names[key]: {name: float(values[place]) for name, values in found.items()} for place, key in enumerate(keys)
    }


def test_rhythm_counts_the_gaps_as_long_as_the_present_one() -> None:
    every_other = [(0, "a"), (10, "b"), (20, "a"), (30, "c"), (40, "a")]
    just_bought = rhythm_of(every_other, 46.0)["a"]
    assert (just_bought["share_hazard"], just_bought["hazard"]) == (0, pytest.approx(1.5 / 5))
    due = rhythm_of([*every_other, (50, "b")], 56.0)
    assert (due["a"]["share_hazard"], due["a"]["hazard"]) == (1, pytest.approx(3.5 / 5))
    assert due["a"]["hazard_days"] == pytest.approx(
        3.5 / 5
    )  # silent for 16 days, both gaps took 20, an order comes in 10
    assert np.isnan(due["c"]["share_hazard"])
    assert due["c"]["hazard"] == pytest.approx(0.5)
    weights = 0.9 ** np.arange(6)
    assert due["a"]["share_lately"] == pytest.approx(weights[[1, 3, 5]].sum() / weights.sum())


def test_rhythm_sees_what_followed_orders_like_the_last_one() -> None:
    found = rhythm_of([(0, "a"), (10, "b"), (20, "a"), (30, "c"), (40, "a")], 46.0)
    assert found["a"]["share_after_like"] < 0.02
    assert found["b"]["share_after_like"] == pytest.approx(found["c"]["share_after_like"])
    assert sum(of["share_after_like"] for of in found.values()) == pytest.approx(1.0)


def test_rhythm_of_a_customer_does_not_depend_on_who_else_is_asked_about() -> None:
    shop = purchases(random_orders(np.random.default_rng(6), customers=12, products=10))
    everyone = np.arange(shop.n_customers, dtype=np.int32)

    def of(customers: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        lines = lines_of(shop, customers)
        keys = np.unique(lines.rows * shop.n_products + lines.products)
        rates = np.full(len(keys), 0.1, dtype=np.float32)
        return own_rhythm(
            shop,
            customers,
            np.full(len(customers), 500.0),
            lines,
            keys,
            rates,
            np.bincount(shop.products, minlength=shop.n_products),
        )

    parts = [of(everyone[code : code + 1]) for code in everyone]
    for name, values in of(everyone).items():
        np.testing.assert_allclose(values, np.concatenate([part[name] for part in parts]), rtol=1e-6)


def test_relative_columns_compare_a_customers_products() -> None:
    rows = np.array([0, 0, 0, 2, 2])
    columns = {name: np.array([1, 4, np.nan, 2, 2], dtype=np.float32) for name in RELATIVE}
    found = relative_columns(columns, rows)
    assert found["own_hazard_relative"].tolist() == [0.25, 1, 0, 1, 1]
    assert found["own_hazard_rank"].tolist() == [1, 0, 2, 0, 1]


def test_the_best_round_is_not_a_single_lucky_one() -> None:
    curve = np.concatenate((np.linspace(0, 0.5, 200), np.full(100, 0.5), np.linspace(0.5, 0.3, 100)))
    curve[20] = 0.9
    assert 200 <= best_round(curve) <= 300
    assert best_round([0.1]) == 1
