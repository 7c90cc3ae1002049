"""The Bento: built from the repository, installed where nothing else is, and served from what was built."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from features.home import Home
from features.release import release
from serving.client import Client
from serving.schemas import RecommendationRequest
from serving.server import answers, free_port, stop

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
PACKED = ("features", "training", "serving")


def run(*command: object, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def served(command: list[object], port: int, *, cwd: Path, env: dict[str, str]) -> Iterator[None]:
    log = cwd / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, env=env, stdout=file, stderr=file, start_new_session=True
        )
    try:
        while not answers(HOST, port):
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        stop(process)


@pytest.mark.timeout(300)
def test_a_built_bento_is_served_in_an_environment_that_holds_nothing_but_its_locked_packages(
    scored_home: Home, tmp_path: Path
) -> None:
    env = os.environ | {"BENTOML_HOME": str(tmp_path / "bentoml"), "REGULARS_HOME": str(scored_home.root)}
    run(BIN / "bentoml", "build", cwd=ROOT, env=env)
    (bento,) = [path for path in (tmp_path / "bentoml" / "bentos" / "regulars").iterdir() if path.is_dir()]
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKED, cwd=ROOT, env=env)
    packed = {str(path.relative_to(bento / "src")) for path in (bento / "src").rglob("*") if path.is_file()}
    assert {name for name in packed if name.split("/")[0] in PACKED} == set(tracked.splitlines())
    assert packed - set(tracked.splitlines()) == {"LICENSE", "pyproject.toml", "bentofile.yaml"}

    dockerfile = tmp_path / "Dockerfile"
    written = f"from bentoml.container import get_containerfile as write; write('regulars', output_path='{dockerfile}')"
    run(sys.executable, "-c", written, cwd=tmp_path, env=env)
    text = dockerfile.read_text()
    assert "libgomp1" in text
    assert text.index("\nUSER bentoml") < text.index("\nENTRYPOINT")
    run(BIN / "hadolint", "--failure-threshold", "error", "--no-color", dockerfile, cwd=tmp_path, env=env)

    clean = tmp_path / "clean"
    run(BIN / "uv", "venv", "-q", "--python", sys.executable, clean, cwd=tmp_path, env=env)
    python = clean / "bin" / "python"
    needed = bento / "env" / "python" / "requirements.txt"
    run(BIN / "uv", "pip", "install", "-q", "--python", python, "-r", needed, cwd=tmp_path, env=env)
    ours = "import importlib.util; print([importlib.util.find_spec(name) for name in ('features', 'serving')])"
    assert run(python, "-c", ours, cwd=tmp_path, env=env) == "[None, None]\n"

    port = free_port(HOST, 24700)
    command = [python.with_name("bentoml"), "serve", "regulars:latest", "--host", HOST, "--port", port]
    with served(command, port, cwd=tmp_path, env=env):
        answer = Client(HOST, port).recommend(RecommendationRequest(customer_id="ann", k=1))
        assert (answer.strategy, answer.items[0].product_id) == ("personal", "p1")
        assert httpx.get(f"http://{HOST}:{port}/openapi.json").json()["info"]["version"] == release()
    assert "Traceback" not in (tmp_path / "serve.log").read_text()


def test_workers_asked_of_bentoml_are_refused_with_what_to_set_instead(tmp_path: Path) -> None:
    env = os.environ | {"BENTOML_CONFIG_OPTIONS": "services.regulars.workers=4", "REGULARS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", "import serving.service"], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "asks for 4 workers of 'regulars'" in done.stderr
    assert "set REGULARS_WORKERS instead" in done.stderr


def test_a_process_that_is_no_worker_says_how_to_start_the_server(tmp_path: Path) -> None:
    code = "from serving.service import Regulars; Regulars()"
    env = os.environ | {"REGULARS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "started in a process that is no worker" in done.stderr
    assert "regulars serve" in done.stderr
