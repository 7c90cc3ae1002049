"""The time a request may take, so that a slow step is left out rather than waited for."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """`seconds` from now by a monotonic clock."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = seconds
        self._clock = clock
        self._until = clock() + seconds

    def left(self) -> float:
        """Seconds left; 0 when there are none."""
        return max(0.0, self._until - self._clock())

    def passed(self) -> bool:
        """Whether the time is spent."""
        return self._clock() >= self._until


NEVER = Deadline(float("inf"))
