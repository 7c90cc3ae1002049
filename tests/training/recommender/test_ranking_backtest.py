from __future__ import annotations

import numpy as np
import pytest

from tests.training.recommender.tiny import purchases, random_orders
from training.candidates.attributes import Attributes
from training.metrics_ranking import mean
from training.ranking_backtest import RankingTest, best_baseline
from training.splits import cutoff_split, last_order_split


def by_band(rows: list[dict], metric: str = "recall@10") -> dict[str, dict]:
    return {row["band"]: row for row in rows if row["metric"] == metric}


def test_bands_worked_by_hand() -> None:
    # Before day 10: ann has one order, bob three, and tea has no sale. After it ann buys bread and tea, bob figs.
    history = purchases(
        {
            "ann": [(1.0, ["bread"]), (10.0, ["bread", "tea"])],
            "bob": [(1.0, ["bread", "figs"]), (2.0, ["bread"]), (3.0, ["bread"]), (10.0, ["figs"])],
        }
    )
    test = RankingTest(cutoff_split(history, as_of_day=10, horizon_days=7), Attributes({}), seed=0)
    bread, figs, tea = (history.product_ids.to_pylist().index(name) for name in ("bread", "figs", "tea"))
    ours = np.array([[bread, tea], [bread, -1]], dtype=np.int32)
    theirs = np.array([[bread, -1], [figs, -1]], dtype=np.int32)
    rows = by_band(test.bands(ours, theirs))
    assert set(rows) == {
        "customers with 1 order",
        "customers with 2 to 3 orders",
        "products with no earlier buyer",
        "products with 1 to 9 earlier buyers",
    }
    assert (rows["customers with 1 order"]["ours"], rows["customers with 1 order"]["theirs"]) == (1, 0.5)
    assert rows["customers with 2 to 3 orders"]["ahead"] == -1
    assert rows["products with no earlier buyer"]["ours"] == 1  # tea, by ann alone
    assert rows["products with no earlier buyer"]["customers"] == 1
    assert rows["products with 1 to 9 earlier buyers"]["ours"] == 0.5  # bread by ann, no figs by bob


@pytest.fixture(scope="module")
def test_of_many() -> RankingTest:
    history = purchases(random_orders(np.random.default_rng(5), customers=300, products=60))
    return RankingTest(last_order_split(history), Attributes({}), seed=1)


def lists(test: RankingTest, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = test.question.history.n_products
    return np.array([rng.permutation(n)[:20] for _ in test.question.customers], dtype=np.int32)


def test_a_difference_is_that_of_the_means_and_its_interval_is_narrower_where_lists_agree(
    test_of_many: RankingTest,
) -> None:
    ours, others = lists(test_of_many, 1), lists(test_of_many, 2)
    nearly = ours.copy()
    nearly[:30] = others[:30]
    each = {name: mean(values) for name, values in test_of_many.each(ours).items()}
    for theirs in (others, nearly):
        means = test_of_many.means(theirs)
        for found in test_of_many.ahead(ours, theirs):
            if not found.name.startswith("explore"):
                assert found.value == pytest.approx(each[found.name] - means[found.name])
    far, near = (
        {m.name: m.high - m.low for m in test_of_many.ahead(ours, theirs)}["recall@10"] for theirs in (others, nearly)
    )
    assert near < far / 2


def test_chance_alone_is_surely_ahead_or_behind_about_once_in_twenty_times(test_of_many: RankingTest) -> None:
    found = [test_of_many.ahead(lists(test_of_many, seed), lists(test_of_many, seed + 500))[0] for seed in range(40)]
    sure = sum(not metric.low < 0 < metric.high for metric in found)
    assert sure <= 6  # of 40; more than that has a chance of 1 in 70 where the interval is right


def test_who_knows_the_truth_is_surely_ahead(test_of_many: RankingTest) -> None:
    others = lists(test_of_many, 2)
    truth = test_of_many.question.truth
    knowing = np.full_like(others, -1)
    for row in range(len(knowing)):
        bought = truth.indices[truth.indptr[row] : truth.indptr[row + 1]][: knowing.shape[1]]
        knowing[row, : len(bought)] = bought
    sure = {m.name: m for m in test_of_many.ahead(knowing, others)}["recall@10"]
    assert sure.low > 0.5


def test_metrics_and_means_say_the_same(test_of_many: RankingTest) -> None:
    listed = lists(test_of_many, 3)
    assert {m.name: m.value for m in test_of_many.metrics(listed)} == pytest.approx(test_of_many.means(listed))


def test_the_best_baseline_is_not_ours() -> None:
    results = {"regulars": {"ndcg@10": 0.9}, "als": {"ndcg@10": 0.2}, "personal_top_frequency": {"ndcg@10": 0.4}}
    assert best_baseline(results) == "personal_top_frequency"
