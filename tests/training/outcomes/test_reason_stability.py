"""Reasons stay when a model is trained again: the measure by hand, and what it must reach on made-up customers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.training.outcomes.conftest import frame_of
from training.boosting import BoostingConfig
from training.churn import ChurnModel
from training.protocols import Trained
from training.reason_stability import stability, stability_of
from training.reasons import REASONS


def reason(message: str, *, lowers: bool = False, number: float = 1.0, detail: str | None = None) -> dict:
    return {"message": message, "lowers": lowers, "number": number, "other": None, "detail": detail}


def told(*rows: list[dict]) -> pa.Array:
    return pa.array(list(rows), type=REASONS)


def test_the_measure_worked_by_hand() -> None:
    before = told([reason("silent"), reason("weeks")], [reason("silent"), reason("spend", lowers=True)], [])
    after = told([reason("silent", number=9.0), reason("spend")], [reason("spend")], [reason("weeks")])
    found = stability(before, after)
    # The first is told the same first; of three reasons one by both. The second shares nothing, and spend has turned.
    assert found == {"same_first": 0.5, "overlap": pytest.approx((1 / 3 + 0) / 2), "turned": 0.5}


def test_which_category_is_part_of_the_reason_and_the_numbers_are_not() -> None:
    one, other = told([reason("department", detail="deli")]), told([reason("department", detail="bread")])
    assert stability(one, other)["overlap"] == 0
    assert stability(one, told([reason("department", detail="deli", number=2.0)]))["overlap"] == 1
    assert np.isnan(stability(one, told([]))["overlap"])


def test_another_seed_and_a_fifth_of_other_customers_give_nearly_the_same_reasons(later: pd.DataFrame) -> None:
    before = frame_of(3_000, seed=10)
    after = pd.concat([before.head(2_400), frame_of(600, seed=11)], ignore_index=True)
    models = [
        ChurnModel(BoostingConfig(threads=1, seed=seed), rounds=150).fit(learned, learned["stopped"])
        for seed, learned in enumerate((before, after))
    ]
    found = {metric.name: metric.value for metric in stability_of(models[0], models[1], later)}
    assert found["reasons.same_first"] >= 0.8
    assert found["reasons.overlap"] >= 0.75
    assert found["reasons.turned"] <= 0.05


def test_each_training_of_churn_measures_it_between_its_own_two(trained: Mapping[str, Trained]) -> None:
    names = {metric.name: metric.value for metric in trained["churn"].metrics}
    assert 0.5 <= names["reasons.overlap"] <= 1
    assert 0 <= names["reasons.turned"] <= 0.2
    assert not any(metric.name.startswith("reasons.") for metric in trained["value"].metrics)
