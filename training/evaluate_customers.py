"""`regulars evaluate churn|propensity|value`: ours and the peers on one test cut-off, by the same metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.engine import connect
from features.labels import ACTIVE_RULE, BOUGHT, DAYS_TO_NEXT_ORDER, VISITS_FOLLOWED
from features.schema import ORDER_LINES, C
from training.conformal import interval_metrics
from training.metrics_outcome import amount_metrics, probability_metrics, ranking_of, with_intervals
from training.outcome_backtest import PROBABILITIES, BackTest, Question, predict_with, read_setting, run_backtest
from training.outcome_model import RETURN_TIME
from training.protocols import Context, Evaluation, Metric
from training.return_backtest import return_metrics, return_peers
from training.value import LIFETIME
from training.verdicts import FEW_EVENTS

OURS = "regulars"
SPLIT = "cutoff"
#: Draws of the bootstrap; fewer where there are many customers, whose intervals are narrow anyway.
RESAMPLES, FEW_RESAMPLES, MANY = 200, 40, 50_000

Floats = NDArray[np.float64]


def measure(backtest: BackTest, name: str, scores: Floats) -> dict[str, float]:
    """Every metric that applies: those of amounts, of probabilities, or of a ranking alone."""
    if backtest.setting.question.is_amount:
        return amount_metrics(backtest.actual, scores)
    if name == OURS or name in PROBABILITIES:
        return probability_metrics(backtest.actual, scores)
    return ranking_of(backtest.actual, scores)


def our_metrics(backtest: BackTest, model: Any) -> list[Metric]:
    """Every metric of a model of ours on the test, with 95% bootstrap intervals over customers."""
    predicted = predict_with(backtest.setting.question, model, backtest.test)
    return [*_metrics_of(backtest, predicted), *beside_metrics(backtest, model, predicted)]


def beside_metrics(backtest: BackTest, model: Any, predicted: Floats) -> list[Metric]:
    """Metrics of the time to the next order, where the model is asked for it too; their names begin with its name."""
    if backtest.setting.question.is_amount:
        return _value_metrics(backtest, model, predicted)
    if backtest.setting.question.label != BOUGHT or model.return_time_ is None:
        return []
    days = backtest.setting.horizon_days
    curves = model.return_time_.curves(backtest.test).through(predicted, float(days))
    found = return_metrics(curves, backtest.test[DAYS_TO_NEXT_ORDER].to_numpy(float), days)
    return [Metric(f"{RETURN_TIME}.{name}", value) for name, value in found.items()]


def _value_metrics(backtest: BackTest, model: Any, predicted: Floats) -> list[Metric]:
    """Of the intervals of spend; of the lifetime model, over the horizon (`orders_`) and a longer time (`long_`)."""
    found: dict[str, float] = {}
    if model.intervals_ is not None:
        found |= interval_metrics(backtest.actual, *model.intervals_(predicted))
    if model.lifetime_ is not None:
        orders = model.lifetime_.expected_orders(backtest.test, float(backtest.setting.horizon_days))
        came = backtest.test[VISITS_FOLLOWED].to_numpy(float)
        found |= {f"{LIFETIME}.orders_{name}": value for name, value in amount_metrics(came, orders).items()}
        found |= {f"{LIFETIME}.long_{name}": value for name, value in model.lifetime_.looked_back_.items()}
    return [Metric(name, value) for name, value in found.items()]


def _metrics_of(backtest: BackTest, predicted: Floats) -> list[Metric]:
    rng = np.random.default_rng(backtest.setting.config.seed)
    resamples = RESAMPLES if len(predicted) <= MANY else FEW_RESAMPLES
    question = backtest.setting.question
    return with_intervals(
        amount_metrics if question.is_amount else probability_metrics,
        backtest.actual,
        predicted,
        rng=rng,
        resamples=resamples,
        customers=backtest.test[C.CUSTOMER_ID].to_numpy(object),
    )


def peer_metrics(backtest: BackTest) -> dict[str, dict[str, float]]:
    """Every metric of every peer, by its name."""
    found = {name: measure(backtest, name, scores) for name, scores in backtest.peers.items()}
    if backtest.setting.question.label == BOUGHT:
        waited = backtest.test[DAYS_TO_NEXT_ORDER].to_numpy(float)
        for name, values in return_peers(backtest.test, waited, backtest.setting.horizon_days).items():
            found[name] = {f"{RETURN_TIME}.{metric}": value for metric, value in values.items()}
    return found


def not_beaten(backtest: BackTest, ours: Mapping[str, float], peers: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A sentence for each peer that is better by the metric of the gate."""
    metric = gate_metric(backtest)
    sign = -1.0 if backtest.setting.question.is_amount else 1.0
    return [
        f"{name} is better on {metric}: {values[metric]:.4f}, ours {ours[metric]:.4f}"
        for name, values in peers.items()
        if metric in values and sign * values[metric] > sign * ours[metric]
    ]


def told(backtest: BackTest, ours: Mapping[str, float], peers: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What a reader of the numbers should know: peers not beaten, and a test too small to be sure of."""
    notes = not_beaten(backtest, ours, peers)
    happened = int((backtest.actual > 0).sum())
    rarer = happened if backtest.setting.question.is_amount else min(happened, len(backtest.actual) - happened)
    if rarer < FEW_EVENTS:
        asked = backtest.setting.question.asked
        notes.append(
            f"only {rarer} of the {len(backtest.test):,} {asked} tested are on the rarer side, so every figure is "
            "uncertain: see its interval"
        )
    return notes


def gate_metric(backtest: BackTest) -> str:
    """The metric by which versions of the model are compared."""
    return metric_of(backtest.setting.question)


def metric_of(question: Question) -> str:
    """The one metric that says how well a question is answered."""
    return "mae" if question.is_amount else "auc"


def evaluate_customers(
    context: Context, model: str, *, as_of: datetime | None = None, seed: int | None = None
) -> Evaluation:
    """Ours and every peer, asked about the same customers as of one cut-off. `model` is churn, propensity or value.

    Ours learned from what was known a horizon before the cut-off or earlier. Ends of our 95% intervals are `low` and
    `high` in data.intervals. Raises DataError where the data are too few, or the horizon has not passed yet.
    """
    started = time.perf_counter()
    setting = read_setting(context, model, as_of=as_of, seed=seed)
    backtest = run_backtest(context, setting)
    ours = our_metrics(backtest, backtest.model)
    values = {metric.name: metric.value for metric in ours}
    peers = peer_metrics(backtest)
    results = {OURS: values, **peers}
    return Evaluation(
        model=model,
        split=SPLIT,
        data=_described(context, backtest, ours),
        results={name: {metric: float(value) for metric, value in found.items()} for name, found in results.items()},
        seconds=round(time.perf_counter() - started, 2),
        notes=told(backtest, values, peers),
    )


def _described(context: Context, backtest: BackTest, ours: list[Metric]) -> dict[str, Any]:
    setting = backtest.setting
    lines = context.lake.tables(connect(context.settings))[ORDER_LINES.name]
    known = lines.filter((lines[C.ORDERED_AT] < setting.moments.test) & (lines[C.QUANTITY] > 0))
    orders = int(known.select(C.CUSTOMER_ID, C.ORDER_ID).distinct().count().execute())
    products = int(known[C.PRODUCT_ID].nunique().execute())
    rate = {"mean_spend": float(backtest.actual.mean())} if setting.question.is_amount else {}
    return {
        "customers": len(backtest.test),
        "products": products,
        "orders": orders,
        "hash": context.lake.version,
        "as_of": f"{setting.moments.test:%Y-%m-%d}",
        "horizon_days": setting.horizon_days,
        "asked_of": f"active customers: {ACTIVE_RULE}" if setting.question.active_only else "everybody who ever bought",
        "predicted": setting.event,
        "base_rate": float((backtest.actual > 0).mean()),
        **rate,
        "learned_from": [f"{moment:%Y-%m-%d}" for moment in setting.moments.refit],
        "intervals": {m.name: {"low": m.low, "high": m.high} for m in ours if m.low is not None},
    }
