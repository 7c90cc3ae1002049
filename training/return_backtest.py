"""Time to the next order, learned from moments before a cut-off and measured on what came after it, beside peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.labels import DAYS_TO_NEXT_ORDER, wait_labels
from features.schema import C
from features.snapshot import DAY_SECONDS
from training.label_tables import label_tables
from training.protocols import Context
from training.return_curves import ReturnCurves
from training.return_time import FOLLOWED, SILENCE

#: Ends of the interval told: four of five customers are to come back within it.
LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9
#: Days of the horizon at which the probabilities are measured.
POINTS = 28

Floats = NDArray[np.float64]


def with_waits(context: Context, rows: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """The examples with `days_to_next_order`: NaN where none came within FOLLOWED horizons, or before the data end.

    It tells the future of every row as far as the lake knows it: learn from it through `known_waits` alone.
    """
    tables = label_tables(context)
    longest = timedelta(days=FOLLOWED * horizon_days)
    waited = np.empty(len(rows))
    for moment, place in rows.groupby(C.AS_OF).indices.items():
        as_of = pd.Timestamp(str(moment)).to_pydatetime()
        labels = wait_labels(tables, as_of, until=as_of + longest).to_pandas().set_index(C.CUSTOMER_ID)
        waited[place] = labels.loc[rows[C.CUSTOMER_ID].iloc[place], DAYS_TO_NEXT_ORDER].to_numpy(float)
    return rows.assign(**{DAYS_TO_NEXT_ORDER: waited})


def known_waits(rows: pd.DataFrame, *, until: datetime, horizon_days: int) -> Floats:
    """(rows, 2) days to the next order (NaN: none came by then) and days followed, as they were known at `until`."""
    passed = (pd.Timestamp(until) - rows[C.AS_OF]).dt.total_seconds().to_numpy(float) / DAY_SECONDS
    followed = np.minimum(passed, FOLLOWED * horizon_days)
    waited = rows[DAYS_TO_NEXT_ORDER].to_numpy(float)
    return np.column_stack([np.where(waited < followed, waited, np.nan), followed])


def integrated_brier(within: Floats, waited: Floats, days: Sequence[float] | Floats) -> float:
    """Mean over days of (whether the order had come - the probability that it would)², 0 the best.

    `within` (customers, days) probabilities, `waited` (customers,) days to the next order, NaN beyond what was seen.
    Over all days this is the continuous ranked probability score in units of their span (Gneiting and Raftery 2007).
    """
    came = waited[:, None] < np.asarray(days, dtype=float)
    return float(((came - within) ** 2).mean())


def return_metrics(curves: ReturnCurves, waited: Floats, horizon_days: int) -> dict[str, float]:
    """`integrated_brier` over the horizon; of the interval from LOW to HIGH, how often it held the order.

    The interval is judged of customers whose interval ends within the horizon, by the prediction (`interval_told`: how
    many they are); of the others nobody knows yet. `days_error` is the mean absolute error of the median, in days, both
    held at the horizon.
    """
    days = _points(horizon_days)
    low, middle, high = (curves.days_until(share) for share in (LOW, MIDDLE, HIGH))
    seen = np.where(np.isnan(waited), np.inf, waited)
    judged = high <= horizon_days
    inside = (seen >= low) & (seen <= high)
    return {
        "integrated_brier": integrated_brier(within_days(curves, days), waited, days),
        "interval_coverage": float(inside[judged].mean()) if judged.any() else np.nan,
        "interval_told": float(judged.mean()),
        "days_error": float(np.abs(np.minimum(middle, horizon_days) - np.minimum(seen, horizon_days)).mean()),
    }


def within_days(curves: ReturnCurves, days: Floats) -> Floats:
    """(customers, days) probability of an order within each of so many days."""
    return np.column_stack([curves.back_within(day) for day in days])


def return_peers(test: pd.DataFrame, waited: Floats, horizon_days: int) -> Mapping[str, dict[str, float]]:
    """What can be told without a model: `exponential` (orders over life at an even rate, whatever the silence) and
    `cadence` (the customer's own median gap after the last order, or at once when that has passed).
    """
    days = _points(horizon_days)
    silence = test[SILENCE].to_numpy(float)
    rate = test["visits_life"].to_numpy(float) / (test["days_since_first_order"].to_numpy(float) + horizon_days / 4)
    gap = test["gap_median_days"].fillna(horizon_days).to_numpy(float)
    due = np.maximum(gap - silence, 0.0)
    seen = np.where(np.isnan(waited), horizon_days, np.minimum(waited, horizon_days))
    middles = {"exponential": np.log(2) / rate, "cadence": due}
    within = {
        "exponential": -np.expm1(-rate[:, None] * days),
        "cadence": (days >= due[:, None]).astype(float),
    }
    return {
        name: {
            "integrated_brier": integrated_brier(within[name], waited, days),
            "days_error": float(np.abs(np.minimum(middles[name], horizon_days) - seen).mean()),
        }
        for name in within
    }


def _points(horizon_days: int) -> Floats:
    return np.linspace(horizon_days / POINTS, horizon_days, POINTS, dtype=np.float64)
