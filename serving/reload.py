"""The state in force, and the thread that replaces it when a new scoring becomes current."""

from __future__ import annotations

import gc
import logging
import threading

from features.errors import RegularsError
from features.home import Home
from serving.metrics import Metrics
from serving.state import State, current_version, load_state

log = logging.getLogger("regulars.serving")


class Holder:
    """Holds the state that answers. A scoring that cannot be loaded leaves the one before, and `problem` says why."""

    def __init__(self, home: Home, metrics: Metrics | None = None) -> None:
        self.home = home
        self.metrics = metrics or Metrics()
        self.state = State()
        self.problem: str | None = None
        self._seen: str | None = None  # the version last tried, so that a broken one is not tried at every poll

    def refresh(self) -> bool:
        """Whether a new scoring was loaded. Requests under way finish on the state they began with."""
        version = current_version(self.home)
        if version == self._seen:
            return False
        self._seen = version
        try:
            self.state = load_state(self.home)
            self.problem = None
        except (RegularsError, OSError, ValueError) as error:
            self.problem = str(error)
            self.metrics.loads.labels(outcome="failed").inc()
            log.error("scores %s were not loaded: %s", version, error)
            return False
        self.metrics.loads.labels(outcome="loaded").inc()
        self.metrics.customers.set(len(self.state.rows))
        # What is loaded stays until the next scoring: keep the collector from walking it on every full collection.
        gc.collect()
        gc.freeze()
        log.info("scores %s loaded: %d customers", version, len(self.state.rows))
        return True


def watch(holder: Holder, *, every: float, stop: threading.Event) -> threading.Thread:
    """A started daemon thread that refreshes `holder` each `every` seconds until `stop` is set."""

    def poll() -> None:
        while not stop.wait(every):
            holder.refresh()

    thread = threading.Thread(target=poll, name="regulars-reload", daemon=True)
    thread.start()
    return thread
