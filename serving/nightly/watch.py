"""What the server says of nightly runs to Prometheus, read from the last run's summary when that changes."""

from __future__ import annotations

import logging
from datetime import datetime

from features.home import Home
from serving.metrics import NIGHTLY_RESULTS, Metrics
from serving.nightly.journal import Journal

log = logging.getLogger("regulars.serving")


class NightlyWatch:
    """Looks for a new summary; a home without nightly runs has none, and its gauges stay 0."""

    def __init__(self, home: Home) -> None:
        self._journal = Journal(home)
        self._seen: int | None = None

    def tell(self, metrics: Metrics) -> None:
        """Set the gauges if another run has finished since. Called about once a second."""
        try:
            changed = self._journal.last.stat().st_mtime_ns
        except OSError:
            return
        if changed == self._seen:
            return
        self._seen = changed
        found = self._journal.last_summary()
        try:
            if found is None:
                raise ValueError("it is no JSON")
            finished, succeeded = (_seconds(found[name]) for name in ("finished_at", "succeeded_at"))
            result = str(found["result"])
        except (KeyError, ValueError, TypeError) as error:
            log.warning("%s cannot be read (%s); the next nightly run writes it anew", self._journal.last, error)
            return
        metrics.nightly_finished.set(finished)
        metrics.nightly_succeeded.set(succeeded)
        for name in NIGHTLY_RESULTS:
            metrics.nightly_result.labels(result=name).set(name == result)


def _seconds(moment: str | None) -> float:
    return 0.0 if moment is None else datetime.fromisoformat(moment).timestamp()
