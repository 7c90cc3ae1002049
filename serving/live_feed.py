"""Keeps the live state of this process as new as the event log, without a question to the database per request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from serving.database import StoreAwayError
from serving.event_log import EventLog
from serving.live import Live

log = logging.getLogger("regulars.serving")
_AT_ONCE = 2_000
#: Another machine's events ring no bell here, so the log is looked at this often in any case.
_LOOK_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 1.0


class LiveFeed:
    """Reads on from the last row seen, when the bell rang. `problem` says why the state may be old.

    `beside` is called with each look, for what else is told while the server runs.
    """

    def __init__(self, events: EventLog, live: Live, *, beside: Callable[[], None] = lambda: None) -> None:
        self.events = events
        self.live = live
        self._beside = beside
        self.problem: str | None = None
        self.seq = 0
        self._heard: bytes | None = None
        self._looked = float("-inf")
        self._not_before = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def start(self, *, occurred_from: datetime | None) -> None:
        """Take in the events since a moment (naive UTC), before the first request. A database away leaves it empty."""
        try:
            last = self.events.last()
            while rows := self.events.since(self.seq, limit=_AT_ONCE, occurred_from=occurred_from):
                self.live.apply(rows)
                self.seq = rows[-1]["seq"]
            self.seq = max(self.seq, last)
            self._beside()
            self.problem = None
        except StoreAwayError as error:
            self._failed(error)

    def is_behind(self) -> bool:
        """Whether the log may hold something new."""
        return self.events.doorbell.read() != self._heard or time.monotonic() - self._looked > _LOOK_SECONDS

    def nudge(self) -> None:
        """Begin to read, without waiting, so that the next request need not."""
        if self._reading is None and time.monotonic() >= self._not_before:
            self._reading = asyncio.create_task(self._read())

    async def catch_up(self, *, seconds: float) -> bool:
        """Whether the state holds every event answered before this call; false after `seconds`, or with a problem."""
        until = time.monotonic() + seconds
        while self.is_behind():
            left = until - time.monotonic()
            if left <= 0 or time.monotonic() < self._not_before:
                return False
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            await asyncio.wait({self._reading}, timeout=left)
        return True

    async def _read(self) -> None:
        try:
            heard = self.events.doorbell.read()  # before reading, so that a ring meanwhile is noticed
            while True:
                rows = await asyncio.to_thread(self.events.since, self.seq, limit=_AT_ONCE)
                self.live.apply(rows)
                if rows:
                    self.seq = rows[-1]["seq"]
                if len(rows) < _AT_ONCE:
                    break
            await asyncio.to_thread(self._beside)
            self._heard, self._looked = heard, time.monotonic()
            self.problem = None
        except StoreAwayError as error:
            self._failed(error)
        finally:
            self._reading = None

    def _failed(self, error: StoreAwayError) -> None:
        if self.problem is None:
            log.warning("live events are not read: %s", error)
        self.problem = str(error)
        self._not_before = time.monotonic() + _AFTER_FAILURE_SECONDS
