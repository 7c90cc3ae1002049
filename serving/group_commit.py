"""Group commit: calls that arrive during one transaction share the next, and its one wait for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from serving.database import StoreAwayError
from serving.event_log import EventLog, Kept, Row

MOST_WAITING = 20_000
_MOST_AT_ONCE = 5_000


class GroupCommit:
    """Gathers calls on one event loop and writes them in a thread. An answer comes only after the commit."""

    def __init__(self, log: EventLog, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.log = log
        self.now = now
        self._waiting: list[tuple[Sequence[Row], asyncio.Future[Kept]]] = []
        self._rows = 0
        self._writer: asyncio.Task[None] | None = None

    async def append(self, rows: Sequence[Row]) -> Kept:
        """Wait until the rows are on disk. Raises StoreAwayError when they are not."""
        if self._rows + len(rows) > MOST_WAITING:
            raise StoreAwayError("more events are waiting than can be written")
        written: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, written))
        self._rows += len(rows)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await written

    async def _write(self) -> None:
        try:
            while self._waiting:
                calls = self._take()
                still = [(rows, written) for rows, written in calls if not written.cancelled()]
                at = self.now().astimezone(UTC).replace(tzinfo=None)
                try:
                    kept = await asyncio.to_thread(self.log.append, [rows for rows, _ in still], at=at)
                except BaseException as error:
                    self._tell(still, error)
                    if not isinstance(error, StoreAwayError):
                        raise
                    continue
                for (_, written), result in zip(still, kept, strict=True):
                    if not written.done():
                        written.set_result(result)
        finally:
            self._writer = None

    def _take(self) -> list[tuple[Sequence[Row], asyncio.Future[Kept]]]:
        taken, rows = 0, 0
        while taken < len(self._waiting) and (rows == 0 or rows + len(self._waiting[taken][0]) <= _MOST_AT_ONCE):
            rows += len(self._waiting[taken][0])
            taken += 1
        calls, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._rows -= rows
        return calls

    @staticmethod
    def _tell(calls: Sequence[tuple[Sequence[Row], asyncio.Future[Kept]]], error: BaseException) -> None:
        for _, written in calls:
            if not written.done():
                written.set_exception(error)
