"""How far a prediction looks ahead, and the moments that train, validate and test it, from the shop's own rhythm."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import DataError
from features.lake import Lake
from features.schema import ORDER_LINES, C
from features.settings import Settings
from features.snapshot import DAY_SECONDS

WEEK = 7
#: The horizon is long enough that this share of returning customers would have returned within it.
GAP_QUANTILE = 0.97
#: At least so many horizons of history, or there is nothing to train, validate and test on apart.
MIN_HORIZONS = 4
MAX_CUTOFFS = 12


@dataclass(frozen=True)
class Horizon:
    """Days a prediction looks ahead, and how that was chosen, in words."""

    days: int
    rule: str


@dataclass(frozen=True)
class Cutoffs:
    """The moments (naive UTC midnights) a shop's history gives, newest first.

    `test` leaves one whole horizon of data after it; `validation` is one horizon earlier. Training moments end a
    horizon before the moment they serve, so no label of theirs reaches past it.
    """

    data_start: datetime
    data_end: datetime
    test: datetime
    validation: datetime
    training_for_validation: tuple[datetime, ...]
    training_for_test: tuple[datetime, ...]


def choose_horizon(gap_days: NDArray[np.floating], *, span_days: int, override: int | None = None) -> Horizon:
    """The horizon for a shop whose customers' consecutive orders lie `gap_days` apart, over `span_days` of data.

    Rounded up to whole weeks, at least one, and at most a quarter of the data so that there is a past to learn from.
    """
    if override is not None:
        return Horizon(override, f"{override} days, as set")
    longest = max(span_days // MIN_HORIZONS // WEEK, 1) * WEEK
    if len(gap_days) == 0:
        return Horizon(longest, "a quarter of the data: no customer ordered twice")
    gap = float(np.quantile(gap_days, GAP_QUANTILE))
    days = max(int(np.ceil(gap / WEEK)), 1) * WEEK
    if days > longest:
        return Horizon(longest, f"a quarter of the data's {span_days} days (the usual gap would want {days})")
    return Horizon(days, f"{GAP_QUANTILE:.0%} of gaps between orders are at most {gap:.1f} days, in whole weeks")


def plan_cutoffs(first: datetime, last: datetime, horizon_days: int, *, most: int = MAX_CUTOFFS) -> Cutoffs:
    """Weekly moments counted from the first day of data; the last calendar day is never taken to be complete.

    Raises DataError when less than four horizons of data are there.
    """
    start, end = (moment.replace(hour=0, minute=0, second=0, microsecond=0) for moment in (first, last))
    horizon = timedelta(days=horizon_days)
    if end - start < MIN_HORIZONS * horizon:
        raise DataError(
            f"The data spans {(end - start).days} days ({start:%Y-%m-%d} to {end:%Y-%m-%d}); predicting {horizon_days} "
            f"days ahead needs {MIN_HORIZONS * horizon_days}. Load more history, or set a shorter horizon_days."
        )
    weeks = (end - horizon - start).days // WEEK
    # Three horizons before the test, so that the first training moment has one of history behind it.
    test = max(start + timedelta(weeks=weeks), start + (MIN_HORIZONS - 1) * horizon)
    validation = test - horizon

    def before(moment: datetime) -> tuple[datetime, ...]:
        newest = moment - horizon
        # The first moment must have at least one horizon of history behind it.
        earliest = start + horizon
        weekly = [newest - timedelta(weeks=week) for week in range(most)]
        return tuple(moment for moment in weekly if moment >= earliest)

    return Cutoffs(start, end, test, validation, before(validation), before(test))


def midnight_after(moment: datetime) -> datetime:
    """The first midnight after a moment, by which everything up to it is known."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def order_gaps(lake: Lake, backend: Any) -> tuple[NDArray[np.float64], datetime, datetime]:
    """Days between consecutive purchases (a return is none) of the same customer, and the shop's time span."""
    lines = lake.tables(backend)[ORDER_LINES.name]
    bought = lines.filter(lines[C.QUANTITY] > 0)
    orders = bought.group_by([C.CUSTOMER_ID, C.ORDER_ID]).aggregate(moment=bought[C.ORDERED_AT].min())
    before = orders.moment.lag().over(group_by=orders[C.CUSTOMER_ID], order_by=orders.moment)
    gap = (orders.moment.epoch_seconds() - before.epoch_seconds()) / float(DAY_SECONDS)
    found = orders.select(gap=gap)
    gaps = found.filter(found.gap.notnull()).to_pyarrow()["gap"]
    first, last = (datetime.fromisoformat(lake.manifest[name]) for name in ("first_order_at", "last_order_at"))
    return gaps.to_numpy(), first, last


def shop_horizon(lake: Lake, backend: Any, settings: Settings) -> Horizon:
    """The horizon of the lake: the settings' or the one its gaps ask for."""
    gaps, first, last = order_gaps(lake, backend)
    return choose_horizon(gaps, span_days=(last - first).days, override=settings.horizon_days)


def shop_rhythm(lake: Lake, backend: Any, settings: Settings) -> tuple[Horizon, Cutoffs]:
    """The horizon and the cut-offs of the lake. Raises DataError when the history is too short."""
    horizon = shop_horizon(lake, backend, settings)
    first, last = (datetime.fromisoformat(lake.manifest[name]) for name in ("first_order_at", "last_order_at"))
    return horizon, plan_cutoffs(first, last, horizon.days)
