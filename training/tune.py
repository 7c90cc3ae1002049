"""A search for better settings of one model on one shop, by Optuna's TPE (Bergstra et al. 2011), within a budget.

The first trial is the defaults. The test cut-off is not touched: trials are judged on moments a horizon before it. As
the best of many trials looks better than it is, settings are kept only when they win by LEAST_GAIN.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from features.errors import DataError
from features.terminal import step
from training.protocols import Context
from training.search_log import SearchLog, start_log
from training.searches import Range, Search, Settings, plan
from training.tracking import open_registry
from training.tuned import Tuned, forget, keep

LOCK = "tune"
#: Part of the metric that settings must gain on the defaults to be kept: less is chance.
LEAST_GAIN = 0.005

optuna.logging.set_verbosity(optuna.logging.WARNING)


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
        tried: list[Mapping[str, Any]] = []
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
    tried: list[Mapping[str, Any]],
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
            value = search.judge(settings)
        except DataError:
            if trial.number == 0:
                raise
            log.trial(trial.number, settings, None, time.perf_counter() - began)
            raise optuna.TrialPruned from None
        seconds = time.perf_counter() - began
        log.trial(trial.number, settings, value, seconds)
        tried.append({"number": trial.number, "value": value, "seconds": round(seconds, 2), "settings": settings})
        best = max if search.higher_is_better else min
        say(f"trial {trial.number + 1} of {trials}, best {search.metric} {best(t['value'] for t in tried):.4f}")
        return value

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


def _conclude(
    context: Context, search: Search, log: SearchLog, tried: list[Mapping[str, Any]], seconds: float
) -> Tuning:
    default = tried[0]["value"]
    best = (max if search.higher_is_better else min)(tried, key=lambda trial: trial["value"])
    gain = (best["value"] - default) * (1 if search.higher_is_better else -1)
    is_kept = gain >= LEAST_GAIN * abs(default) and gain > 0
    told = f"{search.metric} {best['value']:.4f} against {default:.4f} of the defaults"
    if is_kept:
        why = f"{told}: kept, and used by the next training"
        found = Tuned(
            search.model, best["settings"], search.metric, default, best["value"], context.lake.version,
            search.judged_until.isoformat(), len(tried),
        )  # fmt: skip
        keep(context.home, found)
    else:
        why = f"{told}: less than {LEAST_GAIN:.1%} better is chance, so the defaults stay"
        forget(context.home, search.model)
    log.end(default=default, best=best["value"], settings=best["settings"], verdict=why)
    return Tuning(
        model=search.model,
        metric=search.metric,
        higher_is_better=search.higher_is_better,
        validation_as_of=f"{search.validation_as_of:%Y-%m-%d}",
        default=default,
        best=best["value"],
        settings=best["settings"],
        kept=is_kept,
        why=why,
        trials=tuple(tried),
        run_id=log.run_id,
        seconds=round(seconds, 2),
    )
