"""Value: how much a customer will spend within the horizon, net of returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from features.errors import DataError
from features.home import write_text
from features.labels import SPEND
from features.settings import current_settings
from training.boosting import BOOSTER, BoostingConfig, Learning, fit_booster, load_booster, predict, save_booster
from training.bundle import read_json
from training.conformal import Intervals
from training.feature_table import FEATURES, FeatureTable
from training.lifetime import LifetimeModel
from training.outcome_model import learned_columns
from training.protocols import Context, Trained

#: Of the variance of spend: between a Poisson count (1) and a gamma amount (2), as spend is a count of amounts.
VARIANCE_POWER = 1.2
INTERVALS = "intervals.json"
LIFETIME = "lifetime"


class ValueModel(RegressorMixin, BaseEstimator):
    """Expected spend, 0 or more, in the shop's currency: the mean over customers like this one.

    Learned with Tweedie loss (Jørgensen 1987; Yang, Qian and Zou 2018), under which most customers may spend nothing
    and sums come out right. It is no median: the median would have less absolute error and be too low by several
    percent in total. A window whose returns exceed its purchases counts as 0.

    Beside it, where they were learned: `intervals_` of the spend, and `lifetime_`, spend over longer horizons.
    """

    label: ClassVar[str] = SPEND

    def __init__(self, config: BoostingConfig | None = None, rounds: int | None = None) -> None:
        self.config = config
        self.rounds = rounds

    def fit(
        self, frame: pd.DataFrame, spend: ArrayLike, *, held_out: tuple[pd.DataFrame, ArrayLike] | None = None
    ) -> Self:
        """Learn from (rows, columns) of features and (rows,) spend. With `held_out`, stop when it stops improving."""
        config = self.config or BoostingConfig()
        self.features_ = FeatureTable.learn(frame, learned_columns(frame, exclude=config.exclude))
        parts = [Learning(self.features_.encode(frame), _amounts(spend, len(frame)))]
        if not parts[0].target.any():
            raise DataError(f"Nobody spent anything in any of {len(frame)} rows, so there is nothing to learn.")
        if held_out is not None:
            other, its_spend = held_out
            parts.append(Learning(self.features_.encode(other), _amounts(its_spend, len(other))))
        self.booster_ = fit_booster(
            self.features_,
            parts[0],
            {"objective": "tweedie", "metric": "tweedie", "tweedie_variance_power": VARIANCE_POWER},
            config,
            monotone=[0] * len(self.features_.names),
            rounds=self.rounds,
            held_out=parts[1] if held_out is not None else None,
        )
        self.intervals_: Intervals | None = None
        self.lifetime_: LifetimeModel | None = None
        self.rounds_ = int(self.booster_.num_trees())
        self.threads_ = config.threads
        self.n_features_in_ = len(self.features_.names)
        return self

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """(rows,) expected spend within the horizon, 0 or more."""
        check_is_fitted(self)
        found = predict(self.booster_, self.features_.encode(frame), threads=self.threads_)
        spend: NDArray[np.float64] = np.maximum(found, 0.0)
        return spend

    def keep_calibration(self, intervals: Intervals) -> None:
        """Take over intervals that were found with another model of the same settings."""
        self.intervals_ = intervals

    def save(self, directory: Path) -> None:
        """Write LightGBM text and JSON below `directory`; nothing is pickled."""
        check_is_fitted(self)
        directory.mkdir(parents=True, exist_ok=True)
        save_booster(self.booster_, directory / BOOSTER)
        write_text(directory / FEATURES, json.dumps(self.features_.as_json(), indent=2))
        if self.intervals_ is not None:
            write_text(directory / INTERVALS, json.dumps(self.intervals_.as_json(), indent=2))
        if self.lifetime_ is not None:
            self.lifetime_.save(directory / LIFETIME)

    @classmethod
    def load(cls, directory: Path, *, threads: int | None = None) -> Self:
        """The model saved there. Raises DataError naming the file that is missing or wrong."""
        model = cls()
        model.booster_ = load_booster(directory / BOOSTER)
        model.features_ = FeatureTable.from_json(read_json(directory / FEATURES))
        # Earlier releases wrote neither.
        told, there = (directory / INTERVALS).is_file(), (directory / LIFETIME).is_dir()
        model.intervals_ = Intervals.from_json(read_json(directory / INTERVALS)) if told else None
        model.lifetime_ = LifetimeModel.load(directory / LIFETIME, threads=threads) if there else None
        model.rounds_ = int(model.booster_.num_trees())
        model.threads_ = threads or current_settings().threads
        model.n_features_in_ = len(model.features_.names)
        return model


def _amounts(spend: ArrayLike, rows: int) -> NDArray[np.float64]:
    amounts = np.asarray(spend, dtype=float)
    if amounts.shape != (rows,):
        raise DataError(f"The frame has {rows} rows and the spend's shape is {amounts.shape}. Give one amount a row.")
    if not np.isfinite(amounts).all():
        raise DataError(
            "Spend is not known in every row. Where the shop's lines have no amounts, map the column of what was paid: "
            "amount, under [order_lines] in the mapping file."
        )
    kept: NDArray[np.float64] = np.maximum(amounts, 0.0)
    return kept


def train_value(context: Context, into: Path) -> Trained:
    """A back-tested model of spend, sealed below `into`. Raises DataError for no amounts, or too few data."""
    from training.outcome_training import train_outcome

    return train_outcome(context, into, "value")
