"""The weights of training.category_propensity: logistic regression of all categories, then each straightened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from features.errors import DataError
from training.category_propensity import CategoryPropensity

#: How surely a category is held to be like all others: the precision of its intercept and of its slope.
LIKE_ALL_INTERCEPT, LIKE_ALL_SLOPE = 10.0, 50.0
_STEPS = 20

Floats = NDArray[np.float64]


def fit_category_propensity(
    signals: Floats, bought: NDArray[np.bool_], category: NDArray[np.int64], names: Sequence[str], *, horizon_days: int
) -> CategoryPropensity:
    """Learn from (rows, SIGNALS) of pairs of customer and category; `category` (rows,) numbers `names`.

    Raises DataError where all of the rows have the same outcome.
    """
    if not 0 < bought.sum() < len(bought):
        raise DataError(f"All of {len(bought)} pairs of customer and category have the same outcome.")
    middle, spread = signals.mean(axis=0), np.maximum(signals.std(axis=0), 1e-9)
    fitted = LogisticRegression(C=1.0, max_iter=300).fit((signals - middle) / spread, bought)
    weights = fitted.coef_[0] / spread
    intercept = float(fitted.intercept_[0] - middle @ weights)
    odds = intercept + signals @ weights
    order = np.argsort(category, kind="stable")
    ends = np.searchsorted(category[order], np.arange(len(names) + 1))
    straightened = {}
    for place, name in enumerate(names):
        rows = order[ends[place] : ends[place + 1]]
        if len(rows):
            straightened[name] = _straighten(odds[rows], bought[rows].astype(float))
    return CategoryPropensity(horizon_days, tuple(weights.tolist()), intercept, straightened)


def _straighten(odds: Floats, bought: Floats) -> tuple[float, float]:
    """Intercept and slope that fit one category best, drawn to those of all (0 and 1): ridge, by Newton's method."""
    centre = float(odds.mean())
    design = np.column_stack([np.ones(len(odds)), odds - centre])
    prior, precision = np.array([centre, 1.0]), np.diag([LIKE_ALL_INTERCEPT, LIKE_ALL_SLOPE])
    at = prior.copy()
    for _ in range(_STEPS):
        said = expit(design @ at)
        slope = design.T @ (said - bought) + precision @ (at - prior)
        bend = (design * (said * (1 - said))[:, None]).T @ design + precision
        step = np.linalg.solve(bend, slope)
        at = at - step
        if np.abs(step).max() < 1e-8:
            break
    # A slope of 0 or less would turn the ranking round.
    steepness = max(float(at[1]), 0.05)
    return float(at[0]) - steepness * centre, steepness
