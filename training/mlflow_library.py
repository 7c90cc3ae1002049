"""MLflow as it is loaded here: quiet, and telling nobody. With recommender_model, the only importer of mlflow.

A server that does not answer is a RegistryAwayError, within seconds: MLflow by itself asks again for minutes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from features.errors import RegularsError

# Set before mlflow is imported: nothing is sent anywhere, and its progress lines do not mix with ours.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # commands print JSON there
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of its own type hints while it is imported
    import mlflow
    import mlflow.artifacts
    import mlflow.lightgbm
    import mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource
    from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunStatus, RunTag
    from mlflow.exceptions import MlflowException
    from mlflow.models import infer_signature
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.utils import plugins
    from requests import RequestException

    # Feast hangs a header of its own on MLflow's requests, for which all of Feast is loaded: seconds, for nothing.
    _every_plugin = plugins.get_entry_points
    plugins.get_entry_points = lambda group: [one for one in _every_plugin(group) if one.name != "feast"]
    try:
        import mlflow.tracking.request_header.registry
    finally:
        plugins.get_entry_points = _every_plugin

__all__ = [
    "DatasetInput",
    "InputTag",
    "LocalArtifactDatasetSource",
    "MetaDataset",
    "Metric",
    "MlflowClient",
    "MlflowException",
    "Param",
    "RegistryAwayError",
    "RunStatus",
    "RunTag",
    "SqlAlchemyStore",
    "TellingClient",
    "get_artifact_repository",
    "infer_signature",
    "mlflow",
    "telling",
    "tracking",
]


class RegistryAwayError(RegularsError):
    """The MLflow server did not answer, or its database did not."""


@contextmanager
def telling(url: str | None) -> Iterator[None]:
    """Within it, a server at `url` that does not answer raises RegistryAwayError. None: there is no server."""
    try:
        yield
    except (MlflowException, RequestException) as error:
        if url is None or not _is_away(error):
            raise
        raise RegistryAwayError(
            f"{url}: the MLflow server does not answer ({_short(error)}). Nothing registered is lost. Start it, or "
            "correct the setting mlflow_url, then run the same command again."
        ) from None


class TellingClient:
    """An MlflowClient whose calls are `telling`."""

    def __init__(self, client: MlflowClient, url: str) -> None:
        self._client = client
        self._url = url

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def called(*given: Any, **named: Any) -> Any:
            with telling(self._url):
                return found(*given, **named)

        return called


@contextmanager
def tracking(client: Any) -> Iterator[None]:
    """MLflow's `log_model` knows only a process-wide address: set it, and put back what was there."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(client.tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _is_away(error: Exception) -> bool:
    if isinstance(error, RequestException):
        return True
    status = getattr(error, "get_http_status_code", lambda: 500)()
    said = str(error)
    return status >= 500 or "API request to" in said


def _short(error: Exception) -> str:
    """The last cause, without what repeats the request."""
    said = " ".join(str(error).split())
    return said if len(said) <= 160 else f"{said[:157]}…"
