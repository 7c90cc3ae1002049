"""The wheel, installed where the repository cannot be seen."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", into, cwd=ROOT)
    (built,) = into.glob("*.whl")
    return built


def test_it_holds_the_three_packages_their_types_and_the_licence_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"features", "training", "serving"}
    assert {f"{package}/py.typed" for package in ("features", "training", "serving")} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    # Without git's knowledge a build could carry along what lies about in a working folder.
    kept = set(run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\n"))
    assert {name for name in names if ".dist-info/" not in name} <= kept


def test_installed_elsewhere_the_command_line_works(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    # The locked packages are seen through a path file; the checkout is not, for path files do not nest.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(UV, "pip", "install", "-q", "--offline", "--no-deps", "--python", python, wheel, cwd=tmp_path)
    where = run(python, "-c", "import features, training, serving; print(serving.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert "Learns from a shop's orders" in run(python.with_name("regulars"), "--help", cwd=tmp_path)
    assert "0.1.0" in run(python.with_name("regulars"), "--version", cwd=tmp_path)
    report = run(python.with_name("regulars"), "doctor", "--json", cwd=tmp_path)
    assert '"healthy": true' in report
