"""Logging a trained model: its run, its files, and the version that makes them visible."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm as lgb

from training.bundle import MANIFEST, file_hash
from training.mlflow_library import (
    DatasetInput,
    InputTag,
    LocalArtifactDatasetSource,
    MetaDataset,
    Metric,
    Param,
    RunTag,
    infer_signature,
    mlflow,
    telling,
)
from training.protocols import Trained
from training.registry_tags import ABOUT, BUNDLE, FINISHED
from training.versions import Comparison, logged_metrics

if TYPE_CHECKING:
    from training.tracking import Registry

#: The file of a bundle that is the whole model as LightGBM text; a bundle without it is logged as a pyfunc.
BOOSTER = "model.txt"


def log_into(registry: Registry, trained: Trained, fingerprint: str, data_hash: str, comparison: Comparison) -> int:
    """The number of a new finished version. Call it holding the lock, with MLflow pointed at the registry."""
    client = registry.client
    experiment_id = registry.experiment(trained.model)
    name = f"{trained.model} {trained.test_as_of:%Y-%m-%d}"
    run_id = client.create_run(experiment_id, run_name=name, tags=registry.tags()).info.run_id
    with telling(registry.home.mlflow_url), mlflow.start_run(run_id=run_id, nested=True):
        return _log_run(registry, run_id, trained, fingerprint, data_hash, comparison)


def _log_run(
    registry: Registry, run_id: str, trained: Trained, fingerprint: str, data_hash: str, comparison: Comparison
) -> int:
    client = registry.client
    _describe(registry, run_id, trained, data_hash, comparison)
    info, bundle = _save_model(registry, run_id, trained)
    about = {
        "fingerprint": fingerprint,
        "data_hash": data_hash,
        "test_as_of": trained.test_as_of.isoformat(),
        "horizon_days": trained.horizon_days,
        "gate": asdict(trained.gate),
        "comparison": asdict(comparison),
        "bundle": bundle,
        "bundle_hash": file_hash(trained.bundle / MANIFEST),
        "notes": list(trained.notes),
    }
    if not client.search_registered_models(f"name = '{trained.model}'"):
        client.create_registered_model(trained.model)
    entry = client.create_model_version(
        trained.model,
        source=info.model_uri,
        run_id=run_id,
        model_id=info.model_id,
        tags={ABOUT: json.dumps(about)},
        description="\n".join(trained.notes) or None,
    )
    # Nothing may come between this tag and what it promises: it makes the version visible.
    client.set_model_version_tag(trained.model, entry.version, FINISHED, "true")
    return int(entry.version)


def _describe(registry: Registry, run_id: str, trained: Trained, data_hash: str, comparison: Comparison) -> None:
    client = registry.client
    at = int(datetime.now(UTC).timestamp() * 1000)
    metrics = [Metric(name, value, at, 0) for name, value in logged_metrics(trained, comparison).items()]
    params = [Param(name, str(value)) for name, value in trained.params.items()]
    tags = [RunTag(f"note.{i}", note) for i, note in enumerate(trained.notes, start=1)]
    tags.append(RunTag("data_hash", data_hash))
    client.log_batch(run_id, metrics=metrics, params=params, tags=tags)
    source = LocalArtifactDatasetSource(str(registry.home.lake / "versions" / data_hash))
    dataset = MetaDataset(source, name="lake", digest=data_hash)._to_mlflow_entity()
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    for picture in trained.pictures:
        client.log_artifact(run_id, str(picture), "pictures")
    for name, rows in trained.tables.items():
        columns = {column: [row[column] for row in rows] for column in (rows[0] if rows else ())}
        client.log_table(run_id, columns, f"tables/{name}.json")


def _save_model(registry: Registry, run_id: str, trained: Trained) -> tuple[Any, str]:
    """Log the model with its bundle; what MLflow says of it, and how its bundle is named."""
    client, artifacts = registry.client, registry.artifacts
    example = _with_floats(trained.input_example)
    signature = infer_signature(example, _with_floats(trained.output_example))
    described = {"name": "model", "signature": signature, "input_example": example}
    if (trained.bundle / BOOSTER).is_file():
        booster = lgb.Booster(model_file=trained.bundle / BOOSTER)
        info = mlflow.lightgbm.log_model(booster, pip_requirements=_pinned("lightgbm", "pandas"), **described)
        client.log_artifacts(run_id, str(trained.bundle), BUNDLE)
        return info, artifacts.bundle_of_run(run_id, trained.model)
    info = mlflow.pyfunc.log_model(
        python_model=str(Path(__file__).with_name("recommender_model.py")),
        artifacts={BUNDLE: str(trained.bundle)},
        pip_requirements=_pinned("numpy", "pandas", "pyarrow"),
        **described,
    )
    return info, artifacts.bundle_of_model(info.model_id, trained.model, trained.bundle.name)


def _with_floats(frame: Any) -> Any:
    """Whole numbers as floats: a column that may be empty tomorrow is then no schema error."""
    return frame.astype(dict.fromkeys(frame.select_dtypes("integer").columns, "float64"))


def _pinned(*names: str) -> list[str]:
    return [f"{name}=={installed(name)}" for name in names]
