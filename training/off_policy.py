"""What other lists would have earned, estimated from answers that were partly given by chance.

An answer shows several products; each was in it with a known chance, its propensity. The value of a policy is the
reward per answer (clicks, or purchases) were its lists shown instead. Estimators: inverse propensity scoring (Horvitz
and Thompson 1952), self-normalised (Swaminathan and Joachims 2015), doubly robust (Dudik, Langford and Li 2011); each
sums over the products of an answer, so it holds where one product's reward does not hang on the others shown. Answers
are independent of one another; intervals are of the normal distribution over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError

Z95 = 1.959964


@dataclass(frozen=True)
class Logged:
    """Answers as they were logged, and what the policy in question would show in each.

    Of each product shown: the position of its answer, the reward it earned, its propensity, the chance that the policy
    shows it (`wanted`), and a reward foretold by a model that did not see this answer. Of each answer: how many
    products the policy shows (`wanted_size`), and what the model foretells of all of those (`wanted_foretold`).
    """

    answer: NDArray[np.int64]
    reward: NDArray[np.float64]
    propensity: NDArray[np.float64]
    wanted: NDArray[np.float64]
    foretold: NDArray[np.float64]
    wanted_size: NDArray[np.float64]
    wanted_foretold: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.wanted_size) == 0:
            raise DataError("There is no answer with propensities to go by. Ask with explore above 0, and log them.")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise DataError("A propensity is not above 0 and at most 1. Send it back as the answer gave it.")

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return len(self.wanted_size)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(products shown,) how much more, or less, the policy shows each than the log did."""
        return self.wanted / self.propensity

    def per_answer(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(answers,) the sum over the products of each."""
        return np.bincount(self.answer, weights=values, minlength=self.answers).astype(np.float64)


@dataclass(frozen=True)
class Estimate:
    """Reward per answer with its 95 % interval."""

    value: float
    low: float
    high: float


def _mean(values: NDArray[np.float64]) -> Estimate:
    mean = float(values.mean())
    half = Z95 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("inf")
    return Estimate(mean, mean - half, mean + half)


def logged_value(logged: Logged) -> Estimate:
    """What the answers given earned."""
    return _mean(logged.per_answer(logged.reward))


def ips(logged: Logged) -> Estimate:
    """Inverse propensity scoring: unbiased where all that the policy shows could have been shown."""
    return _mean(logged.per_answer(logged.weights * logged.reward))


def snips(logged: Logged) -> Estimate:
    """Self-normalised: a little biased, and far less moved by a few great weights; its interval by the delta method.

    Where the policy shows nothing that was logged, it is unknown (NaN).
    """
    rewards = logged.per_answer(logged.weights * logged.reward)
    weights = logged.per_answer(logged.weights)
    total = float(weights.sum())
    if total == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    rate = float(rewards.sum()) / total
    size = float(logged.wanted_size.mean())
    half = Z95 * float(np.sqrt(((rewards - rate * weights) ** 2).sum())) / total * size
    return Estimate(rate * size, rate * size - half, rate * size + half)


def doubly_robust(logged: Logged) -> Estimate:
    """What a model foretells, corrected by what it missed of what was shown: as unbiased as IPS, less noisy the better
    the model.
    """
    missed = logged.weights * (logged.reward - logged.foretold)
    return _mean(logged.wanted_foretold + logged.per_answer(missed))


def effective_answers(logged: Logged) -> float:
    """How many answers of equal weight would say as much (Kish)."""
    weights = logged.per_answer(logged.weights)
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def overlap(logged: Logged) -> float:
    """Share of what the policy shows that the log could have shown: 1, but for chance, where every estimate holds."""
    size = float(logged.wanted_size.sum())
    return float(logged.weights.sum()) / size if size else 0.0
