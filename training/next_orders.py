"""The columns of the score table about each customer's next order: dates, days overdue, the chance by days ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.snapshot import DAY_SECONDS
from training.return_curves import ReturnCurves

#: Ends of the interval told for the next order, and its middle.
SOON, MIDDLE, LATE = 0.1, 0.5, 0.9
#: Share of customers like this one who are back when a customer counts as overdue.
DUE = 0.8
#: A next order farther off than this is not told: nobody can know it.
FARTHEST_DAYS = 730.0
#: The days at which the chance of an order is kept, in horizons; between them it is drawn out.
CURVE_HORIZONS = (1 / 28, 1 / 14, 1 / 7, 1 / 4, 1 / 2, 3 / 4, 1.0, 1.5, 2.0, 3.0, 6.0, 13.0)
_MOMENT = pa.timestamp("us", tz="UTC")
NEXT_ORDER_FIELDS = (
    # When half of customers like this one have ordered, and the ends of the middle 80%; null beyond FARTHEST_DAYS.
    pa.field("next_order_expected_at", _MOMENT),
    pa.field("next_order_from", _MOMENT),
    pa.field("next_order_until", _MOMENT),
    # By when four of five customers like this one would have been back, as of their last order.
    pa.field("expected_back_by", _MOMENT),
    pa.field("days_overdue", pa.int32()),  # whole days since then, 0 where it has not passed
    pa.field("order_within", pa.list_(pa.float32())),  # probability of an order within each of `curve_days`
)


def curve_days(horizon_days: int) -> list[float]:
    """The days that `order_within` speaks of."""
    return [share * horizon_days for share in CURVE_HORIZONS]


def next_order_columns(profiles: pd.DataFrame, returns: ReturnCurves | None, *, horizon_days: int) -> dict[str, Any]:
    """Values of NEXT_ORDER_FIELDS by name, aligned with profiles; empty where nothing tells the time to an order."""
    n = len(profiles)
    if returns is None:
        return dict.fromkeys((field.name for field in NEXT_ORDER_FIELDS), [None] * n)
    due = returns.usual_gap(DUE)
    since_last = {
        "next_order_expected_at": returns.silence + returns.days_until(MIDDLE),
        "next_order_from": returns.silence + returns.days_until(SOON),
        "next_order_until": returns.silence + returns.days_until(LATE),
        "expected_back_by": due,
    }
    last = pd.DatetimeIndex(profiles["last_order_at"]).as_unit("us")

    def date(days: np.ndarray) -> pd.Series:
        known = days - returns.silence <= FARTHEST_DAYS
        seconds = np.rint(np.where(known, days, 0.0) * DAY_SECONDS)
        return pd.Series(last + pd.to_timedelta(seconds, unit="s")).where(known)

    within = np.column_stack([returns.back_within(days) for days in curve_days(horizon_days)])
    starts = pa.array(np.arange(n + 1, dtype=np.int32) * within.shape[1])
    return {
        **{name: date(days) for name, days in since_last.items()},
        "days_overdue": np.floor(np.clip(returns.silence - due, 0, np.iinfo(np.int32).max)).astype(np.int32),
        "order_within": pa.ListArray.from_arrays(starts, pa.array(within.astype(np.float32).ravel())),
    }
