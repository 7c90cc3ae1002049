"""Starting the server as a process of its own, waiting until it answers, and stopping it with all its children."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape

from features.errors import RegularsError
from features.settings import PREFIX, Settings
from features.tenants import prefix_of
from features.terminal import progress
from serving import starting

LAUNCHER = "serving.launch"


def command(*, host: str, port: int) -> list[str]:
    """The command that serves."""
    return [sys.executable, "-m", LAUNCHER, "--host", host, "--port", str(port)]


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str, first: int, *, tries: int = 50) -> int:
    """The first free port from `first` on. Raises RegularsError when there is none among `tries`."""
    for port in range(first, min(first + tries, 65536)):
        if is_free(host, port):
            return port
    raise RegularsError(f"No free port from {first} to {first + tries - 1} on {host}. Set REGULARS_PORT to a free one.")


def serve(*, host: str, port: int, settings: Settings) -> None:
    """Become the server: this process is replaced, so signals reach it directly. Does not return.

    Raises RegularsError for a port in use, ConfigError for a setting the server could not start with.
    """
    starting.check(settings)
    for problem in starting.not_ready(settings):
        progress.print(f"[yellow]note[/] {escape(problem)} Until then it is answered with 503.", soft_wrap=True)
    if not is_free(host, port):
        raise RegularsError(
            f"Port {port} on {host} is in use. Stop what listens there, or take another:  "
            f"regulars serve --port {port + 1}"
        )
    arguments = command(host=host, port=port)
    chosen = {"REGULARS_WORKERS": str(settings.workers)}
    if settings.pin is not None:
        chosen[f"{PREFIX if settings.tenant is None else prefix_of(settings.tenant)}PIN"] = settings.pin
    os.execve(arguments[0], arguments, environment(settings.home) | chosen)  # noqa: S606


def environment(home: Path) -> dict[str, str]:
    """The environment of this process, with the data home made absolute.

    BentoML's own files, the workers' metrics among them, lie in the data home: two servers must not share them.
    """
    absolute = home.resolve()
    ours = {"REGULARS_HOME": str(absolute), "BENTOML_DO_NOT_TRACK": "True"}
    return {"BENTOML_HOME": str(absolute / "bentoml")} | os.environ | ours


@contextmanager
def running(
    *, host: str, port: int, home: Path, log: Path, wait_seconds: float = 60
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers; it and its children are stopped when the block ends, however it ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(host=host, port=port),
            env=environment(home),
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the whole group
        )
    try:
        _wait(process, host, port, log, seconds=wait_seconds)
        yield process
    finally:
        stop(process)


def _wait(process: subprocess.Popen[bytes], host: str, port: int, log: Path, *, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        if answers(host, port):
            return
        time.sleep(0.1)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    raise RegularsError(f"The server did not answer on {host}:{port}. Its log ({log}) ends:\n{tail}")


def answers(host: str, port: int) -> bool:
    """Whether a server there says that it is ready."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes], *, grace_seconds: float = 10) -> None:
    """End a process started in a session of its own, and every child it has."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
