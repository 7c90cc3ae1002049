"""A history counted in parts of whole customers says what it says counted at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.matrix import Purchases
from tests.training.recommender.tiny import purchases, random_orders
from training.candidates import parts
from training.candidates.attributes import Attributes
from training.candidates.parts import parts_of
from training.pair_table import CandidateConfig, CandidateSources, PairTable
from training.ranking_tasks import TaskConfig, past_moments
from training.splits import cutoff_split

CONFIG = CandidateConfig(factors=4, linear_products=20, threads=1)
KINDS = Attributes({"category": np.arange(30, dtype=np.int32) // 5})


@pytest.fixture(scope="module")
def shop() -> Purchases:
    orders = random_orders(np.random.default_rng(5), customers=60, products=30) | {
        "nobody": [],
        "one": [(110, ["p0001"])],
    }
    return purchases(orders, products=[f"p{code:04d}" for code in range(30)])


def table(sources: CandidateSources, moment: float = 210.0) -> PairTable:
    n = sources.history_.n_customers
    return sources.table(np.arange(n, dtype=np.int32), np.full(n, moment))


def test_parts_are_whole_customers_with_all_their_lines(shop: Purchases) -> None:
    found = list(parts_of(shop, lines=50))
    assert len(found) > 5
    assert [first for first, _ in found] == np.cumsum([0] + [part.n_customers for _, part in found])[:-1].tolist()
    assert sum(part.n_customers for _, part in found) == shop.n_customers
    assert np.array_equal(np.concatenate([part.products for _, part in found]), shop.products)
    customers = np.concatenate([first + part.line_customer for first, part in found])
    assert np.array_equal(customers, shop.line_customer)
    for name in ("quantity", "paid", "saved", "store"):
        whole = getattr(shop.terms, name)
        assert np.array_equal(np.concatenate([getattr(part.terms, name) for _, part in found]), whole)


def test_who_has_more_lines_than_a_part_is_one_of_their_own(shop: Purchases) -> None:
    assert [part.n_customers for _, part in parts_of(shop, lines=1)].count(1) >= 60
    nobody = replace(
        shop.keep_orders(np.zeros(shop.n_orders, dtype=bool)),
        customer_ids=shop.customer_ids[:0],
        customer_start=np.zeros(1, int),
    )
    assert [part.n_orders for _, part in parts_of(nobody)] == [0]


@pytest.mark.parametrize("with_terms", [True, False])
def test_every_feature_is_the_same_however_many_parts_are_counted(
    shop: Purchases, monkeypatch: pytest.MonkeyPatch, with_terms: bool
) -> None:
    told = shop if with_terms else replace(shop, terms=None)
    whole = table(CandidateSources(CONFIG, KINDS).fit(told))
    monkeypatch.setitem(parts.parts_of.__kwdefaults__, "lines", 40)
    in_parts = table(CandidateSources(CONFIG, KINDS).fit(told))
    assert np.array_equal(whole.keys, in_parts.keys)
    for name, ours, theirs in zip(whole.names, whole.values.T, in_parts.values.T, strict=True):
        assert np.array_equal(ours, theirs, equal_nan=True), name


def test_sources_fitted_for_one_moment_answer_as_those_for_any(shop: Purchases) -> None:
    of_any = CandidateSources(CONFIG, KINDS).fit(shop)
    of_one = CandidateSources(CONFIG, KINDS).fit(shop, moment=210.0)
    assert np.array_equal(table(of_any).values, table(of_one).values, equal_nan=True)
    with pytest.raises(ValueError, match="another was asked about"):
        table(of_one, 211.0)


def test_a_shop_with_more_lines_than_are_read_asks_about_one_cut_off(shop: Purchases) -> None:
    split = cutoff_split(shop, as_of_day=180, horizon_days=20)

    def asked(lines_read: int) -> int:
        return len(list(past_moments(split, TaskConfig(cutoff_lines_read=lines_read), horizon_days=20)))

    lines = len(split.history.products)
    assert [asked(lines // 10), asked(2 * lines), asked(100 * lines)] == [1, 2, 3]
