"""feature_store.yaml: what Feast, its command line and its UI read of a data home."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlsplit

from features.errors import ConfigError
from features.settings import Settings

PROJECT = "regulars"
REGISTRY = "registry.db"
FILE = "feature_store.yaml"


def configuration(settings: Settings) -> str:
    """The text of feature_store.yaml. It names our stores by their Python paths, which is how Feast takes them."""
    said = {
        "project": PROJECT,
        "provider": "local",
        "registry": {
            "path": REGISTRY,
            "registry_store_type": "features.store.registry.ReadOnlyRegistryStore",
        },
        "offline_store": {
            "type": "features.store.offline.SnapshotOfflineStore",
            "threads": settings.threads,
            "memory_limit": settings.memory_limit,
            "spill": str((settings.home / "tmp").resolve()),
        },
        "online_store": online_store(settings),
        "entity_key_serialization_version": 3,
    }
    # JSON is YAML. Feast puts environment variables in place of what follows a $; a password may hold one.
    return json.dumps(said, indent=2).replace("$", "\\u0024") + "\n"


def online_store(settings: Settings) -> dict[str, Any]:
    """Where features are kept to be read one customer at a time: SQLite, or the Redis that the settings name."""
    if settings.online_store is None:
        return {"type": "features.store.sqlite_online.SnapshotSqliteOnlineStore", "path": "online.db"}
    try:
        import redis  # noqa: F401
    except ImportError:
        raise ConfigError(
            "Setting 'online_store' needs the Python package 'redis', which is not installed:  "
            "pip install 'regulars[redis]'"
        ) from None
    address = _redis(settings.online_store.get_secret_value())
    return {"type": "features.store.redis_online.SnapshotRedisOnlineStore", "connection_string": address}


def _redis(url: str) -> str:
    """An address redis://user:password@host:port/number as Feast writes it. Raises ConfigError for another."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        raise _wrong() from None
    number = parts.path.strip("/") or "0"
    password, user = (unquote(part) if part else None for part in (parts.password, parts.username))
    # Feast parts what it is told at each comma.
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not number.isdigit() or "," in f"{password}":
        raise _wrong()
    given = {"db": int(number), "username": user, "password": password, "ssl": parts.scheme == "rediss" or None}
    given |= {"socket_timeout": 5, "socket_connect_timeout": 2}  # seconds; without, one that hangs is waited for
    # As JSON, or a password of digits would become a number.
    told = [f"{name}={json.dumps(value)}" for name, value in given.items() if value is not None]
    return ",".join([f"{parts.hostname}:{port}", *told])


def _wrong() -> ConfigError:
    return ConfigError(
        "Setting 'online_store' is not the address of a Redis (it is not shown here: it may hold a password). Write "
        "redis://host:6379/0, redis://user:password@host:6379/0 with no comma in it, or rediss:// for TLS."
    )
