from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "mlflow"


def test_nothing_here_is_python_or_named_like_a_module_of_mlflow() -> None:
    assert not [path for path in FOLDER.rglob("*") if path.suffix in (".py", ".pyi", ".so")]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert not [name for name in tracked if Path(name).stem == "mlflow" and Path(name).suffix == ".py"]


def test_the_project_names_no_address_and_the_locked_versions() -> None:
    environment = yaml.safe_load((FOLDER / "python_env.yaml").read_text())
    assert environment["dependencies"] == ["-r requirements.lock"]
    assert (FOLDER / "requirements.lock").resolve() == ROOT / "requirements.lock"
    for path in (FOLDER / "python_env.yaml", FOLDER / "MLproject"):
        assert "://" not in path.read_text()


@pytest.mark.parametrize("entry_point", ["main", "train", "evaluate", "score"])
def test_every_entry_point_runs_commands_that_exist(entry_point: str) -> None:
    from serving.cli import ORDER

    command = yaml.safe_load((FOLDER / "MLproject").read_text())["entry_points"][entry_point]["command"]
    named = re.findall(r"python -m serving ([a-z-]+)", command)
    assert named
    assert set(named) <= set(ORDER)


def test_mlflow_runs_the_project_from_the_root(tmp_path: Path) -> None:
    """Its command is reached, in this environment and the data home named: nothing is loaded there, and it says so."""
    home = tmp_path / "home"
    (home / "mlflow").mkdir(parents=True)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "REGULARS_HOME": str(home),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow/mlflow.db",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", "mlflow", "-e", "score", "--env-manager", "local"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert f"No data is loaded in {home}" in " ".join(done.stderr.split())
