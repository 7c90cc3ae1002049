"""Reports as MLflow runs: what was measured without a model being made, in an experiment of its own.

A run is marked started and then finished, as every run of the registry is; what a killed writer left is swept away by
the next that writes a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.tracking import LOCK, LONGEST_WRITE, Registry
from training.versions import logged_name


@dataclass(frozen=True)
class Report:
    """What there is to log. `metrics` are by name one value for each step, in order; rows of `tables` are by name."""

    experiment: str
    name: str
    params: Mapping[str, str | float | int]
    metrics: Mapping[str, Sequence[float]]
    pictures: Sequence[Path] = ()
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def log_report(registry: Registry, report: Report) -> str:
    """The id of the finished run. Takes the registry's lock; waits for it, as the report took long to make."""
    client = registry.client
    with registry.home.lock(LOCK, wait_seconds=LONGEST_WRITE):
        started = client.create_run(registry.experiment(report.experiment), run_name=report.name, tags=registry.tags())
        run_id = str(started.info.run_id)
        for name, value in report.params.items():
            client.log_param(run_id, name, value)
        for name, values in report.metrics.items():
            for step, number in enumerate(values):
                if math.isfinite(number):
                    client.log_metric(run_id, logged_name(name), number, step=step)
        for picture in report.pictures:
            client.log_artifact(run_id, str(picture), "pictures")
        for name, rows in report.tables.items():
            columns = {column: [row[column] for row in rows] for column in (rows[0] if rows else ())}
            client.log_table(run_id, columns, f"tables/{name}.json")
        client.set_terminated(run_id)
    return run_id
