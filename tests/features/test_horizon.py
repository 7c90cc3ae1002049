"""The horizon's rule by hand, and cut-offs: no label of a training moment reaches past the moment it serves."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from features.engine import connect
from features.errors import DataError
from features.horizon import MAX_CUTOFFS, MIN_HORIZONS, Cutoffs, choose_horizon, order_gaps, plan_cutoffs, shop_rhythm
from features.lake import read_lake
from tests.features.loading import MAPPING, Shop


@pytest.mark.parametrize(
    ("gaps", "span", "days"),
    [
        ([1.0] * 100, 365, 7),  # at least a week
        ([7.0] * 100, 365, 7),
        ([7.1] * 100, 365, 14),  # in whole weeks, upwards
        (list(range(101)), 1000, 98),  # the 0.97 quantile of 0..100 is 97
        ([200.0] * 10, 365, 91),  # at most a quarter of 365 days, in whole weeks
        ([200.0] * 10, 20, 7),  # never under a week
        ([], 365, 91),
    ],
)
def test_rule_by_hand(gaps: list[float], span: int, days: int) -> None:
    assert choose_horizon(np.array(gaps, dtype=float), span_days=span).days == days


def test_rule_says_how_it_chose() -> None:
    assert "97% of gaps between orders are at most 97.0 days" in choose_horizon(np.arange(101.0), span_days=1000).rule
    assert "a quarter of the data's 365 days" in choose_horizon(np.full(9, 200.0), span_days=365).rule
    assert choose_horizon(np.array([]), span_days=365).rule == "a quarter of the data: no customer ordered twice"
    assert choose_horizon(np.array([3.0]), span_days=365, override=45) == choose_horizon(
        np.array([]), span_days=1, override=45
    )


def test_cutoffs_by_hand() -> None:
    plan = plan_cutoffs(datetime(2024, 1, 1, 9), datetime(2024, 3, 31, 20), 14)
    assert (plan.data_start, plan.data_end) == (datetime(2024, 1, 1), datetime(2024, 3, 31))
    # 90 days less 14 are 10 whole weeks.
    assert plan.test == datetime(2024, 3, 11)
    assert plan.validation == datetime(2024, 2, 26)
    assert plan.training_for_test[0] == datetime(2024, 2, 26)
    assert plan.training_for_validation[0] == datetime(2024, 2, 12)
    # Weekly, back to where a horizon of history is left.
    assert plan.training_for_validation == tuple(datetime(2024, 2, 12) - timedelta(weeks=n) for n in range(5))
    assert plan.training_for_validation[-1] == datetime(2024, 1, 15)


def test_too_little_history_is_refused_with_what_is_needed() -> None:
    with pytest.raises(DataError, match=r"50 days \(2024-01-01 to 2024-02-20\); predicting 14 days ahead needs 56"):
        plan_cutoffs(datetime(2024, 1, 1), datetime(2024, 2, 20), 14)


@given(
    start=st.datetimes(datetime(1990, 1, 1), datetime(2020, 1, 1)),
    span=st.integers(0, 3000),
    horizon=st.integers(1, 400),
    most=st.integers(1, 30),
)
def test_no_label_reaches_past_the_moment_it_serves(start: datetime, span: int, horizon: int, most: int) -> None:
    last = start + timedelta(days=span)
    assume(span >= MIN_HORIZONS * horizon)
    plan: Cutoffs = plan_cutoffs(start, last, horizon, most=most)
    ahead = timedelta(days=horizon)
    assert plan.test + ahead <= plan.data_end
    assert plan.validation + ahead <= plan.test
    for served, moments in ((plan.test, plan.training_for_test), (plan.validation, plan.training_for_validation)):
        assert 1 <= len(moments) <= most
        assert all(moment + ahead <= served for moment in moments)
        assert all(moment - ahead >= plan.data_start for moment in moments)
        assert {later - earlier for later, earlier in pairwise(moments)} <= {timedelta(weeks=1)}
    everything = (plan.test, plan.validation, *plan.training_for_test, *plan.training_for_validation)
    assert all(moment.time() == datetime.min.time() for moment in everything)


def orders(*moments: tuple[str, str, str, float]) -> list[str]:
    return [f"{order},{customer},tea,{at},{pieces},1" for order, customer, at, pieces in moments]


def test_gaps_are_between_purchases_of_one_customer(shop: Shop) -> None:
    shop.load_lines(
        *orders(
            ("1", "ann", "2024-01-01", 1),
            ("1", "ann", "2024-01-01 12:00", 1),  # of the same order
            ("2", "ann", "2024-01-11", 1),
            ("3", "ann", "2024-01-13", -1),  # a return is no purchase
            ("4", "ann", "2024-01-14", 1),
            ("1", "bob", "2024-01-02", 1),
        ),
        mapping=MAPPING.replace('amount = "paid"\n', ""),
    )
    gaps, first, last = order_gaps(read_lake(shop.home), connect(shop.settings))
    assert sorted(gaps.tolist()) == [3.0, 10.0]
    assert (first, last) == (datetime(2024, 1, 1), datetime(2024, 1, 14))


def test_rhythm_of_a_shop_and_what_is_set_wins(shop: Shop) -> None:
    start = datetime(2023, 1, 2)
    shop.load_lines(*orders(*[(f"{n}", "ann", f"{start + timedelta(days=5 * n)}", 1) for n in range(40)]))
    horizon, cutoffs = shop_rhythm(read_lake(shop.home), connect(shop.settings), shop.settings)
    assert horizon.days == 7
    assert len(cutoffs.training_for_test) == MAX_CUTOFFS
    chosen = shop.settings.model_copy(update={"horizon_days": 30})
    horizon, cutoffs = shop_rhythm(read_lake(shop.home), connect(chosen), chosen)
    assert (horizon.days, horizon.rule) == (30, "30 days, as set")
    assert cutoffs.test - cutoffs.validation == timedelta(days=30)
