from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from features.errors import DataError
from features.settings import ModelSettings
from training.boosting import BoostingConfig
from training.churn import ChurnModel
from training.dataset import features_as_of
from training.explain import FILE, importance, kept
from training.fingerprint import fingerprint
from training.outcome_training import train_outcome
from training.protocols import Context, Trained
from training.reasons import reasons


def test_importance_is_the_mean_size_of_what_a_feature_adds() -> None:
    added = np.array([[1.0, -0.5, 0.0], [-3.0, 0.5, 0.0]])
    assert importance(["a", "b", "c"], added) == [("a", 2.0), ("b", 0.5), ("c", 0.0)]


@pytest.mark.parametrize("model", ["churn", "propensity", "value"])
def test_a_bundle_says_what_its_model_goes_by(trained: Mapping[str, Trained], model: str) -> None:
    found = kept(trained[model].bundle, model=model)
    assert found["customers"] == found["groups"][0]["customers"] + sum(
        group["customers"] for group in found["groups"][1:] if group["kind"] == found["groups"][0]["kind"]
    )
    weights = [row["importance"] for row in found["topics"]]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 0
    assert {row["kind"] for row in found["groups"]} >= {"stage", "tenure", "orders"}
    for points in found["dependence"].values():
        values = [point["value"] for point in points]
        assert values == sorted(values)
    named = {picture.name for picture in trained[model].pictures}
    assert named >= {"importance.png", "dependence.png", "groups.png"}
    of_the_model = {"categories"} if model == "propensity" else set()
    assert set(trained[model].tables) == {"importance", "topics", "dependence", "groups", "parity"} | of_the_model


def test_churn_depends_on_silence_in_the_way_the_signs_promise(trained: Mapping[str, Trained]) -> None:
    found = json.loads((trained["churn"].bundle / FILE).read_text(encoding="utf-8"))
    assert found["topics"][0]["topic"] == "silence"


def test_a_bundle_without_an_explanation_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Train again:  regulars train churn"):
        kept(tmp_path, model="churn")


def test_what_is_excluded_is_not_in_the_model_nor_in_its_reasons(frame: pd.DataFrame, later: pd.DataFrame) -> None:
    with_all = ChurnModel(BoostingConfig(threads=1), rounds=20).fit(frame, frame["stopped"])
    config = BoostingConfig(threads=1, exclude=("attribute_*", "spend_90d"))
    without = ChurnModel(config, rounds=20).fit(frame, frame["stopped"])
    gone = set(with_all.features_.names) - set(without.features_.names)
    assert gone == {"attribute_age", "spend_90d"}
    assert not any(name in gone for name in without.booster_.feature_name())
    changed = later.assign(attribute_age="60-79", spend_90d=0.0)
    np.testing.assert_array_equal(without.predict_proba(later), without.predict_proba(changed))
    assert not any(reason.startswith(("age ", "in favour: age ")) for row in reasons(without, later) for reason in row)


def test_a_training_leaves_out_what_the_settings_exclude_and_says_which_names_it_does_not_know(
    shop: Context, tmp_path: Path
) -> None:
    own = ModelSettings(exclude=("gap_*", "atribute_*"))
    context = replace(shop, settings=shop.settings.model_copy(update={"models": {"churn": own}}))
    found = train_outcome(context, tmp_path, "churn")
    assert not [name for name in found.input_example.columns if name.startswith("gap_")]
    assert found.params["excluded"] == "gap_*, atribute_*"
    assert "exclude 'atribute_*' is the name of no feature, so nothing was left out by it" in found.notes
    # The time to the next order is learned from gaps, so it is not learned.
    assert not (found.bundle / "return_time").exists()
    assert fingerprint(context, "churn") != fingerprint(shop, "churn")
    assert fingerprint(context, "value") == fingerprint(shop, "value")


def test_reasons_of_a_model_with_the_time_to_the_next_order_add_up_to_its_log_odds(
    trained: Mapping[str, Trained], shop: Context
) -> None:
    model = ChurnModel.load(trained["churn"].bundle)
    assert model.return_time_ is not None
    asked = features_as_of(shop, datetime(2024, 12, 30), trained["churn"].horizon_days)
    raw = model.raw_probability(asked)
    base = logit(raw) - model.contributions(asked).sum(axis=1)
    np.testing.assert_allclose(base, base[0], atol=1e-9)
    np.testing.assert_array_equal(model.contributions(asked, raw=raw), model.contributions(asked))


def stability(one: ChurnModel, other: ChurnModel, frame: pd.DataFrame) -> float:
    """The share of customers whose first reason is the same message of the same sign."""
    told = [[row[0] if row else "" for row in reasons(model, frame)] for model in (one, other)]
    return float(np.mean([a == b for a, b in zip(*told, strict=True)]))


def test_the_first_reason_stands_when_a_model_is_trained_again_with_another_seed(
    frame: pd.DataFrame, later: pd.DataFrame
) -> None:
    one, other = (
        ChurnModel(BoostingConfig(threads=1, seed=seed), rounds=200).fit(frame, frame["stopped"]) for seed in (0, 1)
    )
    assert stability(one, other, later) > 0.85


def test_the_first_reason_stands_when_a_week_more_is_learned(frame: pd.DataFrame, later: pd.DataFrame) -> None:
    more = pd.concat([frame, later.head(250)], ignore_index=True)
    models = [ChurnModel(BoostingConfig(threads=1), rounds=200).fit(rows, rows["stopped"]) for rows in (frame, more)]
    assert stability(*models, later) > 0.85
