"""Who stays if contacted and who if left alone: the two models that every way of learning an uplift begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from features.errors import DataError
from training.boosting import BoostingConfig, Learning, fit_booster, predict
from training.feature_table import FeatureTable
from training.outcome_model import learned_columns

#: Hold-outs are small, so trees are few and small, and an effect of which nothing is known stays near its mean. So few
#: trees may each look at every feature.
CONFIG = BoostingConfig(num_leaves=4, learning_rate=0.05, max_rounds=300, patience=25, feature_fraction=1.0)
#: Parts of the customers: who stays is foretold for each part by models that knew nothing of it, rounds included.
FOLDS = 5
#: Parts of the customers by which the rounds of an effect are chosen.
EFFECT_FOLDS = 3

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Arms:
    """Who stays if contacted and if left alone: a model of each, and (rows,) what models without the row's fold say."""

    contacted: Any
    alone: Any
    if_contacted: Floats
    if_alone: Floats


@dataclass(frozen=True)
class Rows:
    """What is learned from, checked; `group` numbers the customers."""

    treated: Bools
    kept: Floats
    probability: Floats
    group: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        treated: ArrayLike,
        kept: ArrayLike,
        probability: ArrayLike | None,
        groups: ArrayLike | None,
    ) -> Rows:
        """Raises DataError for other lengths, values that are not yes or no, and arms without both outcomes."""
        arm, stays = _yes_or_no("treated", treated, len(frame)), _yes_or_no("kept", kept, len(frame))
        for name, side in (("contacted", arm), ("held out", ~arm)):
            if not 0 < stays[side].sum() < side.sum():
                raise DataError(
                    f"Of {int(side.sum())} customers {name}, {int(stays[side].sum())} stayed: nothing can be learned "
                    "where an arm is empty or all of it did the same."
                )
        share = np.full(len(frame), arm.mean()) if probability is None else np.asarray(probability, dtype=float)
        if share.shape != arm.shape or not ((share > 0) & (share < 1)).all():
            raise DataError("Probabilities of a contact must lie between 0 and 1, one for each row.")
        group = np.arange(len(frame)) if groups is None else pd.factorize(np.asarray(groups))[0]
        return cls(arm, stays.astype(float), share, group.astype(np.int64))


def folds_of(group: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """(rows,) the fold of each row: rows of one group are in one, and all are of about one size."""
    of_group = np.random.default_rng(seed).permutation(int(group.max()) + 1) % folds
    found: NDArray[np.int64] = of_group[group]
    return found


def learn_arms(
    frame: pd.DataFrame,
    treated: ArrayLike,
    kept: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    config: BoostingConfig = CONFIG,
) -> tuple[FeatureTable, Arms]:
    """The features, and who stays if contacted and if left alone; parameters as in UpliftLearner.fit."""
    rows = Rows.of(frame, treated, kept, None, groups)
    table = table_of(frame, config)
    encoded = table.encode(frame)
    fold = folds_of(rows.group, FOLDS, config.seed)
    found = [_of_arm(table, encoded, rows.kept, side, fold, config) for side in (rows.treated, ~rows.treated)]
    return table, Arms(found[0][0], found[1][0], found[0][1], found[1][1])


def _of_arm(
    table: FeatureTable,
    encoded: pd.DataFrame,
    kept: Floats,
    side: Bools,
    fold: NDArray[np.int64],
    config: BoostingConfig,
) -> tuple[Any, Floats]:
    """The model of one arm, and (rows,) what models that know nothing of the row's fold say of every row."""
    without = np.full(len(kept), np.nan)
    objective = {"objective": "binary", "metric": "binary_logloss"}
    rounds = []
    for one in range(FOLDS):
        # Rounds chosen on the fold that is foretold would be those that suit its outcomes: another one chooses them.
        choosing = fold == (one + 1) % FOLDS
        others = fold != one
        sides = (others & ~choosing & side, choosing & side)
        rounds.append(_fit(table, encoded, kept, sides, objective, config).num_trees())
        booster = _fit(table, encoded, kept, (others & side,), objective, config, rounds=rounds[-1])
        without[~others] = predict(booster, encoded[~others], threads=config.threads)
    return _fit(table, encoded, kept, (side,), objective, config, rounds=int(np.median(rounds))), without


def _fit(
    table: FeatureTable,
    encoded: pd.DataFrame,
    target: Floats,
    sides: tuple[Bools, ...],
    objective: Mapping[str, str],
    config: BoostingConfig,
    *,
    rounds: int | None = None,
) -> Any:
    parts = [Learning(encoded[side], target[side]) for side in sides]
    return fit_booster(
        table,
        parts[0],
        objective,
        config,
        monotone=[0] * len(table.names),
        rounds=rounds,
        held_out=parts[1] if len(parts) > 1 else None,
    )


def table_of(frame: pd.DataFrame, config: BoostingConfig) -> FeatureTable:
    """The features that are learned from."""
    return FeatureTable.learn(frame, learned_columns(frame, exclude=config.exclude))


def _yes_or_no(name: str, values: ArrayLike, rows: int) -> Bools:
    found = np.asarray(values)
    if found.shape != (rows,) or not np.isin(found, (0, 1)).all():
        raise DataError(f"'{name}' must be true or false in each of {rows} rows; got shape {found.shape}.")
    return found.astype(bool)


def learn_effect(
    table: FeatureTable, encoded: pd.DataFrame, guess: Floats, rows: Rows, side: Bools, config: BoostingConfig
) -> Any:
    """A regression of guessed effects on the rows of `side`; rounds are those that do best on customers left out."""
    objective = {"objective": "regression", "metric": "l2"}
    fold = folds_of(rows.group, EFFECT_FOLDS, config.seed + 1)
    rounds = [
        _fit(table, encoded, guess, (side & (fold != one), side & (fold == one)), objective, config).num_trees()
        for one in range(EFFECT_FOLDS)
    ]
    return _fit(table, encoded, guess, (side,), objective, config, rounds=int(np.median(rounds)))


def on(threads: int, seed: int, exclude: tuple[str, ...] = ()) -> BoostingConfig:
    """CONFIG with these."""
    return replace(CONFIG, threads=threads, seed=seed, exclude=exclude)
