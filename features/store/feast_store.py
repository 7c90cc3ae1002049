"""Feast over the snapshots: entity, source and view, the registry they are applied to, and retrieval as of any moment.

The Feast repository lies in the data home and holds a configuration and no code, so `feast -c .regulars/feast` and its
UI open it as it is. Definitions come from the feature definitions; none is written twice.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from datetime import UTC, timedelta
from typing import Any

import pandas as pd

from features.errors import RegularsError
from features.home import Home, write_text
from features.schema import C
from features.store.snapshots import Snapshots

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of its own deprecated parts while it is imported
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.data_format import ParquetFormat
    from feast.types import Float64, String

PROJECT = "regulars"
VIEW = "customer_features"
SERVICE = "customers"
EVENT_TIME = "event_timestamp"
_CONFIGURATION = """\
project: regulars
provider: local
registry: registry.db
offline_store:
  type: duckdb
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""
_TYPES = {"float64": Float64, "string": String}


def open_store(home: Home) -> FeatureStore:
    """The Feast store of a data home, with its configuration written where it is missing or of an older version."""
    configuration = home.feast / "feature_store.yaml"
    if not configuration.is_file() or configuration.read_text(encoding="utf-8") != _CONFIGURATION:
        write_text(configuration, _CONFIGURATION)
    return FeatureStore(repo_path=str(home.feast.resolve()))


def register(store: FeatureStore, snapshots: Snapshots) -> None:
    """Tell Feast of the snapshots: one entity, one view over their folder, one service. Does nothing when it knows."""
    described = snapshots.catalogue()
    mark = json.dumps([str(snapshots.path.resolve()), described], sort_keys=True)
    known = {view.name: view for view in store.list_feature_views()}
    if VIEW in known and known[VIEW].tags.get("regulars_catalogue") == _digest(mark):
        return
    customer = Entity(
        name="customer",
        join_keys=[C.CUSTOMER_ID],
        value_type=ValueType.STRING,
        description="Somebody who has bought.",
    )
    source = FileSource(
        name="customer_snapshots",
        path=str(snapshots.customers.resolve() / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field=C.AS_OF,
        description="Features of every customer as of a moment, from rows of before it.",
    )
    view = FeatureView(
        name=VIEW,
        entities=[customer],
        # A lapsed customer's features are old, and are the ones that matter: they never expire.
        ttl=timedelta(0),
        schema=[Field(name=C.CUSTOMER_ID, dtype=String), *(_field(column) for column in described)],
        source=source,
        online=True,
        description="What is known of a customer as of a moment.",
        owner="regulars",
        tags={"regulars_catalogue": _digest(mark)},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        store.apply([customer, source, view, FeatureService(name=SERVICE, features=[view])])


def _field(column: dict[str, Any]) -> Field:
    tags = {key: str(column[key]) for key in ("unit", "nulls", "owner", "computed_over")}
    if column["window_days"] is not None:
        tags["window_days"] = str(column["window_days"])
    return Field(name=column["name"], dtype=_TYPES[column["type"]], description=column["description"], tags=tags)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def point_in_time(store: FeatureStore, asked: pd.DataFrame) -> pd.DataFrame:
    """The rows of `asked` (customer_id, as_of naive UTC, and any others) with the features known at their moment.

    Each gets the newest snapshot at or before its as_of; features are null for a customer without any. Rows come back
    as they were, in the same order. Raises RegularsError should Feast lose or multiply rows.
    """
    order = "_regulars_row"
    frame = asked.assign(**{EVENT_TIME: asked[C.AS_OF].dt.tz_localize(UTC), order: range(len(asked))})
    names = sorted(field.name for field in store.get_feature_view(VIEW).schema if field.name != C.CUSTOMER_ID)
    job = store.get_historical_features(
        entity_df=frame[[C.CUSTOMER_ID, EVENT_TIME, order]], features=[f"{VIEW}:{name}" for name in names]
    )
    found: pd.DataFrame = job.to_df().sort_values(order, ignore_index=True)
    if len(found) != len(asked) or not (found[order].to_numpy() == range(len(asked))).all():
        raise RegularsError(
            f"The feature store gave {len(found):,} rows for {len(asked):,} asked. Build the features anew:  "
            "regulars features build --replace"
        )
    return pd.concat([asked.reset_index(drop=True), found[names]], axis=1)
