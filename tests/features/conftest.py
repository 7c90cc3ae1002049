from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from features.cli import app
from features.settings import current_settings
from tests.features.loading import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty shop."""
    return Shop(tmp_path)


@pytest.fixture
def regulars(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs a command of this package on a data home: regulars(home, "features", "list")."""

    def run(home: Path, *arguments: str, **environment: str) -> Result:
        current_settings.cache_clear()
        monkeypatch.setenv("REGULARS_HOME", str(home))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, list(arguments))

    yield run
    current_settings.cache_clear()
