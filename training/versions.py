"""A registered model version as the rest of the code sees it, and how metric names travel to MLflow and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from training.protocols import Gate, Metric, Trained

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class Comparison:
    """What a challenger and the champion of its day scored on the challenger's back-test."""

    metric: str
    higher_is_better: bool
    challenger: float
    champion_version: int | None  # None: there was no champion to compare with
    champion: float | None = None
    problem: str | None = None  # why the champion could not be scored
    ahead: Metric | None = None  # of the champion, customer by customer, where that was measured


def comparison_from_json(kept: Mapping[str, Any]) -> Comparison:
    """A comparison as it was written by dataclasses.asdict."""
    ahead = kept.get("ahead")
    return Comparison(**{**kept, "ahead": None if ahead is None else Metric(**ahead)})


@dataclass(frozen=True)
class ModelVersion:
    """One finished version of one registered model."""

    model: str
    version: int
    run_id: str
    created: datetime
    fingerprint: str  # of data, settings and code: equal fingerprints give equal models
    data_hash: str  # version of the lake it learned from
    test_as_of: datetime
    horizon_days: int
    gate: Gate
    comparison: Comparison
    bundle: str  # where its bundle lies below the artifact root
    bundle_hash: str  # SHA-256 of the bundle's manifest
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def backtest(self) -> tuple[str, datetime, int]:
        """What fixes a back-test: versions that agree in it were measured on the same customers and orders."""
        return self.data_hash, self.test_as_of, self.horizon_days


def backtest(version: ModelVersion) -> dict[str, Any]:
    """What a list made with the version can say of its back-test: when it was, and the metrics but those of peers."""
    ours = {name: value for name, value in version.metrics.items() if not name.startswith("peer.")}
    return {"test_as_of": version.test_as_of.isoformat(), "horizon_days": version.horizon_days, "metrics": ours}


def logged_name(metric: str) -> str:
    """The name MLflow accepts for a metric: it allows neither @ nor %."""
    return metric.replace("@", "_at_").replace("%", "pct")


def metric_name(logged: str) -> str:
    """The inverse of `logged_name`."""
    return logged.replace("_at_", "@").replace("pct", "%")


def logged_metrics(trained: Trained, comparison: Comparison) -> dict[str, float]:
    """Every number of the back-test by the name it is logged under; ends of intervals end in _low and _high.

    `ahead_of_champion` is the difference to the champion of the day in the gate's metric.
    """
    named: dict[str, float | None] = {}
    peers = [(f"peer.{name}.", metrics) for name, metrics in trained.peers.items()]
    groups: list[tuple[str, Sequence[Metric]]] = [("", trained.metrics), *peers]
    if comparison.ahead is not None:
        groups.append(("", [replace(comparison.ahead, name="ahead_of_champion")]))
    for prefix, metrics in groups:
        for metric in metrics:
            name = prefix + logged_name(metric.name)
            named |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
    return {name: float(value) for name, value in named.items() if value is not None}
