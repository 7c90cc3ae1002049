"""The registry: MLflow on SQLite, as the rest of the code sees it. With recommender_model, the only importer of mlflow.

A version counts once it carries the tag `finished`, which is set last: a process killed before leaves something no
reader sees, and the next writer sweeps it away. One writer at a time holds the lock "registry".
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import lightgbm as lgb

from features.errors import NotReadyError, RegularsError
from features.home import ASIDE, Home, new_directory
from features.home import sweep as sweep_aside
from training.bundle import MANIFEST, file_hash, read_manifest
from training.protocols import Gate, Trained
from training.versions import (
    CHALLENGER,
    CHAMPION,
    Comparison,
    ModelVersion,
    comparison_from_json,
    logged_metrics,
    metric_name,
)

# Set before mlflow is imported: nothing is sent anywhere, and its progress lines do not mix with ours.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of its own type hints while it is imported
    import mlflow
    import mlflow.lightgbm
    import mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource
    from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunStatus, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.models import infer_signature
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

#: The file of a bundle that is the whole model as LightGBM text; a bundle without it is logged as a pyfunc.
BOOSTER = "model.txt"
LOCK = "registry"
#: Seconds for which what took long to make waits for another writer of the registry.
LONGEST_WRITE = 60
_FINISHED = "regulars.finished"
STARTED = "regulars.started"
_ABOUT = "regulars.about"
_BUNDLE = "bundle"


@dataclass(frozen=True)
class Registry:
    """Model versions and their aliases. Reading needs no lock; what writes says whether it takes it."""

    home: Home
    client: MlflowClient

    def versions(self, model: str) -> list[ModelVersion]:
        """Finished versions of a model, newest first."""
        aliases = self._aliases(model)
        finished = [entry for entry in self._entries(model) if _FINISHED in entry.tags]
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
        source = self.bundle_folder(version)
        advice = f"Train again, or go back:  regulars rollback {version.model} --why 'files lost'"
        where = f"{version.model} version {version.version}"
        if not source.is_dir():
            raise RegularsError(f"{where}: its files are missing from the registry ({source}). {advice}")
        with self.home.lock(f"models-{version.model}"):
            shutil.rmtree(target, ignore_errors=True)
            with new_directory(target) as aside:
                shutil.copytree(source, aside, dirs_exist_ok=True)
                if not _is_whole(aside, version):
                    raise RegularsError(f"{where}: its files in the registry ({source}) were changed. {advice}")
        return target

    def log(self, trained: Trained, *, fingerprint: str, data_hash: str, comparison: Comparison) -> ModelVersion:
        """A new finished version, named challenger. Takes the lock."""
        with self.home.lock(LOCK), _tracking(self.client):
            self.sweep()
            experiment_id = self.experiment(trained.model)
            name = f"{trained.model} {trained.test_as_of:%Y-%m-%d}"
            started = self.client.create_run(experiment_id, run_name=name, tags={STARTED: "true"})
            with mlflow.start_run(run_id=started.info.run_id, nested=True):
                entry = self._log_into(started.info.run_id, trained, fingerprint, data_hash, comparison)
            self.client.set_registered_model_alias(trained.model, CHALLENGER, entry.version)
            return self.get(trained.model, int(entry.version))

    def bundle_folder(self, version: ModelVersion) -> Path:
        """Where the version's bundle lies in the registry."""
        return self._artifacts / version.bundle

    def rehash(self, version: ModelVersion, bundle_hash: str) -> None:
        """Say that the version's bundle is now the one whose manifest hashes so. Call it holding the lock."""
        about = json.loads(self.client.get_model_version(version.model, str(version.version)).tags[_ABOUT])
        self.client.set_model_version_tag(
            version.model, str(version.version), _ABOUT, json.dumps(about | {"bundle_hash": bundle_hash})
        )

    def name(self, version: ModelVersion, alias: str) -> None:
        """Give the version an alias; the champion is nobody's challenger. Call it holding the lock."""
        self.client.set_registered_model_alias(version.model, alias, str(version.version))
        if alias == CHAMPION and self._aliases(version.model).get(CHALLENGER) == version.version:
            self.client.delete_registered_model_alias(version.model, CHALLENGER)

    def sweep(self) -> None:
        """Remove what killed writers left. Call it holding the lock: whatever is unfinished then has no writer."""
        sweep_aside(self.home.models)
        for experiment in self.client.search_experiments():
            if STARTED not in experiment.tags:
                continue  # somebody's own experiment in our MLflow
            entries = self._entries(experiment.name)
            for entry in entries:
                if _ABOUT in entry.tags and _FINISHED not in entry.tags:
                    self.client.delete_model_version(entry.name, entry.version)
            whole = {entry.run_id for entry in entries if _FINISHED in entry.tags}
            unfinished = f"attributes.status != 'FINISHED' and tags.`{STARTED}` = 'true'"
            for run in self.client.search_runs([experiment.experiment_id], unfinished):
                if run.info.run_id in whole:
                    self._end(run.info.run_id, RunStatus.FINISHED)
                else:
                    self._discard(experiment, run.info.run_id)

    def _log_into(self, run_id: str, trained: Trained, fingerprint: str, data_hash: str, comparison: Comparison) -> Any:
        self._describe(run_id, trained, data_hash, comparison)
        info, bundle = self._save_model(run_id, trained)
        about = {
            "fingerprint": fingerprint,
            "data_hash": data_hash,
            "test_as_of": trained.test_as_of.isoformat(),
            "horizon_days": trained.horizon_days,
            "gate": asdict(trained.gate),
            "comparison": asdict(comparison),
            "bundle": str(bundle.relative_to(self._artifacts)),
            "bundle_hash": file_hash(trained.bundle / MANIFEST),
            "notes": list(trained.notes),
        }
        if not self.client.search_registered_models(f"name = '{trained.model}'"):
            self.client.create_registered_model(trained.model)
        entry = self.client.create_model_version(
            trained.model,
            source=info.model_uri,
            run_id=run_id,
            model_id=info.model_id,
            tags={_ABOUT: json.dumps(about)},
            description="\n".join(trained.notes) or None,
        )
        # Nothing may come between this tag and what it promises: it makes the version visible.
        self.client.set_model_version_tag(trained.model, entry.version, _FINISHED, "true")
        return entry

    def _describe(self, run_id: str, trained: Trained, data_hash: str, comparison: Comparison) -> None:
        at = int(datetime.now(UTC).timestamp() * 1000)
        metrics = [Metric(name, value, at, 0) for name, value in logged_metrics(trained, comparison).items()]
        params = [Param(name, str(value)) for name, value in trained.params.items()]
        tags = [RunTag(f"note.{i}", note) for i, note in enumerate(trained.notes, start=1)]
        tags.append(RunTag("data_hash", data_hash))
        self.client.log_batch(run_id, metrics=metrics, params=params, tags=tags)
        source = LocalArtifactDatasetSource(str(self.home.lake / "versions" / data_hash))
        dataset = MetaDataset(source, name="lake", digest=data_hash)._to_mlflow_entity()
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        for picture in trained.pictures:
            self.client.log_artifact(run_id, str(picture), "pictures")
        for name, rows in trained.tables.items():
            columns = {column: [row[column] for row in rows] for column in (rows[0] if rows else ())}
            self.client.log_table(run_id, columns, f"tables/{name}.json")

    def _save_model(self, run_id: str, trained: Trained) -> tuple[Any, Path]:
        """Log the model with its bundle; what MLflow says of it, and where the bundle lies."""
        root = self._artifacts / trained.model
        example = _with_floats(trained.input_example)
        signature = infer_signature(example, _with_floats(trained.output_example))
        described = {"name": "model", "signature": signature, "input_example": example}
        if (trained.bundle / BOOSTER).is_file():
            booster = lgb.Booster(model_file=trained.bundle / BOOSTER)
            info = mlflow.lightgbm.log_model(booster, pip_requirements=_pinned("lightgbm", "pandas"), **described)
            self.client.log_artifacts(run_id, str(trained.bundle), _BUNDLE)
            return info, root / run_id / "artifacts" / _BUNDLE
        info = mlflow.pyfunc.log_model(
            python_model=str(Path(__file__).with_name("recommender_model.py")),
            artifacts={_BUNDLE: str(trained.bundle)},
            pip_requirements=_pinned("numpy", "pandas", "pyarrow"),
            **described,
        )
        return info, root / "models" / info.model_id / "artifacts" / "artifacts" / trained.bundle.name

    @property
    def _artifacts(self) -> Path:
        return self.home.mlflow.resolve() / "artifacts"

    def experiment(self, model: str) -> str:
        """The id of the experiment of a model or a report, made when it is not there. Call it holding the lock."""
        experiment = self.client.get_experiment_by_name(model)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = (self._artifacts / model).as_uri()
        return str(self.client.create_experiment(model, artifact_location=location, tags={STARTED: "true"}))

    def _entries(self, model: str) -> list[Any]:
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
        about = json.loads(entry.tags[_ABOUT])
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

    def _discard(self, experiment: Any, run_id: str) -> None:
        root = self._artifacts / experiment.name
        of_run = f"source_run_id = '{run_id}'"
        for logged in self.client.search_logged_models([experiment.experiment_id], of_run):
            shutil.rmtree(root / "models" / logged.model_id, ignore_errors=True)
            self.client.delete_logged_model(logged.model_id)
        shutil.rmtree(root / run_id, ignore_errors=True)
        self._end(run_id, RunStatus.KILLED)

    def _end(self, run_id: str, status: int) -> None:
        self.client.set_terminated(run_id, RunStatus.to_string(status))
        self.client.set_tag(run_id, STARTED, "ended")


def open_registry(home: Home) -> Registry:
    """The registry of a data home, made when it is not there. Raises RegularsError when it cannot be read."""
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


def _create(database: Path) -> None:
    """An empty database, made aside: MLflow makes its tables in many steps and cannot finish what was cut short."""
    sweep_aside(database.parent)
    database.parent.mkdir(parents=True, exist_ok=True)
    aside = database.with_name(f"{ASIDE}{database.name}")
    store = SqlAlchemyStore(f"sqlite:///{aside}", (database.parent / "artifacts").as_uri())
    store.engine.dispose()
    aside.replace(database)


@contextmanager
def _tracking(client: MlflowClient) -> Iterator[None]:
    """MLflow's `log_model` knows only a process-wide address: set it, and put back what was there."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(client.tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _with_floats(frame: Any) -> Any:
    """Whole numbers as floats: a column that may be empty tomorrow is then no schema error."""
    return frame.astype(dict.fromkeys(frame.select_dtypes("integer").columns, "float64"))


def _pinned(*names: str) -> list[str]:
    return [f"{name}=={installed(name)}" for name in names]


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
