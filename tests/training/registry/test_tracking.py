from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.errors import NotReadyError, RegularsError
from features.home import Home
from tests.training.registry.fakes import AS_OF, PNG, trained, trained_recommender
from training.gates import compare
from training.protocols import Trained
from training.tracking import Registry, open_registry
from training.versions import ModelVersion, logged_name, metric_name

ROOT = Path(__file__).parents[3]


def log(registry: Registry, new: Trained, fingerprint: str = "f1") -> ModelVersion:
    return registry.log(new, fingerprint=fingerprint, data_hash="lake1", comparison=compare(new, None, None))


def test_import_mlflow_at_the_root_finds_the_library() -> None:
    code = "import mlflow; print(mlflow.__file__, mlflow.__version__)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "site-packages" in answer.stdout
    assert not list((ROOT / "mlflow").rglob("*.py"))


def test_a_logged_version_says_what_it_is(registry: Registry, tmp_path: Path) -> None:
    version = log(registry, trained(tmp_path, notes=["Recency was not beaten."]))
    assert (version.model, version.version, version.aliases) == ("churn", 1, ("challenger",))
    assert (version.test_as_of, version.horizon_days, version.data_hash) == (AS_OF, 28, "lake1")
    assert version.notes == ("Recency was not beaten.",)
    assert version.metrics["lift@10%"] == 3.5
    assert version.metrics["auc_low"] == pytest.approx(0.78)
    assert version.metrics["peer.recency_rank.auc"] == 0.7
    assert registry.find("churn", "f1") == version
    assert registry.find("churn", "f2") is None
    assert registry.resolve("churn", "challenger") == version
    assert registry.resolve("churn") is None


def test_mlflow_holds_parameters_lineage_picture_signature_and_example(
    registry: Registry, tmp_path: Path, pointed_at: Callable[[str], None]
) -> None:
    version = log(registry, trained(tmp_path))
    run = registry.client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["num_leaves"] == "31"
    assert run.inputs.dataset_inputs[0].dataset.digest == "lake1"
    picture = registry.client.list_artifacts(version.run_id, "pictures")[0]
    assert (registry.home.mlflow / "artifacts/churn" / version.run_id / "artifacts" / picture.path).read_bytes() == PNG
    pointed_at(registry.client.tracking_uri)
    info = mlflow.models.get_model_info("models:/churn/1")
    assert [column.name for column in info.signature.inputs] == ["orders", "days_since_last_order"]
    assert info.saved_input_example_info is not None


def test_the_booster_logged_predicts_as_the_one_trained(
    registry: Registry, tmp_path: Path, pointed_at: Callable[[str], None]
) -> None:
    new = trained(tmp_path)
    log(registry, new)
    pointed_at(registry.client.tracking_uri)
    predicted = mlflow.pyfunc.load_model("models:/churn@challenger").predict(new.input_example.astype(float))
    assert np.allclose(predicted, new.output_example["probability"])


def test_the_recommender_logged_recommends_from_its_bundle(
    registry: Registry, tmp_path: Path, pointed_at: Callable[[str], None]
) -> None:
    version = log(registry, trained_recommender(tmp_path))
    pointed_at(registry.client.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/recommender@challenger")
    answer = model.predict(pd.DataFrame({"customer_id": ["ann", "bob", "nobody"]}))
    assert answer.groupby("customer_id", sort=False)["product_id"].agg(list).to_dict() == {
        "ann": ["milk", "bread"],
        "bob": ["tea"],
        "nobody": ["milk", "bread", "tea"],
    }
    assert (registry.fetch(version) / "ranking" / "lists.npy").is_file()


def test_logging_leaves_the_tracking_address_of_the_process_alone(
    registry: Registry, tmp_path: Path, pointed_at: Callable[[str], None]
) -> None:
    pointed_at("http://127.0.0.1:1")
    log(registry, trained(tmp_path))
    assert mlflow.get_tracking_uri() == "http://127.0.0.1:1"


def test_a_training_logs_inside_a_run_of_somebody_else(
    registry: Registry, tmp_path: Path, pointed_at: Callable[[str], None]
) -> None:
    pointed_at(registry.client.tracking_uri)
    with mlflow.start_run() as own:
        log(registry, trained(tmp_path))
        mlflow.log_metric("mine", 1.0)
    run = registry.client.get_run(own.info.run_id)
    assert run.data.metrics == {"mine": 1.0}


def test_numbers_of_versions_go_up(registry: Registry, tmp_path: Path) -> None:
    log(registry, trained(tmp_path / "a"), "f1")
    log(registry, trained(tmp_path / "b"), "f2")
    assert [v.version for v in registry.versions("churn")] == [2, 1]
    assert [v.aliases for v in registry.versions("churn")] == [("challenger",), ()]


def test_an_unknown_version_is_named_with_those_there_are(registry: Registry, tmp_path: Path) -> None:
    log(registry, trained(tmp_path))
    with pytest.raises(NotReadyError, match=r"churn has no version 7 \(there are: 1\)"):
        registry.get("churn", 7)


def test_a_fetched_bundle_is_the_one_logged(registry: Registry, tmp_path: Path) -> None:
    new = trained(tmp_path)
    version = log(registry, new)
    fetched = registry.fetch(version)
    assert fetched == registry.home.models / "churn" / "1"
    assert {p.name: p.read_bytes() for p in fetched.iterdir()} == {p.name: p.read_bytes() for p in new.bundle.iterdir()}


def test_a_local_copy_that_was_changed_is_fetched_anew(registry: Registry, tmp_path: Path) -> None:
    version = log(registry, trained(tmp_path, auc=0.8))
    (registry.fetch(version) / "auc.txt").write_text("0.99")
    assert (registry.fetch(version) / "auc.txt").read_text() == "0.8"


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_a_registry_whose_files_were_changed_or_lost_is_not_believed(
    registry: Registry, tmp_path: Path, damage: str
) -> None:
    version = log(registry, trained(tmp_path))
    stored = registry.home.mlflow / "artifacts" / version.bundle
    if damage == "changed":
        (stored / "model.txt").write_text("another model")
    else:
        shutil.rmtree(stored)
    with pytest.raises(RegularsError, match="regulars rollback churn"):
        registry.fetch(version)
    assert not (registry.home.models / "churn" / "1").exists()


def test_a_data_home_that_moved_still_has_its_models(new_home: Callable[[Path], Home], tmp_path: Path) -> None:
    version = log(open_registry(new_home(tmp_path / "here and now 100%")), trained(tmp_path / "t"))
    moved = tmp_path / "there"
    (tmp_path / "here and now 100%").rename(moved)
    registry = open_registry(Home(moved))
    assert registry.fetch(registry.get("churn", version.version)).is_dir()


def test_a_database_mlflow_cannot_read_says_what_to_do(home: Home) -> None:
    with sqlite3.connect(home.mlflow / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
    with pytest.raises(RegularsError, match="mlflow db upgrade"):
        open_registry(home)


def test_runs_of_others_are_not_swept(registry: Registry, tmp_path: Path) -> None:
    experiment = registry.client.create_experiment("my own")
    run = registry.client.create_run(experiment)
    log(registry, trained(tmp_path))
    assert registry.client.get_run(run.info.run_id).info.status == "RUNNING"


def test_nothing_of_ours_is_sent_anywhere() -> None:
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("name", ["auc", "ndcg@10", "lift@10%", "peer.last_period_spend.mae"])
def test_metric_names_come_back_from_mlflow(name: str) -> None:
    assert "@" not in logged_name(name)
    assert metric_name(logged_name(name)) == name
