"""Ranked lists from a process of another environment: the files between, what is done with lists, who is chosen."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.judge import DEPTH, Told, differences, measure
from benchmarks.library_peers import FORMS, LIBRARIES, Library, ask, compare, fused, merged, orders_seen
from benchmarks.peer_files import DEPTH as TOLD
from benchmarks.peer_files import Answer, Run, ranked, read_answer, read_question, write_answer, write_question
from benchmarks.recanet_examples import LAST_ORDERS, Examples, Pairs
from features.errors import DataError
from features.matrix import Purchases
from tests.training.recommender.tiny import purchases, random_orders
from training.splits import Split, last_order_split

HERE = Path(sys.executable)

#: A library that tells every product in the order of its code, forwards or backwards, or something that cannot be.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(ask.__code__.co_filename).parent)!r})
import numpy as np
from peer_files import DEPTH, NEW_DEPTH, answer_all

def told(orders, codes):
    row = np.full(DEPTH, -1, dtype=np.int32)
    row[: len(codes)] = codes
    lists = np.tile(row, (len(orders.asked), 1))
    return lists, np.full((len(orders.asked), NEW_DEPTH), -1, dtype=np.int32)

MODELS = {{
    "forwards": lambda orders: told(orders, np.arange(orders.n_products)[:DEPTH]),
    "backwards": lambda orders, step: told(orders, np.arange(orders.n_products)[::-step][:DEPTH]),
    "unknown product": lambda orders: told(orders, [orders.n_products]),
    "twice": lambda orders: told(orders, [1, 2, 1]),
}}
answer_all("made up", MODELS)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("peer") / "made_up_peers.py"
    file.write_text(SCRIPT, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def shop() -> Purchases:
    return purchases(random_orders(np.random.default_rng(4), customers=30, products=40))


@pytest.fixture(scope="module")
def question(shop: Purchases) -> Split:
    return last_order_split(shop)


def test_the_other_process_reads_the_orders_that_may_be_seen_and_no_others(tmp_path: Path) -> None:
    shop = purchases({"ann": [(1, "a"), (2, "ab"), (5, "c")], "bob": [(3, "b"), (4, "d"), (6, "a")]})
    seen = last_order_split(shop, min_orders=3)
    write_question(tmp_path, orders_seen(seen, threads=2), [Run("m", {"k": 3})])
    orders, runs = read_question(tmp_path)
    assert orders.customer.tolist() == [0, 0, 0, 1, 1]
    assert orders.order.tolist() == [0, 1, 1, 0, 1]
    assert orders.day.tolist() == [1, 2, 2, 3, 4]
    assert orders.product.tolist() == [0, 0, 1, 1, 3]  # neither ann's c nor bob's last a
    assert orders.asked.tolist() == [0, 1]
    assert (orders.n_customers, orders.n_products, orders.threads) == (2, 4, 2)
    assert runs == [Run("m", {"k": 3})]


def test_a_pair_weighs_less_with_each_order_since() -> None:
    shop = purchases({"ann": [(1, "a"), (2, "ab"), (5, "b")]})
    orders = orders_seen(last_order_split(shop, min_orders=1), threads=1)
    customer, product, weight = orders.pairs(decay=0.5)
    assert (customer.tolist(), product.tolist(), weight.tolist()) == ([0, 0], [0, 1], [1.5, 1.0])


def test_an_answer_comes_back_as_it_was_told(tmp_path: Path) -> None:
    lists = np.full((2, TOLD), -1, dtype=np.int32)
    lists[0, :3] = [5, 1, 7]
    new = np.full((2, DEPTH), -1, dtype=np.int32)
    new[1, 0] = 4
    write_answer(tmp_path, 0, Answer(lists, new, 1.5))
    found = read_answer(tmp_path, 0, asked=2)
    assert found.lists.tolist() == lists.tolist()
    assert found.new.tolist() == new.tolist()
    assert found.seconds == 1.5


def test_scores_that_are_not_finite_are_not_ranked() -> None:
    scores = np.array([[0.1, np.nan, 0.7], [-np.inf, -2.0, -1.0]])
    assert ranked(scores, 4).tolist() == [[2, 0, -1, -1], [2, 1, -1, -1]]


def test_lists_one_after_the_other_name_no_product_twice() -> None:
    own, other = np.array([[3, 1, -1], [-1, -1, -1]], dtype=np.int32), np.array([[1, 5, 0], [2, 4, -1]], dtype=np.int32)
    assert merged((own, other), 4, 6).tolist() == [[3, 1, 5, 0], [2, 4, -1, -1]]


def test_fusing_prefers_what_both_name_and_goes_by_the_share() -> None:
    own, other = np.array([[3, 1]], dtype=np.int32), np.array([[5, 1]], dtype=np.int32)
    assert fused(other, own, 0.5, 1, 6).tolist() == [[1]]
    assert fused(other, own, 0.8, 3, 6).tolist() == [[1, 3, 5]]
    assert fused(other, own, 0.2, 3, 6).tolist() == [[1, 5, 3]]


def test_a_library_is_asked_anew_with_what_validation_chose_best_model_first(shop: Purchases, script: Path) -> None:
    validation = last_order_split(shop.keep_orders(shop.orders_from_end > 0), min_orders=3)
    test = last_order_split(shop)
    models = {"backwards": ({"step": 3}, {"step": 1}), "forwards": ({},)}
    library = Library("Made up", "nothing", str(script), models, shown=2, most_products={})
    best, other = compare(library, HERE, validation, test, threads=1)
    # Products are drawn by a popularity that falls with the code, so that forwards finds more.
    assert (best.run, best.name) == (Run("forwards", {}), "Made up forwards")
    assert other.run.model == "backwards"
    assert max(best.validation.values()) >= max(other.validation.values())
    assert best.form == max(FORMS, key=lambda form: best.validation[form])
    assert best.told.lists.shape == (len(test.customers), DEPTH)


def test_a_model_is_not_asked_about_more_products_than_it_can_hold(
    shop: Purchases, question: Split, script: Path
) -> None:
    models = {"forwards": ({},), "twice": ({},)}
    library = Library("Made up", "nothing", str(script), models, shown=1, most_products={"twice": 39})
    (only,) = compare(library, HERE, question, question, threads=1)
    assert (only.run.model, only.name) == ("forwards", "Made up")


def test_lists_that_cannot_be_are_refused(question: Split, script: Path) -> None:
    with pytest.raises(DataError, match="product 40 is ranked, and there are 40"):
        ask(HERE, script, question, [Run("unknown product", {})], threads=1)
    with pytest.raises(DataError, match="told a product twice"):
        ask(HERE, script, question, [Run("twice", {})], threads=1)


def test_a_process_that_fails_is_named(question: Split, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"made_up_peers\.py ended with 1 .* lock"):
        ask(HERE, script, question, [Run("no such model", {})], threads=1)
    assert "no such model" in capfd.readouterr().err


def test_perfect_lists_are_surely_ahead_of_empty_ones(question: Split) -> None:
    perfect = np.full((len(question.customers), DEPTH), -1, dtype=np.int32)
    truth = question.truth
    for row, (start, end) in enumerate(zip(truth.indptr[:-1], truth.indptr[1:], strict=True)):
        perfect[row, : end - start] = truth.indices[start:end]
    empty = Told(np.full_like(perfect, -1), np.full_like(perfect, -1))
    assert measure(question, Told(perfect, perfect))["recall@20"] == 1
    less = differences(question, Told(perfect, perfect), {"nothing": empty, "same": Told(perfect, perfect)})
    assert less["nothing"]["ndcg@10"] == (1, 1, 1)
    assert less["same"]["ndcg@10"] == (0, 0, 0)


def test_every_library_has_its_script_and_its_lock() -> None:
    folder = Path(ask.__code__.co_filename).parent
    for library in LIBRARIES.values():
        assert (folder / library.script).is_file()
    for lock, named in (("rectools.lock", "rectools=="), ("lenskit.lock", "lenskit==")):
        text = (folder / lock).read_text(encoding="utf-8")
        assert named in text
        assert "http" not in text


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    orders = {"ann": [(1, "a"), (2, "b"), (3, "ab"), (5, "a"), (9, "c")], "bob": [(3, "b"), (6, "a")]}
    return Pairs.of(orders_seen(last_order_split(purchases(orders), min_orders=5), threads=1))


def test_the_network_is_asked_of_every_product_bought_before_in_every_later_order(pairs: Pairs) -> None:
    # Ann's first four orders may be seen: a, b, ab, a; bob's both: b, a.
    assert pairs.customer.tolist() == [0, 0, 1, 1]
    assert pairs.product.tolist() == [0, 1, 0, 1]
    found = Examples.drawn(pairs, 100, np.random.default_rng(0))
    rows = zip(found.pair.tolist(), found.at.tolist(), found.bought.tolist(), found.label.tolist(), strict=True)
    assert list(rows) == [(0, 1, 1, 0), (0, 2, 1, 1), (0, 3, 2, 1), (1, 2, 1, 1), (1, 3, 2, 0), (3, 1, 1, 0)]


def test_a_history_is_the_orders_between_purchases_and_those_since_the_last(pairs: Pairs) -> None:
    coming = Examples.of(pairs, np.array([0, 1]), np.array([4, 4]))
    assert coming.bought.tolist() == [3, 2]
    assert coming.gaps(pairs, np.array([0]), 3).tolist() == [[2, 1, 1]]
    assert coming.gaps(pairs, np.array([0, 1]), 1).tolist() == [[1], [2]]


def test_only_the_last_orders_are_learned_from_and_so_many_examples_are_drawn() -> None:
    orders = purchases({"ann": [(day, "a") for day in range(60)]})
    many = Pairs.of(orders_seen(last_order_split(orders), threads=1))
    assert Examples.drawn(many, 100, np.random.default_rng(0)).at.tolist() == list(range(59 - LAST_ORDERS, 59))
    few = Examples.drawn(many, 10, np.random.default_rng(0))
    assert 1 <= len(few.pair) <= 10
