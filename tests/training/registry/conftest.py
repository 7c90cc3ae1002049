from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from features.home import Home
from training.tracking import Registry, open_registry


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow makes its tables in a second or two, so they are made once and copied."""
    home = Home(tmp_path_factory.mktemp("empty"))
    open_registry(home)
    return home.mlflow / "mlflow.db"


@pytest.fixture(scope="session")
def new_home(empty_mlflow: Path) -> Callable[[Path], Home]:
    def make(root: Path) -> Home:
        home = Home(root)
        home.mlflow.mkdir(parents=True)
        shutil.copy(empty_mlflow, home.mlflow / "mlflow.db")
        return home

    return make


@pytest.fixture
def home(new_home: Callable[[Path], Home], tmp_path: Path) -> Home:
    return new_home(tmp_path / "home")


@pytest.fixture
def registry(home: Home) -> Registry:
    return open_registry(home)


@pytest.fixture
def pointed_at() -> Iterator[Callable[[str], None]]:
    """Points this process's MLflow somewhere, as a notebook would; afterwards it points nowhere again."""
    yield mlflow.set_tracking_uri
    mlflow.set_tracking_uri(None)
