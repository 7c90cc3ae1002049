"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """Counters of one server process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "regulars_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "regulars_request_seconds", "Time to answer.", ("route",), buckets=_BUCKETS, registry=self.registry
        )
        self.strategies = Counter(
            "regulars_strategies",
            "Answers by the strategy that gave them.",
            ("route", "strategy"),
            registry=self.registry,
        )
        self.loads = Counter(
            "regulars_score_loads", "Scorings loaded, or failed to.", ("outcome",), registry=self.registry
        )
        self.customers = Gauge("regulars_customers", "Customers in the scores that answer.", registry=self.registry)

    def text(self) -> bytes:
        """The metrics as Prometheus reads them."""
        return generate_latest(self.registry)
