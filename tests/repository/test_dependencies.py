from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = {
    canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE)
}


def test_the_lock_holds_names_versions_and_hashes_and_no_address() -> None:
    assert "://" not in LOCK
    for line in LOCK.splitlines():
        assert re.fullmatch(r"#.*|[\w.\[\]-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)])
def test_every_dependency_is_locked_to_a_version_it_allows(text: str) -> None:
    wanted = Requirement(text)
    name = canonicalize_name(wanted.name)
    assert name in LOCKED, f"{name} is not in requirements.lock. Run:  make lock"
    assert wanted.specifier.contains(LOCKED[name], prereleases=True)


def test_no_installed_package_has_the_name_of_one_of_ours() -> None:
    names = packages_distributions()
    for package in ("features", "training", "serving"):
        assert set(names.get(package, [])) <= {"regulars"}


#: Imports everything, and notes every connection and name look-up there is meanwhile and shortly after.
LISTENING = """
import sys, time
asked = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        asked.append((event, arguments[-1] if event == "socket.connect" else arguments[0]))
sys.addaudithook(hook)
import importlib, os, pkgutil
import features, training, serving
for package in (features, training, serving):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
import mlflow, bentoml, feast
time.sleep(2)
print(asked)
print([os.environ[name] for name in ("BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "FEAST_USAGE")])
"""


def test_importing_everything_sends_nothing_to_anybody() -> None:
    done = subprocess.run([sys.executable, "-c", LISTENING], cwd=ROOT, capture_output=True, text=True, check=True)
    asked, variables = done.stdout.splitlines()
    assert asked == "[]"
    assert variables == "['True', 'true', 'False']"
