from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import DataError
from tests.training.registry.fakes import AS_OF, AT, trained
from training.gates import compare, comparison_between, decide
from training.protocols import Gate, Metric
from training.versions import Comparison, ModelVersion


def test_the_first_version_is_promoted() -> None:
    assert decide(Comparison("auc", True, 0.6, champion_version=None)).promote


@pytest.mark.parametrize(
    ("challenger", "higher_is_better", "promoted"),
    [
        (0.81, True, True),
        (0.80, True, True),
        (0.797, True, True),
        (0.79, True, False),
        (0.79, False, True),
        (0.80, False, True),
        (0.803, False, True),
        (0.81, False, False),
    ],
)
def test_a_challenger_may_be_worse_by_half_a_percent_at_most(
    challenger: float, higher_is_better: bool, promoted: bool
) -> None:
    decision = decide(Comparison("m", higher_is_better, challenger, champion_version=3, champion=0.80))
    assert decision.promote is promoted
    assert f"{challenger:.4f}" in decision.why
    assert "champion version 3" in decision.why


def test_a_challenger_without_a_number_is_refused() -> None:
    assert not decide(Comparison("auc", True, math.nan, champion_version=None)).promote


def test_a_champion_that_cannot_be_scored_is_not_replaced_silently(tmp_path: Path) -> None:
    def rescore(bundle: Path) -> list[Metric]:
        raise DataError("model.txt: changed")

    comparison = compare(replace(trained(tmp_path), rescore=rescore), version(2), tmp_path)
    decision = decide(comparison)
    assert not decision.promote
    assert "model.txt: changed" in decision.why


def test_champion_is_scored_on_the_back_test_of_the_challenger(tmp_path: Path) -> None:
    new = trained(tmp_path / "new", auc=0.8)
    old = trained(tmp_path / "old", auc=0.83)
    comparison = compare(new, version(1, auc=0.99), old.bundle)
    assert (comparison.challenger, comparison.champion, comparison.champion_version) == (0.8, 0.83, 1)


def test_versions_of_equal_back_tests_are_compared_by_their_own_metrics() -> None:
    comparison = comparison_between(version(2, auc=0.7), version(1, auc=0.9))
    assert (comparison.challenger, comparison.champion) == (0.7, 0.9)


def test_a_comparison_on_record_is_used_both_ways() -> None:
    recorded = Comparison("auc", True, 0.85, champion_version=1, champion=0.8)
    old, new = version(1, auc=0.95, data="old"), replace(version(2), comparison=recorded)
    assert comparison_between(new, old) == recorded
    back = comparison_between(old, new)
    assert (back.challenger, back.champion, back.champion_version) == (0.8, 0.85, 2)


def test_versions_never_measured_together_are_not_compared() -> None:
    comparison = comparison_between(version(2, auc=0.99), version(1, data="other"))
    assert not decide(comparison).promote
    assert "never measured on the same back-test" in decide(comparison).why


def version(number: int, *, auc: float = 0.8, data: str = "lake") -> ModelVersion:
    return ModelVersion(
        model="churn",
        version=number,
        run_id="run",
        created=AT,
        fingerprint="f",
        data_hash=data,
        test_as_of=AS_OF,
        horizon_days=28,
        gate=Gate("auc"),
        comparison=Comparison("auc", True, auc, champion_version=None),
        bundle="b",
        bundle_hash="h",
        metrics={"auc": auc},
        aliases=(),
    )
