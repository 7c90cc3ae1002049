"""The garbage collector of a server process: kept off what is loaded, and watched, for its pauses stop every request.

A full collection walks every object there is. Over the vocabularies of a shop that takes longer than thousands of
answers do, and finds nothing: what requests leave behind is freed without it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from serving.metrics import Metrics

#: Young objects before a collection of the youngest generation, and how many of one make one of the next.
THRESHOLDS = (50_000, 50, 1_000)


@dataclass
class _Frozen:
    objects: int = 0


#: Counted when they are frozen: the interpreter counts by walking them, and every request would wait for that.
_frozen = _Frozen()


def freeze() -> None:
    """Keep the collector from walking what is loaded; it stays until the next scoring. Unused memory is given back."""
    gc.collect()
    gc.freeze()
    _frozen.objects = gc.get_freeze_count()
    gc.set_threshold(*THRESHOLDS)
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


class Pauses:
    """Counts and times this process's collections by generation, from `start` on."""

    def __init__(self) -> None:
        self.counts = [0, 0, 0]
        self.seconds = [0.0, 0.0, 0.0]
        self._began = 0.0
        self._told = ([0, 0, 0], [0.0, 0.0, 0.0])

    def start(self) -> None:
        """Begin to watch."""
        gc.callbacks.append(self._watch)

    def stop(self) -> None:
        """Watch no more."""
        if self._watch in gc.callbacks:
            gc.callbacks.remove(self._watch)

    def _watch(self, phase: str, about: dict[str, Any]) -> None:
        # A collection may begin while a metric's lock is held, so nothing here may touch one.
        if phase == "start":
            self._began = time.perf_counter()
        else:
            generation = about["generation"]
            self.counts[generation] += 1
            self.seconds[generation] += time.perf_counter() - self._began

    def tell(self, metrics: Metrics) -> None:
        """Add what came since the last time to the metrics."""
        counts, seconds = list(self.counts), list(self.seconds)
        for generation in range(3):
            labels = str(generation)
            metrics.collections.labels(generation=labels).inc(counts[generation] - self._told[0][generation])
            metrics.collecting.labels(generation=labels).inc(seconds[generation] - self._told[1][generation])
        self._told = (counts, seconds)
        metrics.frozen.set(_frozen.objects)
