"""Gradient boosting (LightGBM) as churn, propensity and value use it: few leaves, much shrinkage, repeatable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError
from training.feature_table import FeatureTable
from training.tree_tables import tree_tables

#: The file of a booster in a bundle.
BOOSTER = "model.txt"
#: Rows predicted at a time: LightGBM copies what it is given.
BATCH = 100_000
#: With fewer rows a tree takes milliseconds: a second thread saves little of them, and where another process holds its
#: core LightGBM waits for it at every step, fifty times as long.
ONE_THREAD = 250_000
#: From so many rows on, making tables of the trees takes less time than it saves.
MANY = 10_000


@dataclass(frozen=True)
class BoostingConfig:
    """Settings of one booster. The defaults were chosen on earlier cut-offs than any test and adapt to the rows."""

    num_leaves: int = 4
    learning_rate: float = 0.04
    max_rounds: int = 800
    patience: int = 50
    min_rows_in_leaf: int = 200  # at most; smaller data lower it
    feature_fraction: float = 0.3
    bagging_fraction: float = 0.6
    lambda_l2: float = 20.0
    max_bin: int = 127
    threads: int = 1
    seed: int = 0
    exclude: tuple[str, ...] = ()  # names or patterns of features not to learn from

    def params(self, objective: Mapping[str, Any], *, rows: int, monotone: Sequence[int]) -> dict[str, Any]:
        """What LightGBM is told, for this many training rows."""
        return {
            **objective,
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": int(np.clip(rows // 50, 5, self.min_rows_in_leaf)),
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.lambda_l2,
            "max_bin": self.max_bin,
            "monotone_constraints": list(monotone),
            "num_threads": self.threads if rows >= ONE_THREAD else 1,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }


@dataclass(frozen=True)
class Learning:
    """What a booster learns from: encoded features (rows, features), and a target for each row.

    `offset` (rows,), where given, is what each row's score starts from instead of the mean of the target.
    """

    features: pd.DataFrame
    target: NDArray[np.float64]
    offset: NDArray[np.float64] | None = None


def fit_booster(
    table: FeatureTable,
    learning: Learning,
    objective: Mapping[str, Any],
    config: BoostingConfig,
    *,
    monotone: Sequence[int],
    rounds: int | None = None,
    held_out: Learning | None = None,
) -> Any:
    """A booster of `rounds`, or of as many as are best on `held_out`. The same input gives the same booster."""
    import lightgbm as lgb

    params = config.params(objective, rows=len(learning.target), monotone=monotone)

    def dataset(part: Learning, reference: Any = None) -> Any:
        return lgb.Dataset(
            part.features.to_numpy(),
            label=part.target,
            init_score=part.offset,
            feature_name=list(table.names),
            categorical_feature=table.category_places,
            params=params,
            reference=reference,
        )

    train = dataset(learning)
    if held_out is None:
        return lgb.train(params, train, rounds or config.max_rounds)
    stop = lgb.early_stopping(config.patience, verbose=False)
    booster = lgb.train(
        params, train, rounds or config.max_rounds, valid_sets=[dataset(held_out, train)], callbacks=[stop]
    )
    # Read back, cut at the best round, so that whoever predicts with it later needs not remember the round.
    return lgb.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))


def predict(booster: Any, features: pd.DataFrame, *, threads: int, contributions: bool = False) -> NDArray[np.float64]:
    """(rows,) predictions; with `contributions` (rows, features + 1), the last column the same for every row.

    Boosters of small trees are taken as tables, which give what LightGBM gives several times faster.
    """
    values = features.to_numpy()
    tables = tree_tables(booster) if contributions or len(values) >= MANY else None
    if tables is None:
        return _predict(booster, values, threads=threads, contributions=contributions)
    if not contributions:
        return tables.predict(values, threads=threads)
    return np.column_stack((tables.contributions(values, threads=threads), np.full(len(values), tables.base)))


def _predict(booster: Any, values: NDArray[np.float64], *, threads: int, contributions: bool) -> NDArray[np.float64]:
    parts = [
        booster.predict(values[start : start + BATCH], num_threads=threads, pred_contrib=contributions)
        for start in range(0, max(len(values), 1), BATCH)
        if len(values)
    ]
    width = (values.shape[1] + 1,) if contributions else ()
    found: NDArray[np.float64] = np.concatenate(parts) if parts else np.empty((0, *width))
    return found


def save_booster(booster: Any, path: Path) -> None:
    """Write LightGBM text."""
    booster.save_model(str(path))


def load_booster(path: Path) -> Any:
    """The booster of a LightGBM text file. Raises DataError where it is missing or not one."""
    import lightgbm as lgb

    if not path.is_file():
        raise DataError(f"{path} is missing: the bundle is not whole. Train again.")
    try:
        return lgb.Booster(model_file=str(path))
    except lgb.basic.LightGBMError as error:
        raise DataError(f"{path} is not a LightGBM model ({error}). Train again.") from None
