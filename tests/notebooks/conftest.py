"""What tests of notebooks share: a data home of a small shop, which they find in the environment."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from features.home import Home
from training.protocols import Context


@pytest.fixture
def home(small_shop: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    shutil.copytree(small_shop.home.lake, tmp_path / "home" / "lake")
    for name, value in {"REGULARS_HOME": str(tmp_path / "home"), "REGULARS_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    # Else each kernel would leave its connection file and history in the user's home.
    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return Home(tmp_path / "home")
