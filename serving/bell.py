"""Tells servers on other machines of new events through Redis, at once; without it they look once a second.

Redis keeps nothing here: events lie in the database, and each server reads on in it when told. So a Redis that is away,
or was restarted empty, loses no event and stops no answer.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from contextvars import copy_context
from typing import Any

from features.errors import ConfigError
from features.settings import Settings
from serving.doorbell import Doorbell

log = logging.getLogger("regulars.serving")
_CHANNEL = "regulars.events"
_AGAIN_SECONDS = 1.0
_ANSWER_SECONDS = 2.0


class Bell:
    """Passes rings between this machine's doorbell and those of others. `problem` says why it cannot, if so."""

    def __init__(self, settings: Settings, doorbell: Doorbell) -> None:
        self.problem: str | None = None
        self._doorbell = doorbell
        self._client = _client(settings)
        # Workers of one machine share a doorbell, and need not be told what it told them.
        self._here = hashlib.sha256(f"{socket.gethostname()} {settings.home.resolve()}".encode()).digest()
        self._rung = threading.Event()
        self._closed = threading.Event()

    def start(self) -> None:
        """Listen and tell, in threads of their own: no answer waits for Redis."""
        if self._client is not None:
            for work in (self._listen, self._tell):
                threading.Thread(target=copy_context().run, args=(work,), name="regulars-bell", daemon=True).start()

    def ring(self) -> None:
        """Tell the others soon. Call it after the commit."""
        self._rung.set()

    def close(self) -> None:
        """End both threads."""
        self._closed.set()
        self._rung.set()

    def _listen(self) -> None:
        import redis

        while not self._closed.is_set():
            try:
                with self._client.pubsub(ignore_subscribe_messages=True) as heard:
                    heard.subscribe(_CHANNEL)
                    heard.ping()
                    self._doorbell.ring()  # for what was not heard until now
                    self.problem = None
                    while not self._closed.is_set():
                        message = heard.get_message(timeout=_AGAIN_SECONDS)
                        if message is not None and message["type"] == "message" and message["data"] != self._here:
                            self._doorbell.ring()
            except (redis.RedisError, OSError) as error:
                if self.problem is None:
                    log.warning("servers on other machines are not told of events: %s", type(error).__name__)
                self.problem = "Redis of live_redis is away; events of other machines are seen within a second or so"
                self._closed.wait(_AGAIN_SECONDS)

    def _tell(self) -> None:
        import redis

        while True:
            self._rung.wait()
            self._rung.clear()
            if self._closed.is_set():
                return
            try:
                self._client.publish(_CHANNEL, self._here)
            except (redis.RedisError, OSError):
                continue  # the listener says so, and the others look by themselves


def _client(settings: Settings) -> Any:
    if settings.live_redis is None:
        return None
    try:
        import redis
    except ModuleNotFoundError:
        raise ConfigError(
            "Setting 'live_redis' needs the Python package 'redis', which is not installed:  "
            "pip install 'regulars[redis]'"
        ) from None
    try:
        return redis.Redis.from_url(
            settings.live_redis.get_secret_value(),
            socket_connect_timeout=_ANSWER_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
        )
    except ValueError:
        raise ConfigError("Setting 'live_redis' is no address of a Redis. For instance: redis://host:6379/0") from None


def check(settings: Settings) -> None:
    """Raise ConfigError for an address that no Redis can have."""
    _client(settings)
