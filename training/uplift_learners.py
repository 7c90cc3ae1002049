"""Uplift: by how much a contact raises the probability that a customer stays, as scikit-learn estimators on LightGBM.

Three ways to learn it from customers drawn to be contacted or left alone, all from the same two models of who stays:

    T   the difference of the two (Hansotia and Rukstales 2002)
    X   each arm's customers beside what the other arm's model says of them, learned anew (Künzel et al. 2019)
    DR  an unbiased guess of each customer's own effect, learned anew (Kennedy 2023, "Towards optimal doubly robust
        estimation of heterogeneous causal effects"; the guess is that of Robins and Rotnitzky 1995)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from features.home import write_text
from features.settings import current_settings
from training.boosting import BOOSTER, BoostingConfig, load_booster, predict, save_booster
from training.bundle import read_json
from training.feature_table import FEATURES, FeatureTable
from training.uplift_arms import CONFIG, Arms, Rows, learn_arms, learn_effect, table_of
from training.uplift_metrics import Contacts

SHAPE, ALONE = "uplift.json", "alone.txt"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Given:
    """What a learner learns from: encoded features, rows aligned with them, and the models of both arms."""

    features: FeatureTable
    encoded: pd.DataFrame
    rows: Rows
    arms: Arms
    config: BoostingConfig

    def said_by(self, booster: Any) -> Floats:
        """(rows,) predictions."""
        return predict(booster, self.encoded, threads=self.config.threads)

    def effect(self, guess: Floats, side: NDArray[np.bool_]) -> Any:
        """A booster of guessed effects (rows,), learned from the rows of `side`."""
        return learn_effect(self.features, self.encoded, guess, self.rows, side, self.config)


class UpliftLearner(BaseEstimator):
    """Uplift for each row of a frame of features. Parameters are only kept.

    After `fit`: `features_` (a FeatureTable), `boosters_` by name, `share_` (the mean probability of a contact), and
    `centre_`, `level_` and `slope_`, by which `level_by` corrects how high and how far apart the uplifts are.
    """

    #: Its name in reports and on disk.
    kind: ClassVar[str]

    def __init__(self, config: BoostingConfig | None = None) -> None:
        self.config = config

    def fit(
        self,
        frame: pd.DataFrame,
        treated: ArrayLike,
        kept: ArrayLike,
        *,
        probability: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        arms: Arms | None = None,
    ) -> Self:
        """Learn from (rows, columns) of features, (rows,) bool treated and kept, drawn by lot.

        `probability` (rows,) of being contacted, else the share of the contacted; `groups` (rows,) whose rows stay
        together (customers), else each row is by itself; `arms` where `learn_arms` was called for these very rows.
        Raises DataError where an arm is empty or all of it did the same.
        """
        config = self.config or CONFIG
        rows = Rows.of(frame, treated, kept, probability, groups)
        if arms is None:
            self.features_, arms = learn_arms(frame, treated, kept, groups=groups, config=config)
        else:
            self.features_ = table_of(frame, config)
        encoded = self.features_.encode(frame)
        self.boosters_: dict[str, Any] = dict(self._learn(Given(self.features_, encoded, rows, arms, config)))
        self.share_ = float(rows.probability.mean())
        self.centre_, self.level_, self.slope_ = 0.0, 0.0, 1.0
        self.threads_ = config.threads
        self.n_features_in_ = len(self.features_.names)
        return self

    def level_by(self, uplift: Floats, contacts: Contacts, risk: Floats) -> Self:
        """Correct level and spread by what such models said of customers they had not learned from.

        The effect is regressed on that uplift (the best linear predictor of Chernozhukov, Demirer, Duflo and
        Fernández-Val 2018): trees that follow noise differ more than effects do, and are drawn together. `risk` (rows,)
        is taken out first, for what it explains is no effect.
        """
        chance = contacts.probability
        # Theirs, and not the inverse of the arm's own probability: only so weighted is the lot, less its mean, apart
        # from all that was known before, at whatever hold-out. Who stays anyway is then no part of the slope.
        weight = 1 / (chance * (1 - chance))
        # So weighted, the lot's square has mean 1 in every campaign: the mean effect belongs to the plain mean.
        centre = float(uplift.mean())
        drawn = contacts.treated - chance
        known = np.column_stack([np.ones(len(drawn)), risk, drawn, drawn * (uplift - centre)])
        root = np.sqrt(weight)[:, None]
        found = np.linalg.lstsq(known * root, contacts.kept * root[:, 0], rcond=None)[0]
        self.centre_, self.level_, self.slope_ = centre, float(found[2]), float(np.clip(found[3], 0.0, 1.0))
        return self

    def predict(self, frame: pd.DataFrame) -> Floats:
        """(rows,) by how much a contact raises the probability that they stay; below 0 where it lowers it."""
        check_is_fitted(self)
        encoded = self.features_.encode(frame)
        said = {name: predict(one, encoded, threads=self.threads_) for name, one in self.boosters_.items()}
        found: Floats = np.clip(self.level_ + self.slope_ * (self._uplift(said) - self.centre_), -1.0, 1.0)
        return found

    def save(self, directory: Path) -> None:
        """Write LightGBM text and JSON below `directory`; nothing is pickled."""
        check_is_fitted(self)
        directory.mkdir(parents=True, exist_ok=True)
        for name, booster in self.boosters_.items():
            save_booster(booster, directory / name)
        write_text(directory / FEATURES, json.dumps(self.features_.as_json(), indent=2))
        write_text(directory / SHAPE, json.dumps(self._shape(), indent=2))

    def _shape(self) -> dict[str, Any]:
        numbers = {"centre": self.centre_, "level": self.level_, "slope": self.slope_}
        return {"kind": self.kind, "share": self.share_, **numbers}

    def _learn(self, given: Given) -> Mapping[str, Any]:
        """The boosters by the name of their file."""
        raise NotImplementedError

    def _uplift(self, said: Mapping[str, Floats]) -> Floats:
        """(rows,) from what each booster says."""
        raise NotImplementedError


class TLearner(UpliftLearner):
    """The chance that a customer stays if contacted, less that if left alone."""

    kind: ClassVar = "t"

    def _learn(self, given: Given) -> Mapping[str, Any]:
        return {BOOSTER: given.arms.contacted, ALONE: given.arms.alone}

    def _uplift(self, said: Mapping[str, Floats]) -> Floats:
        return said[BOOSTER] - said[ALONE]


class XLearner(UpliftLearner):
    """The effects that each arm shows beside the other's model; the smaller arm is leant on less."""

    kind: ClassVar = "x"

    def _learn(self, given: Given) -> Mapping[str, Any]:
        kept, treated = given.rows.kept, given.rows.treated
        contacted, alone = kept - given.said_by(given.arms.alone), given.said_by(given.arms.contacted) - kept
        return {BOOSTER: given.effect(contacted, treated), ALONE: given.effect(alone, ~treated)}

    def _uplift(self, said: Mapping[str, Floats]) -> Floats:
        # The model of the contacted rests on that of those left alone, who are few, and the other way round.
        return (1 - self.share_) * said[BOOSTER] + self.share_ * said[ALONE]


class DRLearner(UpliftLearner):
    """A guess of each customer's effect, right on average if the lottery's probabilities are, learned anew."""

    kind: ClassVar = "dr"

    def _learn(self, given: Given) -> Mapping[str, Any]:
        rows, arms = given.rows, given.arms
        guess = arms.if_contacted - arms.if_alone
        guess = guess + np.where(
            rows.treated,
            (rows.kept - arms.if_contacted) / rows.probability,
            (arms.if_alone - rows.kept) / (1 - rows.probability),
        )
        return {BOOSTER: given.effect(guess, np.ones(len(guess), dtype=bool))}

    def _uplift(self, said: Mapping[str, Floats]) -> Floats:
        return said[BOOSTER]


LEARNERS: Mapping[str, type[UpliftLearner]] = {one.kind: one for one in (TLearner, XLearner, DRLearner)}


def load_learner(directory: Path, *, threads: int | None = None) -> UpliftLearner:
    """The learner saved there. Raises DataError naming the file that is missing or wrong."""
    shape = read_json(directory / SHAPE)
    model = LEARNERS[shape["kind"]]()
    names = [BOOSTER] if model.kind == DRLearner.kind else [BOOSTER, ALONE]
    model.boosters_ = {name: load_booster(directory / name) for name in names}
    model.features_ = FeatureTable.from_json(read_json(directory / FEATURES))
    model.share_, model.centre_ = float(shape["share"]), float(shape["centre"])
    model.level_, model.slope_ = float(shape["level"]), float(shape["slope"])
    model.threads_ = threads or current_settings().threads
    model.n_features_in_ = len(model.features_.names)
    return model
