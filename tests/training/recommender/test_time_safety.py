"""Nothing that happens at or after the moment, and nothing hidden, reaches a candidate, a feature or the ranker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from features.matrix import Purchases
from tests.training.recommender.tiny import purchases, random_orders
from training.candidates.attributes import Attributes
from training.candidates.history import own_history
from training.metrics_ranking import Truth
from training.pair_table import CandidateConfig, CandidateSources, PairTable
from training.ranking import Ranker, RankerConfig, RankingTask
from training.ranking_tasks import TaskConfig, past_moments
from training.splits import Split, cutoff_split, last_order_split
from training.two_stage import RecommenderConfig, learn_ranker, recommend

PRODUCTS = [f"p{code:04d}" for code in range(40)]
MOMENT = 170.0
SMALL = CandidateConfig(factors=4, linear_products=30, threads=1)
QUICK = RecommenderConfig(SMALL, RankerConfig(max_rounds=30, threads=1), TaskConfig(most_moments=2))
KINDS = Attributes({"category": np.arange(40, dtype=np.int32) // 5})

Orders = dict[str, list[tuple[float, list[str]]]]
Change = Callable[[Orders, Callable[[str, int, float], bool], np.random.Generator], Orders]


def shuffled(orders: Orders, hidden: Callable[[str, int, float], bool], rng: np.random.Generator) -> Orders:
    """The hidden baskets dealt out anew among each other."""
    baskets = [b for c in orders for n, (day, b) in enumerate(orders[c]) if hidden(c, n, day)]
    turn = iter(rng.permutation(len(baskets)))
    return {
        c: [(day, baskets[next(turn)] if hidden(c, n, day) else b) for n, (day, b) in enumerate(orders[c])]
        for c in orders
    }


def replaced(orders: Orders, hidden: Callable[[str, int, float], bool], rng: np.random.Generator) -> Orders:
    """Every hidden basket holds other products, more of them."""
    return {
        c: [
            (day, [PRODUCTS[p] for p in rng.choice(40, 9, replace=False)] if hidden(c, n, day) else b)
            for n, (day, b) in enumerate(orders[c])
        ]
        for c in orders
    }


def deleted(orders: Orders, hidden: Callable[[str, int, float], bool], rng: np.random.Generator) -> Orders:
    """A part of the hidden orders never happened; one of each customer's stays, so that they are asked."""
    found: Orders = {}
    for c in orders:
        after = [n for n, (day, _) in enumerate(orders[c]) if hidden(c, n, day)]
        dropped = set(after[1:])
        found[c] = [order for n, order in enumerate(orders[c]) if n not in dropped]
    return found


def added(orders: Orders, hidden: Callable[[str, int, float], bool], rng: np.random.Generator) -> Orders:
    """More orders after the hidden ones of those who have any."""
    return {
        c: orders[c] + [(orders[c][-1][0] + 1, ["p0001", "p0039"])] * 3
        if any(hidden(c, n, day) for n, (day, _) in enumerate(orders[c]))
        else orders[c]
        for c in orders
    }


def same(one: PairTable, other: PairTable) -> None:
    np.testing.assert_array_equal(one.keys, other.keys)
    assert one.names == other.names
    for place, name in enumerate(one.names):
        np.testing.assert_array_equal(one.values[:, place], other.values[:, place], err_msg=name)
    np.testing.assert_array_equal(one.sources, other.sources)


def table_of(split: Split) -> PairTable:
    return CandidateSources(SMALL, KINDS).fit(split.history).table(split.customers, split.moment)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("change", [shuffled, replaced, deleted, added])
def test_orders_at_or_after_a_cutoff_move_no_candidate_and_no_feature(change: Change, seed: int) -> None:
    rng = np.random.default_rng(seed)
    orders = random_orders(rng, customers=40, products=40)
    orders["c0000"][-1] = (MOMENT, orders["c0000"][-1][1])  # one exactly at the moment
    orders["c0000"].sort()

    def after(customer: str, number: int, day: float) -> bool:
        return day >= MOMENT

    changed = change(orders, after, rng)
    assert changed != orders
    before, then = (
        cutoff_split(purchases(o, products=PRODUCTS), as_of_day=MOMENT, horizon_days=60) for o in (orders, changed)
    )
    assert before.customers.tolist() == then.customers.tolist()
    same(table_of(before), table_of(then))


@pytest.mark.parametrize("change", [shuffled, replaced])
@pytest.mark.parametrize("among", [None, np.arange(0, 40, 4, dtype=np.int32)])
def test_hidden_last_orders_move_no_candidate_no_feature_and_not_the_ranker(
    change: Change, among: NDArray[np.int32] | None
) -> None:
    rng = np.random.default_rng(5)
    orders = random_orders(rng, customers=40, products=40)
    asked = set(range(40)) if among is None else set(among.tolist())

    def hidden(customer: str, number: int, day: float) -> bool:
        return int(customer[1:]) in asked and number == len(orders[customer]) - 1

    changed = change(orders, hidden, rng)
    assert changed != orders
    before, then = (last_order_split(purchases(o, products=PRODUCTS), among=among) for o in (orders, changed))
    same(table_of(before), table_of(then))
    rankers = [learn_ranker(split, QUICK, horizon_days=0).booster_.model_to_string() for split in (before, then)]
    assert rankers[0] == rankers[1]


def test_a_history_that_reaches_past_the_moment_is_refused() -> None:
    shop = purchases({"ann": [(1, "ab"), (5, "a")]})
    with pytest.raises(ValueError, match="leakage"):
        own_history(shop, np.array([0], dtype=np.int32), np.array([4.0]), gap_days=1.0)


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_what_past_moments_ask_about_is_not_in_the_history_they_show(share: float) -> None:
    orders = random_orders(np.random.default_rng(2), customers=50, products=40)
    shop = purchases(orders)
    among = np.arange(int(50 * share), dtype=np.int32)
    split = last_order_split(shop, among=among)
    moments = list(past_moments(split, TaskConfig(), horizon_days=0))
    assert len(moments) > 1
    for moment in moments:
        left = split.history.orders_per_customer - moment.history.orders_per_customer
        assert (left[moment.customers] >= 1).all()
        # Nobody's visible part grew, and the moment asked at is not after anything the customer shows.
        assert (left >= 0).all()
        last = moment.history.customer_start[moment.customers + 1] - 1
        np.testing.assert_array_equal(moment.moment, moment.history.order_day[last])


def random_shop(seed: int) -> Purchases:
    """Every product as likely in every order: nothing can be foreseen."""
    rng = np.random.default_rng(seed)
    return purchases(
        {
            f"c{c:04d}": [
                (float(day), [PRODUCTS[p] for p in rng.choice(40, 3, replace=False)])
                for day in range(rng.integers(4, 8))
            ]
            for c in range(400)
        },
        products=PRODUCTS,
    )


def recall_at_10(lists: NDArray[np.int32], truth: Truth) -> tuple[float, float]:
    """Recall and its standard error."""
    found = np.array(
        [
            np.isin(truth.indices[truth.indptr[row] : truth.indptr[row + 1]], lists[row, :10]).mean()
            for row in range(len(lists))
        ]
    )
    return float(found.mean()), float(found.std() / np.sqrt(len(found)))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_orders_drawn_by_chance_cannot_be_foreseen(share: float) -> None:
    split = last_order_split(random_shop(3), among=np.arange(int(400 * share), dtype=np.int32))
    ranker = learn_ranker(split, QUICK, horizon_days=0)
    sources = CandidateSources(SMALL).fit(split.history)
    recall, error = recall_at_10(recommend(sources, ranker, split.customers, split.moment, depth=10).lists, split.truth)
    assert abs(recall - 10 / 40) < 4 * error


def of_customers(task: RankingTask, kept: NDArray[np.bool_]) -> RankingTask:
    """The task of only the customers where `kept`, numbered anew."""
    number = np.cumsum(kept) - 1
    table = task.table
    pairs = kept[table.rows]
    entries = kept[task.truth.rows]
    truth = Truth(np.concatenate(([0], np.cumsum(task.truth.sizes[kept]))), task.truth.indices[entries])
    keys = number[table.rows[pairs]] * table.n_products + table.products[pairs]
    columns = {name: getattr(table, name)[pairs] for name in ("values", "sources", "own_orders")}
    return RankingTask(replace(table, keys=keys, n_rows=int(kept.sum()), **columns), truth)


def foreseen_for_others(tasks: list[RankingTask]) -> tuple[float, float]:
    """Recall at 10, with its error, for a third of the customers by a ranker learned from the others' pairs."""
    held_out = [np.arange(task.table.n_rows) % 3 == 0 for task in tasks]
    learned = [of_customers(task, ~out) for task, out in zip(tasks, held_out, strict=True)]
    # Every tree may use every feature, so that a single one that leaks is found whatever others there are.
    ranker = Ranker(RankerConfig(max_rounds=60, feature_fraction=1.0, threads=1)).fit(learned)
    found = []
    for task, out in zip(tasks, held_out, strict=True):
        asked = of_customers(task, out)
        order = np.lexsort((-ranker.score(asked.table), asked.table.rows))
        starts = np.searchsorted(asked.table.rows, np.arange(asked.table.n_rows))
        lists = np.stack([asked.table.products[order][start : start + 10] for start in starts]).astype(np.int32)
        found.append(recall_at_10(lists, asked.truth))
    return float(np.mean([r for r, _ in found])), float(np.sqrt(np.mean([e**2 for _, e in found]) / len(found)))


def fold_tasks(*, counted_without_own_label: bool) -> list[RankingTask]:
    """The folds that train, and with the plant: a count over everybody's last orders less the row's own label."""
    split = last_order_split(random_shop(4), among=np.arange(100, dtype=np.int32))
    tasks = []
    for moment in past_moments(split, TaskConfig(most_moments=1), horizon_days=0):
        table = CandidateSources(SMALL).fit(moment.history).table(moment.customers, moment.moment)
        task = RankingTask(table, moment.truth)
        if counted_without_own_label:
            counts = np.bincount(moment.truth.indices, minlength=table.n_products)[table.products] - task.bought
            values = np.column_stack([table.values, counts]).astype(np.float32)
            task = RankingTask(replace(table, values=values, names=(*table.names, "planted")), moment.truth)
        tasks.append(task)
    return tasks


def test_the_folds_that_train_hold_nothing_that_tells_their_labels() -> None:
    recall, error = foreseen_for_others(fold_tasks(counted_without_own_label=False))
    assert abs(recall - 10 / 40) < 4 * error


def test_a_count_with_only_the_own_label_taken_out_is_caught() -> None:
    # A lower count says bought: from labels drawn by chance the ranker foresees far more than chance allows.
    recall, error = foreseen_for_others(fold_tasks(counted_without_own_label=True))
    assert recall > 10 / 40 + 5 * error
