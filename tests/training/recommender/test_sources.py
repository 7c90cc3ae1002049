"""Each source of candidates on shops worked by hand."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from tests.training.recommender.tiny import purchases, random_orders
from training.candidates import pairs as pairs_module
from training.candidates.als import AlsCandidates
from training.candidates.attributes import Attributes, habit_columns
from training.candidates.history import lines_of, own_history
from training.candidates.item_item import ItemItemCandidates, weighted_by_rarity
from training.candidates.neighbours import Neighbours
from training.candidates.next_order import NextOrder, weighted_orders
from training.candidates.pairs import RowScores, Scored, in_order, rank_within, top_lists
from training.candidates.popularity import RecentPopularity, popularity
from training.candidates.reorder import PRIOR_CHANCES, ReorderRates
from training.candidates.transitions import PRIOR_ORDERS, Transitions
from training.pair_table import CandidateConfig, CandidateSources, decayed
from training.together import bought_together

ONE = np.array([0], dtype=np.int32)


def test_own_history_counts_gaps_and_dueness_in_orders_and_days() -> None:
    # a is bought in the first, third and fifth of five orders; b once, in the second.
    shop = purchases({"ann": [(0, "a"), (10, "b"), (20, "a"), (30, "c"), (40, "a")]})
    keys, own = own_history(shop, ONE, np.array([46.0]), gap_days=10.0)
    assert keys.tolist() == [0, 1, 2]
    at = {name: values[0] for name, values in own.items()}
    assert (at["orders"], at["last_back"], at["first_back"]) == (3, 0, 4)
    assert (at["gap_orders"], at["due_orders"], at["last_gap"]) == (2, 0.5, 2)
    assert (at["days_since"], at["gap_days"]) == (6, 20)
    assert at["due_days"] == pytest.approx(0.3)
    assert at["share"] == pytest.approx(3 / 5)
    assert at["share_since_first"] == pytest.approx(3 / 5)
    assert at["decay_0.5"] == pytest.approx(1 + 0.25 + 0.0625)
    assert (at["in_last_3"], at["in_last_6"]) == (2, 3)
    assert np.isnan(own["gap_orders"][1])
    assert own["share_since_first"][1] == pytest.approx(1 / 4)


def test_own_history_touches_only_whom_it_is_asked_about_in_their_order() -> None:
    shop = purchases({"ann": [(0, "a")], "bob": [(0, "b"), (1, "b")], "cem": [(0, "c")]})
    keys, own = own_history(shop, np.array([2, 1], dtype=np.int32), np.array([5.0, 5.0]), gap_days=1.0)
    assert keys.tolist() == [0 * 3 + 2, 1 * 3 + 1]
    assert own["orders"].tolist() == [1, 2]


def test_popularity_counts_last_orders_and_who_bought_again() -> None:
    shop = purchases({"ann": [(0, "a"), (1, "ab")], "bob": [(0, "b"), (1, "c")]})
    found = popularity(shop)
    assert found.orders.tolist() == [2, 2, 1]
    assert found.in_last_orders.tolist() == [1, 1, 1]
    assert found.buyers.tolist() == [1, 2, 1]
    assert found.rebuyers.tolist() == [1, 0, 0]
    assert found.in_small_orders.tolist() == [1.5, 1.5, 1]


def test_recent_popularity_counts_whole_periods_before_the_moment_alone() -> None:
    # Periods of 5 days from day 0: a in the first, b in the second, c in the third.
    shop = purchases({"ann": [(0, "a"), (6, "b"), (11, "c")]})
    recent = RecentPopularity().fit(shop, gap_days=10.0)
    rows = np.zeros(3, dtype=np.int64)
    codes = np.arange(3)
    short, long, _ = recent.at(np.array([11.0]), rows, codes).values()
    assert short.tolist() == [0, 1, 0]
    assert long.tolist() == [0.5, 0.5, 0]
    short, long, _ = recent.at(np.array([3.0]), rows, codes).values()
    assert np.isnan(short).all()
    assert np.isnan(long).all()
    short = recent.at(np.array([400.0]), rows, codes)["popular_period"]
    assert short.tolist() == [0, 0, 1]  # the latest there is


def test_reorder_rates_are_purchases_over_chances_by_orders_since_the_last() -> None:
    # a is bought, not bought, bought: one order after a purchase there were 2 chances (the last purchase gives none)
    # and no purchase; two orders after there was 1 chance and 1 purchase.
    shop = purchases({"ann": [(0, "a"), (1, "b"), (2, "a")]})
    rates = ReorderRates().fit(shop)
    a = np.array([0])
    # In all, one order after a purchase: a 1 chance, b 1 chance, nothing bought.
    first = float(rates.shop_[0])
    second = float(rates.shop_[1])
    assert first == pytest.approx(1e-3 / 3)
    assert second == pytest.approx((1 + 1e-3) / 2)
    assert rates.at(np.array([0.0]), a)[0] == pytest.approx(PRIOR_CHANCES * first / (1 + PRIOR_CHANCES))
    assert np.isnan(rates.of_last(np.array([np.nan]), a)[0])
    assert rates.at(np.array([1.0]), a)[0] == pytest.approx((1 + PRIOR_CHANCES * second) / (1 + PRIOR_CHANCES))


def test_reorder_rates_of_a_kind_pool_its_products() -> None:
    shop = purchases({"ann": [(0, "a"), (1, "a"), (2, "b")], "bob": [(0, "c"), (1, "d"), (2, "c")]})
    rates = ReorderRates().fit(shop)
    kinds = rates.pooled(np.array([0, 0, 1, -1], dtype=np.int32))
    back = np.zeros(4)
    # One order after a purchase: a once bought in 2 chances, b has none; c not bought in 1.
    shared = float(rates.shop_[0])
    a, b, c, d = kinds.at(back, np.arange(4))
    assert a == b == pytest.approx((1 + PRIOR_CHANCES * shared) / (2 + PRIOR_CHANCES))
    assert c == pytest.approx(PRIOR_CHANCES * shared / (1 + PRIOR_CHANCES))
    assert d == pytest.approx(shared)


def test_transitions_are_chances_of_the_next_order_given_this() -> None:
    shop = purchases({f"c{n}": [(0, "a"), (1, "b"), (2, "c")] for n in range(4)})
    chances = Transitions().fit(shop).chances_.toarray()
    assert chances[0].tolist() == pytest.approx([0, 4 / (4 + PRIOR_ORDERS), 0])
    assert chances[1].tolist() == pytest.approx([0, 0, 4 / (4 + PRIOR_ORDERS)])
    assert chances[2].tolist() == [0, 0, 0]


def test_weighted_orders_are_a_decaying_mean_of_a_span() -> None:
    shop = purchases({"ann": [(0, "a"), (1, "a"), (2, "b")]})
    found = weighted_orders(shop.baskets(), np.array([0, 0, 0]), np.array([3, 1, 0]), decay=0.5).toarray()
    assert found[0].tolist() == pytest.approx([0.75 / 1.75, 1 / 1.75])
    assert found[1].tolist() == [1, 0]
    assert found[2].tolist() == [0, 0]


def test_next_order_learns_what_follows_and_knows_no_more_than_the_mean_without_history() -> None:
    # b follows a and a follows b, for everybody.
    orders = {f"c{n:02d}": [(day, "ab"[(day + n) % 2]) for day in range(8)] for n in range(40)}
    shop = purchases(orders | {"nobody": []})
    model = NextOrder(products=10, ridge=1.0).fit(shop)
    customers = np.array([0, 1, 40], dtype=np.int32)
    scores = model.scores(shop, customers)
    last_is_b, last_is_a, unknown = scores
    assert last_is_b[0] > 0.9
    assert last_is_b[1] < 0.1
    assert last_is_a[1] > 0.9
    assert unknown.tolist() == pytest.approx(model.mean_.tolist())


def test_neighbours_propose_what_alike_customers_bought_next_and_never_oneself() -> None:
    shop = purchases(
        {
            "ann": [(0, "a"), (1, "a"), (2, "ab")],
            "bob": [(0, "a"), (1, "a"), (2, "c")],
            "dan": [(0, "x"), (1, "x"), (2, "y")],
        }
    )
    model = Neighbours(neighbours=2).fit(shop)
    taste, following = model.scored(ONE, decayed(shop, 0.9)[ONE])
    codes = dict(zip(shop.product_ids.to_pylist(), range(shop.n_products), strict=True))
    assert following.at(np.array([codes["c"]]))[0] == pytest.approx(1.0)
    assert following.at(np.array([codes["b"]]))[0] == 0  # ann's own next order is not asked
    assert taste.at(np.array([codes["a"]]))[0] == pytest.approx(1.0)
    assert taste.at(np.array([codes["x"]]))[0] == 0


def test_item_item_weights_have_products_of_length_one_even_when_all_buy_all() -> None:
    shop = purchases({"ann": [(0, "ab")], "bob": [(0, "ab")]})
    weights = weighted_by_rarity(decayed(shop, 1.0)).toarray()
    assert np.isfinite(weights).all()
    np.testing.assert_allclose((weights**2).sum(axis=0), 1.0, rtol=1e-6)


def test_habits_of_a_kind_count_orders_not_products() -> None:
    # Kind 0 holds a and b, kind 1 holds c; d has none.
    shop = purchases({"ann": [(0, "ab"), (1, "c"), (2, "b")]}, products=["d"])
    lines = lines_of(shop, ONE)
    keys = np.arange(4)
    classes = np.array([0, 0, 1, -1], dtype=np.int32)
    own = np.array([0.81, 1.81, 0.9, 0.0], dtype=np.float32)
    found = habit_columns(lines, np.array([3]), keys, classes, own, "kind")
    assert found["kind_share"][:3].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert found["kind_decayed"][:3].tolist() == pytest.approx([1.81, 1.81, 0.9])
    assert found["kind_last_back"][:3].tolist() == [0, 0, 1]
    assert found["kind_due"][:2].tolist() == [0.5, 0.5]
    assert np.isnan(found["kind_due"][2])
    assert np.isnan(found["kind_share"][3])
    assert found["kind_part"][:2].tolist() == pytest.approx([0.81 / 1.81, 1.0])


def test_bought_together_keeps_the_planted_pair_and_drops_pairs_of_chance() -> None:
    rng = np.random.default_rng(0)
    names = [f"p{n:02d}" for n in range(30)]
    orders = {}
    for customer in range(300):
        baskets = []
        for day in range(4):
            basket = [names[n] for n in rng.choice(28, 4, replace=False)]
            if rng.random() < 0.1:
                basket += ["p28", "p29"]
            baskets.append((float(day), basket))
        orders[f"c{customer:03d}"] = baskets
    found = bought_together(purchases(orders, products=names))
    assert found.neighbours[28][0] == 29
    assert found.neighbours[29][0] == 28
    assert (found.neighbours[:28] < 0).all()  # the others meet by chance alone
    assert found.confidence[28][0] == 1
    assert found.lift[28][0] > 5


def test_neighbours_stand_by_share_and_lift_worked_by_hand() -> None:
    # 40 orders of a: 20 with common, which half of the 400 orders hold anyway; 12 with rare, which no others hold.
    orders = {f"x{n:03d}": [(0.0, ["other", *(["common"] if n < 180 else [])])] for n in range(360)}
    orders |= {
        f"y{n:02d}": [(0.0, ["a", *(["common"] if n < 20 else []), *(["rare"] if n % 10 < 3 else [])])]
        for n in range(40)
    }
    bought = purchases(orders)
    found = bought_together(bought)
    names = bought.product_ids.to_pylist()
    row = names.index("a")
    assert next(names[code] for code in found.neighbours[row] if code >= 0) == "rare"
    assert (found.support[row][0], found.confidence[row][0]) == (12, pytest.approx(0.3))
    lift = (12 + 1) / (40 * 12 / 400 + 1)
    assert found.lift[row][0] == pytest.approx(lift)
    assert found.strength[row][0] == pytest.approx(0.3 * np.log(lift))


def test_pairs_that_met_less_than_three_times_are_no_neighbours() -> None:
    found = bought_together(purchases({f"c{n}": [(0, "ab")] for n in range(2)}))
    assert (found.neighbours < 0).all()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5, width=32)), max_size=40),
    st.sampled_from([np.float32, np.float64]),
)
def test_rank_within_is_the_place_by_falling_score_and_ties_keep_their_order(pairs: list, kind: type) -> None:
    pairs.sort(key=lambda pair: pair[0])
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    scores = np.array([score for _, score in pairs], dtype=kind)
    expected = [
        sum(
            1
            for j in range(len(pairs))
            if rows[j] == rows[i] and (scores[j] > scores[i] or (scores[j] == scores[i] and j < i))
        )
        for i in range(len(pairs))
    ]
    assert rank_within(rows, scores).tolist() == expected


def test_scored_finds_what_is_there_and_lists_are_padded() -> None:
    scored = Scored(np.array([1, 4, 7]), np.array([0.5, 2.0, 0.0], dtype=np.float32))
    assert scored.at(np.array([4, 5, 1]), missing=-1).tolist() == [2.0, -1, 0.5]
    lists, position = top_lists(scored.keys, scored.scores, n_rows=2, n_products=4, depth=2)
    assert lists.tolist() == [[1, -1], [0, 3]]
    assert position.tolist() == [[0, -1], [1, 2]]


row_scores = st.integers(1, 5).flatmap(
    lambda rows: arrays(np.float32, (rows, 9), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]))
)


@given(row_scores, st.integers(1, 10), st.sampled_from([1, 18, 1_000]), st.randoms())
def test_scores_in_no_order_say_what_a_table_of_them_says(
    table: np.ndarray, depth: int, cells: int, chance: Any
) -> None:
    rows, products = np.nonzero(table)
    order = list(range(len(rows)))
    chance.shuffle(order)
    order = sorted(order, key=lambda place: rows[place])  # row by row, but in any order within one
    starts = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(table)))))
    unsorted = sparse.csr_matrix((table[rows, products][order], products[order], starts), shape=table.shape)
    scored = RowScores(unsorted)
    wanted = np.arange(0, table.size, 2)
    with patch.object(pairs_module, "CELLS", cells):
        assert scored.at(wanted).tolist() == table.ravel()[wanted].tolist()
    best = [
        row * 9 + product
        for row, values in enumerate(table)
        for product in sorted(np.argsort(-values, kind="stable")[:depth])
        if values[product] > 0
    ]
    assert scored.best(depth).tolist() == best


def test_sources_agree_whatever_order_customers_are_asked_in() -> None:
    shop = purchases(random_orders(np.random.default_rng(1), customers=30, products=25))
    kinds = Attributes({"category": (np.arange(shop.n_products) // 5).astype(np.int32)})
    sources = CandidateSources(CandidateConfig(factors=4, threads=1), kinds).fit(shop)
    asked = np.array([7, 3], dtype=np.int32)
    moment = np.array([300.0, 300.0])
    both, alone = sources.table(asked, moment), sources.table(asked[1:], moment[1:])
    second = both.rows == 1
    assert both.products[second].tolist() == alone.products.tolist()
    np.testing.assert_allclose(both.values[second], alone.values, rtol=1e-4, atol=1e-6)


def test_the_own_product_named_for_a_neighbour_is_the_one_that_gives_most_of_its_score() -> None:
    rng = np.random.default_rng(4)
    bought = purchases(random_orders(rng, customers=60, products=25))
    weights = decayed(bought, 0.9)
    model = ItemItemCandidates(neighbours=8, threads=1).fit(weights)
    rows, products = np.repeat(np.arange(60), 25), np.tile(np.arange(25), 60)
    shares = weights.toarray()[:, :, None] * model.similarity_.toarray()[None, :, :]  # customer, bought, product
    found = model.strongest(weights, rows, products)
    for row, product, named in zip(rows, products, found, strict=True):
        share = shares[row, :, product]
        assert (named == -1) == (share.max() == 0)
        if named >= 0:
            assert share[named] == pytest.approx(share.max())
            assert weights[row, named] > 0


def test_the_own_product_named_for_the_next_order_is_the_one_that_gives_most_of_its_score() -> None:
    rng = np.random.default_rng(6)
    bought = purchases(random_orders(rng, customers=80, products=20))
    model = NextOrder(products=15, ridge=1.0).fit(bought)
    customers = np.arange(80, dtype=np.int32)[::-1]
    rows, products = np.repeat(np.arange(80), 20), np.tile(np.arange(20), 80)
    found = model.strongest(bought, customers, rows, products)
    inputs = model._inputs(bought.customer_start[customers], bought.customer_start[customers + 1])
    codes = model.codes_.tolist()
    owned = decayed(bought, 1.0)[customers].toarray() > 0
    for row, product, named in zip(rows, products, found, strict=True):
        if product not in codes:
            assert named == -1
            continue
        column = model.weights_[:, codes.index(product)]
        given = (inputs[row] * column)[: len(codes)] + (inputs[row] * column)[len(codes) :]
        assert (named == -1) == (given.max() <= 0)
        if named >= 0:
            assert given[codes.index(named)] == pytest.approx(given.max(), rel=1e-5)
            assert owned[row, named]


@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**63 - 1)), max_size=40))
def test_in_order_is_a_stable_argsort_however_large_the_numbers(numbers: list[int]) -> None:
    values = np.array(numbers, dtype=np.int64)
    assert in_order(values).tolist() == np.argsort(values, kind="stable").tolist()


@given(st.integers(0, 10_000), st.integers(1, 8))
def test_the_nearest_products_are_the_same_where_the_longest_factors_are_tried_first(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    found = AlsCandidates(threads=1)
    lengths = rng.pareto(1.0, (60, 1)).astype(np.float32)  # a few products much longer than the rest
    found.item_factors_ = lengths * rng.normal(size=(60, 4)).astype(np.float32)
    found.user_factors_ = rng.normal(size=(9, 4)).astype(np.float32)
    customers = np.array([4, 0, 8, 2], dtype=np.int32)
    scores = found.user_factors_[customers] @ found.item_factors_.T
    nearest = np.argsort(-scores, axis=1)[:, :depth] + np.arange(4)[:, None] * 60
    with patch("training.candidates.als.LONGEST", 12):
        assert sorted(found.candidates(customers, depth).tolist()) == sorted(nearest.ravel().tolist())
