"""The moments a model of outcomes learns from, is tuned on, and is tested at; each a horizon clear of the next use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from features.errors import DataError
from features.horizon import WEEK

#: Moments learned from. More of them, or closer together, did not help: neighbouring weeks share most customers' fate.
MOST = 12
#: Moments on which rounds and calibration are chosen.
VALIDATION = 3


@dataclass(frozen=True)
class Moments:
    """Moments by use, newest first. What follows a moment is known a horizon later.

    `fit` ends a horizon before the oldest of `validation`; `refit`, which the tested model learns from, ends a horizon
    before `test`; `serving`, which the served model learns from, goes up to `test` itself.
    """

    test: datetime
    validation: tuple[datetime, ...]
    fit: tuple[datetime, ...]
    refit: tuple[datetime, ...]
    serving: tuple[datetime, ...]

    @property
    def all(self) -> tuple[datetime, ...]:
        """Every moment of any use, newest first."""
        used = {self.test, *self.validation, *self.fit, *self.refit, *self.serving}
        return tuple(sorted(used, reverse=True))


def step_days(horizon_days: int) -> int:
    """Days between moments: half a horizon, in whole weeks, at least one."""
    return max(horizon_days // (2 * WEEK), 1) * WEEK


def plan_moments(
    data_start: datetime, test: datetime, horizon_days: int, *, most: int = MOST, validation: int = VALIDATION
) -> Moments:
    """The moments for a test cut-off. Each has at least a horizon of history behind it.

    Raises DataError where there is no room for a moment to learn from before one to validate on.
    """
    horizon, step = timedelta(days=horizon_days), timedelta(days=step_days(horizon_days))
    earliest = data_start + horizon

    def back_from(newest: datetime, count: int) -> tuple[datetime, ...]:
        moments = [newest - step * place for place in range(count)]
        return tuple(moment for moment in moments if moment >= earliest)

    refit = back_from(test - horizon, most)
    for count in range(min(validation, len(refit)), 0, -1):
        checks = refit[:count]
        fit = back_from(checks[-1] - horizon, most)
        # Fewer moments to validate on leave more to learn from; learning needs at least as many.
        if len(fit) >= count:
            return Moments(test, checks, fit, refit, back_from(test, most))
    needed = earliest + 2 * horizon
    raise DataError(
        f"The data start on {data_start:%Y-%m-%d}; predicting {horizon_days} days ahead can be tested from "
        f"{needed:%Y-%m-%d} on, and the cut-off is {test:%Y-%m-%d}. Load more history, choose a later cut-off, or set "
        "a shorter horizon_days."
    )
