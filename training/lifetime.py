"""What a customer will order and spend over any number of days to come, however few such spans the shop has lived."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from features.errors import DataError
from features.home import write_text
from features.settings import current_settings
from training.attrition import Attrition, Histories, fit_attrition
from training.boosting import BATCH, BOOSTER, BoostingConfig, Learning, fit_booster, load_booster, predict, save_booster
from training.bundle import read_json
from training.conformal import Intervals
from training.feature_table import FEATURES, FeatureTable
from training.outcome_model import is_excluded
from training.spend_per_order import SpendPerOrder, fit_spend_per_order

SHAPE = "lifetime.json"
FIRST, LAST, VISITS, TOTAL = "days_since_first_order", "days_since_last_order", "visits_life", "spend_life"
#: What the structure cannot do without.
NEEDED = (FIRST, LAST, VISITS, TOTAL)
#: The features by which what the structure expects is corrected; those that a frame lacks are left out.
CORRECTED_BY = (
    LAST,
    FIRST,
    "silence_to_gap_mean",
    "gap_mean_days",
    "gap_recent_days",
    "gap_longest_days",
    "gap_spread_days",
    "visits_decayed_14d",
    "visits_decayed_45d",
    "spend_per_order_life",
    "lines_per_order_life",
)
CONFIG = BoostingConfig(feature_fraction=0.6, bagging_fraction=1.0)
#: More of them foretold orders no better on earlier cut-offs, and their level worse.
ROUNDS = 40
#: Customers a structure is fitted to at most at each moment: it has four numbers.
MOST_CUSTOMERS = 3_000
#: The correction of any customer is held between one over this and this.
MOST_CORRECTION = 4.0
#: The structure's expectation is never 0: its logarithm is what the correction starts from.
LEAST_ORDERS = 1e-9

Floats = NDArray[np.float64]


class LifetimeModel(BaseEstimator):
    """Orders (days with one) and spend expected over a horizon that may be longer than any the shop can look back on.

    A structure says how orders thin out with time (training.attrition). It is fitted at each past moment to what was
    known then, and a factor learned by boosting corrects what it said of every customer by what came after, followed
    for as long as is known: the structure is where the boosting starts from. The factor is taken to hold for any
    horizon. Spend is the orders times what one is worth (training.spend_per_order).

    Parameters are only kept. After `fit`: `attrition_`, `booster_`, `features_`, `order_worth_` (None without amounts);
    and, where training.lifetime_backtest sets them, `intervals_` of the value and `looked_back_`, metrics of a long
    time that this model was tested on.
    """

    def __init__(
        self, days: int = 365, discount: float = 0.1, config: BoostingConfig | None = None, rounds: int = ROUNDS
    ) -> None:
        self.days = days
        self.discount = discount
        self.config = config
        self.rounds = rounds

    def fit(
        self,
        frames: Sequence[pd.DataFrame],
        followed: Sequence[ArrayLike],
        *,
        now: pd.DataFrame | None = None,
        known: Sequence[Attrition] | None = None,
    ) -> Self:
        """Learn from one frame of features per past moment and (rows, 3) of what followed it.

        `followed`: days followed, days with an order in them, spend in them (NaN without amounts). `now`: the features
        of the latest moment known, whose future need not be; else the last frame's. `known`: what `structures` gives
        for these frames, where at hand. Raises DataError where nobody ordered twice, or nobody while followed.
        """
        config = self.config or CONFIG
        labels = [_followed(values, len(frame)) for values, frame in zip(followed, frames, strict=True)]
        if not labels or not any(values[:, 1].any() for values in labels):
            raise DataError("Nobody ordered while they were followed, so no orders to come can be learned.")
        has_amounts = all(np.isfinite(values[:, 2]).all() for values in labels)
        found = structures(frames, config.seed) if known is None else known
        pasts = [histories(frame) for frame in frames]
        parts = list(zip(frames, found, pasts, labels, strict=True))
        self.attrition_ = found[-1] if now is None else structures([now], config.seed, start=found[-1])[0]
        self.order_worth_ = _order_worth(frames, labels) if has_amounts else None
        features = pd.concat(
            [_corrected_by(frame, one, past, one.alive(past)) for frame, one, past, _ in parts], ignore_index=True
        )
        names = [name for name in features.columns if not is_excluded(name, config.exclude)]
        self.features_ = FeatureTable.learn(features, names)
        encoded, actual = self.features_.encode(features), np.concatenate(labels)
        structural = np.concatenate([one.expected_orders(past, ahead[:, 0]) for _, one, past, ahead in parts])
        self.booster_ = fit_booster(
            self.features_,
            Learning(encoded, actual[:, 1], np.log(np.maximum(structural, LEAST_ORDERS))),
            {"objective": "poisson"},
            config,
            monotone=[0] * len(self.features_.names),
            rounds=self.rounds,
        )
        self.intervals_: Intervals | None = None
        self.looked_back_: Mapping[str, float] = {}
        self.threads_ = config.threads
        self.n_features_in_ = len(self.features_.names)
        return self

    def expected_orders(self, frame: pd.DataFrame, days: float, *, discount: float = 0.0) -> Floats:
        """(rows,) days with an order within `days`, later ones worth less by `discount` a year."""
        check_is_fitted(self)
        # In parts: each customer takes a few dozen numbers on the way.
        parts = [frame.iloc[start : start + BATCH] for start in range(0, len(frame), BATCH)]
        found: Floats = np.concatenate([np.empty(0), *(self._orders(part, float(days), discount) for part in parts)])
        return found

    def _orders(self, frame: pd.DataFrame, days: float, discount: float) -> Floats:
        past = histories(frame)
        alive = self.attrition_.alive(past)
        structural = self.attrition_.expected_orders(past, days, discount=discount, alive=alive)
        encoded = self.features_.encode(_corrected_by(frame, self.attrition_, past, alive))
        factor = predict(self.booster_, encoded, threads=self.threads_)
        orders: Floats = structural * np.clip(factor, 1 / MOST_CORRECTION, MOST_CORRECTION)
        return orders

    def expected_spend(self, frame: pd.DataFrame, days: float, *, discount: float = 0.0) -> Floats:
        """(rows,) spend within `days` in the shop's currency, later spend worth less by `discount` a year.

        Raises DataError where it was learned from a shop without amounts.
        """
        check_is_fitted(self)
        if self.order_worth_ is None:
            raise DataError("The shop's order lines have no amounts, so no spend to come was learned.")
        found: Floats = self.expected_orders(frame, days, discount=discount) * self.order_worth_.expected(*_paid(frame))
        return found

    def predict(self, frame: pd.DataFrame) -> Floats:
        """(rows,) the lifetime value: spend within `days`, later spend worth less by `discount` a year."""
        return self.expected_spend(frame, float(self.days), discount=self.discount)

    def interval(self, value: Floats) -> tuple[Floats, Floats] | None:
        """Ends between which four of five customers of these values (of `predict`) lie; None where not known.

        The shares are those found over the longest time that could be looked back on, read for `days`.
        """
        if self.intervals_ is None:
            return None
        low, high = self.intervals_(value / self.days)
        return low * self.days, high * self.days

    def save(self, directory: Path) -> None:
        """Write LightGBM text and JSON below `directory`; nothing is pickled."""
        check_is_fitted(self)
        directory.mkdir(parents=True, exist_ok=True)
        save_booster(self.booster_, directory / BOOSTER)
        worth = None if self.order_worth_ is None else self.order_worth_.as_json()
        shape = {
            "days": self.days,
            "discount": self.discount,
            "attrition": self.attrition_.as_json(),
            "order_worth": worth,
            "intervals": None if self.intervals_ is None else self.intervals_.as_json(),
            "looked_back": dict(self.looked_back_),
        }
        write_text(directory / SHAPE, json.dumps(shape, indent=2))
        write_text(directory / FEATURES, json.dumps(self.features_.as_json(), indent=2))

    @classmethod
    def load(cls, directory: Path, *, threads: int | None = None) -> Self:
        """The model saved there. Raises DataError naming the file that is missing or wrong."""
        shape = read_json(directory / SHAPE)
        model = cls(shape["days"], shape["discount"])
        told = shape["intervals"]
        model.intervals_ = None if told is None else Intervals.from_json(told)
        model.looked_back_ = shape["looked_back"]
        model.attrition_ = Attrition.from_json(shape["attrition"])
        worth = shape["order_worth"]
        model.order_worth_ = None if worth is None else SpendPerOrder.from_json(worth)
        model.booster_ = load_booster(directory / BOOSTER)
        model.features_ = FeatureTable.from_json(read_json(directory / FEATURES))
        model.threads_ = threads or current_settings().threads
        model.n_features_in_ = len(model.features_.names)
        return model


def _corrected_by(frame: pd.DataFrame, attrition: Attrition, past: Histories, alive: Floats) -> pd.DataFrame:
    """(rows, features) what the correction goes by."""
    a_day = np.maximum(attrition.expected_orders(past, 1.0, alive=alive), LEAST_ORDERS)
    return pd.DataFrame(
        {
            **{name: frame[name].to_numpy(float, na_value=np.nan) for name in CORRECTED_BY if name in frame.columns},
            "alive": alive,
            "orders_a_day": np.log(a_day),
        }
    )


def histories(frame: pd.DataFrame) -> Histories:
    """The customers' past as training.attrition takes it, from their features."""
    if missing := [name for name in (VISITS, FIRST, LAST) if name not in frame.columns]:
        raise DataError(f"Orders to come need the features {', '.join(missing)}. Build them anew:  regulars features")
    return Histories.of(*(frame[name].to_numpy(float) for name in (VISITS, FIRST, LAST)))


def _paid(frame: pd.DataFrame) -> tuple[Floats, Floats]:
    visits = frame[VISITS].to_numpy(float)
    total = frame[TOTAL].to_numpy(float, na_value=0.0)
    return visits, total / np.maximum(visits, 1.0)


def structures(frames: Sequence[pd.DataFrame], seed: int, *, start: Attrition | None = None) -> list[Attrition]:
    """The structure as it would have been fitted at each moment, from its frame alone; at most MOST_CUSTOMERS a time.

    Each is found from the one before it, the first from `start`.
    """
    rng, found = np.random.default_rng(seed), []
    for frame in frames:
        past = histories(frame)
        if len(frame) > MOST_CUSTOMERS:
            past = past.some(np.sort(rng.choice(len(frame), MOST_CUSTOMERS, replace=False)))
        start = fit_attrition(past, start=start)
        found.append(start)
    return found


def _order_worth(frames: Sequence[pd.DataFrame], labels: Sequence[Floats]) -> SpendPerOrder:
    before = [_paid(frame) for frame in frames]
    visits, mean = (np.concatenate([part[place] for part in before]) for place in (0, 1))
    after = np.concatenate(labels)
    return fit_spend_per_order(visits, mean, after[:, 1], after[:, 2])


def _followed(values: ArrayLike, rows: int) -> Floats:
    found = np.asarray(values, dtype=float)
    if found.shape != (rows, 3):
        raise DataError(
            f"The frame has {rows} rows and what followed them has the shape {found.shape}. Give three numbers a row: "
            "days followed, days with an order, spend."
        )
    if not (found[:, 0] > 0).all() or not (found[:, 1] >= 0).all():
        raise DataError("Days followed must be above 0 and days with an order 0 or more. Leave out rows not followed.")
    return found
