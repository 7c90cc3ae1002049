"""A search for better settings of one model on one shop, by Optuna's TPE (Bergstra et al. 2011), within a budget.

The first trial is the defaults. The test cut-off is not touched: trials are judged on moments a horizon before it. The
best of many trials looks better than it is, so it is kept only when customers who judged no trial say so too: the whole
95 % interval of the difference to the defaults, customer by customer, is on the better side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from features.errors import DataError
from features.terminal import step
from training.metrics_ranking import bootstrap_interval, mean
from training.protocols import Context, Metric
from training.search_log import SearchLog, start_log
from training.searches import Judged, Range, Search, Settings, plan
from training.tracking import open_registry
from training.tuned import Tuned, forget, keep

LOCK = "tune"
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class _Trial:
    number: int
    settings: Settings
    judged: Judged
    seconds: float

    def as_json(self) -> Mapping[str, Any]:
        seconds = round(self.seconds, 2)
        return {"number": self.number, "value": self.judged.value, "seconds": seconds, "settings": self.settings}


@dataclass(frozen=True)
class Tuning:
    """What a search found: every trial, the best, and whether it was kept."""

    model: str
    metric: str
    higher_is_better: bool
    validation_as_of: str
    default: float
    best: float
    settings: Settings  # the best trial's
    gain: Metric  # of those settings, by customers who judged no trial: above 0 is better
    kept: bool
    why: str
    trials: tuple[Mapping[str, Any], ...]  # number, value, seconds, settings
    run_id: str  # of the search in MLflow
    seconds: float


def tune(context: Context, model: str, *, trials: int, minutes: float, search: Search | None = None) -> Tuning:
    """Try settings until so many trials are done or so many minutes are over, whichever comes first.

    What is better is kept in the data home, and the next training uses it; what is not leaves the defaults, and
    settings kept before are forgotten. `search`: that of the model, where at hand. Raises DataError where even the
    defaults cannot be fitted.
    """
    started = time.perf_counter()
    with context.home.lock(LOCK):
        if search is None:
            with step(f"Reading what {model} is tuned on"):
                search = plan(context, model)
        log = start_log(open_registry(context.home), search, {"most_trials": trials, "most_minutes": minutes})
        tried: list[_Trial] = []
        try:
            with step(f"Searching settings of {model}") as say:
                _search(search, log, tried, say, seed=context.settings.seed, trials=trials, minutes=minutes)
        except BaseException:
            log.stopped()
            raise
        return _conclude(context, search, log, tried, time.perf_counter() - started)


def _search(
    search: Search,
    log: SearchLog,
    tried: list[_Trial],
    say: Callable[[str], None],
    *,
    seed: int,
    trials: int,
    minutes: float,
) -> None:
    def objective(trial: optuna.Trial) -> float:
        settings = _suggested(search, trial)
        began = time.perf_counter()
        try:
            judged = search.judge(settings)
        except DataError:
            if trial.number == 0:
                raise
            log.trial(trial.number, settings, None, time.perf_counter() - began)
            raise optuna.TrialPruned from None
        seconds = time.perf_counter() - began
        log.trial(trial.number, settings, judged.value, seconds)
        tried.append(_Trial(trial.number, settings, judged, seconds))
        say(f"trial {trial.number + 1} of {trials}, best {search.metric} {_best(search, tried).judged.value:.4f}")
        return judged.value

    study = optuna.create_study(
        direction="maximize" if search.higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(min(trials // 3, 10), 1)),
    )
    study.enqueue_trial(dict(search.defaults))
    study.optimize(objective, n_trials=trials, timeout=minutes * 60)


def _suggested(search: Search, trial: optuna.Trial) -> Settings:
    found: dict[str, Any] = {}
    for name, values in search.space.items():
        if isinstance(values, Range):
            found[name] = trial.suggest_float(name, values.low, values.high, log=values.log)
        else:
            found[name] = trial.suggest_categorical(name, values)
    return found


def _best(search: Search, tried: Sequence[_Trial]) -> _Trial:
    return (max if search.higher_is_better else min)(tried, key=lambda trial: trial.judged.value)


def _conclude(context: Context, search: Search, log: SearchLog, tried: Sequence[_Trial], seconds: float) -> Tuning:
    default, best = tried[0], _best(search, tried)
    gain = gain_of(search, default.judged, best.judged, seed=context.settings.seed)
    is_kept = gain.low is not None and gain.low > 0
    told = (
        f"{search.metric} {best.judged.value:.4f} against {default.judged.value:.4f} of the defaults; by customers who "
        f"judged no trial better by {gain.value:+.4f}, 95% interval {gain.low:+.4f} to {gain.high:+.4f}"
    )
    if is_kept:
        why = f"{told}: kept, and used by the next training"
        found = Tuned(
            model=search.model,
            settings=best.settings,
            metric=search.metric,
            default=default.judged.value,
            best=best.judged.value,
            lake=context.lake.version,
            judged_until=search.judged_until.isoformat(),
            trials=len(tried),
        )
        keep(context.home, found)
    else:
        why = f"{told}: that may be chance, so the defaults stay"
        forget(context.home, search.model)
    log.end(default=default.judged.value, best=best.judged.value, settings=best.settings, gain=gain, verdict=why)
    return Tuning(
        model=search.model,
        metric=search.metric,
        higher_is_better=search.higher_is_better,
        validation_as_of=f"{search.validation_as_of:%Y-%m-%d}",
        default=default.judged.value,
        best=best.judged.value,
        settings=best.settings,
        gain=gain,
        kept=is_kept,
        why=why,
        trials=tuple(trial.as_json() for trial in tried),
        run_id=log.run_id,
        seconds=round(seconds, 2),
    )


def gain_of(search: Search, default: Judged, best: Judged, *, seed: int) -> Metric:
    """How much better the best is than the defaults, customer by customer, with its 95 % interval."""
    better = (best.held_back - default.held_back) * (1 if search.higher_is_better else -1)
    ((low, high),) = bootstrap_interval(better[:, None], np.random.default_rng(seed))
    return Metric("gain", mean(better), float(low), float(high))
