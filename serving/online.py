"""One customer's online features for an answer: read from the feature store where there is one, and in time or not."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

from features.errors import RegularsError
from features.settings import Settings
from serving.schemas_customers import OnlineFeatures

log = logging.getLogger("regulars.serving")
#: What the store and its files may fail with; anything else is a mistake of ours and is heard of.
_AWAY = (RegularsError, OSError, sqlite3.Error)
_AGAIN_SECONDS = 5.0
#: Reads that may wait for one another; one that comes on top is not made.
_MOST_WAITING = 64


class OnlineReader:
    """Reads in a thread of its own, so that no other answer waits. `problem` says why the last read failed, if it did.

    Feast takes seconds to import, and shops that keep nothing online never do it here.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.problem: str | None = None
        self._home = settings.data_home
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="online-features")
        self._store: Any = None
        self._waiting = 0
        self._not_before = float("-inf")

    @property
    def kept(self) -> bool:
        """Whether features were ever written online, as far as this home knows; a Redis may be filled elsewhere."""
        return self.settings.online_store is not None or self._home.materialized.is_file()

    def start(self) -> None:
        """Open the store in its thread, where there is one, so that the first answer need not wait for it."""
        if self.kept:
            self._thread.submit(copy_context().run, self._open)

    def close(self) -> None:
        """End the thread. A read not begun is not made."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(self, customer_id: str, *, now: datetime, seconds: float) -> OnlineFeatures | None:
        """What is known of a customer now, None where nothing is kept online.

        Takes no longer than `seconds`; `problem` of the answer says when that, or the store's being away, left it
        without features. Those older than the settings allow are None, with their age.
        """
        if not self.kept:
            return None
        if time.monotonic() < self._not_before:
            return OnlineFeatures(problem=self.problem)
        if self._waiting >= _MOST_WAITING:
            return OnlineFeatures(problem="the online store answers too slowly")
        self._waiting += 1
        reading = self._thread.submit(copy_context().run, self._read, customer_id, now)
        reading.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(reading)), seconds)
        except TimeoutError:
            return OnlineFeatures(problem=f"the online store did not answer within {seconds * 1000:.0f} ms")

    def _done(self, _: Future[OnlineFeatures]) -> None:
        self._waiting -= 1

    def _open(self) -> None:
        if self._store is None:
            from features.store.feast_store import open_store

            try:
                self._store = open_store(self._home, self.settings)
            except _AWAY as error:
                self._failed(error)

    def _read(self, customer_id: str, now: datetime) -> OnlineFeatures:
        self._open()
        if self._store is None:
            return OnlineFeatures(problem=self.problem)
        from features.store.online import online_features

        limit = timedelta(hours=self.settings.online_max_age_hours)
        try:
            [found] = online_features(self._store, [customer_id], now=now, max_age=limit)
        except _AWAY as error:
            return OnlineFeatures(problem=self._failed(error))
        self.problem, self._not_before = None, float("-inf")
        hours = {view: None if age is None else age / timedelta(hours=1) for view, age in found.ages.items()}
        return OnlineFeatures(features=dict(found.values), age_hours=hours)

    def _failed(self, error: Exception) -> str:
        self.problem = f"{error}"
        self._not_before = time.monotonic() + _AGAIN_SECONDS
        self._store = None  # Feast keeps the registry it read, and what failed may be mended there
        log.warning("online features are not read: %s", error)
        return self.problem
