"""A test that needs something this machine may lack says so, and is never lost silently.

`@pytest.mark.needs("redis-server")` names a package of .ci/system-packages. Without it the test is reported as not run,
with the command that enables it; in CI (CI=true) a test that was not run is a failure, whatever the reason.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[1] / ".ci" / "system-packages"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(package): runs only where this package of .ci/system-packages is there")


def listed_packages(path: Path = PACKAGES) -> dict[str, str]:
    """How each listed package is known to be there: library:NAME, command:NAME or file:PATH."""
    rows = [line.split(None, 3) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row[0]: row[2] for row in rows if row and not row[0].startswith("#")}


def is_there(probe: str) -> bool:
    kind, _, name = probe.partition(":")
    if kind == "command":
        return shutil.which(name) is not None
    if kind == "file":
        return Path(name).exists()
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def pytest_runtest_setup(item: pytest.Item) -> None:
    known = listed_packages()
    for mark in item.iter_markers("needs"):
        (package,) = mark.args
        if package not in known:
            pytest.fail(f"{package} is not in {PACKAGES}", pytrace=False)
        if not is_there(known[package]):
            pytest.skip(f"{package} is missing. To run this test:  sudo apt-get install {package}")


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A report of something not run becomes one of a failure."""
    if os.environ.get("CI", "") in ("", "0", "false") or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"Not run, which is a failure in CI. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report
