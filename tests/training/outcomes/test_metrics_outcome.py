from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    roc_auc_score,
    root_mean_squared_error,
)

from training.metrics_outcome import (
    amount_metrics,
    auc_or_nan,
    average_precision_or_nan,
    calibration_error,
    calibration_intercept,
    calibration_slope,
    paired_difference,
    probability_metrics,
    ranking_of,
    top_share,
    with_intervals,
)
from training.protocols import Metric

# Five customers; those who stopped are the first and the third.
HAPPENED = np.array([True, False, True, False, False])
PROBABILITY = np.array([0.9, 0.8, 0.7, 0.2, 0.1])


def test_ranking_metrics_worked_by_hand() -> None:
    found = ranking_of(HAPPENED, PROBABILITY)
    # Of the 2 x 3 pairs of one who stopped and one who stayed, five are in the right order.
    assert found["auc"] == pytest.approx(5 / 6)
    # Precision is 1/1 at the first who stopped and 2/3 at the second.
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    # The top fifth is one customer, who stopped: 1 against a base rate of 2/5.
    assert found["lift@20%"] == pytest.approx(2.5)
    assert found["capture@20%"] == pytest.approx(0.5)


def test_probability_metrics_worked_by_hand() -> None:
    found = probability_metrics(HAPPENED, PROBABILITY)
    assert found["brier"] == pytest.approx((0.01 + 0.64 + 0.09 + 0.04 + 0.01) / 5)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.8, 0.9]).mean())
    # Each customer is in a bin of equal width of their own.
    assert found["ece"] == pytest.approx((0.1 + 0.8 + 0.3 + 0.2 + 0.1) / 5)
    assert found["mean_probability"] == pytest.approx(0.54)


def test_calibration_error_weighs_bins_by_customers() -> None:
    probability = np.array([0.05, 0.05, 0.05, 0.95])
    happened = np.array([True, False, False, True])
    # In the lowest bin a third happened against 0.05, three customers of four; in the highest all against 0.95.
    assert calibration_error(happened, probability) == pytest.approx(0.75 * (1 / 3 - 0.05) + 0.25 * 0.05)


def test_equal_counts_bins_keep_equal_probabilities_together() -> None:
    probability = np.repeat([0.1, 0.4], 50)
    happened = np.concatenate((np.arange(50) < 10, np.arange(50) < 20))
    # A fifth happened where a tenth was expected, and two fifths where two fifths were.
    assert calibration_error(happened, probability, equal_counts=True) == pytest.approx(0.05)


def test_amount_metrics_worked_by_hand() -> None:
    found = amount_metrics(np.array([0.0, 10.0, 20.0]), np.array([5.0, 10.0, 30.0]))
    assert found["mae"] == pytest.approx(5.0)
    assert found["rmse"] == pytest.approx(np.sqrt(125 / 3))
    assert found["bias"] == pytest.approx(5.0)
    assert found["bias_share"] == pytest.approx(0.5)
    # Around the means: -10, 0, 10 and -10, -5, 15.
    assert found["correlation"] == pytest.approx(250 / np.sqrt(200 * 350))


def test_customers_tied_at_the_edge_count_in_equal_parts() -> None:
    happened = np.array([True, False, False, True])
    # One is above; of three tied for the second place, a third stopped.
    assert top_share(happened, np.array([0.9, 0.5, 0.5, 0.5]), 0.5) == pytest.approx((1 + 1 / 3) / 2)


def test_what_cannot_be_measured_is_not_a_number() -> None:
    nobody = np.zeros(4, dtype=bool)
    assert np.isnan(ranking_of(nobody, np.arange(4.0))["auc"])
    assert np.isnan(calibration_slope(HAPPENED, np.full(5, 0.4)))
    assert np.isnan(calibration_slope(HAPPENED, np.where(HAPPENED, 0.9, 0.1)))
    assert np.isnan(calibration_intercept(nobody, np.full(4, 0.4)))
    assert np.isnan(amount_metrics(np.ones(3), np.arange(3.0))["correlation"])
    nothing = np.zeros(0, dtype=bool)
    assert np.isnan([auc_or_nan(nothing, np.zeros(0)), average_precision_or_nan(nothing, np.zeros(0))]).all()


def test_slope_and_intercept_find_what_was_done_to_true_probabilities() -> None:
    rng = np.random.default_rng(3)
    odds = rng.normal(-2, 1.5, 40_000)
    happened = rng.random(40_000) < expit(odds)
    assert calibration_slope(happened, expit(2 * odds)) == pytest.approx(0.5, abs=0.02)
    assert calibration_intercept(happened, expit(odds - 0.7)) == pytest.approx(0.7, abs=0.05)


def test_mean_prediction_is_right_after_adding_the_intercept() -> None:
    shift = calibration_intercept(HAPPENED, PROBABILITY)
    assert expit(logit(PROBABILITY) + shift).mean() == pytest.approx(0.4)


outcomes = st.integers(4, 60).flatmap(
    lambda n: st.tuples(arrays(bool, n), arrays(float, n, elements=st.floats(0.015625, 0.984375, width=32)))
)


@given(outcomes)
def test_metrics_are_those_of_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    happened, probability = drawn
    # Coarse scores too: many customers of one score are one step of the curve.
    for scores in (probability, probability.round(1)):
        found = probability_metrics(happened, scores)
        if 0 < happened.sum() < len(happened):
            assert found["auc"] == pytest.approx(roc_auc_score(happened, scores))
            assert found["average_precision"] == pytest.approx(average_precision_score(happened, scores))
        assert found["brier"] == pytest.approx(brier_score_loss(happened, scores))
        clipped = scores.clip(1e-6, 1 - 1e-6)
        assert found["log_loss"] == pytest.approx(log_loss(happened, clipped, labels=[False, True]))


@given(arrays(float, (2, 9), elements=st.floats(0, 1e6)))
def test_amounts_are_measured_as_by_scikit_learn(drawn: np.ndarray) -> None:
    found = amount_metrics(*drawn)
    assert found["mae"] == pytest.approx(mean_absolute_error(*drawn))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(*drawn))


@given(outcomes)
def test_slope_is_that_of_an_unpenalised_logistic_regression(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    happened, probability = drawn
    found = calibration_slope(happened, probability)
    if np.isfinite(found) and abs(found) < 20:
        odds = logit(probability)[:, None]
        fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000, solver="newton-cholesky").fit(odds, happened)
        assert found == pytest.approx(fitted.coef_[0, 0], rel=1e-4, abs=1e-4)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        ranking_of(HAPPENED, np.where(HAPPENED, np.nan, 0.5))


@given(outcomes)
def test_auc_does_not_change_under_a_rising_map(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    happened, scores = drawn
    before, after = ranking_of(happened, scores), ranking_of(happened, 8 * scores + 1)
    assert before == pytest.approx(after, nan_ok=True)


@given(outcomes)
def test_turning_the_ranking_round_turns_auc_round(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    happened, scores = drawn
    auc = ranking_of(happened, scores)["auc"]
    assert ranking_of(happened, -scores)["auc"] == pytest.approx(1 - auc, nan_ok=True)


@given(outcomes, st.randoms())
def test_the_order_of_rows_does_not_matter(drawn: tuple[np.ndarray, np.ndarray], chance) -> None:
    happened, scores = drawn
    rows = list(range(len(happened)))
    chance.shuffle(rows)
    for share in (0.01, 0.1, 0.5):
        assert top_share(happened[rows], scores[rows], share) == pytest.approx(top_share(happened, scores, share))


@given(st.integers(1, 400), st.integers(0, 400))
def test_a_constant_equal_to_the_share_has_no_calibration_error(customers: int, events: int) -> None:
    happened = np.arange(customers) < min(events, customers)
    constant = np.full(customers, happened.mean())
    assert calibration_error(happened, constant) == pytest.approx(0, abs=1e-12)
    assert calibration_error(happened, constant, equal_counts=True) == pytest.approx(0, abs=1e-12)


@given(outcomes)
def test_calibration_error_is_at_most_one_and_not_negative(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    assert 0 <= calibration_error(*drawn) <= 1


def test_intervals_hold_the_value_and_are_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.05, 0.6, 300)
    happened = rng.random(300) < probability
    first = with_intervals(probability_metrics, happened, probability, rng=np.random.default_rng(1), resamples=60)
    again = with_intervals(probability_metrics, happened, probability, rng=np.random.default_rng(1), resamples=60)
    assert first == again
    auc = next(metric for metric in first if metric.name == "auc")
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low < auc.value < auc.high


def test_there_is_no_interval_where_draws_often_lack_a_class() -> None:
    happened = np.array([True] + [False] * 9)
    found = with_intervals(ranking_of, happened, np.arange(10.0), rng=np.random.default_rng(0), resamples=50)
    assert next(metric for metric in found if metric.name == "auc").low is None


def test_paired_difference_of_a_ranking_with_itself_is_nothing() -> None:
    rng = np.random.default_rng(0)
    happened = rng.random(200) < 0.3
    scores = happened + rng.normal(size=200)

    who = [np.arange(200)]
    same = paired_difference(auc_or_nan, who, [happened], [scores], [scores], rng=rng, resamples=20)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = paired_difference(auc_or_nan, who, [happened], [scores], [rng.normal(size=200)], rng=rng, resamples=200)
    assert better.low is not None
    assert better.low > 0


def test_the_same_customers_asked_the_same_in_six_months_are_no_surer_than_in_one() -> None:
    rng = np.random.default_rng(1)
    happened = rng.random(200) < 0.3
    ours, theirs = happened + rng.normal(size=200), happened + rng.normal(size=200)

    def asked(months: int, ids: list[np.ndarray]) -> Metric:
        parts = ([part] * months for part in (happened, ours, theirs))
        return paired_difference(auc_or_nan, ids, *parts, rng=np.random.default_rng(2), resamples=60)

    once, people = asked(1, [np.arange(200)]), [np.arange(200)] * 6
    often, others = asked(6, people), asked(6, [month * 200 + np.arange(200) for month in range(6)])
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))
    assert others.high - others.low < 0.6 * (once.high - once.low)


def mean_error(actual: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.abs(actual - predicted).mean())


def test_two_that_are_equally_good_are_seldom_told_apart_by_months_of_the_same_customers() -> None:
    def told_apart(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        # What either gets wrong of a customer lasts; ids stand in another order each month, and some are missing.
        wrong, other = rng.normal(size=(2, 200))
        ids = [rng.permutation(200)[:180] for _ in range(6)]
        came = [rng.normal(size=180) for _ in ids]
        ours = [amount + wrong[who] for amount, who in zip(came, ids, strict=True)]
        theirs = [amount + other[who] for amount, who in zip(came, ids, strict=True)]
        lead = paired_difference(mean_error, ids, came, ours, theirs, rng=rng, resamples=60)
        return lead.low > 0 or lead.high < 0

    assert sum(told_apart(seed) for seed in range(60)) <= 8


def test_draws_in_which_nothing_happened_do_not_count_and_too_many_of_them_leave_no_interval() -> None:
    rng = np.random.default_rng(3)

    def asked(events: int, months: int) -> Metric:
        happened = [np.arange(100) < events] * months
        scores = [rng.random(100) + one for one in happened]
        return paired_difference(
            auc_or_nan, [np.arange(100)] * months, happened, scores, scores[::-1], rng=rng, resamples=60
        )

    five, one = asked(5, 6), asked(1, 2)
    assert five.low <= five.value <= five.high
    assert (one.low, one.high) == (None, None)
    assert np.isfinite(one.value)


def test_average_precision_and_auc_of_what_never_happened_are_not_known() -> None:
    nobody = np.zeros(4, bool)
    assert np.isnan(auc_or_nan(nobody, np.arange(4.0)))
    assert np.isnan(average_precision_or_nan(nobody, np.arange(4.0)))
    assert np.isnan(auc_or_nan(~nobody, np.arange(4.0)))
    assert average_precision_or_nan(~nobody, np.arange(4.0)) == 1.0
