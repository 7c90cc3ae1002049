"""Taking customers out of registered models: their ranked lists, and the examples of what a model is asked.

What a model learned is in its trees and cannot be taken out of them: it is to be trained again, which `retrain` notes.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from features.home import Home, recover_changed, remove_directory, sweep
from training.bundle import MANIFEST, file_hash, is_whole, manifest_of
from training.forget import count_in, forget_in, sealed_directories
from training.forget_examples import EXAMPLES, rename_in
from training.forget_on_server import count_on_server, forget_on_server
from training.protocols import REGISTERED
from training.registry_sweep import sweep as sweep_registry
from training.tracking import LOCK, LONGEST_WRITE, Registry, open_registry
from training.versions import ModelVersion


def count_in_models(home: Home, customers: Collection[str]) -> int:
    """In how many rows registered models and their local copies name these customers."""
    roots = (home.mlflow / "artifacts", home.models)
    there = count_on_server(open_registry(home), customers) if home.mlflow_url is not None else 0
    return there + sum(count_in(directory, customers) for root in roots for directory in sealed_directories(root))


def forget_in_models(home: Home, customers: Collection[str]) -> int:
    """How many bundles were changed. Takes the locks of the registry and of the local copies.

    Killed at any moment and called again, it completes. With a server, what an embedded registry left in the data home
    from before is cleaned too.
    """
    changed = 0
    if home.mlflow_url is not None:
        changed = forget_on_server(open_registry(home), customers)
        home = Home(home.root)
    changed += _forget_in_folder(home, customers)
    for model in REGISTERED:
        with home.lock(f"models-{model}", wait_seconds=LONGEST_WRITE):
            for copy in sealed_directories(home.models / model):
                if count_in(copy, customers):
                    remove_directory(copy)  # the next who needs it fetches it anew
    return changed


def _forget_in_folder(home: Home, customers: Collection[str]) -> int:
    artifacts = home.mlflow.resolve() / "artifacts"
    if not artifacts.is_dir():
        return 0
    registry = open_registry(home)
    changed = 0
    with home.lock(LOCK, wait_seconds=LONGEST_WRITE):
        recover_changed(artifacts)
        sweep(artifacts)
        sweep_registry(registry)
        version_of = {
            Path(registry.artifacts.where(version.bundle)).resolve(): version
            for model in REGISTERED
            for version in registry.versions(model)
        }
        for directory in sealed_directories(artifacts):
            version = version_of.get(directory.resolve())
            changed += forget_in(directory, customers, partial(_rehash, registry, version, directory))
        for name in EXAMPLES:
            for file in artifacts.rglob(name):
                rename_in(file, customers)
    return changed


def _rehash(registry: Registry, version: ModelVersion | None, before: Path, new: Path) -> None:
    """Have the registry take the new bundle for the version's, unless the one before was not what it had logged."""
    if version is None:
        return
    after = file_hash(new / MANIFEST)
    # The hash is told before the directory is put in its place: killed in between, it is told already.
    was_whole = is_whole(before, kind=manifest_of(before)["kind"])
    if was_whole and version.bundle_hash in (file_hash(before / MANIFEST), after):
        registry.rehash(version, after)
