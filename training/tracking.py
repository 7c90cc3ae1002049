"""The registry: MLflow as the rest of the code sees it, on SQLite in the data home or behind a server at one URL.

A version counts once it carries the tag `finished`, which is set last: a process killed before leaves something no
reader sees, and the next writer sweeps it away. One writer at a time holds the lock "registry" of its home; homes that
share a server leave each other's unfinished work alone.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import NotReadyError, RegularsError
from features.home import ASIDE, Home, new_directory, write_text
from features.home import sweep as sweep_aside
from training.artifacts import Artifacts, FolderArtifacts, ServerArtifacts
from training.bundle import MANIFEST, check_format, file_hash, manifest_of, read_manifest
from training.mlflow_library import (
    MlflowClient,
    MlflowException,
    RegistryAwayError,
    SqlAlchemyStore,
    TellingClient,
    telling,
    tracking,
)
from training.protocols import Gate, Trained
from training.registry_log import log_into
from training.registry_sweep import sweep
from training.registry_tags import ABOUT, FINISHED, LOCK, LONGEST_WRITE, STARTED, WRITER
from training.versions import (
    CHALLENGER,
    CHAMPION,
    Comparison,
    ModelVersion,
    comparison_from_json,
    metric_name,
)

__all__ = ["LOCK", "LONGEST_WRITE", "STARTED", "Registry", "RegistryAwayError", "open_registry"]

#: Seconds between two tries to log while the server is away.
_AGAIN_AFTER = 2.0


@dataclass(frozen=True)
class Registry:
    """Model versions and their aliases. Reading needs no lock; what writes says whether it takes it."""

    home: Home
    client: Any  # an MlflowClient

    def versions(self, model: str) -> list[ModelVersion]:
        """Finished versions of a model, newest first."""
        aliases = self._aliases(model)
        finished = [entry for entry in self.entries(model) if FINISHED in entry.tags]
        return sorted((self._version(entry, aliases) for entry in finished), key=lambda v: -v.version)

    def find(self, model: str, fingerprint: str) -> ModelVersion | None:
        """The newest finished version with that fingerprint."""
        return next((v for v in self.versions(model) if v.fingerprint == fingerprint), None)

    def resolve(self, model: str, alias: str = CHAMPION) -> ModelVersion | None:
        """The finished version an alias names, if any."""
        number = self._aliases(model).get(alias)
        return next((v for v in self.versions(model) if v.version == number), None)

    def get(self, model: str, number: int) -> ModelVersion:
        """A finished version by number. Raises NotReadyError naming those there are."""
        versions = self.versions(model)
        for version in versions:
            if version.version == number:
                return version
        there = ", ".join(str(v.version) for v in versions) or "none"
        raise NotReadyError(f"{model} has no version {number} (there are: {there}). See them:  regulars models")

    def fetch(self, version: ModelVersion) -> Path:
        """A local copy of the version's bundle, verified against what was logged."""
        target = self.home.models / version.model / str(version.version)
        if _is_whole(target, version):
            return target
        source = self.artifacts.where(version.bundle)
        advice = f"Train again, or go back:  regulars rollback {version.model} --why 'files lost'"
        where = f"{version.model} version {version.version}"
        with self.home.lock(f"models-{version.model}"):
            shutil.rmtree(target, ignore_errors=True)
            with new_directory(target) as aside:
                if not self.artifacts.copy(version.bundle, aside):
                    raise RegularsError(f"{where}: its files are missing from the registry ({source}). {advice}")
                _refuse_newer(aside)
                if not _is_whole(aside, version):
                    raise RegularsError(f"{where}: its files in the registry ({source}) were changed. {advice}")
        return target

    def log(self, trained: Trained, *, fingerprint: str, data_hash: str, comparison: Comparison) -> ModelVersion:
        """A new finished version, named challenger. Takes the lock.

        A server that goes away meanwhile is waited for: what is logged took long to make.
        """
        until = time.monotonic() + LONGEST_WRITE
        with self.home.lock(LOCK), tracking(self.client):
            while True:
                try:
                    return self._log(trained, fingerprint, data_hash, comparison)
                except RegistryAwayError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(_AGAIN_AFTER)

    def _log(self, trained: Trained, fingerprint: str, data_hash: str, comparison: Comparison) -> ModelVersion:
        sweep(self)
        # What a try before had finished before the server went away.
        found = self.find(trained.model, fingerprint)
        number = found.version if found is not None else log_into(self, trained, fingerprint, data_hash, comparison)
        self.client.set_registered_model_alias(trained.model, CHALLENGER, str(number))
        return self.get(trained.model, number)

    @property
    def is_remote(self) -> bool:
        """Whether a server keeps it, and not the data home."""
        return self.home.mlflow_url is not None

    @property
    def artifacts(self) -> Artifacts:
        """Where its files lie."""
        if self.home.mlflow_url is not None:
            return ServerArtifacts(self.home.mlflow_url, self.client)
        return FolderArtifacts(self.home.mlflow.resolve() / "artifacts")

    def tags(self) -> dict[str, str]:
        """What a run of ours carries from its start."""
        return {STARTED: "true"} | ({WRITER: self.writer} if self.is_remote else {})

    @property
    def writer(self) -> str:
        """What this home is told from others by, in a server they share. Call it holding the lock."""
        file = self.home.mlflow / "writer"
        if not file.is_file():
            write_text(file, uuid.uuid4().hex)
        return file.read_text(encoding="utf-8")

    def rehash(self, version: ModelVersion, bundle_hash: str, *, bundle: str | None = None) -> None:
        """Say that the version's bundle is now the one whose manifest hashes so, and where it lies if elsewhere.

        Call it holding the lock.
        """
        now = {"bundle_hash": bundle_hash} | ({} if bundle is None else {"bundle": bundle})
        about = json.loads(self.client.get_model_version(version.model, str(version.version)).tags[ABOUT])
        self.client.set_model_version_tag(version.model, str(version.version), ABOUT, json.dumps(about | now))

    def name(self, version: ModelVersion, alias: str) -> None:
        """Give the version an alias; the champion is nobody's challenger. Call it holding the lock."""
        self.client.set_registered_model_alias(version.model, alias, str(version.version))
        if alias == CHAMPION and self._aliases(version.model).get(CHALLENGER) == version.version:
            self.client.delete_registered_model_alias(version.model, CHALLENGER)

    def experiment(self, model: str) -> str:
        """The id of the experiment of a model or a report, made when it is not there. Call it holding the lock."""
        experiment = self.client.get_experiment_by_name(model)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = self.artifacts.experiment_location(model)
        return str(self.client.create_experiment(model, artifact_location=location, tags={STARTED: "true"}))

    def entries(self, model: str) -> list[Any]:
        """Everything MLflow holds under the name, finished or not."""
        batch = self.client.search_model_versions(f"name = '{model}'", max_results=1000)
        found = list(batch)
        while batch.token:
            batch = self.client.search_model_versions(f"name = '{model}'", max_results=1000, page_token=batch.token)
            found.extend(batch)
        return found

    def _aliases(self, model: str) -> dict[str, int]:
        registered = self.client.search_registered_models(f"name = '{model}'")
        return {alias: int(number) for entry in registered for alias, number in entry.aliases.items()}

    def _version(self, entry: Any, aliases: Mapping[str, int]) -> ModelVersion:
        about = json.loads(entry.tags[ABOUT])
        return ModelVersion(
            model=entry.name,
            version=int(entry.version),
            run_id=entry.run_id,
            created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
            fingerprint=about["fingerprint"],
            data_hash=about["data_hash"],
            test_as_of=datetime.fromisoformat(about["test_as_of"]),
            horizon_days=about["horizon_days"],
            gate=Gate(**about["gate"]),
            comparison=comparison_from_json(about["comparison"]),
            bundle=about["bundle"],
            bundle_hash=about["bundle_hash"],
            metrics={metric_name(k): v for k, v in self.client.get_run(entry.run_id).data.metrics.items()},
            aliases=tuple(alias for alias, number in aliases.items() if number == int(entry.version)),
            notes=tuple(about["notes"]),
        )


def open_registry(home: Home) -> Registry:
    """The registry of a data home, made when it is not there. Raises RegularsError when it cannot be read."""
    if home.mlflow_url is not None:
        return _open_server(home, home.mlflow_url)
    database = home.mlflow.resolve() / home.registry_database.name
    try:
        if not database.is_file():
            with home.lock(LOCK):
                _create(database)
        uri = f"sqlite:///{database}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_registered_models(max_results=1)
    except MlflowException as error:
        raise RegularsError(
            f"{database}: MLflow cannot read it: {error}. If another MLflow release made it, bring it up to date:  "
            f"mlflow db upgrade sqlite:///{database}"
        ) from None
    return Registry(home=home, client=client)


def _open_server(home: Home, url: str) -> Registry:
    client = TellingClient(MlflowClient(tracking_uri=url, registry_uri=url), url)
    try:
        with telling(url):
            client.search_registered_models(max_results=1)
    except MlflowException as error:
        raise RegularsError(
            f"{url}: the MLflow server refuses ({error}). Check mlflow_url, and MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN."
        ) from None
    return Registry(home=home, client=client)


def _create(database: Path) -> None:
    """An empty database, made aside: MLflow makes its tables in many steps and cannot finish what was cut short."""
    sweep_aside(database.parent)
    database.parent.mkdir(parents=True, exist_ok=True)
    aside = database.with_name(f"{ASIDE}{database.name}")
    store = SqlAlchemyStore(f"sqlite:///{aside}", (database.parent / "artifacts").as_uri())
    store.engine.dispose()
    aside.replace(database)


def _is_whole(directory: Path, version: ModelVersion) -> bool:
    """Whether the directory holds exactly the bundle that was logged."""
    manifest = directory / MANIFEST
    if not manifest.is_file() or file_hash(manifest) != version.bundle_hash:
        return False
    try:
        read_manifest(directory, kind=version.model)
    except RegularsError:
        return False
    return True


def _refuse_newer(directory: Path) -> None:
    """Raise NewerFormatError, which names both releases, where a later one sealed the bundle."""
    if (directory / MANIFEST).is_file():
        check_format(directory, manifest_of(directory))
