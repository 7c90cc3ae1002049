"""Real processes killed while events are being written."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from features.errors import RegularsError
from features.home import Home
from serving.client import Client
from serving.event_types import Event
from serving.schemas import RecommendationRequest
from serving.server import free_port, is_free, running

HOST = "127.0.0.1"


class Writer(threading.Thread):
    """Sends one event after another, each until it is answered, and notes those that were."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(daemon=True)
        self.client = Client(HOST, port, timeout=5)
        self.prefix = name
        self.answered: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            event_id = f"{self.prefix}-{number}"
            try:
                self.client.send([Event(event_id, "p0", "view", datetime.now(UTC), customer_id="bob")])
            except RegularsError:
                time.sleep(0.02)  # sent again: whether it was kept is not known
                continue
            self.answered.append(event_id)
            number += 1


def kept(home: Home) -> list[str]:
    with closing(sqlite3.connect(home.root / "live" / "live.db")) as connection:
        return [row[0] for row in connection.execute("SELECT event_id FROM events")]


def workers(process_id: int) -> list[psutil.Process]:
    children = psutil.Process(process_id).children(recursive=True)
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    forked = [child for child in alive if child.name() == "regulars-worker"]
    return forked or [child for child in alive if "worker.service" in " ".join(child.cmdline())]


def parent_of_workers(process_id: int) -> psutil.Process:
    (found,) = [one for one in psutil.Process(process_id).children() if one.name() == "regulars-parent"]
    return found


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_until(met, *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_worker_does_not_outlive_a_server_killed_alone(scored_home: Home, tmp_path: Path) -> None:
    port = free_port(HOST, 24150)
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        (worker,) = workers(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: ended(worker))
        wait_until(lambda: is_free(HOST, port))


def test_workers_answer_on_without_the_process_they_came_from_and_not_without_the_server(
    scored_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_WORKERS", "2")
    port = free_port(HOST, 24180)
    asked = RecommendationRequest(customer_id="ann", k=1)
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        wait_until(lambda: len(workers(process.pid)) == 2)
        old = workers(process.pid)
        parent = parent_of_workers(process.pid)
        parent.kill()
        wait_until(lambda: ended(parent))
        for _ in range(20):  # none of them is refused or waits for a start
            assert Client(HOST, port, timeout=1).recommend(asked).items[0].product_id == "p1"
        wait_until(lambda: len(workers(process.pid)) == 2)  # BentoML starts a successor with workers of its own
        assert not any(ended(worker) for worker in old)
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: all(ended(worker) for worker in old))
        wait_until(lambda: is_free(HOST, port))


def test_who_keeps_the_workers_keeps_no_memory_and_a_server_stopped_while_a_worker_is_replaced_stops(
    scored_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_WORKERS", "2")
    port = free_port(HOST, 24210)
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        wait_until(lambda: len(workers(process.pid)) == 2)
        old = workers(process.pid)
        parent = parent_of_workers(process.pid)
        wait_until(lambda: parent.memory_info().rss < min(worker.memory_info().rss for worker in old) / 4)
        old[0].kill()
        # Larger again, it is on its way to fork another.
        wait_until(lambda: parent.memory_info().rss > 40_000_000)
        os.kill(process.pid, signal.SIGTERM)
        wait_until(lambda: ended(parent) and all(ended(worker) for worker in old), seconds=30)
        wait_until(lambda: is_free(HOST, port))


def test_killed_workers_and_servers_lose_no_answered_event_and_keep_none_twice(
    scored_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_WORKERS", "2")
    port = free_port(HOST, 24100)
    writers = [Writer(port, f"w{n}") for n in range(3)]
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        for writer in writers:
            writer.start()
        wait_until(lambda: all(len(writer.answered) > 10 for writer in writers))
        killed = workers(process.pid)[0]
        before = [len(writer.answered) for writer in writers]
        killed.kill()
        # The other worker goes on, and a new one takes the place of the one killed.
        wait_until(lambda: all(len(w.answered) > n + 10 for w, n in zip(writers, before, strict=True)))
        wait_until(lambda: len(workers(process.pid)) == 2)
        asked = RecommendationRequest(customer_id="bob", k=1)
        wait_until(lambda: Client(HOST, port).recommend(asked).strategy == "session")
        family = [process.pid, *(worker.pid for worker in workers(process.pid))]
        for member in family:
            os.kill(member, signal.SIGKILL)
        # A worker forked as the server fell may hold the port for a moment more.
        wait_until(lambda: is_free(HOST, port))
    assert set(kept(scored_home)) >= {event_id for writer in writers for event_id in list(writer.answered)}
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "again.log"):
        before = [len(writer.answered) for writer in writers]
        wait_until(lambda: all(len(w.answered) > n + 5 for w, n in zip(writers, before, strict=True)))
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join(10)
        ids = kept(scored_home)
    answered = {event_id for writer in writers for event_id in writer.answered}
    assert len(ids) == len(set(ids))
    assert set(ids) >= answered
