"""How far a model's predictions can be relied on, in one word, from its back-test and what that leaves uncertain.

The word is decided by the worse end of the 95% interval: a model that may be poor is not called good because its test
was small. The steps of AUC are those of Hosmer, Lemeshow and Sturdivant (2013, Applied Logistic Regression, 5.2.4):
below 0.7 poor, from 0.7 acceptable, from 0.8 excellent. docs/trust.md has the whole rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EXCELLENT, GOOD, FAIR, UNUSABLE = "excellent", "good", "fair", "unusable"
#: From best to worst.
GRADES = (EXCELLENT, GOOD, FAIR, UNUSABLE)
#: What each model's predictions are; those of others are not graded.
PROBABILITIES, AMOUNTS = ("churn", "propensity", "response"), ("value",)


@dataclass(frozen=True)
class Step:
    """One condition of a grade: the value that decides, and what it must reach for each of the first three grades."""

    name: str
    value: float
    needs: tuple[float, float, float]
    at_most: bool = False

    def reached(self) -> str:
        """The best grade whose condition the value meets; a value that is not known meets none."""
        for grade, need in zip(GRADES, self.needs, strict=False):
            if self.value <= need if self.at_most else self.value >= need:
                return grade
        return UNUSABLE

    def told(self) -> str:
        """The condition in words, as what was found."""
        return f"{self.name} {self.value:.3f}" if math.isfinite(self.value) else f"{self.name} not known"


@dataclass(frozen=True)
class Grade:
    """One of GRADES, and why in a sentence."""

    grade: str
    why: str

    def as_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)


def grade(model: str, metrics: Mapping[str, float]) -> Grade | None:
    """The grade of a back-test by its logged metrics; None for a model that is not graded.

    `metrics` are those of versions.ModelVersion: ends of intervals end in _low and _high, those of peers begin with
    `peer.NAME.`.
    """
    if model in PROBABILITIES:
        steps = _of_probabilities(metrics)
    elif model in AMOUNTS:
        steps = _of_amounts(metrics)
    else:
        return None
    worst = max((step.reached() for step in steps), key=GRADES.index)
    deciding = [step.name for step in steps if step.reached() == worst]
    told = "; ".join(step.told() for step in steps)
    why = told if worst == EXCELLENT else f"{told}. Decided by {', '.join(deciding)}"
    return Grade(worst, why)


def grades(models: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """The grade of each model that has one, by name, as plain values; from the metrics of each."""
    found = {model: grade(model, metrics) for model, metrics in models.items()}
    return {model: one.as_json() for model, one in found.items() if one is not None}


def _of_probabilities(metrics: Mapping[str, float]) -> Sequence[Step]:
    # A model whose interval could not be computed had too few of one outcome: it is not known to be any good.
    error, mean = metrics.get("ece", math.nan), metrics.get("mean_probability", math.nan)
    # Where the outcome is rare every probability is small, and so is their error: it is held against the rate too.
    rarer = min(mean, 1 - mean)
    of_rate = error / rarer if rarer > 0 else math.nan
    return (
        Step("AUC surely above", metrics.get("auc_low", math.nan), (0.8, 0.7, 0.6)),
        Step("mean error of the probabilities", error, (0.03, 0.06, 0.12), at_most=True),
        Step("that error over the rarer outcome's rate", of_rate, (0.25, 0.5, 1.0), at_most=True),
        Step("AUC over the best simple rule's", _lead(metrics, "auc"), (0.0, -0.01, -0.03)),
    )


def _of_amounts(metrics: Mapping[str, float]) -> Sequence[Step]:
    bias = abs(metrics.get("bias_share", math.nan))
    return (
        Step("correlation surely above", metrics.get("correlation_low", math.nan), (0.7, 0.5, 0.3)),
        Step("error of the total, as a share", bias, (0.05, 0.1, 0.25), at_most=True),
        Step("mean error over the best simple guess's", _ratio(metrics, "mae"), (1.0, 1.05, 1.2), at_most=True),
    )


def _peers(metrics: Mapping[str, float], metric: str) -> list[float]:
    return [value for name, value in metrics.items() if name.startswith("peer.") and name.split(".", 2)[2:] == [metric]]


def _lead(metrics: Mapping[str, float], metric: str) -> float:
    theirs = _peers(metrics, metric)
    return metrics.get(metric, math.nan) - max(theirs) if theirs else 0.0


def _ratio(metrics: Mapping[str, float], metric: str) -> float:
    theirs = _peers(metrics, metric)
    return metrics.get(metric, math.nan) / min(theirs) if theirs and min(theirs) > 0 else 0.0
