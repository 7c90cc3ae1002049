"""Shops of every shape get whole, ranked lists, or an error that says why there are none."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import DataError
from features.matrix import Purchases
from tests.training.recommender.tiny import purchases, random_orders
from training.pair_table import CandidateConfig, CandidateSources
from training.ranking import RankerConfig
from training.ranking_tasks import TaskConfig
from training.splits import cutoff_split, last_order_split
from training.two_stage import RecommenderConfig, learn_ranker, recommend

CONFIG = RecommenderConfig(
    CandidateConfig(threads=1), RankerConfig(max_rounds=20, threads=1), TaskConfig(most_moments=2)
)


def lists_for(shop: Purchases, *, asked: int | None = None, depth: int = 10) -> np.ndarray:
    among = None if asked is None else np.arange(asked, dtype=np.int32)
    split = last_order_split(shop, among=among)
    ranker = learn_ranker(split, CONFIG, horizon_days=0)
    sources = CandidateSources(CONFIG.candidates).fit(split.history)
    found = recommend(sources, ranker, split.customers, split.moment, depth=depth)
    assert np.isfinite(found.scores).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()
    return found.lists


def is_whole(lists: np.ndarray, shop: Purchases) -> bool:
    """Every list is full, of known products, none twice."""
    return bool((lists >= 0).all() and (lists < shop.n_products).all()) and all(
        len(set(row)) == len(row) for row in lists.tolist()
    )


@pytest.mark.parametrize("asked", [None, 8])
def test_ten_products_and_thirty_customers(asked: int | None) -> None:
    shop = purchases(random_orders(np.random.default_rng(0), customers=30, products=10))
    lists = lists_for(shop, asked=asked)
    assert lists.shape[1] == 10
    assert is_whole(lists, shop)


def test_fewer_products_than_asked_for_gives_all_of_them() -> None:
    shop = purchases(random_orders(np.random.default_rng(0), customers=30, products=4))
    assert lists_for(shop, depth=20).shape[1] == 4


def test_all_orders_of_one_moment() -> None:
    orders = random_orders(np.random.default_rng(1), customers=40, products=30)
    at_once = purchases({c: [(100.0, basket) for _, basket in orders[c]] for c in orders})
    assert is_whole(lists_for(at_once, asked=10), at_once)


def test_nothing_is_ever_bought_again() -> None:
    rng = np.random.default_rng(2)
    orders = {}
    for customer in range(60):
        own = rng.permutation(60)[:12].reshape(6, 2)
        orders[f"c{customer:02d}"] = [(float(day), [f"p{p:02d}" for p in own[day]]) for day in range(6)]
    shop = purchases(orders)
    assert is_whole(lists_for(shop, asked=15), shop)


def test_customers_of_one_order_are_ranked_too() -> None:
    orders = random_orders(np.random.default_rng(3), customers=40, products=30)
    orders |= {f"once{n}": [(150.0, ["p0003"])] for n in range(5)}
    shop = purchases(orders)
    ranker = learn_ranker(last_order_split(shop), CONFIG, horizon_days=0)
    sources = CandidateSources(CONFIG.candidates).fit(shop)
    everyone = np.arange(shop.n_customers, dtype=np.int32)
    found = recommend(sources, ranker, everyone, np.full(shop.n_customers, 300.0), depth=10)
    assert is_whole(found.lists, shop)


def test_new_only_leaves_out_everything_bought_before() -> None:
    shop = purchases(random_orders(np.random.default_rng(4), customers=40, products=30))
    split = last_order_split(shop)
    ranker = learn_ranker(split, CONFIG, horizon_days=0)
    sources = CandidateSources(CONFIG.candidates).fit(split.history)
    lists = recommend(sources, ranker, split.customers, split.moment, depth=5, new_only=True).lists
    baskets = split.history.baskets()
    for row, customer in enumerate(split.customers):
        start, end = split.history.customer_start[customer : customer + 2]
        assert not set(baskets[start:end].indices) & set(lists[row][lists[row] >= 0])


def test_the_same_seed_gives_the_same_lists() -> None:
    shop = purchases(random_orders(np.random.default_rng(5), customers=60, products=40))
    assert lists_for(shop, asked=15).tolist() == lists_for(shop, asked=15).tolist()


def test_one_customer_asked_among_many() -> None:
    shop = purchases(random_orders(np.random.default_rng(6), customers=50, products=30))
    assert is_whole(lists_for(shop, asked=1), shop)


def test_too_little_history_is_said_in_words() -> None:
    shop = purchases({"ann": [(1, "a"), (2, "a")]})
    with pytest.raises(DataError, match="4 orders"):
        last_order_split(shop)
    split = cutoff_split(shop, as_of_day=1.5, horizon_days=5)
    with pytest.raises(DataError, match="not enough history"):
        learn_ranker(split, CONFIG, horizon_days=5)
