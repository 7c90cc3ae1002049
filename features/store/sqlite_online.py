"""Feast's online store in one SQLite file: a row per entity, a column per feature.

Feast's own SQLite store keeps a row per entity and feature, each as a serialised message, and writes them one by one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel
from feast.types import Float64, Int64, String

from features.errors import ConfigError
from features.sql import quote

_BUSY_SECONDS = 30
#: The kinds of feature: the column's type, and where Feast's message has the value.
_KINDS = {Float64: ("REAL", "double_val"), Int64: ("INTEGER", "int64_val"), String: ("TEXT", "string_val")}


class SnapshotSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """What `online_store:` in feature_store.yaml may say."""

    type: Literal["features.store.sqlite_online.SnapshotSqliteOnlineStore"] = (
        "features.store.sqlite_online.SnapshotSqliteOnlineStore"
    )
    path: str = "online.db"  # beside feature_store.yaml, when relative


class SnapshotSqliteOnlineStore(OnlineStore):
    """One table per view: entity_key (Feast's serialised key), event_at (microseconds, UTC), the features."""

    def __init__(self) -> None:
        self._local = threading.local()

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Any,
        entities_to_keep: Any,
        partial: bool,
    ) -> None:
        """Make the tables of the views kept, with a column for each feature, and drop the others."""
        del entities_to_delete, entities_to_keep, partial
        with self._connection(config) as con:
            for view in tables_to_delete:
                con.execute(f"DROP TABLE IF EXISTS {_table(config, view)}")
            for view in tables_to_keep:
                columns = "".join(f", {quote(field.name)} {_kind(view, field)[0]}" for field in view.features)
                con.execute(
                    f"CREATE TABLE IF NOT EXISTS {_table(config, view)} "
                    f"(entity_key BLOB PRIMARY KEY, event_at INTEGER NOT NULL{columns}) WITHOUT ROWID"
                )
                there = {row[1] for row in con.execute(f"PRAGMA table_info({_table(config, view)})")}
                for field in view.features:
                    if field.name not in there:
                        added = f"{quote(field.name)} {_kind(view, field)[0]}"
                        con.execute(f"ALTER TABLE {_table(config, view)} ADD COLUMN {added}")

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[Any, dict[str, Any], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows as Feast gives them: a push, or `feast materialize`."""
        names = [field.name for field in table.features]
        rows = (
            (_key(config, entity), _micros(at), *(_value(values.get(name)) for name in names))
            for entity, values, at, _ in data
        )
        self.write_rows(config, table, rows)
        if progress:
            progress(len(data))

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write (serialised key, event microseconds, features in the view's order), in one transaction.

        A row that is older than the one there is left out.
        """
        names = ["entity_key", "event_at", *(quote(field.name) for field in view.features)]
        newer = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        statement = (
            f"INSERT INTO {_table(config, view)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT (entity_key) DO UPDATE SET {newer} WHERE excluded.event_at >= event_at"
        )
        with self._connection(config) as con:
            con.executemany(statement, rows)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[Any],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Any] | None]]:
        """For each key the time and features of its row; (None, None) for one not there."""
        wanted = [f for f in table.features if requested_features is None or f.name in requested_features]
        columns = "".join(f", {quote(field.name)}" for field in wanted)
        statement = f"SELECT event_at{columns} FROM {_table(config, table)} WHERE entity_key = ?"
        con = self._connection(config)
        found: list[tuple[datetime | None, dict[str, Any] | None]] = []
        for entity in entity_keys:
            row = con.execute(statement, (_key(config, entity),)).fetchone()
            if row is None:
                found.append((None, None))
                continue
            values = {
                field.name: Value() if value is None else Value(**{_kind(table, field)[1]: value})
                for field, value in zip(wanted, row[1:], strict=True)
            }
            found.append((datetime.fromtimestamp(row[0] / 1e6, UTC), values))
        return found

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Any) -> None:
        """Remove the file."""
        del tables, entities
        self._connection(config).close()
        self._local = threading.local()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{_path(config)}{suffix}").unlink(missing_ok=True)

    def _connection(self, config: RepoConfig) -> sqlite3.Connection:
        """The connection of the calling thread."""
        con: sqlite3.Connection | None = getattr(self._local, "con", None)
        if con is None:
            con = self._local.con = sqlite3.connect(_path(config), timeout=_BUSY_SECONDS)
            con.execute("PRAGMA journal_mode = WAL")
            con.execute("PRAGMA synchronous = NORMAL")
        return con


def serialised_keys(name: str, values: Iterable[str]) -> list[bytes]:
    """Feast's serialised keys (version 3) of an entity with one key of text."""
    example = serialize_entity_key(_entity(name, ""), entity_key_serialization_version=3)
    head = example[:-4]  # what follows is the length of the text, and the text
    texts = [value.encode() for value in values]
    return [head + len(text).to_bytes(4, "little") + text for text in texts]


def _entity(name: str, value: str) -> Any:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    return EntityKey(join_keys=[name], entity_values=[Value(string_val=value)])


def _path(config: RepoConfig) -> Path:
    return Path(config.repo_path or ".") / str(config.online_store.path)


def _table(config: RepoConfig, view: FeatureView) -> str:
    return quote(f"{config.project}_{view.name}")


def _kind(view: FeatureView, field: Any) -> tuple[str, str]:
    if field.dtype not in _KINDS:
        raise ConfigError(
            f"Feature view {view.name}: {field.name} is {field.dtype}; the SQLite online store keeps "
            f"{', '.join(map(str, _KINDS))}. Give it one of these, or set online=False."
        )
    return _KINDS[field.dtype]


def _key(config: RepoConfig, entity: Any) -> bytes:
    version = config.entity_key_serialization_version
    return bytes(serialize_entity_key(entity, entity_key_serialization_version=version))


def _value(message: Any) -> Any:
    kind = message.WhichOneof("val") if message is not None else None
    return None if kind in (None, "null_val") else getattr(message, kind)


def _micros(at: datetime) -> int:
    """A time without a zone is UTC."""
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return round(aware.timestamp() * 1e6)
