"""A rolling-origin back-test: a model learned and tested anew at one cut-off after another (Tashman 2000).

One cut-off says how a model did in one month. Several, each learned from what was known before it alone, say how it
does, and whether it is ahead of the best simple rule in all of them together, which one month is too few to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error

from features.schema import C
from training.evaluate_customers import OURS, metric_of, our_metrics, peer_metrics
from training.grades import grade
from training.metrics_outcome import auc_or_nan, paired_difference
from training.outcome_backtest import BackTest, read_setting, run_backtest
from training.protocols import Context, Metric
from training.report_runs import Report
from training.rolling import rolling_report, walk_back
from training.segments import Group, all_groups, read_by_groups

#: Cut-offs tested at, where nothing else is asked for.
CUTOFFS = 6
#: Draws of the bootstrap of the paired difference.
RESAMPLES = 300

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CutOff:
    """One cut-off: who was asked about (ids), what was said, what came, and how good that was."""

    model: str
    as_of: datetime
    customers: NDArray[np.object_]
    actual: NDArray[Any]
    predicted: Floats
    peers: Mapping[str, Floats]
    metrics: Sequence[Metric]
    peer_metrics: Mapping[str, Mapping[str, float]]

    @property
    def grade(self) -> str:
        """Of these predictions alone."""
        found = grade(self.model, flat(self.metrics, self.peer_metrics))
        return "" if found is None else found.grade


@dataclass(frozen=True)
class Rolling:
    """A model at several cut-offs, oldest first; `ahead` is how far it is ahead of `best_peer` in all of them."""

    model: str
    metric: str
    horizon_days: int
    event: str
    is_amount: bool
    tested: Sequence[CutOff]
    best_peer: str
    ahead: Metric
    groups: Sequence[Group]  # over all cut-offs together; a customer counts at each
    stopped: str | None  # why there are no earlier cut-offs, where there are fewer than were asked for

    @property
    def is_ahead(self) -> bool:
        """Whether the whole interval of the difference is on the better side."""
        if self.ahead.low is None or self.ahead.high is None:
            return False
        return self.ahead.high < 0 if self.is_amount else self.ahead.low > 0

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "predicted": self.event,
            "horizon_days": self.horizon_days,
            "metric": self.metric,
            "cutoffs": [_as_json(one) for one in self.tested],
            "mean": self.mean(),
            "best_peer": self.best_peer,
            "ahead": {"value": self.ahead.value, "low": self.ahead.low, "high": self.ahead.high},
            "is_ahead": self.is_ahead,
            "groups": [group.as_json() for group in self.groups],
            "stopped": self.stopped,
        }

    def mean(self) -> dict[str, dict[str, float]]:
        """Each metric's mean over the cut-offs, ours and of each peer."""
        names = [OURS, *self.tested[0].peer_metrics]
        found: dict[str, dict[str, float]] = {}
        for name in names:
            each = [_values(one) if name == OURS else one.peer_metrics[name] for one in self.tested]
            shared = [metric for metric in each[0] if all(metric in values for values in each)]
            found[name] = {metric: float(np.mean([values[metric] for values in each])) for metric in shared}
        return found

    def pooled(self) -> tuple[NDArray[Any], Floats]:
        """What came and what was said, of all cut-offs one after another."""
        return _pooled(self.tested)


def rolling_backtest(context: Context, model: str, *, cutoffs: int = CUTOFFS, every_days: int | None = None) -> Rolling:
    """The model at up to so many cut-offs, the newest that of `regulars evaluate`, `every_days` (a horizon) apart.

    Raises DataError where there is not even one.
    """
    newest = read_setting(context, model)
    horizon = newest.horizon_days

    def test(moment: datetime) -> tuple[CutOff, pd.DataFrame]:
        backtest = run_backtest(context, read_setting(context, model, as_of=moment))
        # All the features of every cut-off would fill the memory of a large shop; the groups read few.
        return _tested(backtest), read_by_groups(backtest.test)

    found, stopped = walk_back(
        model, newest.moments.test, test, cutoffs=cutoffs, horizon_days=horizon, every_days=every_days
    )
    tested = [one for one, _ in found]
    metric = metric_of(newest.question)
    peer = best_peer(tested, metric, lower=newest.question.is_amount)
    lead = paired_difference(
        mean_absolute_error if newest.question.is_amount else auc_or_nan,
        [one.customers for one in tested],
        [one.actual for one in tested],
        [one.predicted for one in tested],
        [one.peers[peer] for one in tested],
        rng=np.random.default_rng(newest.config.seed),
        resamples=RESAMPLES,
    )
    is_amount = newest.question.is_amount
    together = pd.concat([described for _, described in found], ignore_index=True)
    groups = all_groups(together, *_pooled(tested), horizon_days=horizon, is_amount=is_amount)
    return Rolling(model, metric, horizon, newest.event, is_amount, tested, peer, lead, groups, stopped)


def best_peer(tested: Sequence[CutOff], metric: str, *, lower: bool) -> str:
    """The peer that does best on average: the one to be ahead of."""
    means = {
        name: float(np.mean([one.peer_metrics[name][metric] for one in tested]))
        for name in tested[0].peers
        if all(metric in one.peer_metrics[name] for one in tested)
    }
    return (min if lower else max)(means, key=lambda name: means[name])


def flat(metrics: Sequence[Metric], peers: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Under the names by which a version's metrics are kept."""
    found = {metric.name: metric.value for metric in metrics}
    for metric in metrics:
        ends = {"low": metric.low, "high": metric.high}
        found |= {f"{metric.name}_{end}": value for end, value in ends.items() if value is not None}
    return found | {f"peer.{name}.{key}": value for name, values in peers.items() for key, value in values.items()}


def _pooled(tested: Sequence[CutOff]) -> tuple[NDArray[Any], Floats]:
    return np.concatenate([one.actual for one in tested]), np.concatenate([one.predicted for one in tested])


def _tested(backtest: BackTest) -> CutOff:
    return CutOff(
        model=backtest.setting.question.model,
        as_of=backtest.setting.moments.test,
        customers=backtest.test[C.CUSTOMER_ID].to_numpy(object),
        actual=backtest.actual,
        predicted=backtest.predicted,
        peers=backtest.peers,
        metrics=our_metrics(backtest, backtest.model),
        peer_metrics=peer_metrics(backtest),
    )


def _values(one: CutOff) -> dict[str, float]:
    return {metric.name: metric.value for metric in one.metrics}


def _as_json(one: CutOff) -> dict[str, Any]:
    return {
        "as_of": f"{one.as_of:%Y-%m-%d}",
        "customers": len(one.actual),
        "happened": float(one.actual.mean()),
        "predicted": float(one.predicted.mean()),
        "grade": one.grade,
        "results": {
            OURS: {m.name: {"value": m.value, "low": m.low, "high": m.high} for m in one.metrics},
            **one.peer_metrics,
        },
    }


def report_of(found: Rolling, lake: str, pictures: Sequence[Path]) -> Report:
    """What is logged: each metric at each cut-off as a step of its own, ours and the peers', and the difference."""
    each = [flat(one.metrics, one.peer_metrics) for one in found.tested]
    shared = [name for name in each[0] if all(name in values for values in each)]
    told = found.as_json()
    return rolling_report(
        found.model,
        [one.as_of for one in found.tested],
        {name: [values[name] for values in each] for name in shared},
        found.ahead,
        metric=found.metric,
        best_peer=found.best_peer,
        horizon_days=found.horizon_days,
        lake=lake,
        pictures=pictures,
        tables={
            "cutoffs": [{key: row[key] for key in row if key != "results"} for row in told["cutoffs"]],
            "groups": told["groups"],
        },
    )
