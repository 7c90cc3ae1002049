"""Reading the online store: a customer's features as of now, with their age, none of them too old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd
from feast import FeatureService, FeatureStore
from feast.data_source import PushMode
from feast.errors import FeatureServiceNotFoundException

from features.errors import NotReadyError
from features.schema import C
from features.store.away import answering
from features.store.online_views import LIVE_SOURCE, LIVE_VIEW, ONLINE_VIEW, SERVICE

Number = float | str | None


@dataclass(frozen=True)
class OnlineFeatures:
    """One customer's online features; those unknown or too old are None. `ages` has each view's age, None unknown."""

    customer_id: str
    values: Mapping[str, Number]
    ages: Mapping[str, timedelta | None]


def online_features(
    store: FeatureStore, customers: Sequence[str], *, now: datetime, max_age: timedelta
) -> list[OnlineFeatures]:
    """The online features of each customer, in the order asked. Feast gives them however old they are; this does not.

    Where a row lies in the future of `now` (clocks differ), it is of age zero.
    """
    if not customers:
        return []
    with answering():
        response = store.get_online_features(
            features=_service(store), entity_rows={C.CUSTOMER_ID: list(customers)}, full_feature_names=True
        ).proto
    values: list[dict[str, Number]] = [{} for _ in customers]
    ages: list[dict[str, timedelta | None]] = [{ONLINE_VIEW: None, LIVE_VIEW: None} for _ in customers]
    for whole, column in zip(response.metadata.feature_names.val, response.results, strict=True):
        view, _, name = whole.partition("__")
        if not name:
            continue  # the customer's id
        for row, (value, at) in enumerate(zip(column.values, column.event_timestamps, strict=True)):
            age = _age(at.ToDatetime(UTC), now) if at.seconds else None
            ages[row][view] = age
            kind = value.WhichOneof("val")
            known = kind is not None and age is not None and age <= max_age
            values[row][name] = getattr(value, kind) if known else None
    return [OnlineFeatures(*found) for found in zip(customers, values, ages, strict=True)]


def push_live(store: FeatureStore, frame: pd.DataFrame) -> None:
    """Push live features (customer_id, event_timestamp in UTC, those of LIVE) through Feast's push source."""
    _service(store)
    with answering():
        store.push(LIVE_SOURCE, frame, to=PushMode.ONLINE)


def _service(store: FeatureStore) -> FeatureService:
    try:
        return store.get_feature_service(SERVICE, allow_cache=True)
    except FeatureServiceNotFoundException:
        raise NotReadyError("No features are online yet. Put them there:  regulars features materialize") from None


def _age(at: datetime, now: datetime) -> timedelta:
    return max(now.astimezone(UTC) - at, timedelta(0))
