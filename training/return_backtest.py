"""Time to the next order, learned from moments before a cut-off and measured on what came after it, beside peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.engine import connect
from features.labels import DAYS_FOLLOWED, DAYS_TO_NEXT_ORDER, wait_labels
from features.schema import C
from training.boosting import BoostingConfig
from training.protocols import Context
from training.return_curves import ReturnCurves
from training.return_time import CONFIG, FOLLOWED, SILENCE, ReturnTimeModel

#: Rows learned from at most; each gives a row for every age the customer lived through.
MOST_ROWS = 60_000
#: Ends of the interval told: four of five customers are to come back within it.
LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9
#: Days of the horizon at which the probabilities are measured.
POINTS = 28

Floats = NDArray[np.float64]


def learn_return_time(
    context: Context, examples: pd.DataFrame, *, until: datetime, horizon_days: int, threads: int, seed: int
) -> ReturnTimeModel:
    """Learned from examples (training.dataset.examples) of moments before `until`, and orders before it only."""
    known = examples[examples[C.AS_OF] < until]
    if len(known) > MOST_ROWS:
        known = known.sample(MOST_ROWS, random_state=seed)
    known = known.reset_index(drop=True)
    config = BoostingConfig(**{**vars(CONFIG), "threads": threads, "seed": seed})
    found = waits(context, known, until=until, horizon_days=horizon_days)
    return ReturnTimeModel(horizon_days, config).fit(known, found)


def waits(context: Context, rows: pd.DataFrame, *, until: datetime, horizon_days: int) -> Floats:
    """(rows, 2) days from each row's as_of to its customer's next order (NaN: none came), and days followed."""
    tables = context.lake.tables(connect(context.settings))
    longest = timedelta(days=FOLLOWED * horizon_days)
    found = np.empty((len(rows), 2))
    for moment, part in rows.groupby(C.AS_OF):
        as_of = pd.Timestamp(moment).to_pydatetime()
        labels = wait_labels(tables, as_of, until=min(until, as_of + longest)).to_pandas().set_index(C.CUSTOMER_ID)
        own = labels.loc[part[C.CUSTOMER_ID], [DAYS_TO_NEXT_ORDER, DAYS_FOLLOWED]]
        found[rows.index.get_indexer(part.index)] = own.to_numpy(float)
    return found


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
    `cadence` (the customer's own median gap after the last order, or at once when that has passed)."""
    days = _points(horizon_days)
    silence = test[SILENCE].to_numpy(float)
    rate = test["visits_life"].to_numpy(float) / (test["days_since_first_order"].to_numpy(float) + horizon_days / 4)
    gap = test["gap_median_days"].fillna(horizon_days).to_numpy(float)
    due = np.maximum(gap - silence, 0.0)
    seen = np.minimum(np.where(np.isnan(waited), np.inf, waited), horizon_days)
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
    points: Floats = np.arange(1, POINTS + 1) * (horizon_days / POINTS)
    return points
