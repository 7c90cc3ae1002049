"""An MLflow server as a Regulars server asks it: by plain HTTP, with short waits, without loading MLflow.

Whether it and its database answer, and the pictures of a run. Who asks is told by the variables MLflow itself reads.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from features.home import Home, new_directory

#: Seconds an answer may take, and between two looks.
LONGEST_ANSWER = 2.0
LOOK_EVERY = 2.0
_PICTURES = "pictures"
_LARGEST_PICTURE = 20 * 1024 * 1024


class ServerAwayError(Exception):
    """The MLflow server, or its database, did not answer."""


class RegistryWatch:
    """Whether the registry can be read, looked at in a thread of its own: an answer may take seconds to fail."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.problem: str | None = None
        self._looked = 0.0
        self._looking = threading.Lock()

    def look(self) -> str | None:
        """What was found last; a new look is begun where that is old."""
        if time.monotonic() - self._looked >= LOOK_EVERY and self._looking.acquire(blocking=False):
            self._looked = time.monotonic()
            threading.Thread(target=self._look, daemon=True, name="registry-watch").start()
        return self.problem

    def _look(self) -> None:
        try:
            # It reads the database, as /health does not.
            _ask(self.url, "/api/2.0/mlflow/registered-models/search?max_results=1")
            self.problem = None
        except ServerAwayError as error:
            self.problem = f"the model registry cannot be read ({error}); the scores made before answer"
        finally:
            self._looking.release()


def kept_pictures(home: Home, run_id: str) -> list[Path] | None:
    """The pictures of a run that were fetched before; None where they were not."""
    folder = _folder(home, run_id)
    return sorted(folder.glob("*.png")) if folder.is_dir() else None


def fetch_pictures(home: Home, run_id: str) -> list[Path]:
    """The pictures of a run, kept once they were fetched. Raises ServerAwayError."""
    kept = kept_pictures(home, run_id)
    if kept is not None or home.mlflow_url is None:
        return kept or []
    query = urlencode({"run_id": run_id, "path": _PICTURES})
    found: dict[str, Any] = json.loads(_ask(home.mlflow_url, f"/api/2.0/mlflow/artifacts/list?{query}"))
    names = [Path(item["path"]).name for item in found.get("files", ()) if item["path"].endswith(".png")]
    with new_directory(_folder(home, run_id)) as aside:
        for name in names:
            query = urlencode({"path": f"{_PICTURES}/{name}", "run_uuid": run_id})
            (aside / name).write_bytes(_ask(home.mlflow_url, f"/get-artifact?{query}"))
    return kept_pictures(home, run_id) or []


def _folder(home: Home, run_id: str) -> Path:
    return home.mlflow / _PICTURES / quote(run_id, safe="")


def _ask(url: str, path: str) -> bytes:
    request = urllib.request.Request(url + path, headers=_credentials())  # noqa: S310  # the setting allows http alone
    try:
        with urllib.request.urlopen(request, timeout=LONGEST_ANSWER, context=_trust(url)) as answer:  # noqa: S310
            body: bytes = answer.read(_LARGEST_PICTURE)
            return body
    except urllib.error.HTTPError as error:
        raise ServerAwayError(f"{url} answers {error.code}") from None
    except (OSError, ValueError) as error:
        raise ServerAwayError(f"{url}: {getattr(error, 'reason', error)}") from None


def _credentials() -> dict[str, str]:
    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _trust(url: str) -> ssl.SSLContext | None:
    if not url.startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
