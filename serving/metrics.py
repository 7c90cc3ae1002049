"""What the server counts, for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
#: Placements are named by whoever calls; beyond so many, further ones are counted together.
_MOST_PLACEMENTS = 100
OTHER = "other"
TENANT = "tenant"
#: How a nightly run may come out.
NIGHTLY_RESULTS = ("ok", "warned", "held", "failed")


class Metrics:
    """Counters of one server process, in a registry of their own; `text` adds up the workers'.

    `tenant` names the shop that they are of, where a server has several: then each carries it as a label, and `text`
    tells that shop's alone.
    """

    def __init__(self, tenant: str | None = None) -> None:
        self.tenant = tenant
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "route", "method", "status")
        self.seconds: Histogram = self._labelled(
            Histogram(
                "regulars_request_seconds",
                "Time to answer.",
                self._labels("route", "strategy"),
                buckets=_BUCKETS,
                registry=self.registry,
            ),
            of_labels=True,
        )
        self.strategies = self._counter(
            "strategies", "Answers by the strategy that gave them.", "route", "strategy", "variant"
        )
        self.events = self._counter("events", "Live events kept, by kind.", "kind")
        self.duplicates = self._counter("duplicate_events", "Live events that were known already.")
        self.feedback = self._counter(
            "feedback",
            "Impressions, clicks and purchases by what showed the product.",
            "kind",
            "placement",
            "strategy",
            "variant",
        )
        self.refused = self._counter("refused", "Requests refused before they were read.", "why")
        self.loads = self._counter("score_loads", "Scorings loaded, or failed to.", "outcome")
        for outcome in ("loaded", "failed"):  # from 0 on, so that the first failure is an increase too
            self.loads.labels(outcome=outcome)
        self.customers = self._gauge("customers", "Customers in the scores that answer.")
        self.as_of = self._gauge("scores_as_of_seconds", "The moment that the scores are as of, in seconds since 1970.")
        self.away = self._gauge("away", "1 for each part that is away or broken.", "part")
        self.nightly_finished = self._gauge(
            "nightly_finished_seconds", "When the last nightly run ended, in seconds since 1970; 0: never."
        )
        self.nightly_succeeded = self._gauge(
            "nightly_succeeded_seconds", "When the last one ended that did not fail; 0: never."
        )
        self.nightly_result = self._gauge("nightly_result", "1 for how the last nightly run came out.", "result")
        self.lookback = self._gauge(
            "lookback", "The metric of scores whose horizon passed last, promised and come.", "model", "metric", "kind"
        )
        self.lookback_ratio = self._gauge("lookback_ratio", "What came over what those scores predicted.", "model")
        self.lookback_as_of = self._gauge("lookback_as_of_seconds", "The moment those scores are as of.", "model")
        self.lookback_alert = self._gauge("lookback_alert", "1 where they were worse than promised.", "model")
        self.collections = self._counter("gc_collections", "Garbage collections.", "generation")
        self.collecting = self._counter("gc_seconds", "Seconds that requests waited for them.", "generation")
        self.frozen = self._gauge("gc_frozen_objects", "Objects that the collector leaves alone, in one worker.")
        self.known_strategies: frozenset[str] = frozenset()
        self.known_variants: frozenset[str] = frozenset()
        self._placements: set[str] = set()
        self._of_request: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}
        self._of_strategy: dict[tuple[str, str, str], Counter] = {}

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        made = Counter(f"regulars_{name}", what, self._labels(*labels), registry=self.registry)
        return cast("Counter", self._labelled(made, of_labels=bool(labels)))

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        made = Gauge(
            f"regulars_{name}", what, self._labels(*labels), registry=self.registry, multiprocess_mode="livemax"
        )
        return cast("Gauge", self._labelled(made, of_labels=bool(labels)))

    def _labels(self, *labels: str) -> tuple[str, ...]:
        return labels if self.tenant is None else (*labels, TENANT)

    def _labelled(self, metric: Any, *, of_labels: bool) -> Any:
        if self.tenant is None:
            return metric
        return _OfTenant(metric, self.tenant) if of_labels else metric.labels(self.tenant)

    def count(self, route: str, method: str, status: int, strategy: str, seconds: float) -> None:
        """One request answered."""
        key = (route, method, status, strategy)
        found = self._of_request.get(key)
        if found is None:  # looking a child up by its labels costs more than counting
            requests = self.requests.labels(route=route, method=method, status=status)
            found = self._of_request[key] = (requests, self.seconds.labels(route=route, strategy=strategy))
        found[0].inc()
        found[1].observe(seconds)

    def count_strategy(self, route: str, strategy: str, variant: str) -> None:
        """One answer by the strategy that gave it."""
        key = (route, strategy, variant)
        found = self._of_strategy.get(key)
        if found is None:
            labels = {"route": route, "strategy": strategy, "variant": variant}
            found = self._of_strategy[key] = self.strategies.labels(**labels)
        found.inc()

    def placement(self, name: str | None) -> str:
        """The placement as a label."""
        if name is None:
            return "none"
        if name not in self._placements:
            if len(self._placements) >= _MOST_PLACEMENTS:
                return OTHER
            self._placements.add(name)
        return name

    def strategy(self, name: str) -> str:
        """The strategy as a label; request ids may be made up."""
        return name if name in self.known_strategies else OTHER

    def variant(self, name: str | None) -> str:
        """The variant as a label; likewise."""
        return name or "" if name is None or name in self.known_variants else OTHER

    def text(self) -> bytes:
        """The metrics of all workers as Prometheus reads them."""
        if not values.ValueClass._multiprocess:
            return generate_latest(self.registry)
        folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
        everybody = CollectorRegistry()
        workers = MultiProcessCollector(everybody, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(everybody if self.tenant is None else _Own(workers, self.tenant))


class _OfTenant:
    """A metric whose label of the shop is given already."""

    def __init__(self, metric: Any, tenant: str) -> None:
        self._metric = metric
        self._tenant = tenant

    def labels(self, **labels: object) -> Any:
        """The metric with the other labels."""
        return self._metric.labels(**labels, **{TENANT: self._tenant})


class _Own:
    """What the workers counted, of one shop."""

    def __init__(self, workers: Any, tenant: str) -> None:
        self._workers = workers
        self._tenant = tenant

    def collect(self) -> Iterator[Any]:
        """The metrics with the shop's samples alone."""
        for metric in self._workers.collect():
            metric.samples = [sample for sample in metric.samples if sample.labels.get(TENANT) == self._tenant]
            yield metric
