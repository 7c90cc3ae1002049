"""Data sets for learning and scoring: features as of moments from the feature store, and the labels that followed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from features.engine import connect
from features.horizon import shop_rhythm
from features.labels import (
    ACTIVE,
    DAYS_TO_NEXT_ORDER,
    LABELS,
    RESPONDED,
    SPEND_FOLLOWED,
    VISITS_FOLLOWED,
    customer_labels,
    until_known,
)
from features.schema import C
from features.store.feast_store import open_store, point_in_time, register
from features.store.snapshots import LOCK, WAIT_SECONDS, build_snapshots
from training.label_tables import label_tables
from training.protocols import Context

KEYS = (
    *(C.CUSTOMER_ID, C.CAMPAIGN_ID, C.AS_OF, C.CONTACTED_AT),
    *(ACTIVE, *LABELS, RESPONDED, DAYS_TO_NEXT_ORDER, VISITS_FOLLOWED, SPEND_FOLLOWED),
)


def horizon_of(context: Context) -> int:
    """Days a prediction looks ahead, from the settings or the shop's own gaps."""
    horizon, _ = shop_rhythm(context.lake, connect(context.settings), context.settings)
    return horizon.days


def feature_columns(frame: pd.DataFrame) -> list[str]:
    """The columns of a data set that are features."""
    return [str(name) for name in frame.columns if name not in KEYS]


def features_as_of(context: Context, as_of: datetime, horizon_days: int) -> pd.DataFrame:
    """One row per customer with a purchase before `as_of`, sorted by customer_id: customer_id, active, features."""
    # No label is read: the table of those known at as_of is cut there.
    known = _known(context, as_of, horizon_days)[[C.CUSTOMER_ID, C.AS_OF, ACTIVE]]
    return _with_features(context, known, [as_of], known_then=False).drop(columns=C.AS_OF)


def examples(
    context: Context, moments: Sequence[datetime], horizon_days: int, *, customers: pd.Series | None = None
) -> pd.DataFrame:
    """One row per moment and customer with a purchase before it: customer_id, as_of, active, features, labels.

    Of `customers` (ids) alone where they are named; the snapshot they are read from is of everybody, as any is.

    Labels: stopped, bought (whether there was no purchase, or any, in [as_of, as_of + horizon)) and spend in it. Sorted
    by as_of and customer_id. Raises DataError for a moment whose horizon has not passed yet.
    """
    for moment in moments:
        until_known(context.lake, moment, horizon_days)
    asked = pd.concat([_known(context, moment, horizon_days) for moment in sorted(moments)], ignore_index=True)
    if customers is not None:
        asked = asked[asked[C.CUSTOMER_ID].isin(customers)].reset_index(drop=True)
    # As they were known then: what came late was not there to predict from.
    return _with_features(context, asked, moments, known_then=True)


def features_of(context: Context, pairs: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """One row per pair of customer_id and as_of, where the customer had a purchase before it: active and features.

    As they were known then. No label is read. Sorted by as_of and customer_id.
    """
    moments = [pd.Timestamp(moment).to_pydatetime() for moment in sorted(pairs[C.AS_OF].unique())]
    columns = [C.CUSTOMER_ID, C.AS_OF, ACTIVE]
    known = pd.concat([_known(context, moment, horizon_days)[columns] for moment in moments], ignore_index=True)
    asked = known.merge(pairs[[C.CUSTOMER_ID, C.AS_OF]].drop_duplicates(), on=[C.CUSTOMER_ID, C.AS_OF])
    return _with_features(context, asked, moments, known_then=True)


def _known(context: Context, moment: datetime, horizon_days: int) -> pd.DataFrame:
    def made() -> pd.DataFrame:
        labels = customer_labels(label_tables(context), moment, horizon_days=horizon_days)
        found: pd.DataFrame = labels.order_by(C.CUSTOMER_ID).to_pandas()
        return found.astype({C.AS_OF: "datetime64[us]"})

    return context.once(("labels", moment, horizon_days), made)


def _with_features(
    context: Context, asked: pd.DataFrame, moments: Sequence[datetime], *, known_then: bool
) -> pd.DataFrame:
    with context.home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        snapshots, _ = build_snapshots(context.settings, context.lake, moments)
        store = open_store(context.home)
        register(store, snapshots)
        return point_in_time(store, asked, known_then=known_then)
