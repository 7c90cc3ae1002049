"""Calibration: monotone maps from a model's score to a probability that can be taken at its word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from features.errors import DataError
from training.metrics_outcome import calibration_intercept

#: No calibrated probability is nearer to 0 or 1: nothing a shop's orders say is that certain.
NEAREST = 0.001
FOLDS = 5

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Calibrator:
    """A monotone map of probabilities, in plain numbers.

    `kind` is "none", "platt" (log-odds times slope plus intercept: Platt 1999) or "isotonic" (straight lines between
    the points `x`, `y`).
    """

    kind: str = "none"
    slope: float = 1.0
    intercept: float = 0.0
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def __call__(self, probability: Floats) -> Floats:
        """(rows,) calibrated probabilities, in [NEAREST, 1 - NEAREST]; a higher input never gives a lower output."""
        if self.kind == "platt":
            mapped = expit(self.slope * _log_odds(probability) + self.intercept)
        elif self.kind == "isotonic":
            mapped = np.interp(probability, self.x, self.y)
        else:
            mapped = probability
        return np.clip(mapped, NEAREST, 1 - NEAREST)

    def as_json(self) -> dict[str, Any]:
        """Numbers and lists only."""
        return {
            "kind": self.kind,
            "slope": self.slope,
            "intercept": self.intercept,
            "x": list(self.x),
            "y": list(self.y),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Calibrator:
        """The inverse of `as_json`. Raises DataError for a kind this version does not know."""
        if found["kind"] not in ("none", *FITS):
            raise DataError(f"Calibration '{found['kind']}' is unknown to this version. Train again, or update.")
        return cls(found["kind"], found["slope"], found["intercept"], tuple(found["x"]), tuple(found["y"]))


def fit_platt(probability: Floats, happened: Bools) -> Calibrator:
    """Slope and intercept on the log-odds, held just short of no regularisation so that they stay finite."""
    fitted = LogisticRegression(C=1e3, tol=1e-6, max_iter=1000).fit(_log_odds(probability)[:, None], happened)
    # A slope of 0 or less would turn the ranking round, or flatten it: the scores then say nothing, and stay.
    slope = float(fitted.coef_[0, 0])
    return Calibrator("platt", slope, float(fitted.intercept_[0])) if slope > 0 else Calibrator()


def fit_isotonic(probability: Floats, happened: Bools) -> Calibrator:
    """Isotonic regression, drawn through the middles of its steps (Oron and Flournoy 2017).

    Steps would tie customers whom the model tells apart; lines between their middles do not.
    """
    fitted = IsotonicRegression(out_of_bounds="clip").fit_transform(probability, happened.astype(float))
    levels, step = np.unique(fitted, return_inverse=True)
    middles = np.bincount(step, probability) / np.bincount(step)
    return Calibrator("isotonic", x=tuple(middles.tolist()), y=tuple(levels.tolist()))


FITS = {"platt": fit_platt, "isotonic": fit_isotonic}


def choose_calibrator(
    probability: Floats, happened: Bools, groups: NDArray, *, keep_level: bool = False, folds: int = FOLDS
) -> Calibrator:
    """The map with the least log loss on customers it was not fitted to; "none" where neither is better than that by
    more than one standard error.

    `groups` (rows,) names the customer of each row: rows of one customer are never on both sides. All of the rows
    must be later than what the model learned from. Where they are too few to tell, it is "none". With `keep_level` the
    map corrects the spread of the probabilities but not their mean: for a map to be used with a model that goes on to
    learn from these rows, and so from their level.
    """
    n_groups = len(np.unique(groups))
    if n_groups < 2 * folds or min(happened.sum(), (~happened).sum()) < 2 * folds:
        return Calibrator()
    if keep_level:
        shift = calibration_intercept(happened, probability)
        probability = expit(_log_odds(probability) + shift)
    held_out = {kind: np.empty(len(probability)) for kind in ("none", *FITS)}
    for fits, tests in GroupKFold(folds).split(probability, groups=groups):
        both = 0 < happened[fits].sum() < len(fits)
        for kind, found in held_out.items():
            one = FITS[kind](probability[fits], happened[fits]) if kind in FITS and both else Calibrator()
            found[tests] = one(probability[tests])
    losses = {kind: -np.log(np.where(happened, found, 1 - found)) for kind, found in held_out.items()}
    for kind in sorted(FITS, key=lambda kind: losses[kind].mean()):
        gain = losses["none"] - losses[kind]
        # A map that is better by chance alone would be worse than none on the next customers.
        if gain.mean() > gain.std() / np.sqrt(len(gain)):
            return FITS[kind](probability, happened)
    return Calibrator()


def _log_odds(probability: Floats) -> Floats:
    clipped: Floats = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    return clipped
