"""Feast's offline store over the snapshots: its DuckDB store, with point-in-time joins that DuckDB does in one pass.

`feature_store.yaml` names the class by its path, which is how Feast takes offline stores of others. What this one does
not do itself (on-demand views, remote or renamed sources, times without an entity frame) Feast's own does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, FileSource, RepoConfig
from feast.data_format import ParquetFormat
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig, _write_data_source
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView

from features.errors import DataError
from features.store.point_in_time import Found, Source, engine, joined

EVENT_TIME = "event_timestamp"


class SnapshotOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """What `offline_store:` in feature_store.yaml may say beside Feast's own settings."""

    type: str = "features.store.offline.SnapshotOfflineStore"
    threads: int | None = None
    memory_limit: str | None = None
    spill: str | None = None


class PointInTimeJob(RetrievalJob):
    """One retrieval, done when its result is asked for. Rows come back as they were asked, in the same order."""

    def __init__(
        self, config: RepoConfig, asked: pa.Table, parts: Sequence[_Part], *, prefix: bool, known_then: bool
    ) -> None:
        self.config = config.offline_store
        self.repo_path = str(config.repo_path)
        self.asked = asked
        self.parts = parts
        self.prefix = prefix
        self.known_then = known_then

    def features(self) -> pd.DataFrame:
        """The features alone, in the order of the rows asked."""
        frames = []
        for part, found in self._found():
            frame = found.frame()
            frame.columns = pd.Index([self._name(part, name) for name in part.features])
            frames.append(frame)
        return frames[0] if len(frames) == 1 else pd.concat(frames, axis=1)

    def _found(self) -> Iterator[tuple[_Part, Found]]:
        times = self.asked[time_column(self.asked)]
        con = engine(threads=self.config.threads, memory_limit=self.config.memory_limit, spill=self.config.spill)
        try:
            for part in self.parts:
                yield part, joined(con, self.asked, times, part.source, part.features, known_then=self.known_then)
        finally:
            con.close()

    def _name(self, part: _Part, feature: str) -> str:
        return f"{part.prefix}__{feature}" if self.prefix else feature

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        del timeout
        table = self.asked
        for part, found in self._found():
            for name in part.features:
                table = table.append_column(self._name(part, name), found.arrow(name))
        return table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        found: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return found

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the result where a saved data set of Feast keeps it."""
        table = ibis.memtable(self._to_arrow_internal(timeout))
        _write_data_source(table, storage.to_data_source(), self.repo_path, "overwrite", allow_overwrite)

    @property
    def full_feature_names(self) -> bool:
        """Whether features are named with their view's name before theirs."""
        return self.prefix

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None: such retrievals are Feast's own."""
        return []

    @property
    def metadata(self) -> RetrievalMetadata:
        """What was asked for."""
        time = time_column(self.asked)
        least, most = (bound.as_py() for bound in pc.min_max(self.asked[time]).values())
        return RetrievalMetadata(
            features=[f"{part.prefix}:{name}" for part in self.parts for name in part.features],
            keys=[name for name in self.asked.column_names if name != time],
            min_event_timestamp=least,
            max_event_timestamp=most,
        )


class _Part:
    """What is asked of one view."""

    def __init__(self, view: FeatureView, refs: Sequence[str]) -> None:
        batch = view.batch_source
        keys: Mapping[str, str] = view.projection.join_key_map or {e.name: e.name for e in view.entity_columns}
        self.source = Source(
            files=batch.path,
            keys=keys,
            time=batch.timestamp_field,
            created=batch.created_timestamp_column or None,
            ttl=view.ttl,
        )
        asked_as = view.projection.name_to_use()
        self.prefix = view.projection.name_alias or view.name
        self.features = [name for of, _, name in (ref.partition(":") for ref in refs) if of == asked_as]


class SnapshotOfflineStore(DuckDBOfflineStore):
    """Feast's DuckDB store, but for retrieval of Parquet files by an entity frame: pandas, Arrow, or DuckDB SQL."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """The features known at each row's time. With `filter_by_created_timestamp`, as they were known then."""
        asked = as_table(entity_df)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        if on_demand or not all(map(_is_ours, feature_views)):
            return DuckDBOfflineStore.get_historical_features(
                config=config,
                feature_views=feature_views,
                feature_refs=feature_refs,
                entity_df=asked.to_pandas(),
                registry=registry,
                project=project,
                full_feature_names=full_feature_names,
                filter_by_created_timestamp=filter_by_created_timestamp,
            )
        return PointInTimeJob(
            config,
            asked,
            [_Part(view, feature_refs) for view in feature_views],
            prefix=full_feature_names,
            known_then=filter_by_created_timestamp,
        )


def _is_ours(view: FeatureView) -> bool:
    source = view.batch_source
    return (
        isinstance(source, FileSource)
        and isinstance(source.file_format, ParquetFormat)
        and "://" not in source.path
        and not source.field_mapping
        and bool(view.entity_columns)
    )


def as_table(asked: Any) -> pa.Table:
    """An entity frame as Arrow. Text is a query for DuckDB."""
    if isinstance(asked, pa.Table):
        return asked
    if isinstance(asked, str):
        with engine(threads=None, memory_limit=None, spill=None) as con:
            return con.execute(asked).to_arrow_table()
    table = pa.Table.from_pandas(asked, preserve_index=False)
    # Times given as text are times, as they are for Feast.
    time = time_column(table)
    if not pa.types.is_timestamp(table.schema.field(time).type):
        parsed = pa.array(pd.to_datetime(asked[time], utc=True))
        table = table.set_column(table.schema.get_field_index(time), time, parsed)
    return table.replace_schema_metadata(None)


def time_column(asked: pa.Table) -> str:
    """The column with each row's time: event_timestamp, else the only one of times. Raises DataError for neither."""
    if EVENT_TIME in asked.column_names:
        return EVENT_TIME
    times = [field.name for field in asked.schema if pa.types.is_timestamp(field.type)]
    if len(times) != 1:
        raise DataError(
            f"The rows asked need a column {EVENT_TIME} (found: {', '.join(asked.column_names)}). "
            "Give each row the moment as of which its features are wanted."
        )
    return str(times[0])
