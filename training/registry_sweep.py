"""Removing what killed writers left in the registry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from features.home import sweep as sweep_aside
from training.mlflow_library import RunStatus
from training.registry_tags import ABOUT, FINISHED, STARTED, WRITER

if TYPE_CHECKING:
    from training.tracking import Registry

#: After so many seconds what another home began in a server is taken for dead: no upload takes as long.
ABANDONED_AFTER = 24 * 3600


def sweep(registry: Registry) -> None:
    """Remove what killed writers left. Call it holding the lock: what is unfinished and of this home has no writer.

    In a server that homes share, what another began is left alone for a day.
    """
    client = registry.client
    sweep_aside(registry.home.models)
    for experiment in client.search_experiments():
        if STARTED not in experiment.tags:
            continue  # somebody's own experiment in our MLflow
        unfinished = f"attributes.status != 'FINISHED' and tags.`{STARTED}` = 'true'"
        runs = [run for run in client.search_runs([experiment.experiment_id], unfinished) if _is_ours(registry, run)]
        if not runs:
            continue
        entries = registry.entries(experiment.name)
        for entry in entries:
            if _was_begun_by(entry, runs):
                client.delete_model_version(entry.name, entry.version)
        whole = {entry.run_id for entry in entries if FINISHED in entry.tags}
        for run in runs:
            if run.info.run_id in whole:
                end(registry, run.info.run_id, RunStatus.FINISHED)
            else:
                remove_files(registry, experiment, run.info.run_id)
                end(registry, run.info.run_id, RunStatus.KILLED)


def remove_files(registry: Registry, experiment: Any, run_id: str, *, for_good: bool = False) -> None:
    """Remove the logged models of a run and every file of both; `for_good`: from the embedded database too."""
    client, artifacts = registry.client, registry.artifacts
    for logged in client.search_logged_models([experiment.experiment_id], f"source_run_id = '{run_id}'"):
        artifacts.remove_model(experiment.name, logged.model_id)
        client.delete_logged_model(logged.model_id)
        if for_good:
            client._tracking_client.store._hard_delete_logged_model(logged.model_id)
    artifacts.remove_run(experiment.name, run_id)


def end(registry: Registry, run_id: str, status: int) -> None:
    """Mark a run as ended, so that no sweep looks at it again."""
    registry.client.set_terminated(run_id, RunStatus.to_string(status))
    registry.client.set_tag(run_id, STARTED, "ended")


def _was_begun_by(entry: Any, runs: list[Any]) -> bool:
    """Whether the version was begun by one of the runs and not finished."""
    return ABOUT in entry.tags and FINISHED not in entry.tags and entry.run_id in {run.info.run_id for run in runs}


def _is_ours(registry: Registry, run: Any) -> bool:
    if not registry.is_remote or run.data.tags.get(WRITER) == registry.writer:
        return True
    begun: float = run.info.start_time / 1000
    return time.time() - begun > ABANDONED_AFTER
