"""Feast over the snapshots: entity, source and view, the registry they are applied to, and retrieval as of any moment.

The Feast repository lies in the data home and holds a configuration and no code, so `feast -c .regulars/feast` and its
UI open it as it is. Definitions come from the feature definitions; none is written twice.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa

from features.definitions import CUSTOMER, Entity
from features.errors import RegularsError
from features.home import Home, new_file
from features.schema import C
from features.settings import Settings, current_settings
from features.store.configuration import FILE, configuration
from features.store.online_views import online_definitions
from features.store.snapshots import CREATED_AT, Snapshots

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of its own deprecated parts while it is imported
    from feast import Entity as FeastEntity
    from feast import FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.data_format import ParquetFormat
    from feast.types import Float64, String

EVENT_TIME = "event_timestamp"
_MARK = "regulars_catalogue"
#: One more where the definitions below change in another way than what they tell of.
_DEFINITIONS = 2
_WRITER = "features.store.registry.WholeFileRegistryStore"
_TYPES = {"float64": Float64, "string": String}


def open_store(home: Home, settings: Settings | None = None) -> FeatureStore:
    """The Feast store of a data home, to be read; its configuration is written where it is missing or another's."""
    wanted = configuration((settings or current_settings()).model_copy(update={"home": home.root}))
    file = home.feast / FILE
    if not file.is_file() or file.read_text(encoding="utf-8") != wanted:
        with new_file(file) as aside:
            aside.touch(mode=0o600)  # it may hold the password of a Redis
            aside.write_text(wanted, encoding="utf-8")
    return FeatureStore(repo_path=str(home.feast.resolve()))


def writer(store: FeatureStore) -> FeatureStore:
    """The same store with a registry that can be written. For use below features/store alone."""
    config = store.config.model_copy(deep=True)
    config.registry.registry_store_type = _WRITER
    config.repo_path = store.repo_path
    return FeatureStore(repo_path=str(store.repo_path), config=config)


def view_name(entity: Entity) -> str:
    """The name of the feature view of an entity."""
    return f"{entity.name}_features"


def register(store: FeatureStore, snapshots: Snapshots) -> None:
    """Tell Feast of the snapshots: per entity a view over their folder, and its service. Nothing when it knows."""
    known = {view.name: view for view in store.list_feature_views()}
    for entity in snapshots.entities():
        described = snapshots.catalogue(entity)
        mark = _digest(json.dumps([_DEFINITIONS, str(snapshots.path.resolve()), described], sort_keys=True))
        view = known.get(view_name(entity))
        if view is None or view.tags.get(_MARK) != mark:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                writer(store).apply(_definitions(store, snapshots, entity, described, mark))
            store.refresh_registry()


def _definitions(
    store: FeatureStore, snapshots: Snapshots, entity: Entity, described: list[dict[str, Any]], mark: str
) -> list[Any]:
    keys = [
        FeastEntity(name=key.removesuffix("_id"), join_keys=[key], value_type=ValueType.STRING) for key in entity.keys
    ]
    source = FileSource(
        name=f"{entity.name}_snapshots",
        path=str(snapshots.folder(entity).resolve() / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field=C.AS_OF,
        created_timestamp_column=CREATED_AT,
        description="Features as of a moment, from rows of before it.",
    )
    fields = [_field(column) for column in described]
    view = FeatureView(
        name=view_name(entity),
        entities=keys,
        # A lapsed customer's features are old, and are the ones that matter: they never expire.
        ttl=timedelta(0),
        schema=[*(Field(name=key, dtype=String) for key in entity.keys), *fields],
        source=source,
        online=False,
        description=entity.description,
        owner="regulars",
        tags={_MARK: mark},
    )
    defined = [*keys, source, view, FeatureService(name=entity.name, features=[view])]
    if entity is CUSTOMER:
        live_files = str(store.repo_path / "pushed" / "*.parquet")
        defined += online_definitions(keys[0], source, fields, live_files=live_files)
    return defined


def _field(column: dict[str, Any]) -> Field:
    tags = {key: str(column[key]) for key in ("unit", "nulls", "owner", "computed_over")}
    if column["window_days"] is not None:
        tags["window_days"] = str(column["window_days"])
    return Field(name=column["name"], dtype=_TYPES[column["type"]], description=column["description"], tags=tags)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def point_in_time(
    store: FeatureStore,
    asked: pd.DataFrame,
    *,
    entity: Entity = CUSTOMER,
    names: Sequence[str] | None = None,
    known_then: bool = True,
) -> pd.DataFrame:
    """The rows of `asked` (the entity's keys, as_of naive UTC, any others) with the features known at their moment.

    `names` are the features wanted, all when not given. Each row gets the newest snapshot at or before its as_of;
    features are null for one without any. Where a late load changed a snapshot afterwards, `known_then` gives it as it
    was before, and without it as it is now. Rows come back as they were, in the same order. Raises RegularsError
    should Feast lose or multiply rows.
    """
    view = store.get_feature_view(view_name(entity))
    if names is None:
        names = sorted(field.name for field in view.schema if field.name not in entity.keys)
    columns = {key: pa.array(asked[key], from_pandas=True) for key in entity.keys}
    times = pa.array(asked[C.AS_OF], pa.timestamp("us"), from_pandas=True).cast(pa.timestamp("us", "UTC"))
    job = store.get_historical_features(
        entity_df=pa.table({**columns, EVENT_TIME: times}),
        features=[f"{view.name}:{name}" for name in names],
        filter_by_created_timestamp=known_then,
    )
    found: pd.DataFrame = job.features()
    if len(found) != len(asked):
        raise RegularsError(
            f"The feature store gave {len(found):,} rows for {len(asked):,} asked. Remove {store.repo_path} and build "
            "the features anew:  regulars features build"
        )
    for place, (name, column) in enumerate(asked.items()):  # pd.concat would copy the features
        found.insert(place, str(name), column.array.copy())
    return found
