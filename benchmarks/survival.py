"""The server killed, and the server kept busy: what is lost, and what grows.

    .venv/bin/python -m benchmarks.survival kill --times 50     # kill -9 during event writes, so many times
    .venv/bin/python -m benchmarks.survival soak --minutes 10   # a promotion or a rollback every 30 s under load

`kill`: clients write events; the whole server is killed and started again. At the end every answered event must be in
the log, and none twice. `soak`: clients ask without pause at about 70 % of what they could get; no request may fail,
each promotion must arrive within 10 s, the 99th percentile may at most double while one is taken up, and the worker's
memory may grow by no more than 2 % after the first two minutes.
Both exit 1 when that does not hold, and write benchmarks/out/survival-*.json. The scores are made up.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.made_scores import made_scores
from features.errors import RegularsError
from features.home import Home, write_text
from serving.client import Client
from serving.event_types import Event
from serving.schemas import RecommendationRequest
from serving.server import free_port, running

OUT = Path(__file__).parent / "out"
HOST = "127.0.0.1"
PROMOTION_SECONDS = 30


class Caller(threading.Thread):
    """Does one thing again and again until told to stop."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(daemon=True, name=name)
        self.client = Client(HOST, port, timeout=10)
        self.stopping = threading.Event()


class Writer(Caller):
    """Sends one event after another, each until it is answered."""

    answered: list[str]

    def run(self) -> None:
        """Write."""
        self.answered = []
        while not self.stopping.is_set():
            event_id = f"{self.name}-{len(self.answered)}"
            try:
                self.client.send([Event(event_id, "p000001", "view", datetime.now(UTC), session_id=self.name)])
            except RegularsError:
                time.sleep(0.02)
            else:
                self.answered.append(event_id)


class Asker(Caller):
    """Asks, pausing so that about 70 % of the time is spent in requests."""

    def run(self) -> None:
        """Ask."""
        self.times: list[tuple[float, float]] = []  # when begun, and how long it took
        self.failures: list[str] = []
        self.versions: list[int | None] = []
        number = 0
        while not self.stopping.is_set():
            number += 1
            started = time.perf_counter()
            try:
                answer = self.client.recommend(RecommendationRequest(customer_id=f"c{number % 20_000:07d}"))
            except RegularsError as error:
                self.failures.append(str(error))
                continue
            took = time.perf_counter() - started
            self.times.append((started, took))
            if self.versions[-1:] != [answer.model_version]:
                self.versions.append(answer.model_version)
            time.sleep(took * 3 / 7)


def kill(folder: Path, times: int) -> dict[str, Any]:
    """Kill the server so many times while events are written."""
    home = Home(folder / "home")
    made_scores(home, version="made", customers=1000, products=1000)
    port = free_port(HOST, 25500)
    writers = [Writer(port, f"w{n}") for n in range(4)]
    for number in range(times):
        with running(host=HOST, port=port, home=home.root, log=folder / "serve.log", wait_seconds=120) as process:
            if number == 0:
                for writer in writers:
                    writer.start()
            time.sleep(0.3 + (number % 7) * 0.1)
            family = psutil.Process(process.pid).children(recursive=True)
            for member in (process.pid, *(child.pid for child in family)):
                os.kill(member, signal.SIGKILL)
        print(f"killed {number + 1} of {times}", file=sys.stderr)
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join(15)
    with closing(sqlite3.connect(home.live / "live.db")) as connection:
        kept = [row[0] for row in connection.execute("SELECT event_id FROM events")]
        whole = connection.execute("PRAGMA integrity_check").fetchone()[0]
    answered = {event_id for writer in writers for event_id in writer.answered}
    lost, twice = len(answered - set(kept)), len(kept) - len(set(kept))
    found = {"kills": times, "answered": len(answered), "kept": len(kept), "lost": lost, "twice": twice, "file": whole}
    return found | {"holds": lost == 0 and twice == 0 and whole == "ok"}


def soak(folder: Path, minutes: float) -> dict[str, Any]:
    """Ask for so long while the scores change."""
    home = Home(folder / "home")
    for version, seed in (("one", 1), ("two", 2)):
        made_scores(home, version=version, customers=20_000, products=68_000, seed=seed)
    port = free_port(HOST, 25600)
    memory: list[tuple[float, float]] = []
    arrived: list[float] = []
    changes: list[tuple[float, float]] = []  # from a promotion until a second after it was taken up
    with running(host=HOST, port=port, home=home.root, log=folder / "serve.log", wait_seconds=120) as process:
        worker = max(psutil.Process(process.pid).children(recursive=True), key=lambda p: p.memory_info().rss)
        askers = [Asker(port, f"a{n}") for n in range(4)]
        for asker in askers:
            asker.start()
        began = time.monotonic()
        current, ask = "two", Client(HOST, port)
        while time.monotonic() - began < minutes * 60:
            current = "one" if current == "two" else "two"
            write_text(home.scores / "CURRENT", current)
            changed, began_change = time.monotonic(), time.perf_counter()
            while ask.models().scores_version != current:
                time.sleep(0.05)
            arrived.append(time.monotonic() - changed)
            changes.append((began_change, time.perf_counter() + 1))
            while time.monotonic() - changed < PROMOTION_SECONDS:
                memory.append((time.monotonic() - began, worker.memory_info().rss / 1e6))
                time.sleep(1)
        for asker in askers:
            asker.stopping.set()
        for asker in askers:
            asker.join(15)
    failures = [failure for asker in askers for failure in asker.failures]
    begun, times = np.array([one for asker in askers for one in asker.times]).T
    times *= 1000
    changing = np.zeros(len(times), dtype=bool)
    for start, end in changes:
        changing |= (begun >= start) & (begun <= end)
    calm, busy = (float(np.percentile(times[one], 99)) for one in (~changing, changing))
    early = [mb for at, mb in memory if 90 <= at <= 150] or [mb for _, mb in memory[:5]]
    late = [mb for _, mb in memory[-30:]]
    growth = max(late) / max(early) - 1
    return {
        "minutes": minutes,
        "requests": len(times),
        "failures": failures[:5],
        "promotions": len(arrived),
        "slowest_arrival_seconds": max(arrived),
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
        "most_ms": float(times.max()),
        "p99_ms_without_a_change": calm,
        "p99_ms_during_a_change": busy,
        "mb_after_two_minutes": max(early),
        "mb_at_the_end": max(late),
        "growth": growth,
        "holds": not failures and max(arrived) < 10 and growth < 0.02 and busy <= 2 * calm,
    }


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kill", "soak"])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regulars-survival-") as folder:
        run = kill(Path(folder), given.times) if given.what == "kill" else soak(Path(folder), given.minutes)
    OUT.mkdir(exist_ok=True)
    (OUT / f"survival-{given.what}.json").write_text(json.dumps(run, indent=2), encoding="utf-8")
    print(json.dumps(run, indent=2))
    sys.exit(0 if run["holds"] else 1)


if __name__ == "__main__":
    main()
