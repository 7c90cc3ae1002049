from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.grades import EXCELLENT, FAIR, GOOD, GRADES, UNUSABLE, grade, grades

CHURN = {"auc": 0.86, "auc_low": 0.84, "ece": 0.015, "mean_probability": 0.1, "peer.recency_rank.auc": 0.73}
VALUE = {"mae": 70.0, "correlation_low": 0.83, "bias_share": -0.03, "peer.mean_spend.mae": 76.0}


def word(model: str, metrics: dict[str, float]) -> str:
    found = grade(model, metrics)
    assert found is not None
    return found.grade


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, EXCELLENT),
        ({"auc_low": 0.799}, GOOD),
        ({"auc_low": 0.699}, FAIR),
        ({"auc_low": 0.599}, UNUSABLE),
        ({"auc_low": math.nan}, UNUSABLE),
        ({"ece": 0.031, "mean_probability": 0.5}, GOOD),
        ({"ece": 0.061, "mean_probability": 0.5}, FAIR),
        ({"ece": 0.121, "mean_probability": 0.5}, UNUSABLE),
        # Two in a hundred stop, and the probabilities are off by one in a hundred.
        ({"ece": 0.01, "mean_probability": 0.02}, GOOD),
        ({"ece": 0.011, "mean_probability": 0.99}, UNUSABLE),
        ({"peer.recency_rank.auc": 0.865}, GOOD),
        ({"peer.recency_rank.auc": 0.88}, FAIR),
        ({"peer.recency_rank.auc": 0.90}, UNUSABLE),
    ],
)
def test_the_worst_of_the_conditions_decides_of_probabilities(changed: dict[str, float], expected: str) -> None:
    assert word("churn", CHURN | changed) == expected
    assert word("propensity", CHURN | changed) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, EXCELLENT),
        ({"correlation_low": 0.6}, GOOD),
        ({"correlation_low": 0.4}, FAIR),
        ({"correlation_low": 0.2}, UNUSABLE),
        ({"bias_share": 0.06}, GOOD),
        ({"bias_share": -0.2}, FAIR),
        ({"bias_share": -0.26}, UNUSABLE),
        ({"mae": 78.0}, GOOD),
        ({"mae": 92.0}, UNUSABLE),
        ({"bias_share": math.nan}, UNUSABLE),
    ],
)
def test_the_worst_of_the_conditions_decides_of_amounts(changed: dict[str, float], expected: str) -> None:
    assert word("value", VALUE | changed) == expected


def test_the_sentence_names_every_figure_and_what_decided() -> None:
    found = grade("churn", CHURN | {"auc_low": 0.74})
    assert found is not None
    assert found.why.startswith("AUC surely above 0.740; mean error of the probabilities 0.015; ")
    assert found.why.endswith("Decided by AUC surely above")
    assert "not known" in grade("churn", {}).why  # type: ignore[union-attr]


def test_only_models_of_outcomes_have_grades() -> None:
    assert grade("recommender", {"ndcg@10": 0.9}) is None
    assert list(grades({"recommender": {}, "churn": CHURN})) == ["churn"]
    assert grades({"churn": CHURN})["churn"]["grade"] == EXCELLENT


@given(low=st.floats(0, 1), better=st.floats(0, 0.5), ece=st.floats(0, 0.5), less=st.floats(0, 1))
def test_a_better_figure_never_has_a_worse_grade(low: float, better: float, ece: float, less: float) -> None:
    ranked = [
        word("churn", CHURN | {"auc_low": low, "ece": ece}),
        word("churn", CHURN | {"auc_low": low + better, "ece": ece}),
        word("churn", CHURN | {"auc_low": low + better, "ece": ece * less}),
    ]
    assert all(GRADES.index(one) >= GRADES.index(other) for one, other in pairwise(ranked))
