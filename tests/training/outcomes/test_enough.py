from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.enough import (
    ENOUGH,
    LIMITED,
    TOO_FEW,
    Enough,
    Side,
    all_in_lake,
    auc_margin,
    enough_in_lake,
    judge,
)
from training.outcome_backtest import QUESTIONS
from training.protocols import Context, Trained


def judged(learn: Side, test: Side, *, model: str = "churn", moments: int = 12, history_days: int = 800) -> Enough:
    return judge(QUESTIONS[model], learn, test, moments=moments, horizon_days=28, history_days=history_days)


def test_the_margin_of_an_auc_worked_by_hand() -> None:
    # Q1 = .6, Q2 = 1.125 / 1.75; with 10 and 90: .1875 + 9 * .0375 + 89 * .080357, over 900.
    spread = (0.1875 + 9 * 0.0375 + 89 * (1.125 / 1.75 - 0.5625)) / 900
    assert auc_margin(10, 90) == pytest.approx(1.96 * spread**0.5)
    assert auc_margin(0, 90) == 0.5


def test_the_margin_foretold_is_the_one_that_chance_makes() -> None:
    # Normal scores 0.954 standard deviations apart have an AUC of 0.75.
    rng = np.random.default_rng(0)
    label = np.repeat([True, False], [40, 200])
    drawn = [roc_auc_score(label, rng.normal(size=240) + 0.954 * label) for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(0.75, abs=0.01)
    assert auc_margin(40, 200) == pytest.approx(1.96 * np.std(drawn), rel=0.12)


def test_enough_of_everything_has_no_limit() -> None:
    found = judged(Side(2_000, 9_000), Side(400, 1_600))
    assert (found.level, found.limits) == (ENOUGH, ())


@pytest.mark.parametrize(
    ("learn", "test", "more", "told"),
    [
        (Side(40, 900), Side(400, 900), {}, "40 customers on the rarer side to learn from"),
        (Side(400, 900), Side(20, 900), {}, "AUC is known to about ±0.12"),
        (Side(400, 900), Side(900, 20), {}, "AUC is known to about ±0.09"),
        (Side(400, 900), Side(400, 900), {"moments": 5}, "5 moments to learn from"),
        (Side(400, 900), Side(400, 900), {"history_days": 364}, "364 days of history: no season was seen twice"),
    ],
)
def test_what_is_short_is_told_with_what_it_limits(learn: Side, test: Side, more: dict[str, int], told: str) -> None:
    found = judged(learn, test, **more)
    assert found.level == LIMITED
    assert len(found.limits) == 1
    assert told in found.limits[0]


def test_below_the_floors_it_is_too_few() -> None:
    assert judged(Side(9, 900), Side(400, 900)).level == TOO_FEW
    assert judged(Side(400, 900), Side(900, 4)).level == TOO_FEW
    # Everybody may spend: only an amount that nobody spends cannot be learned.
    assert judged(Side(900, 0), Side(900, 0), model="value").level == ENOUGH
    assert judged(Side(0, 900), Side(900, 0), model="value").level == TOO_FEW


def test_a_lake_is_judged_without_training(shop: Context) -> None:
    found = enough_in_lake(shop, "churn")
    assert found.level == LIMITED
    assert found.history_days == 356
    assert 0 < found.test.happened < found.test.not_happened
    assert found.as_json()["test"]["happened"] == found.test.happened


def test_a_lake_too_short_says_why_for_each_model(shop: Context) -> None:
    short = replace(shop, settings=shop.settings.model_copy(update={"horizon_days": 180}))
    told = all_in_lake(short)
    assert [one[0] for one in told if isinstance(one, tuple)] == ["churn", "propensity", "value"]


def test_every_training_says_what_it_had_and_what_that_limits(trained: Mapping[str, Trained]) -> None:
    for found in trained.values():
        assert any(note.startswith("Data: limited: ") for note in found.notes)
        assert any("no season was seen twice" in note for note in found.notes)
