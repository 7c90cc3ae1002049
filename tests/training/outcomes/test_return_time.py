from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from features.errors import DataError
from features.labels import DAYS_TO_NEXT_ORDER
from features.schema import C
from training.boosting import MANY, BoostingConfig
from training.customer_scores import Predictions, score_table
from training.dataset import examples
from training.next_orders import curve_days
from training.protocols import Context
from training.return_backtest import integrated_brier, known_waits, return_metrics, with_waits
from training.return_curves import ReturnCurves
from training.return_time import ReturnTimeModel

CONFIG = BoostingConfig(num_leaves=8, learning_rate=0.15, threads=1, seed=5)


def regulars(rows: int = 2_000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers whose gap is 5 or 20 days, a tenth to a half of it more or less, and who are silent for part of it."""
    rng = np.random.default_rng(seed)
    usual = np.where(np.arange(rows) % 2 == 0, 5.0, 20.0)
    gap = usual * rng.uniform(0.7, 1.3, rows)
    silence = gap * rng.uniform(0, 1, rows)
    frame = pd.DataFrame(
        {
            "days_since_last_order": silence,
            "days_since_first_order": silence + 200,
            **{f"gap_{name}_days": usual for name in ("mean", "median", "recent", "last")},
            "gap_longest_days": usual * 1.3,
            "gap_spread_days": usual * 0.15,
            "visits_decayed_14d": 2.0 ** (-silence / 14) * (1 + 14 / usual),
            "visits_decayed_45d": 2.0 ** (-silence / 45) * (1 + 45 / usual),
        }
    )
    waited = gap - silence
    followed = np.full(rows, 12.0)
    return frame, np.column_stack([np.where(waited < followed, waited, np.inf), followed])


@pytest.fixture(scope="module")
def model() -> ReturnTimeModel:
    return ReturnTimeModel(28, CONFIG).fit(*regulars())


def curves(rates: list[list[float]], silence: list[float]) -> ReturnCurves:
    n = len(rates)
    return ReturnCurves(np.array([0.0, 10.0]), np.array(rates), np.array(silence), np.ones(n))


def test_curves_worked_by_hand() -> None:
    # A tenth of an order a day for ten days, then half of one.
    found = curves([[0.1, 0.5]], [4.0])
    assert found.back_within(6.0).tolist() == pytest.approx([1 - np.exp(-0.6)])
    assert found.back_within(8.0).tolist() == pytest.approx([1 - np.exp(-0.6 - 1.0)])
    # Half are back when 0.6931 is summed up: 0.6 by day 6, the rest at 0.5 a day.
    assert found.days_until(0.5).tolist() == pytest.approx([6 + (np.log(2) - 0.6) / 0.5])
    # As of the last order, silence plays no part: 1.0 by day 10, and 0.6094 more.
    assert found.usual_gap(0.8).tolist() == pytest.approx([10 + (np.log(5) - 1.0) / 0.5])


def test_a_curve_is_bent_through_a_probability_and_one_without_stays() -> None:
    both = curves([[0.1, 0.5], [0.1, 0.5]], [4.0, 0.0])
    bent = both.through(np.array([0.9, np.nan]), 8.0)
    assert bent.back_within(8.0).tolist() == pytest.approx([0.9, both.back_within(8.0)[1]])
    assert bent.usual_gap(0.8).tolist() == both.usual_gap(0.8).tolist()


@settings(max_examples=60, deadline=None)
@given(
    rates=st.lists(st.floats(1e-6, 3), min_size=3, max_size=3),
    silence=st.floats(0, 400),
    probability=st.floats(0, 1),
    shares=st.tuples(st.floats(0.01, 0.95), st.floats(0.01, 0.95)),
)
def test_a_distribution_never_falls_and_turns_round(
    rates: list[float], silence: float, probability: float, shares: tuple[float, float]
) -> None:
    found = ReturnCurves(np.array([0.0, 5.0, 30.0]), np.array([rates]), np.array([silence]), np.ones(1))
    found = found.through(np.array([probability]), 28.0)
    within = [found.back_within(days)[0] for days in (0.0, 1.0, 7.0, 28.0, 90.0)]
    assert within[0] == 0
    assert (np.diff(within) >= 0).all()
    low, high = (found.days_until(share)[0] for share in sorted(shares))
    assert 0 <= low <= high
    if high < 1e6:  # farther off, days of floating point are too coarse to tell
        assert found.back_within(np.array([high]))[0] == pytest.approx(max(shares), abs=1e-3)


def test_who_comes_every_five_days_is_expected_sooner_than_who_comes_every_twenty(model: ReturnTimeModel) -> None:
    later, waits = regulars(400, seed=1)
    found = model.curves(later)
    often = later["gap_mean_days"] == 5
    due = found.usual_gap(0.5)
    assert due[often].mean() == pytest.approx(5, rel=0.2)
    assert due[~often].mean() == pytest.approx(20, rel=0.25)
    within = found.back_within(12.0)
    assert within[often].min() > 0.9
    assert within.mean() == pytest.approx(np.isfinite(waits[:, 0]).mean(), abs=0.03)


def test_its_interval_holds_four_of_five(model: ReturnTimeModel) -> None:
    later, waits = regulars(2_000, seed=2)
    found = return_metrics(model.curves(later), waits[:, 0], 12)
    assert found["interval_coverage"] == pytest.approx(0.8, abs=0.1)
    assert found["interval_told"] > 0.5


def test_the_habits_are_those_of_the_last_order_so_waiting_does_not_move_them(model: ReturnTimeModel) -> None:
    frame, _ = regulars(50)
    later = frame.assign(
        days_since_last_order=frame["days_since_last_order"] + 9,
        days_since_first_order=frame["days_since_first_order"] + 9,
        visits_decayed_14d=frame["visits_decayed_14d"] * 2 ** (-9 / 14),
        visits_decayed_45d=frame["visits_decayed_45d"] * 2 ** (-9 / 45),
    )
    np.testing.assert_allclose(model.curves(later).usual_gap(0.8), model.curves(frame).usual_gap(0.8))


def test_parameters_are_stored_and_a_fit_is_repeatable(model: ReturnTimeModel) -> None:
    assert clone(model).get_params() == {"horizon_days": 28, "config": CONFIG, "rounds": 80}
    again = clone(model)
    with pytest.raises(NotFittedError):
        again.predict(regulars(5)[0])
    frame, waits = regulars()
    before = frame.copy(deep=True)
    assert again.fit(frame, waits) is again
    pd.testing.assert_frame_equal(frame, before)
    assert (again.predict(frame) == model.predict(frame)).all()
    assert len(model.predict(frame.head(0))) == 0


def test_saved_and_loaded_it_says_the_same(model: ReturnTimeModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    frame, _ = regulars(100, seed=3)
    assert (ReturnTimeModel.load(tmp_path, threads=1).predict(frame) == model.predict(frame)).all()


def test_what_cannot_be_learned_from_is_refused() -> None:
    frame, waits = regulars(50)
    with pytest.raises(DataError, match="50 rows and the waits' shape is"):
        ReturnTimeModel(28, CONFIG).fit(frame, waits[:, 0])
    with pytest.raises(DataError, match="days followed above 0"):
        ReturnTimeModel(28, CONFIG).fit(frame, waits * [1, 0])
    with pytest.raises(DataError, match="Nobody ordered"):
        ReturnTimeModel(28, CONFIG).fit(frame, np.column_stack([np.full(50, np.nan), waits[:, 1]]))
    with pytest.raises(DataError, match=r"needs the features gap_last_days, .*regulars features"):
        ReturnTimeModel(28, CONFIG).fit(frame.drop(columns="gap_last_days"), waits)


def test_integrated_brier_worked_by_hand() -> None:
    # Ordered after 1.5 days, and never: at days 1, 2, 3 the first had come twice, the second not at all.
    within = np.array([[0.0, 0.5, 1.0], [0.0, 0.0, 0.5]])
    assert integrated_brier(within, np.array([1.5, np.nan]), [1, 2, 3]) == pytest.approx((0.25 + 0.25) / 6)


def test_waits_are_of_orders_and_known_no_further_than_asked(small_shop: Context) -> None:
    moment = datetime(2024, 6, 3)
    rows = with_waits(small_shop, examples(small_shop, [moment], 21), 21)
    bought = rows[DAYS_TO_NEXT_ORDER] < 21
    assert (bought == rows["bought"]).all()
    for days in (5, 21):
        waits = known_waits(rows, until=moment + timedelta(days=days), horizon_days=21)
        assert (waits[:, 1] == days).all()
        assert not (waits[:, 0] >= days).any()
    assert rows[C.AS_OF].nunique() == 1


def test_the_score_table_tells_the_next_order_in_dates() -> None:
    last = pd.Timestamp("2024-05-20T00:00", tz="UTC")
    who = pd.DataFrame(
        {
            "customer_id": ["ann", "bob"],
            "last_order_at": [last, last],
            "orders": [9, 1],
            "spend": [90.0, 1.0],
            "usual_spend": [30.0, 1.0],
            "days_since_last_order": [12, 12],
            "days_since_first_order": [200, 12],
            "active": [True, True],
        }
    )
    # Of ann, an order every ten days; bob is next to never back.
    returns = curves([[0.1, 0.1], [1e-6, 1e-6]], [12.0, 12.0])
    ann, bob = score_table(who, Predictions(returns=returns), horizon_days=28).to_pylist()
    assert ann["expected_back_by"].date().isoformat() == "2024-06-05"  # 16.09 days after the order
    assert ann["days_overdue"] == 0
    assert ann["next_order_expected_at"].date().isoformat() == "2024-06-07"  # 12 + 6.93 days
    assert ann["next_order_from"] < ann["next_order_expected_at"] < ann["next_order_until"]
    assert ann["order_within"][curve_days(28).index(28)] == pytest.approx(1 - np.exp(-2.8))
    assert [bob[name] for name in ("expected_back_by", "next_order_expected_at", "next_order_until")] == [None] * 3
    late = curves([[0.2, 0.2], [0.1, 0.1]], [12.0, 12.0])
    overdue = score_table(who, Predictions(returns=late), horizon_days=28).column("days_overdue").to_pylist()
    assert overdue == [3, 0]  # ln 5 / 0.2 = 8.05 days were due
    without = score_table(who, Predictions(), horizon_days=28).to_pylist()[0]
    assert without["next_order_expected_at"] is None
    assert without["days_overdue"] is None
    assert without["order_within"] is None


def test_many_customers_are_told_what_few_are_and_the_chance_of_a_day_is_that_of_the_curve(
    model: ReturnTimeModel,
) -> None:
    many, _ = regulars(MANY, seed=4)
    many.loc[::7, ["gap_median_days", "gap_recent_days"]] = np.nan
    many.loc[::11, "days_since_last_order"] = 90.0
    together = model.curves(many)
    few = many.sample(400, random_state=0)
    alone = model.curves(few.reset_index(drop=True))
    np.testing.assert_allclose(together.rates[few.index], alone.rates, rtol=1e-9)
    for days in (1.0, 28.0):
        np.testing.assert_allclose(model.back_within(many, days), together.back_within(days), rtol=1e-9)
        np.testing.assert_allclose(model.back_within(few, days), together.back_within(days)[few.index], rtol=1e-9)
