"""Habits that a linter does not know."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("features", "training", "serving")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
#: A name that says nothing of what is inside.
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
MOST_LINES = 350


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_top_level_folders_are_those_of_the_design() -> None:
    folders = {name.split("/")[0] for name in tracked() if "/" in name}
    assert folders <= {*PACKAGES, "notebooks", "tests", "mlflow", "docs", "benchmarks", "deploy", ".ci"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_one_concept(module: Path) -> None:
    assert module.stem not in NAMELESS
    lines = module.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES


def test_nothing_served_is_unpickled() -> None:
    for module in MODULES:
        text = module.read_text(encoding="utf-8")
        for word in ("import pickle", "import joblib", "cloudpickle", "allow_pickle=True", "import dill"):
            assert word not in text, f"{module.relative_to(ROOT)} uses {word}"


def test_notebooks_define_no_functions() -> None:
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert '"def ' not in notebook.read_text(encoding="utf-8")


def test_no_large_file_is_kept() -> None:
    assert {name for name in tracked() if (ROOT / name).is_file() and (ROOT / name).stat().st_size > 500_000} == set()
