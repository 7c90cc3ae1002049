"""Retention: old versions and runs go, with every file of theirs; what answers or may be asked for again stays.

A version goes first, then its files, then its run: killed in between, what is left is a run without a version, which
the next pruning removes as it would any old run.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from features.errors import DataError
from features.home import Home
from training.bundle import MANIFEST, manifest_of
from training.promotion_log import before
from training.promotions import history, open_log, repair
from training.protocols import REGISTERED
from training.registry_sweep import remove_files, sweep
from training.registry_tags import LOCK, LONGEST_WRITE, STARTED
from training.tracking import Registry
from training.versions import CHAMPION, ModelVersion


@dataclass(frozen=True)
class OldRun:
    """A run that no version came of, or whose version is gone: a report, a search, one of its trials."""

    experiment: str
    run_id: str
    name: str
    started: datetime


@dataclass(frozen=True)
class Pruned:
    """What went, or would go."""

    versions: tuple[ModelVersion, ...]
    runs: tuple[OldRun, ...]
    dry_run: bool


def prune(registry: Registry, *, keep: int, older_than_days: float, now: datetime, dry_run: bool = False) -> Pruned:
    """Remove versions older than the limit that are not among the newest `keep` of their model, and old runs.

    Stays: what has an alias, what a rollback would go back to, and what a scoring on disk was made with, which those
    pinned, named by an experiment, or kept as the last good one are. Takes the registry's lock. Killed at any moment
    and called again, it completes.
    """
    if keep < 1:
        raise DataError(f"--keep is {keep}: at least 1 version of each model is kept. Say  --keep 1  or more.")
    limit = now - timedelta(days=older_than_days)
    with registry.home.lock(LOCK, wait_seconds=LONGEST_WRITE):
        if not dry_run:
            sweep(registry)
            repair(registry)
        there = {model: registry.versions(model) for model in REGISTERED}
        used = used_by_scorings(registry.home)
        versions = [one for model in REGISTERED for one in _old(registry.home, there[model], used, keep, limit)]
        gone = {one.run_id for one in versions}
        kept = {one.run_id for found in there.values() for one in found} - gone
        runs = list(_old_runs(registry, kept | gone, limit))
        if not dry_run:
            for version in versions:
                _remove_version(registry, version)
            for run in runs:
                _remove_run(registry, registry.client.get_experiment_by_name(run.experiment), run.run_id)
    return Pruned(tuple(versions), tuple(runs), dry_run)


def used_by_scorings(home: Home) -> set[tuple[str, int]]:
    """Model and number of every version that a scoring on disk was made with, current, pinned, or last good."""
    found: set[tuple[str, int]] = set()
    for root in (home.scores, home.live):
        for manifest in root.rglob(MANIFEST) if root.is_dir() else ():
            models = manifest_of(manifest.parent)["about"].get("models")
            if isinstance(models, dict):
                found |= {(model, int(number)) for model, number in models.items() if number is not None}
    return found


def _old(
    home: Home, versions: list[ModelVersion], used: Collection[tuple[str, int]], keep: int, limit: datetime
) -> Iterable[ModelVersion]:
    stay = {one.version for one in versions[:keep]} | _asked_for(home, versions)
    for one in versions:
        if one.version not in stay and not one.aliases and (one.model, one.version) not in used and one.created < limit:
            yield one


def _asked_for(home: Home, versions: list[ModelVersion]) -> set[int]:
    """What a rollback would go back to, and what a change under way is about."""
    found: set[int] = set()
    for one in versions:
        if CHAMPION in one.aliases:
            exists = frozenset(each.version for each in versions)
            number = before(history(home, one.model), champion=one.version, exists=exists)
            found |= set() if number is None else {number}
    models = {one.model for one in versions}
    return found | {row.to_version for row in open_log(home).pending() if row.model in models}


def _old_runs(registry: Registry, of_versions: Collection[str], limit: datetime) -> Iterable[OldRun]:
    client, at = registry.client, int(limit.timestamp() * 1000)
    for experiment in client.search_experiments():
        if STARTED not in experiment.tags:
            continue  # somebody's own
        token = None
        while True:
            page = client.search_runs(
                [experiment.experiment_id], f"attributes.start_time < {at}", max_results=1000, page_token=token
            )
            for run in page:
                if run.info.run_id not in of_versions:
                    started = datetime.fromtimestamp(run.info.start_time / 1000, limit.tzinfo)
                    yield OldRun(experiment.name, run.info.run_id, run.info.run_name or "", started)
            token = page.token
            if not token:
                break


def _remove_version(registry: Registry, version: ModelVersion) -> None:
    registry.client.delete_model_version(version.model, str(version.version))
    shutil.rmtree(registry.home.models / version.model / str(version.version), ignore_errors=True)
    _remove_run(registry, registry.client.get_experiment_by_name(version.model), version.run_id)


def _remove_run(registry: Registry, experiment: Any, run_id: str) -> None:
    remove_files(registry, experiment, run_id, for_good=not registry.is_remote)
    shutil.rmtree(_fetched_pictures(registry.home, run_id), ignore_errors=True)
    registry.client.delete_run(run_id)
    if not registry.is_remote:
        # What `mlflow gc` does; a server's rows are its own operator's to remove.
        registry.client._tracking_client.store._hard_delete_run(run_id)


def _fetched_pictures(home: Home, run_id: str) -> Path:
    return home.mlflow / "pictures" / run_id
