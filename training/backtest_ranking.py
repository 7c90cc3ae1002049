"""A rolling-origin back-test of the recommender (Tashman 2000): learned and asked anew at one cut-off after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.engine import connect
from features.horizon import shop_rhythm
from features.matrix import Purchases, day_number, read_purchases
from training.baselines import baselines
from training.candidates.attributes import Attributes, read_attributes
from training.metrics_ranking import KS
from training.pair_table import CandidateSources
from training.protocols import Context, Metric
from training.ranking_backtest import BEST_BY, OURS, RankingTest, best_baseline
from training.report_runs import Report
from training.rolling import rolling_report, walk_back
from training.splits import cutoff_split
from training.two_stage import RecommenderConfig, learn_ranker, recommend

MODEL = "recommender"
#: Draws of the bootstrap of the difference over all cut-offs.
RESAMPLES = 500

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankingCutOff:
    """One cut-off: who was asked (codes of customers), and how good the lists were, ours and the baselines'."""

    as_of: datetime
    customers: NDArray[np.int32]
    metrics: Sequence[Metric]
    peer_metrics: Mapping[str, Mapping[str, float]]
    each: Mapping[str, Floats]  # (customers,) BEST_BY of ours and of each baseline
    bands: Sequence[Mapping[str, Any]]  # beside the baseline that is best at this cut-off

    @property
    def peers(self) -> Sequence[str]:
        """Names of the baselines."""
        return list(self.peer_metrics)


@dataclass(frozen=True)
class RankingRolling:
    """The recommender at several cut-offs, oldest first; `ahead` is of `best_peer` over all of them together."""

    horizon_days: int
    tested: Sequence[RankingCutOff]
    best_peer: str
    ahead: Metric
    stopped: str | None  # why there are no earlier cut-offs, where there are fewer than were asked for
    model: str = MODEL
    metric: str = BEST_BY

    @property
    def is_ahead(self) -> bool:
        """Whether the whole interval of the difference is above zero."""
        return self.ahead.low is not None and self.ahead.low > 0

    def mean(self) -> dict[str, dict[str, float]]:
        """Each metric's mean over the cut-offs, ours and of each baseline."""
        each = [{OURS: {m.name: m.value for m in one.metrics}, **one.peer_metrics} for one in self.tested]
        return {
            name: {metric: float(np.mean([found[name][metric] for found in each])) for metric in each[0][name]}
            for name in each[0]
        }

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "predicted": f"products bought in {self.horizon_days} days",
            "horizon_days": self.horizon_days,
            "metric": self.metric,
            "cutoffs": [
                {
                    "as_of": f"{one.as_of:%Y-%m-%d}",
                    "customers": len(one.customers),
                    "results": {
                        OURS: {m.name: {"value": m.value, "low": m.low, "high": m.high} for m in one.metrics},
                        **one.peer_metrics,
                    },
                    "bands": list(one.bands),
                }
                for one in self.tested
            ],
            "mean": self.mean(),
            "best_peer": self.best_peer,
            "ahead": {"value": self.ahead.value, "low": self.ahead.low, "high": self.ahead.high},
            "is_ahead": self.is_ahead,
            "stopped": self.stopped,
        }


def rolling_ranking(context: Context, *, cutoffs: int, every_days: int | None = None) -> RankingRolling:
    """The recommender at up to so many cut-offs, the newest that of `regulars evaluate`, `every_days` apart.

    Each learns from what was known before it alone. Raises DataError where there is not even one.
    """
    settings, backend = context.settings, connect(context.settings)
    horizon, moments = shop_rhythm(context.lake, backend, settings)
    purchases = read_purchases(context.lake, backend)
    attributes = read_attributes(context.lake, backend, purchases)
    tested, stopped = walk_back(
        MODEL,
        moments.test,
        lambda moment: _tested(context, purchases, attributes, moment, horizon.days),
        cutoffs=cutoffs,
        horizon_days=horizon.days,
        every_days=every_days,
    )
    means = {
        name: {BEST_BY: float(np.mean([one.peer_metrics[name][BEST_BY] for one in tested]))} for name in tested[0].peers
    }
    best = best_baseline(means)
    lead = pooled_difference(
        [one.customers for one in tested],
        [one.each[OURS] - one.each[best] for one in tested],
        rng=np.random.default_rng(settings.seed),
    )
    return RankingRolling(horizon.days, tested, best, lead, stopped)


def pooled_difference(
    customers: Sequence[NDArray[np.int32]], differences: Sequence[Floats], *, rng: np.random.Generator
) -> Metric:
    """The mean over cut-offs of the mean difference at each, with its 95% interval.

    A customer is drawn with all of their cut-offs (a cluster bootstrap): one who is easy in May is easy in June.
    """
    everybody, codes = np.unique(np.concatenate(customers), return_inverse=True)
    columns = np.repeat(np.arange(len(customers)), [len(asked) for asked in customers])
    values = np.full((len(everybody), len(customers)), np.nan)
    values[codes, columns] = np.concatenate(differences)
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)

    def mean_of(weights: Floats) -> float:
        return float(np.mean((weights @ filled) / np.maximum(weights @ known, 1.0)))

    n = len(everybody)
    draws = [mean_of(np.bincount(rng.integers(n, size=n), minlength=n).astype(float)) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return Metric("ahead", mean_of(np.ones(n)), float(low), float(high))


def _tested(
    context: Context, purchases: Purchases, attributes: Attributes, moment: datetime, horizon_days: int
) -> RankingCutOff:
    settings = context.settings
    config = RecommenderConfig.of_shop(context.home, as_of=moment).on(threads=settings.threads, seed=settings.seed)
    question = cutoff_split(purchases, as_of_day=day_number(moment), horizon_days=horizon_days)
    ranker = learn_ranker(question, config, horizon_days=horizon_days, attributes=attributes)
    sources = CandidateSources(config.candidates, attributes).fit(question.history)
    ours = recommend(sources, ranker, question.customers, question.moment, depth=max(KS)).lists
    lists = {OURS: ours, **baselines(question, sources, max(KS))}
    test = RankingTest(question, attributes, settings.seed)
    peers = {name: test.means(listed) for name, listed in lists.items() if name != OURS}
    return RankingCutOff(
        as_of=moment,
        customers=question.customers,
        metrics=test.metrics(ours),
        peer_metrics=peers,
        each={name: test.each(listed)[BEST_BY] for name, listed in lists.items()},
        bands=test.bands(ours, lists[best_baseline(peers)]),
    )


def ranking_report(found: RankingRolling, lake: str, pictures: Sequence[Path]) -> Report:
    """What is logged: each metric at each cut-off as a step of its own, ours and the baselines', and the difference."""
    ours = {m.name: [_value(one, m.name) for one in found.tested] for m in found.tested[0].metrics}
    peers = {
        f"peer.{name}.{metric}": [one.peer_metrics[name][metric] for one in found.tested]
        for name, values in found.tested[0].peer_metrics.items()
        for metric in values
    }
    return rolling_report(
        MODEL,
        [one.as_of for one in found.tested],
        ours | peers,
        found.ahead,
        metric=found.metric,
        best_peer=found.best_peer,
        horizon_days=found.horizon_days,
        lake=lake,
        pictures=pictures,
        tables={"bands": found.tested[-1].bands},
    )


def _value(one: RankingCutOff, name: str) -> float:
    return next(metric.value for metric in one.metrics if metric.name == name)
