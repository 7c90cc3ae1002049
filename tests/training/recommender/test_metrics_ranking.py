from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics_ranking import Truth, bootstrap_interval, coverage, customer_metrics, mean, ranking_metrics

N_PRODUCTS = 12


def truth_of(*rows: list[int]) -> Truth:
    start = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    return Truth(start, np.array([product for row in rows for product in row], dtype=np.int32))


def measured(lists: list[list[int]], truth: Truth, repeat: list[bool], k: int) -> dict[str, float]:
    found = ranking_metrics(
        np.array(lists, dtype=np.int32),
        truth,
        repeat=np.array(repeat, dtype=bool),
        n_products=N_PRODUCTS,
        catalogue=N_PRODUCTS,
        ks=[k],
    )
    return {name.removesuffix(f"@{k}"): value for name, value in found.items()}


def test_one_customer_worked_by_hand() -> None:
    # Listed 7 3 5 1; bought 3 1 9: hits at places 2 and 4.
    found = measured([[7, 3, 5, 1]], truth_of([1, 3, 9]), [True, False, False], 4)
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["precision"] == pytest.approx(2 / 4)
    assert found["phr"] == 1
    assert found["mrr"] == pytest.approx(1 / 2)
    assert found["map"] == pytest.approx((1 / 2 + 2 / 4) / 3)  # precision at the hits, over three truths
    assert found["ndcg"] == pytest.approx(gain / ideal)
    assert found["ndcg_full"] == pytest.approx(gain / ideal)
    assert found["repeat_recall"] == 1  # 1 was bought before, and is listed
    assert found["explore_recall"] == pytest.approx(1 / 2)  # of 3 and 9, 3 is listed
    assert found["coverage"] == pytest.approx(4 / N_PRODUCTS)


def test_ndcg_divides_by_what_k_places_can_hold_and_ndcg_full_by_all_truths() -> None:
    found = measured([[1, 2]], truth_of([1, 2, 3, 4]), [True] * 4, 2)
    two, four = 1 + 1 / np.log2(3), 1 + 1 / np.log2(3) + 1 / np.log2(4) + 1 / np.log2(5)
    assert found["ndcg"] == pytest.approx(1.0)
    assert found["ndcg_full"] == pytest.approx(two / four)


def test_two_customers_are_averaged_and_parts_count_only_who_has_them() -> None:
    # The first buys one known product and gets it first; the second buys one new product and gets nothing.
    found = measured([[4, 5], [6, 7]], truth_of([4], [8]), [True, False], 2)
    assert found["recall"] == pytest.approx(0.5)
    assert found["phr"] == pytest.approx(0.5)
    assert found["mrr"] == pytest.approx(0.5)
    assert found["precision"] == pytest.approx(0.25)
    assert found["repeat_recall"] == 1  # only the first customer bought anything again
    assert found["explore_recall"] == 0  # only the second bought anything new
    assert found["coverage"] == pytest.approx(4 / N_PRODUCTS)


def test_padding_is_no_product_and_a_short_list_is_as_one_with_misses() -> None:
    short = measured([[3, -1, -1]], truth_of([3, 2]), [False, False], 3)
    missing = measured([[3, 9, 10]], truth_of([3, 2]), [False, False], 3)
    assert {name: value for name, value in short.items() if name != "coverage"} == {
        name: value for name, value in missing.items() if name != "coverage"
    }
    assert short["coverage"] == pytest.approx(1 / N_PRODUCTS)


def test_a_list_shorter_than_k_counts_its_empty_places() -> None:
    found = measured([[3]], truth_of([3]), [False], 10)
    assert (found["recall"], found["ndcg"], found["precision"]) == (1, 1, pytest.approx(0.1))


def test_a_customer_who_bought_nothing_does_not_count() -> None:
    with_nobody = measured([[1, 2], [3, 4]], truth_of([1], []), [True], 2)
    alone = measured([[1, 2]], truth_of([1]), [True], 2)
    for name in ("recall", "ndcg", "phr", "mrr", "map", "precision"):
        assert with_nobody[name] == alone[name]


def test_nothing_defined_is_zero_and_coverage_of_no_catalogue_too() -> None:
    assert mean(np.array([np.nan, np.nan])) == 0
    assert coverage(np.full((1, 3), -1, dtype=np.int32), 3, 0) == 0


def test_interval_holds_the_mean_and_narrows_with_more_customers() -> None:
    rng = np.random.default_rng(1)
    few, many = rng.random((100, 1)), rng.random((10_000, 1))
    (low, high), (lower, higher) = (bootstrap_interval(v, np.random.default_rng(2))[0] for v in (few, many))
    assert low < few.mean() < high
    assert lower < many.mean() < higher
    assert higher - lower < (high - low) / 5  # a hundred times the customers, a tenth of the width


def test_interval_agrees_with_the_normal_one_and_leaves_out_who_is_undefined() -> None:
    values = np.random.default_rng(3).random((2_000, 1))
    low, high = bootstrap_interval(values, np.random.default_rng(4), replicates=1_000)[0]
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    padded = np.vstack([values, np.full((2_000, 1), np.nan)])
    low, high = bootstrap_interval(padded, np.random.default_rng(4))[0]
    assert low < values.mean() < high


products = st.lists(st.integers(0, N_PRODUCTS - 1), unique=True, max_size=N_PRODUCTS)
cases = st.lists(st.tuples(products, products.filter(bool)), min_size=1, max_size=5)


def values_of(case: list[tuple[list[int], list[int]]], k: int) -> dict[str, np.ndarray]:
    lists = np.full((len(case), N_PRODUCTS), -1, dtype=np.int32)
    for row, (listed, _) in enumerate(case):
        lists[row, : len(listed)] = listed
    truth = truth_of(*(bought for _, bought in case))
    repeat = truth.indices % 2 == 0
    found = customer_metrics(lists, truth, repeat=repeat, n_products=N_PRODUCTS, ks=[k])
    return {name.removesuffix(f"@{k}"): value for name, value in found.items()}


@given(cases, st.integers(1, 15))
def test_every_metric_lies_between_0_and_1_and_full_ndcg_is_never_above_ndcg(case: list, k: int) -> None:
    found = values_of(case, k)
    for name, values in found.items():
        defined = values[~np.isnan(values)]
        assert ((defined >= 0) & (defined <= 1 + 1e-12)).all(), name
    assert (found["ndcg_full"] <= found["ndcg"] + 1e-12).all()
    assert (found["phr"] >= found["recall"]).all()


@given(cases, st.integers(1, 15))
def test_the_order_within_the_first_k_moves_neither_recall_nor_precision(case: list, k: int) -> None:
    turned = [(listed[:k][::-1] + listed[k:], bought) for listed, bought in case]
    before, after = values_of(case, k), values_of(turned, k)
    for name in ("recall", "precision", "phr", "repeat_recall", "explore_recall"):
        np.testing.assert_allclose(before[name], after[name])


@given(cases, st.integers(1, 15), st.data())
def test_putting_a_bought_product_first_never_lowers_a_metric(case: list, k: int, data: st.DataObject) -> None:
    better = []
    for listed, bought in case:
        hit = data.draw(st.sampled_from(bought))
        better.append(([hit, *(product for product in listed if product != hit)], bought))
    before, after = values_of(case, k), values_of(better, k)
    for name in ("mrr", "phr"):
        assert (after[name] >= before[name] - 1e-12).all(), name
    missing = [[not set(listed[:k]) & set(bought)] for listed, bought in case]
    for name in ("recall", "ndcg", "precision"):
        raised = after[name][np.array(missing).ravel()]
        assert (raised > 0).all(), name


@given(cases, st.integers(1, 14))
def test_a_longer_list_never_has_less_recall(case: list, k: int) -> None:
    assert (values_of(case, k + 1)["recall"] >= values_of(case, k)["recall"]).all()


@given(cases)
def test_the_truth_itself_as_list_is_perfect(case: list) -> None:
    perfect = [(bought, bought) for _, bought in case]
    found = values_of(perfect, N_PRODUCTS)
    for name in ("recall", "ndcg", "ndcg_full", "phr", "mrr"):
        np.testing.assert_allclose(found[name], 1.0)
