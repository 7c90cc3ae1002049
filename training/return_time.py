"""Time to the next order: for every customer a whole distribution, learned as a rate that depends on their silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from features.errors import DataError
from features.home import write_text
from features.ledger import HALF_LIVES
from features.settings import current_settings
from training.boosting import (
    BOOSTER,
    MANY,
    BoostingConfig,
    Learning,
    fit_booster,
    load_booster,
    predict,
    save_booster,
)
from training.bundle import read_json
from training.feature_table import FEATURES, FeatureTable
from training.return_curves import ReturnCurves
from training.tree_tables import TreeTables, in_parts, tree_tables
from training.tree_walks import TreeWalk

SHAPE = "return_time.json"
SILENCE = "days_since_last_order"
#: Gaps that silence is measured in.
GAPS = ("gap_mean_days", "gap_median_days", "gap_recent_days", "gap_longest_days")
#: What else of the customer's past gaps is known; none of it moves before the next order.
HABITS = (*GAPS, "gap_last_days", "gap_spread_days")
DECAYED = tuple(f"visits_decayed_{half_life}d" for half_life in HALF_LIVES)
#: The features that it is learned from.
NEEDED = (*HABITS, *DECAYED, SILENCE, "days_since_first_order")
#: Ages (days since the last order) at which the rate may change, for a horizon of 28 days; others are in proportion.
AGES_28 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 21, 25, 28, 35, 42, 56, 84, 112, 168)
#: Days followed at most after a moment, in horizons.
FOLLOWED = 3.0
CONFIG = BoostingConfig(num_leaves=8, learning_rate=0.15, feature_fraction=0.4)
#: On earlier cut-offs early stopping chose no better number; so many take half a second.
ROUNDS = 80
#: Rows learned from at most.
MOST_ROWS = 60_000
#: A rate is never 0: every customer may come back.
LEAST_RATE = 1e-6

Floats = NDArray[np.float64]


def beside(config: BoostingConfig) -> BoostingConfig:
    """CONFIG with the threads and the seed of another model's settings."""
    return replace(CONFIG, threads=config.threads, seed=config.seed)


class ReturnTimeModel(BaseEstimator):
    """Orders a day by days since the last order, from which follows when the next one comes.

    The time to the next order is taken to have a rate (hazard) that is constant between ages, each age and customer
    its own: the piecewise exponential model, learned as Poisson counts with the days at risk as exposure (Holford
    1980; Laird and Olivier 1981), by LightGBM. Features are those of the past gaps, as of the last order, and the age
    in each of them: the same curve holds from the last order until the next.

    Parameters are only kept. After `fit`: `booster_`, `features_`, `ages_`, `base_rate_`.
    """

    def __init__(self, horizon_days: int = 28, config: BoostingConfig | None = None, rounds: int = ROUNDS) -> None:
        self.horizon_days = horizon_days
        self.config = config
        self.rounds = rounds

    def fit(self, frame: pd.DataFrame, waits: ArrayLike) -> Self:
        """Learn from (rows, columns) of features and (rows, 2): days to the next order, and days followed.

        The first is infinite, or NaN, where no order came while the customer was followed. Raises DataError where
        nobody ordered, or a wait is negative.
        """
        config = self.config or CONFIG
        if len(frame) > MOST_ROWS:
            # Each row gives one for every age the customer lived through; so many tell a few thousand rates apart.
            some = np.sort(np.random.default_rng(config.seed).choice(len(frame), MOST_ROWS, replace=False))
            frame, waits = frame.iloc[some], np.asarray(waits, dtype=float)[some]
        self.ages_ = np.array(AGES_28) * (self.horizon_days / 28)
        habits = _habits(frame)
        self.features_ = FeatureTable.learn(habits, list(habits.columns))
        waited, followed = _waits(waits, len(frame))
        silence = frame[SILENCE].to_numpy(float)
        row, age, exposure, ordered = _exposures(silence, waited, followed, self.ages_)
        if not ordered.any():
            raise DataError("Nobody ordered while they were followed, so there is no time to the next order to learn.")
        self.base_rate_ = float(ordered.sum() / exposure.sum())
        encoded = self._encode(habits, row, age)
        table = FeatureTable(tuple(encoded.columns), {})
        # Longer silence may mean anything here: right after an order few come back, later more, and then ever fewer.
        self.booster_ = fit_booster(
            table,
            Learning(encoded, ordered.astype(float), np.log(exposure * self.base_rate_)),
            {"objective": "poisson", "metric": "poisson"},
            config,
            monotone=[0] * len(table.names),
            rounds=self.rounds,
        )
        self.threads_ = config.threads
        self.n_features_in_ = len(self.features_.names)
        return self

    def curves(self, frame: pd.DataFrame) -> ReturnCurves:
        """One curve per row of features."""
        check_is_fitted(self)
        silence = self._silence(frame)
        return ReturnCurves(self.ages_, self._orders_a_day(self._rates(_habits(frame))), silence, np.ones(len(frame)))

    def back_within(self, frame: pd.DataFrame, days: float) -> Floats:
        """(rows,) probability of an order within so many days: that of `curves`, from the ages it takes alone."""
        check_is_fitted(self)
        tables = tree_tables(self.booster_) if len(frame) >= MANY else None
        if tables is not None:
            return self._back_within(tables, frame, days)
        row, lived, encoded = self.asked_within(frame, days)
        rates = self._orders_a_day(predict(self.booster_, encoded, threads=self.threads_))
        found: Floats = -np.expm1(-np.bincount(row, rates * lived, minlength=len(frame)))
        return found

    def asked_within(self, frame: pd.DataFrame, days: float) -> tuple[NDArray[np.int64], Floats, pd.DataFrame]:
        """What the booster is asked for `back_within`: each row once for every age that it lives through by then.

        (pairs,) the row, (pairs,) the days it spends at the age, (pairs, features) what is known of it there.
        """
        never, days_ahead = np.full(len(frame), np.inf), np.full(len(frame), days)
        row, age, lived, _ = _exposures(self._silence(frame), never, days_ahead, self.ages_)
        return row, lived, self._encode(_habits(frame), row, age)

    def _back_within(self, tables: TreeTables, frame: pd.DataFrame, days: float) -> Floats:
        habits, silence = _habits(frame), self._silence(frame)
        columns = self.features_.encode(habits).to_numpy().T
        # Rows of about one silence live through the same few ages.
        order = np.argsort(silence, kind="stable")
        ends = np.append(self.ages_[1:], np.inf)
        expected = np.zeros(len(silence))

        def walk(part: slice) -> None:
            rows = order[part]
            now = silence[rows]
            first = int(np.searchsorted(self.ages_, now[0], side="right")) - 1
            last = int(np.searchsorted(self.ages_, now[-1] + days, side="right"))
            rates = self._orders_a_day(self._walked(tables, columns[:, rows], range(first, last)))
            for age, rate in zip(range(first, last), rates.T, strict=True):
                lived = np.minimum(now + days, ends[age]) - np.maximum(now, self.ages_[age])
                expected[rows] += rate * np.maximum(lived, 0.0)

        in_parts(walk, len(silence), self.threads_)
        found: Floats = -np.expm1(-expected)
        return found

    def _orders_a_day(self, predicted: Floats) -> Floats:
        found: Floats = np.maximum(predicted * self.base_rate_, LEAST_RATE)
        return found

    def _silence(self, frame: pd.DataFrame) -> Floats:
        found: Floats = np.maximum(frame[SILENCE].to_numpy(float), 0.0)
        return found

    def _rates(self, habits: pd.DataFrame) -> Floats:
        """(rows, ages) what the booster says."""
        ages, rates = range(len(self.ages_)), np.zeros((len(habits), len(self.ages_)))
        tables = tree_tables(self.booster_) if len(habits) >= MANY else None
        if tables is None:
            for age in ages:
                encoded = self._encode(habits, np.arange(len(habits)), np.full(len(habits), age))
                rates[:, age] = predict(self.booster_, encoded, threads=self.threads_)
            return rates
        columns = self.features_.encode(habits).to_numpy().T

        def walk(part: slice) -> None:
            rates[part] = self._walked(tables, columns[:, part], ages)

        in_parts(walk, len(rates), self.threads_)
        return rates

    def _walked(self, tables: TreeTables, columns: Floats, ages: Sequence[int]) -> Floats:
        """(rows, ages) of encoded habits (features, rows)."""
        middles, day = self._middles(), self.horizon_days / 28
        places = [self.features_.names.index(name) for name in GAPS]
        age_place = len(columns)
        in_gap = range(age_place + 1, age_place + 1 + len(GAPS))
        steps = TreeWalk(tables, columns, [age_place, *in_gap])
        gaps = [np.where(np.isnan(columns[place]), np.nan, np.fmax(columns[place], day)) for place in places]
        found = np.empty((columns.shape[1], len(ages)))
        for step, age in enumerate(ages):
            moved = {place: middles[age] / gap for place, gap in zip(in_gap, gaps, strict=True)}
            found[:, step] = steps.predict({age_place: float(middles[age]), **moved})
        return found

    def _middles(self) -> Floats:
        """(ages,) the middle of each; the last one goes on."""
        return np.append((self.ages_[1:] + self.ages_[:-1]) / 2, self.ages_[-1] * 1.3)

    def predict(self, frame: pd.DataFrame) -> Floats:
        """(rows,) days from now by which half of customers like this one have ordered."""
        return self.curves(frame).days_until(0.5)

    def save(self, directory: Path) -> None:
        """Write LightGBM text and JSON below `directory`; nothing is pickled."""
        check_is_fitted(self)
        directory.mkdir(parents=True, exist_ok=True)
        save_booster(self.booster_, directory / BOOSTER)
        write_text(directory / FEATURES, json.dumps(self.features_.as_json(), indent=2))
        shape = {"horizon_days": self.horizon_days, "base_rate": self.base_rate_, "ages": self.ages_.tolist()}
        write_text(directory / SHAPE, json.dumps(shape, indent=2))

    @classmethod
    def load(cls, directory: Path, *, threads: int | None = None) -> Self:
        """The model saved there. Raises DataError naming the file that is missing or wrong."""
        shape = read_json(directory / SHAPE)
        model = cls(horizon_days=shape["horizon_days"])
        model.booster_ = load_booster(directory / BOOSTER)
        model.features_ = FeatureTable.from_json(read_json(directory / FEATURES))
        model.ages_ = np.array(shape["ages"], dtype=float)
        model.base_rate_ = float(shape["base_rate"])
        model.threads_ = threads or current_settings().threads
        model.n_features_in_ = len(model.features_.names)
        return model

    def _encode(self, habits: pd.DataFrame, row: NDArray[np.int64], age: NDArray[np.int64]) -> pd.DataFrame:
        """(rows, features) the habits of each row, the middle of the age and that in each of GAPS."""
        middles = self._middles()[age]
        day = self.horizon_days / 28
        encoded = self.features_.encode(habits).to_numpy()[row]
        places = [self.features_.names.index(name) for name in GAPS]
        in_gaps = middles[:, None] / np.fmax(encoded[:, places], day)
        in_gaps[np.isnan(encoded[:, places])] = np.nan
        names = [*self.features_.names, "age_days", *(f"age_to_{name}" for name in GAPS)]
        return pd.DataFrame(np.column_stack([encoded, middles, in_gaps]), columns=names)


def _habits(frame: pd.DataFrame) -> pd.DataFrame:
    """The customers' habits as of their last order: what is counted with decay, brought back to it."""
    if missing := [name for name in NEEDED if name not in frame.columns]:
        raise DataError(
            f"Time to the next order needs the features {', '.join(missing)}, which the frame lacks. "
            "Build them anew:  regulars features"
        )
    silence = frame[SILENCE].to_numpy(float)
    found = {name: frame[name].to_numpy(float, na_value=np.nan) for name in HABITS}
    for name, half_life in zip(DECAYED, HALF_LIVES, strict=True):
        # The last order itself counts 1.
        logarithm = np.log2(np.fmax(frame[name].to_numpy(float), 1e-300)) + silence / half_life
        found[f"{name}_then"] = np.exp2(np.clip(logarithm, 0, 60))
    found["tenure_then"] = frame["days_since_first_order"].to_numpy(float) - silence
    return pd.DataFrame(found)


def _waits(waits: ArrayLike, rows: int) -> tuple[Floats, Floats]:
    values = np.asarray(waits, dtype=float)
    if values.shape != (rows, 2):
        raise DataError(
            f"The frame has {rows} rows and the waits' shape is {values.shape}. Give two numbers a row: days to the "
            "next order (infinite where none came), and days followed."
        )
    waited, followed = np.where(np.isnan(values[:, 0]), np.inf, values[:, 0]), values[:, 1]
    if (waited < 0).any() or not (followed > 0).all():
        raise DataError("Waits must be 0 or more, and days followed above 0. Leave out rows that nobody followed.")
    return waited, followed


def _exposures(
    silence: Floats, waited: Floats, followed: Floats, ages: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, NDArray[np.bool_]]:
    """One entry per row and age they lived through: the row, the age, days there, whether the order came there."""
    came = waited < followed
    end = silence + np.where(came, waited, followed)
    first = np.searchsorted(ages, silence, side="right") - 1
    last = np.searchsorted(ages, end, side="right") - 1
    count = last - first + 1
    row = np.repeat(np.arange(len(silence)), count)
    age = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + first[row]
    upper = np.append(ages[1:], np.inf)
    days = np.minimum(end[row], upper[age]) - np.maximum(silence[row], ages[age])
    ordered = came[row] & (age == last[row])
    # An order at the very edge of an age, or at once, was at risk for a moment.
    days = np.maximum(days, np.where(ordered, 1e-3, 0.0))
    kept = days > 0
    return row[kept], age[kept], days[kept], ordered[kept]
