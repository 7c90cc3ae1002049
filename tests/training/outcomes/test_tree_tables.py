from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from training.boosting import MANY, BoostingConfig, predict
from training.churn import ChurnModel
from training.tree_tables import MOST_QUESTIONS, tree_tables
from training.tree_walks import TreeWalk

#: Of made-up data: a text as codes, numbers with and without missing values, and one with few values.
COLUMNS = 7


def values(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(rows, COLUMNS))
    found[:, 0] = rng.integers(0, 6, rows)
    found[:, 1] = rng.integers(0, 3, rows)
    found[rng.random(rows) < 0.2, 2] = np.nan
    found[rng.random(rows) < 0.1, 0] = np.nan
    return found


def booster(*, leaves: int, objective: str, seed: int, rounds: int = 20, **more: Any) -> lgb.Booster:
    known = values(600, seed)
    rng = np.random.default_rng(seed)
    score = np.nan_to_num(known[:, 2]) + (known[:, 0] == 3) + known[:, 3] * known[:, 4]
    target = {
        "binary": (expit(score) > rng.random(600)).astype(float),
        "tweedie": np.maximum(np.exp(score) - 1, 0),
        "regression": score,
    }[objective]
    params = {"objective": objective, "num_leaves": leaves, "verbose": -1, "num_threads": 1, "seed": seed}
    params |= {"min_data_in_leaf": 10, "bagging_fraction": 0.7, "bagging_freq": 1, "min_data_per_group": 5} | more
    found = lgb.train(params, lgb.Dataset(known, target, categorical_feature=[0], params=params), rounds)
    return lgb.Booster(model_str=found.model_to_string())


@settings(max_examples=12, deadline=None)
@given(
    leaves=st.integers(2, MOST_QUESTIONS + 1),
    objective=st.sampled_from(["binary", "tweedie", "regression"]),
    seed=st.integers(0, 9),
)
def test_tables_say_what_lightgbm_says_and_add_up_to_it(leaves: int, objective: str, seed: int) -> None:
    model = booster(leaves=leaves, objective=objective, seed=seed)
    tables = tree_tables(model)
    assert tables is not None
    asked = values(400, seed + 100)
    asked[0] = np.nan
    asked[1] = 1e30
    predicted = model.predict(asked)
    np.testing.assert_allclose(tables.predict(asked), predicted, rtol=1e-12)
    explained = model.predict(asked, pred_contrib=True)
    ours = tables.contributions(asked)
    np.testing.assert_allclose(ours, explained[:, :-1], atol=1e-10)
    assert tables.base == pytest.approx(explained[0, -1], abs=1e-10)
    # What the features add is all there is between the average and the score.
    np.testing.assert_allclose(ours.sum(axis=1) + tables.base, model.predict(asked, raw_score=True), atol=1e-10)


def test_one_split_worked_by_hand() -> None:
    rows = np.array([[0.0]] * 30 + [[1.0]] * 10)
    target = np.array([1.0] * 30 + [5.0] * 10)
    params = {"objective": "regression", "num_leaves": 2, "min_data_in_leaf": 1, "learning_rate": 1.0, "verbose": -1}
    tables = tree_tables(lgb.train(params | {"lambda_l2": 0.0}, lgb.Dataset(rows, target, params=params), 1))
    assert tables is not None
    # The average of 30 ones and 10 fives is 2.
    assert tables.base == pytest.approx(2.0)
    np.testing.assert_allclose(tables.contributions(np.array([[0.0], [1.0]])), [[-1.0], [3.0]], atol=1e-6)


def test_rows_in_several_parts_and_threads_are_as_in_one() -> None:
    model = booster(leaves=4, objective="binary", seed=3)
    tables = tree_tables(model)
    assert tables is not None
    asked = values(20_000, 5)
    np.testing.assert_array_equal(tables.predict(asked, threads=3), tables.predict(asked))
    np.testing.assert_array_equal(tables.contributions(asked, threads=3), tables.contributions(asked))
    np.testing.assert_array_equal(tables.contributions(asked[-7:]), tables.contributions(asked)[-7:])


@settings(max_examples=8, deadline=None)
@given(
    moving=st.sets(st.integers(0, COLUMNS - 1), max_size=COLUMNS),
    alike=st.integers(0, COLUMNS - 1),
    seed=st.integers(0, 9),
)
def test_a_walk_says_at_each_step_what_the_tables_say_of_rows_so_moved(moving: set, alike: int, seed: int) -> None:
    tables = tree_tables(booster(leaves=8, objective="binary", seed=seed))
    assert tables is not None
    asked = values(300, seed + 50)
    moving = sorted(moving | {alike})
    steps = TreeWalk(tables, np.ascontiguousarray(asked.T), moving)
    for step in range(3):
        moved = asked.copy()
        moved[:, moving] = values(300, 10 * seed + step)[:, moving]
        moved[:, alike] = 1.0
        given = {place: moved[:, place] for place in moving if place != alike} | {alike: 1.0}
        np.testing.assert_allclose(steps.predict(given), tables.predict(moved), rtol=1e-12)


def test_what_tables_cannot_hold_is_left_to_lightgbm() -> None:
    assert tree_tables(booster(leaves=40, objective="binary", seed=0)) is None
    assert tree_tables(booster(leaves=4, objective="binary", seed=0, zero_as_missing=True)) is None
    large = booster(leaves=40, objective="binary", seed=0)
    asked = pd.DataFrame(values(MANY, 1))
    np.testing.assert_array_equal(predict(large, asked, threads=1), large.predict(asked.to_numpy()))
    explained = predict(large, asked.head(20), threads=1, contributions=True)
    np.testing.assert_array_equal(explained, large.predict(asked.head(20).to_numpy(), pred_contrib=True))


def test_few_rows_and_many_are_predicted_alike() -> None:
    model = booster(leaves=4, objective="binary", seed=1)
    asked = pd.DataFrame(values(MANY, 2))
    many = predict(model, asked, threads=1)
    np.testing.assert_allclose(many[:50], predict(model, asked.head(50), threads=1), rtol=1e-12)
    assert predict(model, asked.head(0), threads=1).shape == (0,)
    assert predict(model, asked.head(0), threads=1, contributions=True).shape == (0, COLUMNS + 1)


def test_reasons_of_a_churn_model_add_up_to_its_log_odds(frame: pd.DataFrame, later: pd.DataFrame) -> None:
    model = ChurnModel(BoostingConfig(threads=1), rounds=60).fit(frame, frame["stopped"])
    odds = logit(model.raw_probability(later))
    added = model.contributions(later).sum(axis=1)
    base = odds - added
    np.testing.assert_allclose(base, base[0], atol=1e-9)
