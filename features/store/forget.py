"""Taking customers out of the online store, SQLite or Redis."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from typing import Any

from features.home import Home
from features.schema import C
from features.settings import Settings
from features.sql import quote
from features.sqlite_clean import clean
from features.store.away import answering
from features.store.configuration import online_store

_AT_ONCE = 500


def count_online(home: Home, settings: Settings, customers: Collection[str]) -> int:
    """How many rows the online store has of these customers. Raises OnlineStoreAwayError where it cannot be asked."""
    return _each(home, settings, sorted(customers), remove=False)


def forget_online(home: Home, settings: Settings, customers: Collection[str]) -> int:
    """How many rows of these customers were removed. Raises OnlineStoreAwayError where it cannot be asked."""
    return _each(home, settings, sorted(customers), remove=True)


def _each(home: Home, settings: Settings, customers: Sequence[str], *, remove: bool) -> int:
    if settings.online_store is not None:
        return _redis(home, settings, customers, remove=remove)
    file = home.feast / str(online_store(settings)["path"])
    if not file.is_file():
        return 0
    from features.store.sqlite_online import serialised_keys

    found = 0
    keys = serialised_keys(C.CUSTOMER_ID, customers)
    with closing(sqlite3.connect(file, timeout=30)) as con:
        for table in _tables(con):
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                theirs = f"FROM {quote(table)} WHERE entity_key IN ({', '.join('?' * len(part))})"
                found += int(con.execute(f"SELECT count(*) {theirs}", part).fetchone()[0])
                if remove:
                    con.execute(f"DELETE {theirs}", part)
        con.commit()
        if remove:
            clean(con)
    return found


def _tables(con: sqlite3.Connection) -> list[str]:
    names = [str(row[0]) for row in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        name
        for name in names
        if any(row[1] == "entity_key" for row in con.execute(f"PRAGMA table_info({quote(name)})"))
    ]


def _redis(home: Home, settings: Settings, customers: Sequence[str], *, remove: bool) -> int:
    from feast.infra.online_stores.helpers import _redis_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from features.store.feast_store import open_store

    store = open_store(home, settings)
    online: Any = store._get_provider().online_store  # Feast has no public name for it
    version = store.config.entity_key_serialization_version
    keys = [
        _redis_key(
            store.project,
            EntityKey(join_keys=[C.CUSTOMER_ID], entity_values=[Value(string_val=customer)]),
            entity_key_serialization_version=version,
        )
        for customer in customers
    ]
    found = 0
    with answering():
        client = online._get_client(store.config.online_store)
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            # One key holds a customer's features of every view.
            found += int(client.delete(*part) if remove else client.exists(*part))
    return found
