"""PostgreSQL and Redis killed and started again under load: answers go on, and no accepted event is lost."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from features.home import Home
from serving.app import build_app
from serving.server import free_port, running
from tests.postgres import Server
from tests.redis_server import Redis

HOST = "127.0.0.1"


class Shopper(threading.Thread):
    """Asks for recommendations without end and notes each answer's status and time; 0 where none came."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.statuses: list[int] = []
        self.slowest = 0.0
        self.stopping = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=10) as client:
            while not self.stopping.is_set():
                started = time.monotonic()
                try:
                    status = client.post("/v1/recommendations", json={"customer_id": "bob", "k": 2}).status_code
                except httpx.TransportError:
                    status = 0
                self.statuses.append(status)
                self.slowest = max(self.slowest, time.monotonic() - started)
                time.sleep(0.002)


class Site(threading.Thread):
    """Sends one event after another, each until it is accepted; notes those that were and every other status."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(daemon=True)
        self.url, self.prefix = url, name
        self.accepted: list[str] = []
        self.refused: set[int] = set()
        self.stopping = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=10) as client:
            while not self.stopping.is_set():
                event_id = f"{self.prefix}-{len(self.accepted)}"
                status = client.post("/v1/events", json=event(event_id)).status_code
                if status == 200:
                    self.accepted.append(event_id)
                else:
                    self.refused.add(status)
                    time.sleep(0.02)


def event(event_id: str, customer: str = "bob") -> dict:
    at = datetime.now(UTC).isoformat()
    return {"event_id": event_id, "product_id": "p2", "kind": "view", "occurred_at": at, "customer_id": customer}


def wait_until(met, *, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.needs("postgresql")
def test_postgresql_killed_under_load_and_started_again(
    postgres: Server, scored_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.sql("CREATE DATABASE killed")
    monkeypatch.setenv("REGULARS_DATABASE_URL", postgres.url("killed"))
    monkeypatch.setenv("REGULARS_WORKERS", "2")
    port = free_port(HOST, 24400)
    url = f"http://{HOST}:{port}"
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log"):
        shoppers, sites = [Shopper(url) for _ in range(2)], [Site(url, f"s{n}") for n in range(2)]
        for thread in (*shoppers, *sites):
            thread.start()

        def progress(more: int = 20) -> None:
            before = [len(site.accepted) for site in sites]
            wait_until(lambda: all(len(s.accepted) > n + more for s, n in zip(sites, before, strict=True)))

        def told() -> tuple[str, bool]:
            ready = httpx.get(f"{url}/readyz").json()
            return ready["status"], 'regulars_away{part="events"} 1.0' in httpx.get(f"{url}/metrics").text

        progress()
        assert told() == ("ok", False)
        postgres.kill()
        try:
            wait_until(lambda: told() == ("degraded", True))
            asked = [len(shopper.statuses) for shopper in shoppers]
            wait_until(lambda: all(len(s.statuses) > n + 50 for s, n in zip(shoppers, asked, strict=True)))
        finally:
            postgres.start()
        progress()
        wait_until(lambda: told() == ("ok", False))
        for thread in (*shoppers, *sites):
            thread.stopping.set()
        for thread in (*shoppers, *sites):
            thread.join(15)
            assert not thread.is_alive()
    assert {status for shopper in shoppers for status in shopper.statuses} == {200}
    assert all(site.refused == {503} for site in sites)
    assert max(shopper.slowest for shopper in shoppers) < 5
    kept = postgres.sql("SELECT event_id FROM events", "killed").split()
    assert len(kept) == len(set(kept))
    assert set(kept) >= {event_id for site in sites for event_id in site.accepted}


@pytest.mark.needs("postgresql")
@pytest.mark.needs("redis-server")
def test_servers_of_several_machines_are_told_by_redis_and_go_on_without_it(
    postgres: Server, redis_server: Redis, scored_home: Home, make_runtime, asked, tmp_path: Path
) -> None:
    """Two homes are two machines: neither hears the other's doorbell."""
    postgres.sql("CREATE DATABASE machines")
    shared = {"database_url": postgres.url("machines"), "live_redis": redis_server.url}
    one = make_runtime(**shared)
    other = make_runtime(Home(tmp_path / "other"), **shared)
    first, second = asked(build_app(one)), asked(build_app(other))

    def heard_after(event_id: str) -> float:
        before = other.feed.events.doorbell.read()
        assert first.post("/v1/events", json=event(event_id)).status_code == 200
        sent = time.monotonic()
        wait_until(lambda: other.feed.events.doorbell.read() != before)
        return time.monotonic() - sent

    def told() -> list[bool]:
        for runtime in (one, other):
            runtime.refresh()
        return ["bell" in runtime.problems for runtime in (one, other)]

    wait_until(lambda: redis_server.process is not None and heard_after(str(time.monotonic())) < 1)
    assert not any(told())
    redis_server.stop()
    wait_until(lambda: all(told()))
    assert 'regulars_away{part="bell"} 1.0' in first.get("/metrics").text
    assert first.get("/readyz").json()["status"] == "degraded"
    assert first.post("/v1/events", json=event("unheard", "new")).status_code == 200

    def sees() -> bool:
        answer = second.post("/v1/recommendations", json={"customer_id": "new", "k": 1})
        assert answer.status_code == 200
        return other.live.knows("new", None)

    wait_until(sees, seconds=5)
    redis_server.start()
    wait_until(lambda: not any(told()))
    assert heard_after("again") < 1
