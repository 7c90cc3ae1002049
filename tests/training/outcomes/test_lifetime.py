from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import hyp2f1
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from features.engine import connect
from features.errors import DataError
from features.labels import followed_labels
from training.attrition import Attrition, Histories, fit_attrition, log_likelihood
from training.boosting import BoostingConfig
from training.conformal import Intervals, fit_intervals, interval_metrics
from training.lifetime import LifetimeModel
from training.protocols import Context, Trained
from training.spend_per_order import SpendPerOrder, fit_spend_per_order
from training.value import ValueModel

CONFIG = BoostingConfig(threads=1, seed=5)
SHOP = Attrition(bought_shape=0.8, bought_days=30.0, left_shape=0.7, left_days=60.0)


def lives(customers: int, days: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Customers of SHOP who first bought on day 0: whether each bought on each of so many days, and what an order is
    worth to each."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(SHOP.bought_shape, 1 / SHOP.bought_days, customers)
    left = rng.exponential(1 / rng.gamma(SHOP.left_shape, 1 / SHOP.left_days, customers))
    bought = rng.random((customers, days)) < -np.expm1(-rate)[:, None]
    bought &= np.arange(days) < left[:, None]
    bought[:, 0] = True
    return bought, rng.gamma(8, 5, customers)


def seen(bought: np.ndarray, worth: np.ndarray, day: int) -> pd.DataFrame:
    """The features of these customers as of a day."""
    past = bought[:, :day]
    visits = past.sum(axis=1).astype(float)
    last = day - 1 - np.argmax(past[:, ::-1], axis=1)
    gap = np.where(visits > 1, last / np.maximum(visits - 1, 1), np.nan)
    silence = (day - last).astype(float)
    return pd.DataFrame(
        {
            "visits_life": visits,
            "spend_life": visits * worth,
            "days_since_first_order": float(day),
            "days_since_last_order": silence,
            "gap_mean_days": gap,
            "silence_to_gap_mean": silence / gap,
            "spend_per_order_life": worth,
        }
    )


def after(bought: np.ndarray, worth: np.ndarray, day: int, until: int) -> np.ndarray:
    came = bought[:, day:until].sum(axis=1)
    return np.column_stack([np.full(len(came), float(until - day)), came, came * worth])


@pytest.fixture(scope="module")
def learned() -> tuple[LifetimeModel, np.ndarray, np.ndarray]:
    """A model that saw 2,000 customers up to day 120, and what they did for 360 days."""
    bought, worth = lives(2_000, 360)
    frames = [seen(bought, worth, day) for day in (40, 60, 80, 100)]
    followed = [after(bought, worth, day, 120) for day in (40, 60, 80, 100)]
    model = LifetimeModel(240, 0.0, CONFIG).fit(frames, followed, now=seen(bought, worth, 120))
    return model, bought, worth


def test_likelihood_is_that_of_the_closed_form() -> None:
    # Fader and Hardie's formula with two hypergeometric functions, for alpha above beta.
    model = Attrition(0.55, 80.0, 0.61, 50.0)
    r, alpha, s, beta = 0.55, 80.0, 0.61, 50.0
    for x, last, age in ((0.0, 0.0, 200.0), (3.0, 120.0, 200.0), (7.0, 10.0, 250.0)):
        k = r + s + x

        def part(moment: float, k: float = k) -> float:
            return hyp2f1(k, s + 1, k + 1, (alpha - beta) / (alpha + moment)) / (alpha + moment) ** k

        stayed = 1 / ((alpha + age) ** (r + x) * (beta + age) ** s)
        expected = r * np.log(alpha) + s * np.log(beta) + np.log(stayed + s / k * (part(last) - part(age)))
        expected += sum(np.log(r + place) for place in range(int(x)))  # gamma(r + x) / gamma(r)
        found = log_likelihood(model, Histories(*(np.array([value]) for value in (x, last, age))))
        assert found[0] == pytest.approx(expected, rel=1e-5)


def test_expected_orders_are_the_rate_summed_up_and_discounted() -> None:
    model, past = Attrition(0.55, 80.0, 1.4, 50.0), Histories(*(np.array([value]) for value in (3.0, 120.0, 200.0)))
    now = model.alive(past)[0] * (0.55 + 3) / (80 + 200)

    def rate(day: float, discount: float) -> float:
        return now * ((50 + 200) / (50 + 200 + day)) ** 1.4 * (1 + discount) ** (-day / 365)

    for discount in (0.0, 0.1):
        expected, _ = quad(rate, 0, 365, args=(discount,))
        assert model.expected_orders(past, 365.0, discount=discount)[0] == pytest.approx(expected, rel=1e-8)


def test_one_order_and_long_silence_is_no_sign_of_loyalty() -> None:
    past = Histories(
        repeats=np.array([0.0, 0.0, 9.0]), last=np.array([0.0, 0.0, 190.0]), age=np.array([10.0, 200, 200])
    )
    new, silent, regular = SHOP.alive(past)
    assert silent < new
    assert silent < regular
    orders = SHOP.expected_orders(past, 90.0)
    assert orders[1] < orders[0] < orders[2]


def test_hundreds_of_orders_stay_finite() -> None:
    past = Histories(np.array([900.0, 900.0]), np.array([700.0, 350.0]), np.array([700.5, 700.5]))
    assert np.isfinite(log_likelihood(SHOP, past)).all()
    assert SHOP.alive(past).tolist() == pytest.approx([1.0, 0.0], abs=0.01)


def test_the_parameters_are_found_again() -> None:
    bought, worth = lives(3_000, 300, seed=1)
    frame = seen(bought, worth, 300)
    past = Histories.of(*(frame[name].to_numpy() for name in ("visits_life", *SINCE)))
    found = fit_attrition(past)
    assert found.bought_shape / found.bought_days == pytest.approx(SHOP.bought_shape / SHOP.bought_days, rel=0.15)
    assert log_likelihood(found, past).mean() >= log_likelihood(SHOP, past).mean()


SINCE = ("days_since_first_order", "days_since_last_order")


def test_nobody_who_came_back_is_nothing_to_learn() -> None:
    past = Histories(np.zeros(5), np.zeros(5), np.full(5, 50.0))
    with pytest.raises(DataError, match="second day"):
        fit_attrition(past)


def test_order_worth_is_drawn_to_the_shops_mean_worked_by_hand() -> None:
    worth = SpendPerOrder(of_shop=20.0, shop_orders=2.0)
    # (1 x 50 + 2 x 20) / 3, and returns beyond all purchases count as nothing.
    assert worth.expected(np.array([1.0, 1.0]), np.array([50.0, -7.0])).tolist() == [30.0, pytest.approx(40 / 3)]


def test_order_worth_trusts_own_means_where_they_told() -> None:
    rng = np.random.default_rng(3)
    own = rng.gamma(4, 10, 4_000)
    orders = rng.integers(1, 6, 4_000).astype(float)
    # Each order varies about the customer's mean with variance 400; means vary with 400: one order counts as one.
    mean = own + rng.normal(0, 20, 4_000) / np.sqrt(orders)
    after_it = rng.integers(0, 4, 4_000).astype(float)
    spent = after_it * own + rng.normal(0, 20, 4_000) * np.sqrt(after_it)
    found = fit_spend_per_order(orders, mean, after_it, spent)
    assert found.shop_orders == pytest.approx(1.0, abs=0.3)
    with pytest.raises(DataError, match="Nobody has paid"):
        fit_spend_per_order(orders, mean, np.zeros(4_000), np.zeros(4_000))


def test_a_horizon_twice_the_history_is_foretold(learned: tuple[LifetimeModel, np.ndarray, np.ndarray]) -> None:
    model, bought, worth = learned
    now, came = seen(bought, worth, 120), after(bought, worth, 120, 360)
    orders, spend = model.expected_orders(now, 240.0), model.predict(now)
    # A total over 240 days, from 2,000 customers and at most 80 days of what they did, is known to about a tenth.
    assert orders.mean() == pytest.approx(came[:, 1].mean(), rel=0.15)
    assert spend.mean() == pytest.approx(came[:, 2].mean(), rel=0.15)
    assert np.corrcoef(orders, came[:, 1])[0, 1] > 0.6
    # As near as the very model that made the customers, within a few percent.
    past = Histories.of(*(now[name].to_numpy() for name in ("visits_life", *SINCE)))
    ideal = ((SHOP.expected_orders(past, 240.0) - came[:, 1]) ** 2).mean()
    assert ((orders - came[:, 1]) ** 2).mean() < 1.05 * ideal


def test_more_days_are_more_and_a_discount_is_less(learned: tuple[LifetimeModel, np.ndarray, np.ndarray]) -> None:
    model, bought, worth = learned
    now = seen(bought, worth, 120)
    month, year = model.expected_spend(now, 30.0), model.expected_spend(now, 365.0)
    assert (year > month).all()
    discounted = model.expected_spend(now, 365.0, discount=0.1)
    assert (discounted < year).all()
    assert (discounted > year / 1.1).all()


def test_saved_and_loaded_says_the_same(learned: tuple[LifetimeModel, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    model, bought, worth = learned
    now = seen(bought, worth, 120)
    model.save(tmp_path)
    again = LifetimeModel.load(tmp_path, threads=1)
    assert again.predict(now).tolist() == model.predict(now).tolist()
    assert (again.days, again.discount) == (240, 0.0)


def test_the_same_seed_gives_the_same_model(learned: tuple[LifetimeModel, np.ndarray, np.ndarray]) -> None:
    model, bought, worth = learned
    frames, followed = [seen(bought, worth, 60)], [after(bought, worth, 60, 120)]
    first, second = (clone(model).fit(frames, followed).predict(frames[0]).tolist() for _ in range(2))
    assert first == second


def test_a_shop_without_amounts_has_orders_and_no_spend() -> None:
    bought, worth = lives(500, 100)
    followed = after(bought, worth, 60, 100)
    followed[:, 2] = np.nan
    frame = seen(bought, worth, 60)
    model = LifetimeModel(config=CONFIG).fit([frame], [followed])
    assert (model.expected_orders(frame, 30.0) > 0).all()
    with pytest.raises(DataError, match="no amounts"):
        model.predict(frame)


def test_what_cannot_be_learned_from_is_refused() -> None:
    bought, worth = lives(50, 100)
    frame = seen(bought, worth, 60)
    with pytest.raises(NotFittedError):
        LifetimeModel().expected_orders(frame, 30.0)
    with pytest.raises(DataError, match=r"50 rows .* shape \(50, 2\)"):
        LifetimeModel().fit([frame], [np.ones((50, 2))])
    with pytest.raises(DataError, match="while they were followed"):
        LifetimeModel().fit([frame], [np.column_stack([np.ones(50), np.zeros((50, 2))])])
    with pytest.raises(DataError, match="visits_life"):
        LifetimeModel().fit([frame.drop(columns="visits_life")], [after(bought, worth, 60, 100)])


def test_intervals_hold_what_they_say_of_skewed_amounts() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.gamma(1, 50, 20_000)
    # Half spend nothing, the others a lot; the spread grows with the prediction.
    actual = np.where(rng.random(20_000) < 0.5, 0.0, predicted * rng.gamma(0.5 + predicted / 100, 2, 20_000))
    fits, tests = slice(0, 10_000), slice(10_000, None)
    low, high = fit_intervals(predicted[fits], actual[fits])(predicted[tests])
    found = interval_metrics(actual[tests], low, high)
    assert found["interval_coverage"] >= 0.79
    big = predicted[tests] > 100
    assert interval_metrics(actual[tests][big], low[big], high[big])["interval_coverage"] == pytest.approx(
        0.8, abs=0.04
    )


def test_interval_metrics_worked_by_hand() -> None:
    found = interval_metrics(np.array([1.0, 5.0]), np.array([0.0, 0.0]), np.array([2.0, 4.0]), covered=0.8)
    # One of two lies within; the other lies 1 outside, which costs 2 / 0.2 = 10.
    assert found == pytest.approx(
        {"interval_coverage": 0.5, "interval_width_share": 1.0, "interval_score": (2 + 4 + 10) / 2}
    )


def test_too_few_rows_are_no_intervals() -> None:
    with pytest.raises(DataError, match="too few"):
        fit_intervals(np.ones(9), np.ones(9))


def test_intervals_keep_through_json() -> None:
    told = fit_intervals(np.arange(1.0, 301.0), np.arange(1.0, 301.0)[::-1])
    assert Intervals.from_json(told.as_json()) == told


def test_what_followed_is_counted_up_to_the_moment(small_shop: Context) -> None:
    tables = small_shop.lake.tables(connect(small_shop.settings))
    lines = tables["order_lines"].to_pandas()
    as_of = lines["ordered_at"].min().to_pydatetime().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(60)
    until = as_of + timedelta(days=45)
    found = followed_labels(tables, as_of, until=until).to_pandas().set_index("customer_id").sort_index()
    known = lines[(lines["ordered_at"] < as_of) & (lines["quantity"] > 0)]["customer_id"].unique()
    assert sorted(found.index) == sorted(known)
    window = lines[(lines["ordered_at"] >= as_of) & (lines["ordered_at"] < until)]
    spend = window.groupby("customer_id")["amount"].sum().astype(float).reindex(found.index).fillna(0.0)
    bought = window[window["quantity"] > 0]
    visits = bought.groupby("customer_id")["ordered_at"].agg(lambda times: times.dt.date.nunique())
    assert found["spend_followed"].tolist() == pytest.approx(spend.tolist())
    assert found["visits_followed"].tolist() == visits.reindex(found.index).fillna(0).tolist()
    assert spend.sum() > 0


def test_a_trained_value_model_tells_intervals_and_lifetime(trained: Mapping[str, Trained]) -> None:
    value = trained["value"]
    metrics = {metric.name: metric.value for metric in value.metrics}
    assert 0.7 <= metrics["interval_coverage"] <= 1.0
    assert metrics["lifetime.orders_correlation"] > 0
    model = ValueModel.load(value.bundle, threads=1)
    assert model.lifetime_ is not None
    assert model.lifetime_.days == 365
    assert model.lifetime_.looked_back_["days"] > value.horizon_days


def test_a_moment_is_followed_no_further_than_it_was_known(small_shop: Context) -> None:
    tables = small_shop.lake.tables(connect(small_shop.settings))
    as_of = datetime.fromisoformat(small_shop.lake.manifest["last_order_at"]).replace(hour=0, minute=0, second=0)
    nothing = followed_labels(tables, as_of, until=as_of).to_pandas()
    assert nothing["visits_followed"].sum() == 0
