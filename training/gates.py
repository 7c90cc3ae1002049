"""Promote or refuse, with reasons: a challenger must not be worse than the champion on the same back-test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.errors import DataError
from training.protocols import Metric, Trained
from training.versions import Comparison, ModelVersion

#: A challenger may be worse by this share of the champion's value: below it, two trainings of one model differ by
#: chance. It is small so that a chain of promotions cannot wear a model down unnoticed.
TOLERANCE = 0.005


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why, in sentences for the promotion log."""

    promote: bool
    why: str


def compare(trained: Trained, champion: ModelVersion | None, champion_bundle: Path | None) -> Comparison:
    """The challenger's gate metric beside the champion's, scored anew on the challenger's back-test."""
    gate = trained.gate
    ours = _value(trained.metrics, gate.metric)
    if champion is None or champion_bundle is None:
        return Comparison(gate.metric, gate.higher_is_better, ours, champion_version=None)
    try:
        theirs = _value(trained.rescore(champion_bundle), gate.metric)
        ahead = None if trained.ahead_of is None else trained.ahead_of(champion_bundle)
    except DataError as error:
        return Comparison(gate.metric, gate.higher_is_better, ours, champion.version, problem=str(error))
    return Comparison(gate.metric, gate.higher_is_better, ours, champion.version, champion=theirs, ahead=ahead)


def comparison_between(challenger: ModelVersion, champion: ModelVersion | None) -> Comparison:
    """What is on record of these two versions: one's comparison with the other, or equal back-tests."""
    gate = challenger.gate
    ours = challenger.metrics.get(gate.metric, math.nan)
    if champion is None:
        return Comparison(gate.metric, gate.higher_is_better, ours, champion_version=None)
    if challenger.comparison.champion_version == champion.version:
        return challenger.comparison
    reverse = champion.comparison
    if reverse.champion_version == challenger.version and reverse.champion is not None:
        return Comparison(
            reverse.metric, reverse.higher_is_better, reverse.champion, champion.version, champion=reverse.challenger
        )
    if challenger.backtest == champion.backtest and gate.metric in champion.metrics:
        return Comparison(
            gate.metric, gate.higher_is_better, ours, champion.version, champion=champion.metrics[gate.metric]
        )
    return Comparison(
        gate.metric,
        gate.higher_is_better,
        ours,
        champion.version,
        problem=f"versions {challenger.version} and {champion.version} were never measured on the same back-test",
    )


def decide(comparison: Comparison, *, tolerance: float = TOLERANCE) -> Decision:
    """Promote when there is no champion, or the challenger is at most `tolerance` (a share) worse than it."""
    metric, ours, theirs = comparison.metric, comparison.challenger, comparison.champion
    if not math.isfinite(ours):
        return Decision(False, f"its {metric} on the back-test is not a number ({ours})")
    if comparison.champion_version is None:
        return Decision(True, f"first version ({metric} {ours:.4f})")
    name = f"champion version {comparison.champion_version}"
    if theirs is None:
        return Decision(False, f"{name} could not be compared: {comparison.problem}")
    if not math.isfinite(theirs):
        return Decision(True, f"{name} has no usable {metric} on this back-test, the challenger has {ours:.4f}")
    gain = ours - theirs if comparison.higher_is_better else theirs - ours
    numbers = f"{metric} {ours:.4f}, {name} {theirs:.4f} on the same back-test{_ahead(comparison.ahead)}"
    if gain >= 0:
        return Decision(True, f"not worse: {numbers}")
    if -gain <= tolerance * abs(theirs):
        return Decision(True, f"not worse within {tolerance:.1%}: {numbers}")
    return Decision(False, f"worse: {numbers}")


def _ahead(found: Metric | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ""
    return f"; {found.value:+.4f} customer by customer, 95% interval {found.low:+.4f} to {found.high:+.4f}"


def _value(metrics: Sequence[Metric], name: str) -> float:
    for metric in metrics:
        if metric.name == name:
            return float(metric.value)
    return math.nan
