"""What every rolling-origin back-test shares: the walk back from cut-off to cut-off, and what of it is logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from features.errors import DataError
from features.horizon import WEEK
from features.terminal import step
from training.protocols import Metric
from training.report_runs import Report

T = TypeVar("T")


def walk_back(
    model: str,
    newest: datetime,
    test: Callable[[datetime], T],
    *,
    cutoffs: int,
    horizon_days: int,
    every_days: int | None,
) -> tuple[list[T], str | None]:
    """What `test` finds at up to so many cut-offs back from the newest, oldest first; and why there are no more.

    They lie `every_days` apart, or a horizon in whole weeks. Raises DataError where there is not even one.
    """
    apart = timedelta(days=every_days or max(horizon_days // WEEK, 1) * WEEK)
    tested: list[T] = []
    for place in range(cutoffs):
        moment = newest - place * apart
        try:
            with step(f"{model} as of {moment:%Y-%m-%d}"):
                tested.append(test(moment))
        except DataError as error:
            if not tested:
                raise
            return tested[::-1], str(error)
    return tested[::-1], None


def rolling_report(
    model: str,
    moments: Sequence[datetime],
    metrics: Mapping[str, Sequence[float]],
    ahead: Metric,
    *,
    metric: str,
    best_peer: str,
    horizon_days: int,
    lake: str,
    pictures: Sequence[Path],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Report:
    """What is logged: each of `metrics` at each cut-off as a step of its own, and the lead over the best peer."""
    ends = {"ahead": ahead.value, "ahead_low": ahead.low, "ahead_high": ahead.high}
    return Report(
        experiment=f"backtest-{model}",
        name=f"{model} {moments[-1]:%Y-%m-%d}",
        params={
            "horizon_days": horizon_days,
            "cutoffs": ", ".join(f"{moment:%Y-%m-%d}" for moment in moments),
            "metric": metric,
            "best_peer": best_peer,
            "lake": lake,
        },
        metrics={**metrics, **{name: [value] for name, value in ends.items() if value is not None}},
        pictures=pictures,
        tables=tables,
    )
