"""The versions of the registry as they are listed, kept beside it, so that a server shows them without loading MLflow.

What is kept holds as long as the registry's database is the one it was read from; whoever changes the registry through
`regulars` keeps the list anew, having MLflow loaded already.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from features.home import Home, write_text
from features.terminal import as_json
from training.grades import grade as grade_of
from training.versions import ModelVersion

FILE = "versions.json"
#: For how long what a server said is shown without asking it: another machine may have changed it meanwhile.
FRESH_SECONDS = 60
Listed = list[dict[str, Any]]


def registry_state(home: Home) -> list[list[int]] | str:
    """What differs whenever the registry's database does: when it and its log were written, and how long they are.

    Of a server, only which it is.
    """
    if home.mlflow_url is not None:
        return home.mlflow_url
    database = home.registry_database
    files = [database.with_name(f"{database.name}{end}") for end in ("", "-wal", "-journal")]
    return [[file.stat().st_mtime_ns, file.stat().st_size] for file in files if file.is_file()]


def described(version: ModelVersion) -> dict[str, Any]:
    """A version with its grade and what that rests on; the recommender has none."""
    found = grade_of(version.model, version.metrics)
    return {**asdict(version), "grade": None if found is None else found.as_json()}


def keep_listing(home: Home, read: Callable[[], Sequence[ModelVersion]]) -> Listed:
    """Every version that `read` finds, as `regulars models --json` gives them; kept unless another writes meanwhile."""
    state = registry_state(home)
    rows = [asdict(version) for version in read()]
    if registry_state(home) == state:
        write_text(home.mlflow / FILE, as_json({"state": state, "versions": rows}))
    return _graded(json.loads(as_json(rows)))


def kept_listing(home: Home) -> Listed | None:
    """The versions as they were kept last; None where the registry was written to since, or none was kept.

    Those of a server are None after a minute.
    """
    file = home.mlflow / FILE
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return None
    if home.mlflow_url is not None and age > FRESH_SECONDS:
        return None
    return _graded(kept["versions"]) if kept["state"] == registry_state(home) else None


def _graded(rows: Listed) -> Listed:
    """With the grade that the rule of this release gives, whichever release kept them."""
    found = [grade_of(row["model"], {name: _number(value) for name, value in row["metrics"].items()}) for row in rows]
    return [row | {"grade": None if one is None else one.as_json()} for row, one in zip(rows, found, strict=True)]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
