"""Where the files of runs and models lie: in a folder of the data home, or behind an MLflow server."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from features.errors import RegularsError
from training.mlflow_library import MlflowException, get_artifact_repository, mlflow, telling
from training.registry_tags import BUNDLE


class Artifacts(Protocol):
    """The files of a registry. A bundle is named by a text that the registry keeps with its version."""

    def experiment_location(self, experiment: str, /) -> str | None:
        """Where files of a new experiment go; None: where the server says."""

    def bundle_of_run(self, run_id: str, experiment: str, /) -> str:
        """How a bundle logged to a run is named."""

    def bundle_of_model(self, model_id: str, experiment: str, name: str, /) -> str:
        """How a bundle logged within a model is named."""

    def where(self, bundle: str, /) -> str:
        """Where a bundle lies, in words."""

    def copy(self, bundle: str, into: Path, /) -> bool:
        """Whether the bundle is there; it is then in `into`, not verified yet."""

    def remove_run(self, experiment: str, run_id: str, /) -> None:
        """Remove the files of a run, if there are any."""

    def remove_model(self, experiment: str, model_id: str, /) -> None:
        """Remove the files of a logged model, if there are any."""


@dataclass(frozen=True)
class FolderArtifacts:
    """Files in `root`, by experiment. Names of bundles are relative to it, so that a home can be moved."""

    root: Path

    def experiment_location(self, experiment: str) -> str:
        """The experiment's folder."""
        return (self.root / experiment).as_uri()

    def bundle_of_run(self, run_id: str, experiment: str) -> str:
        """The path below the root."""
        return f"{experiment}/{run_id}/artifacts/{BUNDLE}"

    def bundle_of_model(self, model_id: str, experiment: str, name: str) -> str:
        """The path below the root."""
        return f"{experiment}/models/{model_id}/artifacts/artifacts/{name}"

    def where(self, bundle: str) -> str:
        """The folder."""
        return str(self.root / bundle)

    def copy(self, bundle: str, into: Path) -> bool:
        """Copied from the folder."""
        source = self.root / bundle
        if not source.is_dir():
            return False
        shutil.copytree(source, into, dirs_exist_ok=True)
        return True

    def remove_run(self, experiment: str, run_id: str) -> None:
        """Remove its folder."""
        shutil.rmtree(self.root / experiment / run_id, ignore_errors=True)

    def remove_model(self, experiment: str, model_id: str) -> None:
        """Remove its folder."""
        shutil.rmtree(self.root / experiment / "models" / model_id, ignore_errors=True)


@dataclass(frozen=True)
class ServerArtifacts:
    """Files behind the server at `url`, which hands them on (`--serve-artifacts`). Bundles are named by their URI."""

    url: str
    client: Any

    def experiment_location(self, _experiment: str) -> None:
        """The server says."""
        return

    def bundle_of_run(self, run_id: str, _experiment: str) -> str:
        """Its URI."""
        return f"{self.client.get_run(run_id).info.artifact_uri}/{BUNDLE}"

    def bundle_of_model(self, model_id: str, _experiment: str, name: str) -> str:
        """Its URI."""
        return f"{self.client.get_logged_model(model_id).artifact_location}/artifacts/{name}"

    def where(self, bundle: str) -> str:
        """The URI and the server."""
        return f"{bundle} of {self.url}"

    def copy(self, bundle: str, into: Path) -> bool:
        """Fetched through the server."""
        if "://" not in bundle and not bundle.startswith("mlflow-artifacts:"):
            return False  # of a version that was logged into a folder
        with telling(self.url):
            try:
                found = mlflow.artifacts.download_artifacts(
                    artifact_uri=bundle, dst_path=str(into), tracking_uri=self.url
                )
            except MlflowException as error:
                if error.get_http_status_code() == 404:
                    return False
                raise
        fetched = Path(found)
        if fetched != into:
            for path in fetched.iterdir():
                path.rename(into / path.name)
            fetched.rmdir()
        return any(into.iterdir())

    def remove_run(self, _experiment: str, run_id: str) -> None:
        """Ask the server to remove them."""
        self._remove(self.client.get_run(run_id).info.artifact_uri)

    def remove_model(self, _experiment: str, model_id: str) -> None:
        """Ask the server to remove them."""
        self._remove(self.client.get_logged_model(model_id).artifact_location)

    def _remove(self, uri: str) -> None:
        if not uri.startswith("mlflow-artifacts:"):
            raise RegularsError(
                f"{self.url} keeps files at {uri}, not behind itself. Start it with --serve-artifacts "
                "(mlflow/README.md), or remove them there by hand."
            )
        with telling(self.url):
            repository = get_artifact_repository(uri, tracking_uri=self.url)
            if repository.list_artifacts():
                repository.delete_artifacts()
