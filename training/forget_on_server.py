"""Taking customers out of models that an MLflow server keeps.

A bundle there cannot be exchanged in one step, so one without them is put beside it, the version is told of it, and
the one before is removed: a reader finds one or the other whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.home import ASIDE
from training.bundle import MANIFEST, file_hash, is_whole
from training.forget import count_in, forget_in, sealed_directories
from training.forget_examples import EXAMPLES, rename_in
from training.mlflow_library import get_artifact_repository, telling
from training.protocols import REGISTERED
from training.registry_sweep import sweep
from training.registry_tags import BUNDLE, LOCK, LONGEST_WRITE
from training.tracking import Registry
from training.versions import ModelVersion


def count_on_server(registry: Registry, customers: Collection[str]) -> int:
    """In how many rows the versions' bundles name these customers; each is fetched to see."""
    found = 0
    for version in _versions(registry):
        with _workspace(registry) as folder:
            if registry.artifacts.copy(version.bundle, folder):
                found += count_in(folder, customers)
    return found


def forget_on_server(registry: Registry, customers: Collection[str]) -> int:
    """How many bundles were changed. Takes the registry's lock. Killed at any moment and called again, it completes."""
    changed = 0
    with registry.home.lock(LOCK, wait_seconds=LONGEST_WRITE):
        sweep(registry)
        for version in _versions(registry):
            changed += _forget_bundle(registry, version, customers)
            with telling(registry.home.mlflow_url):
                _remove_before(registry, version)
                _clean_models(registry, version, customers)
    return changed


def _forget_bundle(registry: Registry, version: ModelVersion, customers: Collection[str]) -> bool:
    with _workspace(registry) as folder:
        bundle = folder / BUNDLE
        bundle.mkdir()
        # What is not as it was logged is not taken for the version's now; readers refuse it as before.
        if not registry.artifacts.copy(version.bundle, bundle) or not is_whole(bundle, kind=version.model):
            return False
        if file_hash(bundle / MANIFEST) != version.bundle_hash or not forget_in(bundle, customers):
            return False
        after = file_hash(bundle / MANIFEST)
        name = f"{BUNDLE}-{after[:16]}"
        registry.client.log_artifacts(version.run_id, str(bundle), name)
        uri = registry.client.get_run(version.run_id).info.artifact_uri
        registry.rehash(version, after, bundle=f"{uri}/{name}")
        return True


def _remove_before(registry: Registry, version: ModelVersion) -> None:
    """Remove bundles of the version's run that are not the version's any longer."""
    now = registry.get(version.model, version.version).bundle
    uri = registry.client.get_run(version.run_id).info.artifact_uri
    repository = _repository(registry, uri)
    for item in repository.list_artifacts():
        if item.is_dir and item.path.startswith(BUNDLE) and now != f"{uri}/{item.path}":
            repository.delete_artifacts(item.path)


def _clean_models(registry: Registry, version: ModelVersion, customers: Collection[str]) -> None:
    """Take the customers out of what MLflow itself loads: the bundle within a logged model, and its examples."""
    experiment = registry.experiment(version.model)
    of_run = f"source_run_id = '{version.run_id}'"
    for logged in registry.client.search_logged_models([experiment], of_run):
        repository = _repository(registry, logged.artifact_location)
        with _workspace(registry) as folder:
            repository.download_artifacts("", str(folder))
            for bundle in list(sealed_directories(folder)):
                if forget_in(bundle, customers):
                    repository.log_artifacts(str(bundle), str(bundle.relative_to(folder)))
            for name in EXAMPLES:
                if (folder / name).is_file() and rename_in(folder / name, customers):
                    repository.log_artifact(str(folder / name))


def _repository(registry: Registry, uri: str) -> Any:
    return get_artifact_repository(uri, tracking_uri=registry.home.mlflow_url)


def _versions(registry: Registry) -> Iterator[ModelVersion]:
    for model in REGISTERED:
        yield from registry.versions(model)


@contextmanager
def _workspace(registry: Registry) -> Iterator[Path]:
    place = registry.home.root / "tmp"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{ASIDE}forget-", dir=place) as folder:
        yield Path(folder)
