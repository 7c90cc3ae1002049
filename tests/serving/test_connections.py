"""A real server and connections that do not behave."""

import asyncio
import pickle
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from features.home import Home
from serving import protocol
from serving.app import build_app
from serving.server import free_port, running
from tests.serving.uvicorn_server import HOST, served_by


@pytest.fixture
def served(make_runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of our application behind uvicorn with our protocol, whose patience is short."""
    monkeypatch.setattr(protocol, "MESSAGE_SECONDS", 0.5)
    with served_by(build_app(make_runtime())) as port:
        yield port


def talk(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """What a connection is answered that sends the parts one after another, until it is closed."""
    with socket.create_connection((HOST, port), timeout=10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            return b"cut"
        answer = b""
        try:
            while received := connection.recv(65536):
                answer += received
        except ConnectionResetError:
            return answer or b"cut"
        return answer or b"cut"


def test_headers_sent_a_little_at_a_time_are_cut(served: int) -> None:
    started = time.monotonic()
    headers = [b"GET /healthz HTTP/1.1\r\n", b"Host: localhost\r\n", *[b"X-A: b\r\n"] * 30]
    assert talk(served, *headers, pause=0.1) == b"cut"
    assert time.monotonic() - started < 5
    assert talk(served) == b"cut"  # nothing sent at all


def test_a_body_sent_a_little_at_a_time_is_cut(served: int) -> None:
    head = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100\r\n\r\n"
    started = time.monotonic()
    assert b"200" not in talk(served, head, *[b"{"] * 20, pause=0.1)
    assert time.monotonic() - started < 5


def test_a_body_larger_than_allowed_is_refused_before_it_is_read(served: int) -> None:
    head = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n"
    assert b" 413 " in talk(served, head).splitlines()[0]


def test_an_ordinary_client_is_not_cut_between_its_requests(served: int) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{served}") as client:
            for _ in range(3):
                assert (await client.get("/healthz")).status_code == 200
                await asyncio.sleep(0.6)

    asyncio.run(ask())


class Touch:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return subprocess.call, (["touch", str(self.path)],)


def test_bentoml_unpickles_nothing_and_listens_on_one_address_only(scored_home: Home, tmp_path: Path) -> None:
    import psutil

    port = free_port(HOST, 24400)
    made = tmp_path / "made-by-pickle"
    body = pickle.dumps(Touch(made))
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        for path in ("/", "/v1/recommendations", "/v1/events", "/predict", "/schema.json", "/livez"):
            for kind in (
                "application/vnd.bentoml+pickle",
                "application/vnd.bentoml.pickled",
                "application/octet-stream",
            ):
                headers = {"Content-Type": kind, "Payload-Container": "DefaultContainer"}
                response = httpx.post(f"http://{HOST}:{port}{path}", content=body, headers=headers)
                assert 400 <= response.status_code < 500, path
                assert response.headers["content-type"] == "application/problem+json"
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        listening = {
            connection.laddr
            for one in family
            for connection in one.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        }
        # Circus, which BentoML starts workers with, keeps control addresses of its own, on this machine alone.
        assert (HOST, port) in listening
        assert {address.ip for address in listening} == {HOST}
    assert not made.exists()
