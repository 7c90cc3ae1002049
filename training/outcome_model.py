"""Calibrated probabilities of something a customer does or does not do, as a scikit-learn classifier on LightGBM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from features.errors import DataError
from features.home import write_text
from features.settings import current_settings
from training.boosting import BOOSTER, BoostingConfig, Learning, fit_booster, load_booster, predict, save_booster
from training.bundle import read_json
from training.calibration import NEAREST, Calibrator, choose_calibrator
from training.dataset import feature_columns
from training.feature_table import FEATURES, FeatureTable
from training.return_curves import ReturnCurves
from training.return_time import SILENCE, ReturnTimeModel, beside

CALIBRATOR = "calibrator.json"
RETURN_TIME = "return_time"
#: Totals over life grow with the calendar, so a later moment always looks like a better customer. On earlier cut-offs
#: models without them had less log loss; counts over windows, gaps and shares hold what they tell.
GROWS = frozenset({"orders_life", "visits_life", "products_life", "categories_life", "spend_life"})


class OutcomeModel(ClassifierMixin, BaseEstimator):
    """Probability of an outcome for each row of a frame of features. Subclasses name the outcome.

    Parameters are only kept. After `fit`: `booster_`, `features_` (a FeatureTable), `calibrator_`, `rounds_`,
    `classes_`, and `return_time_`, the time to the next order learned beside it, where waits were given. The two say
    different things about an order within the horizon, so the mean of their log-odds is nearer to the truth than
    either. Rows are never weighted by class: weights would make the probabilities wrong.
    """

    #: The column of training.dataset.examples that is learned.
    label: ClassVar[str]
    #: Whether the outcome is an order within the horizon; else it is none.
    is_order: ClassVar[bool]
    #: +1 where more of the feature can only make the outcome likelier, -1 where only less likely.
    signs: ClassVar[Mapping[str, int]] = {}

    def __init__(self, config: BoostingConfig | None = None, rounds: int | None = None) -> None:
        self.config = config
        self.rounds = rounds

    def fit(
        self,
        frame: pd.DataFrame,
        label: ArrayLike,
        *,
        held_out: tuple[pd.DataFrame, ArrayLike] | None = None,
        waits: ArrayLike | None = None,
        horizon_days: int = 28,
    ) -> Self:
        """Learn from (rows, columns) of features and (rows,) bool. With `held_out`, stop when it no longer improves.

        `waits` (rows, 2) as in ReturnTimeModel.fit, for a label that looks `horizon_days` ahead. Columns of the frame
        that are keys or labels are left out. Raises DataError where one class is missing.
        """
        config = self.config or BoostingConfig()
        happened = _outcomes(label, len(frame))
        self.features_ = FeatureTable.learn(frame, learned_columns(frame, exclude=config.exclude))
        parts = [Learning(self.features_.encode(frame), happened.astype(float))]
        if held_out is not None:
            other, its_label = held_out
            parts.append(Learning(self.features_.encode(other), _outcomes(its_label, len(other)).astype(float)))
        self.booster_ = fit_booster(
            self.features_,
            parts[0],
            {"objective": "binary", "metric": "binary_logloss"},
            config,
            monotone=[self.signs.get(name, 0) for name in self.features_.names],
            rounds=self.rounds,
            held_out=parts[1] if held_out is not None else None,
        )
        self.return_time_ = None
        if waits is not None:
            self.return_time_ = ReturnTimeModel(horizon_days, beside(config)).fit(frame, waits)
        self.rounds_ = int(self.booster_.num_trees())
        self.threads_ = config.threads
        self.calibrator_ = Calibrator()
        self.classes_ = np.array([False, True])
        self.n_features_in_ = len(self.features_.names)
        return self

    def calibrate(self, frame: pd.DataFrame, label: ArrayLike, groups: ArrayLike, *, keep_level: bool = False) -> Self:
        """Choose and fit the calibration on rows later than those learned from; `groups` (rows,) are the customers.

        `keep_level` as in calibration.choose_calibrator.
        """
        happened, raw = _outcomes(label, len(frame)), self.raw_probability(frame)
        self.calibrator_ = choose_calibrator(raw, happened, np.asarray(groups), keep_level=keep_level)
        return self

    def keep_calibration(self, calibrator: Calibrator) -> None:
        """Take over a calibration that was chosen with another model of the same settings."""
        self.calibrator_ = calibrator

    def raw_probability(self, frame: pd.DataFrame, *, curves: ReturnCurves | None = None) -> NDArray[np.float64]:
        """(rows,) what the model itself says, before calibration. `curves`: those of `return_time_`, where at hand."""
        check_is_fitted(self)
        found = predict(self.booster_, self.features_.encode(frame), threads=self.threads_)
        if self.return_time_ is None:
            return found
        model = self.return_time_
        days = float(model.horizon_days)
        ordered = model.back_within(frame, days) if curves is None else curves.back_within(days)
        ordered = np.clip(ordered, NEAREST, 1 - NEAREST)
        odds = logit(ordered) if self.is_order else -logit(ordered)
        mean: NDArray[np.float64] = expit((logit(np.clip(found, NEAREST, 1 - NEAREST)) + odds) / 2)
        return mean

    def predict_proba(self, frame: pd.DataFrame, *, raw: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """(rows, 2) calibrated probabilities that it does not happen and that it does.

        `raw`: those of `raw_probability`, where at hand.
        """
        known = self.raw_probability(frame) if raw is None else raw
        happens = self.calibrator_(known)
        return np.column_stack((1.0 - happens, happens))

    def predict(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """(rows,) whether it is likelier than not to happen."""
        likelier: NDArray[np.bool_] = self.predict_proba(frame)[:, 1] > 0.5
        return likelier

    def contributions(self, frame: pd.DataFrame, *, raw: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """(rows, features) what each feature adds to the log-odds before calibration, against the average row.

        They are the booster's (Lundberg et al. 2020). What the time to the next order adds goes by silence and past
        gaps alone, so it is silence's. A row sums to its log-odds less a constant, the average row's log-odds by the
        booster. `raw`: the probabilities of `raw_probability`, where at hand.
        """
        check_is_fitted(self)
        found = predict(self.booster_, self.features_.encode(frame), threads=self.threads_, contributions=True)
        added, base = found[:, :-1], found[:, -1]
        if self.return_time_ is None or SILENCE not in self.features_.names:
            return added
        odds = logit(self.raw_probability(frame) if raw is None else raw)
        added = added / 2
        added[:, self.features_.names.index(SILENCE)] += odds - base - added.sum(axis=1)
        return added

    def save(self, directory: Path) -> None:
        """Write LightGBM text and JSON below `directory`; nothing is pickled."""
        check_is_fitted(self)
        directory.mkdir(parents=True, exist_ok=True)
        save_booster(self.booster_, directory / BOOSTER)
        write_text(directory / CALIBRATOR, json.dumps(self.calibrator_.as_json(), indent=2))
        write_text(directory / FEATURES, json.dumps(self.features_.as_json(), indent=2))
        if self.return_time_ is not None:
            self.return_time_.save(directory / RETURN_TIME)

    @classmethod
    def load(cls, directory: Path, *, threads: int | None = None) -> Self:
        """The model saved there. Raises DataError naming the file that is missing or wrong."""
        model = cls()
        model.booster_ = load_booster(directory / BOOSTER)
        model.features_ = FeatureTable.from_json(read_json(directory / FEATURES))
        model.calibrator_ = Calibrator.from_json(read_json(directory / CALIBRATOR))
        model.rounds_ = int(model.booster_.num_trees())
        model.threads_ = threads or current_settings().threads
        model.classes_ = np.array([False, True])
        model.n_features_in_ = len(model.features_.names)
        # Earlier releases wrote none.
        there = (directory / RETURN_TIME).is_dir()
        model.return_time_ = ReturnTimeModel.load(directory / RETURN_TIME, threads=threads) if there else None
        return model


def learned_columns(frame: pd.DataFrame, *, exclude: Sequence[str] = ()) -> list[str]:
    """The feature columns, less those of GROWS and those that `exclude` names (names, or patterns with * and ?)."""
    return [name for name in feature_columns(frame) if name not in GROWS and not is_excluded(name, exclude)]


def is_excluded(feature: str, exclude: Sequence[str]) -> bool:
    """Whether one of the names or patterns is of this feature."""
    return any(fnmatchcase(feature, pattern) for pattern in exclude)


def _outcomes(label: ArrayLike, rows: int) -> NDArray[np.bool_]:
    happened = np.asarray(label)
    if happened.shape != (rows,):
        raise DataError(f"The frame has {rows} rows and the label's shape is {happened.shape}. Give one label a row.")
    if pd.isna(happened).any() or not np.isin(happened, (0, 1)).all():
        raise DataError("The label must be true or false in every row. Leave out rows whose outcome is not known.")
    happened = happened.astype(bool)
    if happened.all() or not happened.any():
        raise DataError(
            f"All {rows} rows have the same outcome ({bool(happened[:1].all())}), so nothing can be learned."
        )
    return happened
