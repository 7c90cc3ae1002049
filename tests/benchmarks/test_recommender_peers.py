from __future__ import annotations

import numpy as np
import pytest

from benchmarks.peers import PEERS, Peer, ease, tifu_knn, up_cf
from benchmarks.shops import sparse_buyers
from tests.training.recommender.tiny import purchases, random_orders

BOTH = np.array([0, 1], dtype=np.int32)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_scores_every_customer_asked(peer: Peer) -> None:
    shop = purchases(random_orders(np.random.default_rng(0), customers=40, products=30))
    asked = np.array([3, 11, 39], dtype=np.int32)
    scores = peer.make(**peer.grid[0])(shop, asked).toarray()
    assert scores.shape == (3, shop.n_products)
    assert np.isfinite(scores).all()
    assert (scores.max(axis=1) > 0).all()


def test_tifu_knn_with_alpha_one_is_the_decayed_own_history() -> None:
    shop = purchases({"ann": [(0, "a"), (1, "b")], "bob": [(0, "c"), (1, "c")]})
    make = tifu_knn(neighbours=1, alpha=1.0, within=0.5, between=1.0, group=2)
    # One group of two orders: the older weighs a half, and both are divided by the two orders.
    assert make(shop, BOTH).toarray().tolist() == [[0.25, 0.5, 0.0], [0.0, 0.0, 0.75]]


def test_tifu_knn_with_alpha_zero_is_the_nearest_other_customer() -> None:
    shop = purchases({"ann": [(0, "a")], "bob": [(0, "ab")], "cem": [(0, "c")]})
    make = tifu_knn(neighbours=1, alpha=0.0, within=1.0, between=1.0, group=1)
    assert make(shop, BOTH[:1]).toarray().tolist() == [[1.0, 1.0, 0.0]]


def test_up_cf_counts_recent_orders_alone() -> None:
    # With one recent order, nobody is like ann but ann herself.
    shop = purchases({"ann": [(0, "a"), (1, "b")], "bob": [(0, "b"), (1, "a")]})
    scores = up_cf(recent=1, locality=1.0, asymmetry=0.5)(shop, BOTH).toarray()
    assert scores.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_ease_never_recommends_a_product_for_itself() -> None:
    shop = purchases({"ann": [(0, "a")], "bob": [(0, "b")], "cem": [(0, "ab")]})
    scores = ease(ridge=1.0)(shop, BOTH).toarray()
    assert scores[0][0] == 0
    assert scores[0][1] > 0


def test_sparse_buyers_keep_four_to_eight_consecutive_orders() -> None:
    shop = purchases(random_orders(np.random.default_rng(1), customers=30, products=20, orders=(2, 30)))
    made = sparse_buyers(shop, np.random.default_rng(2))
    assert set(np.unique(made.orders_per_customer)) <= set(range(4, 9))
    assert made.n_customers < shop.n_customers  # those with too few orders are left out
    assert sparse_buyers(shop, np.random.default_rng(2)).products.tolist() == made.products.tolist()
