"""Feast's Redis online store, which says at once that the server is away.

The client's own patience is seconds of trying again, for each of which an answer would wait.
"""

from __future__ import annotations

from typing import Any, Literal

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from redis.backoff import NoBackoff
from redis.retry import Retry


class SnapshotRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """What `online_store:` in feature_store.yaml may say: all that Feast's own may."""

    type: Literal["features.store.redis_online.SnapshotRedisOnlineStore"] = (
        "features.store.redis_online.SnapshotRedisOnlineStore"
    )


class SnapshotRedisOnlineStore(RedisOnlineStore):
    """Feast's, with one new try, at once: a connection kept open may be an old one."""

    def _get_client(self, online_store_config: Any) -> Any:
        fresh = not self._client
        client = super()._get_client(online_store_config)
        if fresh:
            client.set_retry(Retry(NoBackoff(), 1))
        return client
