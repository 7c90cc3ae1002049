"""What the audit of the locked packages says, with an advisory database that answers, one that warns, and none."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.web_server import QuietHandler, web_server

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)


@contextmanager
def database(warned: str | None) -> Iterator[tuple[str, list[dict]]]:
    """The address of an advisory database that warns of one package, and what it was asked."""
    asked: list[dict] = []

    class Osv(QuietHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
            asked.extend(queries)
            known = [{"id": "MADE-UP-1", "modified": "2024-01-01T00:00:00Z"}]
            self.answer({"results": [{"vulns": known} if q["package"]["name"] == warned else {} for q in queries]})

        def do_GET(self) -> None:
            about = {"modified": "2024-01-01T00:00:00Z", "summary": "lets anybody in", "affected": []}
            self.answer({"id": "MADE-UP-1"} | about)

        def answer(self, what: dict) -> None:
            body = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with web_server(Osv) as address:
        yield address, asked


def audit(address: str, folder: Path) -> tuple[int, str]:
    """The exit status and what is said, of two of the locked packages."""
    small = folder / "small.lock"
    small.write_text("".join(f"{line}\n" for line in LOCK.splitlines() if line.startswith(("idna==", "colorama=="))))
    env = os.environ | {"LOCK": str(small), "BIN": str(Path(sys.executable).parent), "UV_HTTP_RETRIES": "0"}
    command = ["bash", ".ci/audit.sh", "--service-url", address]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_known_vulnerability_of_a_locked_package_fails_and_is_named(tmp_path: Path) -> None:
    with database("idna") as (address, asked):
        status, said = audit(address, tmp_path)
    assert status != 0
    assert "lets anybody in" in said
    assert {(q["package"]["name"], q["version"]) for q in asked} >= {("idna", dict(PIN.findall(LOCK))["idna"])}


def test_locked_packages_without_one_pass(tmp_path: Path) -> None:
    with database(None) as (address, _):
        status, said = audit(address, tmp_path)
    assert (status, "No known vulnerability in the 2 locked packages" in said) == (0, True)


def test_without_the_database_it_is_said_that_nothing_was_audited(tmp_path: Path) -> None:
    status, said = audit("http://127.0.0.1:9", tmp_path)
    assert (status, "The 2 locked packages were NOT audited" in said) == (0, True)


def test_what_is_installed_is_what_is_locked() -> None:
    locked = {(canonicalize_name(name), version) for name, version in PIN.findall(LOCK)}
    installed = {(canonicalize_name(one.metadata["Name"]), one.version) for one in distributions()}
    assert {one for one in installed - locked if one[0] != "regulars"} == set()
