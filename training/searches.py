"""What a search for settings tries, and how it judges them: on moments that end where the test cut-off begins.

Half of the customers judge the trials. The other half is held back: the best of many trials looks better than it is to
those who chose it, and not to those who did not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.engine import connect
from features.horizon import shop_rhythm
from features.matrix import day_number, read_purchases
from features.schema import C
from training.boosting import BoostingConfig
from training.candidates.attributes import read_attributes
from training.metrics_ranking import mean
from training.outcome_backtest import answers, at, choose, predict_with, read_past, read_setting
from training.pair_table import CandidateSources
from training.protocols import Context
from training.ranking import Ranker, RankerConfig
from training.ranking_backtest import RankingTest
from training.splits import cutoff_split
from training.two_stage import RecommenderConfig, ranking_tasks, recommend
from training.value import VARIANCE_POWER

NDCG, LOG_LOSS, DEVIANCE = "ndcg@10", "log_loss", "tweedie_deviance"
K = 10
#: Customers asked of each past moment in a search: the order of settings shows on fewer than a training takes.
CUSTOMERS_PER_MOMENT = 4_000

Settings = Mapping[str, float | int | str]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """The metric of those who judge, and (customers,) that of each who is held back, NaN where it is not defined."""

    value: float
    held_back: Floats


@dataclass(frozen=True)
class Range:
    """Numbers between two ends; on a logarithmic scale where that says more."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Range | tuple[Any, ...]]  # a tuple: one of these

RANKER_SPACE: Space = {
    "objective": ("lambdarank", "binary"),
    "num_leaves": (7, 15, 31, 63),
    "learning_rate": Range(0.02, 0.15, log=True),
    "feature_fraction": Range(0.2, 0.9),
    "bagging_fraction": Range(0.4, 1.0),
    "lambda_l2": Range(1.0, 100.0, log=True),
    "truncation": (10, 20, 40),
    "negatives_kept": Range(0.1, 0.6),
}
BOOSTING_SPACE: Space = {
    "num_leaves": (3, 4, 8, 16, 31),
    "learning_rate": Range(0.015, 0.15, log=True),
    "min_rows_in_leaf": (50, 100, 200, 400),
    "feature_fraction": Range(0.15, 0.9),
    "bagging_fraction": Range(0.4, 1.0),
    "lambda_l2": Range(0.5, 100.0, log=True),
}


@dataclass(frozen=True)
class Search:
    """A space of settings, the defaults to beat, and the judge: settings in, the metric on validation out."""

    model: str
    metric: str
    higher_is_better: bool
    space: Space
    defaults: Settings
    validation_as_of: datetime  # the newest moment judged on
    judged_until: datetime  # a horizon later
    judge: Callable[[Settings], Judged]


def plan(context: Context, model: str) -> Search:
    """The search for one model; what its trials share is read and computed here, once.

    Raises DataError where the history has no room for a validation before the test cut-off.
    """
    return _recommender(context) if model == "recommender" else _outcome(context, model)


def _recommender(context: Context) -> Search:
    settings, backend = context.settings, connect(context.settings)
    horizon, cutoffs = shop_rhythm(context.lake, backend, settings)
    moment = cutoffs.test - timedelta(days=horizon.days)
    # Nothing after the test cut-off is read.
    purchases = read_purchases(context.lake, backend).before(day_number(cutoffs.test))
    question = cutoff_split(purchases, as_of_day=day_number(moment), horizon_days=horizon.days)
    attributes = read_attributes(context.lake, backend, purchases)
    config = RecommenderConfig().on(threads=settings.threads, seed=settings.seed)
    config = replace(config, tasks=replace(config.tasks, max_customers=CUSTOMERS_PER_MOMENT))
    tasks = list(ranking_tasks(question, config, horizon_days=horizon.days, attributes=attributes))
    sources = CandidateSources(config.candidates, attributes).fit(question.history)
    test = RankingTest(question, attributes, settings.seed, (K,))
    judges = np.random.default_rng(settings.seed).random(len(question.customers)) < 0.5

    def judge(tried: Settings) -> Judged:
        chosen: Any = dict(tried)
        ranker = Ranker(replace(config.ranker, **chosen)).fit(tasks)
        each = test.each(recommend(sources, ranker, question.customers, question.moment, depth=K).lists)[NDCG]
        return Judged(mean(each[judges]), each[~judges])

    defaults = _defaults(RankerConfig(), RANKER_SPACE)
    return Search("recommender", NDCG, True, RANKER_SPACE, defaults, moment, cutoffs.test, judge)


def _outcome(context: Context, model: str) -> Search:
    setting = read_setting(context, model)
    question, moments = setting.question, setting.moments
    rows = read_past(context, setting, sorted({*moments.validation, *moments.fit}))
    held_back = half_of(rows[C.CUSTOMER_ID])
    checks = at(rows[held_back], moments.validation)
    # The held back must not say either when a booster stops.
    known = rows[~held_back | rows[C.AS_OF].isin(moments.fit)]

    def loss(frame: pd.DataFrame, fitted: Any) -> Floats:
        actual, predicted = answers(question, frame), predict_with(question, fitted, frame)
        return deviance(actual, predicted) if question.is_amount else surprise(actual, predicted)

    def judge(tried: Settings) -> Judged:
        chosen: Any = dict(tried)
        fitted, judges = choose(replace(setting, config=replace(setting.config, **chosen)), known)
        each = pd.Series(loss(checks, fitted)).groupby(checks[C.CUSTOMER_ID].to_numpy()).mean()
        return Judged(float(loss(judges, fitted).mean()), np.asarray(each, dtype=np.float64))

    metric = DEVIANCE if question.is_amount else LOG_LOSS
    newest = moments.validation[0]
    until = newest + timedelta(days=setting.horizon_days)
    defaults = _defaults(question.config, BOOSTING_SPACE)
    return Search(model, metric, False, BOOSTING_SPACE, defaults, newest, until, judge)


def half_of(customers: pd.Series) -> NDArray[np.bool_]:
    """(rows,) whether the customer is of one half of all: by a hash of the id, so the same at every moment."""
    return np.asarray(pd.util.hash_pandas_object(customers, index=False).to_numpy(np.uint64) % 2 == 1)


def surprise(happened: NDArray[Any], probability: Floats) -> Floats:
    """(rows,) log loss of each row."""
    said = np.where(happened.astype(bool), probability, 1 - probability)
    found: Floats = -np.log(np.clip(said, 1e-12, 1))
    return found


def deviance(actual: Floats, predicted: Floats) -> Floats:
    """(rows,) Tweedie deviance of each row at the power the value model learns by (Jørgensen 1987)."""
    p, expected = VARIANCE_POWER, np.maximum(predicted, 1e-9)
    best = actual ** (2 - p) / ((1 - p) * (2 - p))
    found: Floats = 2 * (best - actual * expected ** (1 - p) / (1 - p) + expected ** (2 - p) / (2 - p))
    return found


def _defaults(config: RankerConfig | BoostingConfig, space: Space) -> Settings:
    return {name: value for name, value in asdict(config).items() if name in space}
