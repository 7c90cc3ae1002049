"""What the server says to Prometheus of how past scorings stood, read from the data home when that changes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from features.home import Home
from serving.metrics import Metrics
from training.verdicts import ALERTS, newest_verdicts

log = logging.getLogger("regulars.serving")


class LookbackWatch:
    """Looks for a scoring judged anew; a home without any has no such gauges."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._seen: int | None = None

    def tell(self, metrics: Metrics) -> None:
        """Set the gauges if another scoring was judged since. Called about once a second."""
        try:
            changed = self._home.lookback.stat().st_mtime_ns
        except OSError:
            return
        if changed == self._seen:
            return
        self._seen = changed
        try:
            for model, found in newest_verdicts(self._home).items():
                as_of = datetime.fromisoformat(found["as_of"]).replace(tzinfo=UTC)
                metrics.lookback_as_of.labels(model=model).set(as_of.timestamp())
                metrics.lookback_alert.labels(model=model).set(found["verdict"] in ALERTS)
                metric = found["metric"]
                for kind in ("promised", "came"):
                    if metric in found[kind]:
                        metrics.lookback.labels(model=model, metric=metric, kind=kind).set(found[kind][metric])
                if found["ratio"] is not None:
                    metrics.lookback_ratio.labels(model=model).set(found["ratio"])
        except (KeyError, ValueError, TypeError) as error:
            log.warning("%s cannot be read (%s)", self._home.lookback, error)
