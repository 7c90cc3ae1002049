"""A search in MLflow: one run for the search, and below it one child run for each trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.protocols import Metric
from training.searches import Search
from training.tracking import LOCK, LONGEST_WRITE, Registry
from training.versions import logged_name

#: The tag by which MLflow shows a run below another.
PARENT = "mlflow.parentRunId"
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"


@dataclass(frozen=True)
class SearchLog:
    """Writes the runs of one search. A killed search leaves its run unfinished; what it tried stays readable."""

    registry: Registry
    search: Search
    experiment_id: str
    run_id: str

    def trial(self, number: int, settings: Mapping[str, Any], value: float | None, seconds: float) -> None:
        """A child run; `value` is None where the settings could not be fitted."""
        client = self.registry.client
        name = "defaults" if number == 0 else f"trial {number}"
        run_id = _start(self.registry, self.experiment_id, name, {PARENT: self.run_id})
        for key, setting in settings.items():
            client.log_param(run_id, key, setting)
        client.log_metric(run_id, "seconds", seconds)
        if value is not None:
            client.log_metric(run_id, logged_name(self.search.metric), value)
        client.set_terminated(run_id, FAILED if value is None else FINISHED)

    def end(self, *, default: float, best: float, settings: Mapping[str, Any], gain: Metric, verdict: str) -> None:
        """What came of the search, on its own run."""
        client, metric = self.registry.client, logged_name(self.search.metric)
        client.log_metric(self.run_id, f"{metric}_default", default)
        client.log_metric(self.run_id, metric, best)
        for end, value in {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}.items():
            if value is not None:
                client.log_metric(self.run_id, end, value)
        for key, setting in settings.items():
            client.log_param(self.run_id, f"best.{key}", setting)
        client.set_tag(self.run_id, "verdict", verdict)
        client.set_terminated(self.run_id, FINISHED)

    def stopped(self) -> None:
        """Mark the search as not gone to its end."""
        self.registry.client.set_terminated(self.run_id, KILLED)


def start_log(registry: Registry, search: Search, budget: Mapping[str, Any]) -> SearchLog:
    """The run of a search, with its budget and what it is judged by."""
    name = f"tune {search.model} {search.validation_as_of:%Y-%m-%d}"
    with registry.home.lock(LOCK, wait_seconds=LONGEST_WRITE):
        experiment_id = registry.experiment(search.model)
    run_id = _start(registry, experiment_id, name, {"search": search.model})
    told = {"metric": search.metric, "validation_as_of": search.validation_as_of.isoformat(), **budget}
    for key, value in told.items():
        registry.client.log_param(run_id, key, value)
    return SearchLog(registry, search, experiment_id, run_id)


def _start(registry: Registry, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    started = registry.client.create_run(experiment_id, run_name=name, tags=dict(tags))
    return str(started.info.run_id)
