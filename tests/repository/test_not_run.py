from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.not_run import is_there, listed_packages

ROOT = Path(__file__).parents[2]

CASES = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="on a whim")
def test_skipped(): pass

@pytest.mark.xfail(reason="known", strict=True)
def test_known_to_fail(): assert False

@pytest.mark.needs("no-such-package")
def test_needs_what_is_not_listed(): pass
"""
MODULE = "import pytest\npytest.skip('the whole file', allow_module_level=True)\n"


def outcomes(folder: Path, text: str, **environment: str) -> str:
    """What pytest says of a test file that holds the text."""
    path = folder / "test_cases.py"
    path.write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    # Coverage of the outer run must not follow into this one.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COV_") and name != "CI"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.not_run", "-p", "no:cacheprovider", "-ra", str(path)],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 or "skipped" in done.stdout
    return done.stdout


def test_elsewhere_what_was_not_run_is_reported(tmp_path: Path) -> None:
    said = outcomes(tmp_path, CASES)
    assert "1 passed, 1 skipped, 1 xfailed, 1 error" in said
    assert "on a whim" in said
    assert "no-such-package is not in" in said
    assert "1 skipped" in outcomes(tmp_path, MODULE)


def test_in_ci_what_was_not_run_is_a_failure(tmp_path: Path) -> None:
    said = outcomes(tmp_path, CASES, CI="true")
    assert "1 passed, 1 xfailed, 2 errors" in said
    assert "Not run, which is a failure in CI. Skipped: on a whim" in said
    assert "Not run, which is a failure in CI. Skipped: the whole file" in outcomes(tmp_path, MODULE, CI="true")


def test_a_listed_package_is_known_by_its_library_or_command(tmp_path: Path) -> None:
    listing = tmp_path / "packages"
    listing.write_text("# why\n\nredis-server  test  command:redis-server  live state\n")
    assert listed_packages(listing) == {"redis-server": "command:redis-server"}
    assert is_there("command:bash")
    assert not is_there("command:no-such-command")
    assert not is_there("library:no-such-library.so.1")


@pytest.mark.needs("libgomp1")
def test_what_lightgbm_needs_is_there() -> None:
    assert is_there("library:libgomp.so.1")
