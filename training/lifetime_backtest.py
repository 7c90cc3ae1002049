"""The lifetime model learned from moments before a cut-off, and asked about a longer time than it is tested on else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError
from features.labels import SPEND_FOLLOWED, VISITS_FOLLOWED, followed_labels
from features.schema import C
from features.snapshot import DAY_SECONDS
from training.attrition import Attrition
from training.boosting import BoostingConfig
from training.conformal import COVERED, fit_intervals, interval_metrics
from training.label_tables import label_tables
from training.lifetime import CONFIG, NEEDED, LifetimeModel, structures
from training.metrics_outcome import amount_metrics
from training.outcome_model import is_excluded
from training.protocols import Context

#: Moments that a look back at a long horizon learns from at least, and the fewest customers it is asked about.
LEAST_MOMENTS, LEAST_CUSTOMERS = 2, 100

Floats = NDArray[np.float64]


def with_followed(context: Context, rows: pd.DataFrame, until: datetime) -> pd.DataFrame:
    """The rows of one moment with visits_followed and spend_followed: what came from it to `until`."""
    moment = pd.Timestamp(rows[C.AS_OF].iloc[0]).to_pydatetime()
    labels = followed_labels(label_tables(context), moment, until=until)
    found: pd.DataFrame = labels.to_pandas().set_index(C.CUSTOMER_ID).loc[rows[C.CUSTOMER_ID]]
    columns = {name: found[name].to_numpy(float) for name in (VISITS_FOLLOWED, SPEND_FOLLOWED)}
    return rows.assign(**columns)


def learn_lifetime(
    context: Context,
    examples: pd.DataFrame,
    moments: Sequence[datetime],
    *,
    until: datetime,
    now: pd.DataFrame,
    config: BoostingConfig,
) -> LifetimeModel | None:
    """A model of what customers did between each of the moments and `until`, with the intervals and the look back.

    `examples` has features as of the moments, `now` those of the latest moment known. Of `config` it takes the
    threads, the seed and what is excluded. `intervals_` and `looked_back_`
    are of a model that knew nothing after one of the moments, asked about the time from there to `until`; they are
    missing where there are too few moments before it. None where a feature is excluded that the model cannot do
    without, or where nobody ordered again.
    """
    if any(is_excluded(name, config.exclude) for name in NEEDED):
        return None
    moments = sorted(moment for moment in moments if moment < until)
    frames = [examples[examples[C.AS_OF] == moment].reset_index(drop=True) for moment in moments]
    settings = context.settings
    own = replace(CONFIG, threads=config.threads, seed=config.seed, exclude=config.exclude)
    blank = LifetimeModel(settings.lifetime_days, settings.yearly_discount, own)
    followed = [_followed(context, frame, until) for frame in frames]
    try:
        known = structures(frames, config.seed)
        model = blank.fit(frames, followed, now=now, known=known)
    except DataError:
        return None
    place = max(len(moments) // 3, LEAST_MOMENTS)
    if place < len(moments):
        _look_back(context, model, moments, frames, known, place, followed[place])
    return model


def _look_back(
    context: Context,
    model: LifetimeModel,
    moments: Sequence[datetime],
    frames: Sequence[pd.DataFrame],
    known: Sequence[Attrition],
    place: int,
    came: Floats,
) -> None:
    """Set `intervals_` and `looked_back_` of the model by one that learned from the moments before `place`."""
    then, asked = moments[place], frames[place]
    before = [_followed(context, frame, then) for frame in frames[:place]]
    if len(asked) < LEAST_CUSTOMERS or not any(values[:, 1].any() for values in before):
        return
    earlier = LifetimeModel(model.days, model.discount, model.config)
    earlier.fit(frames[:place], before, now=asked, known=known[:place])
    days = float(came[0, 0])
    orders, spend = earlier.expected_orders(asked, days), earlier.expected_spend(asked, days)
    # Intervals are judged on customers other than those they were made of; those served are made of all.
    half = np.random.default_rng(0).permutation(len(asked)) % 2 == 0
    actual = np.maximum(came[:, 2], 0.0)
    # Of a day's spend, so that they can be read for another number of days.
    low, high = fit_intervals(spend[half] / days, actual[half] / days)(spend[~half] / days)
    model.intervals_ = fit_intervals(spend / days, actual / days, covered=COVERED)
    model.looked_back_ = {
        "days": days,
        **{f"orders_{name}": value for name, value in amount_metrics(came[:, 1], orders).items()},
        **{f"spend_{name}": value for name, value in amount_metrics(actual, spend).items()},
        **interval_metrics(actual[~half], low * days, high * days),
    }


def _followed(context: Context, frame: pd.DataFrame, until: datetime) -> Floats:
    """(rows, 3) days followed, days with an order in them, spend in them."""
    days = (pd.Timestamp(until) - frame[C.AS_OF].iloc[0]).total_seconds() / DAY_SECONDS
    labels = with_followed(context, frame, until)
    return np.column_stack([np.full(len(frame), days), labels[VISITS_FOLLOWED], labels[SPEND_FOLLOWED]])
