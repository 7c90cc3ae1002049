"""One worker counts in memory; several count each in files of its own, and any of them tells the sum."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from features.home import Home
from serving.server import free_port, running

HOST = "127.0.0.1"
COUNTED = re.compile(r'^regulars_requests_total\{.*route="/v1/models".*\} (\S+)$', re.MULTILINE)


def counting(server: int) -> dict[int, set[str]]:
    """The files that each process below the server has open to count requests in."""
    found = {}
    for process in psutil.Process(server).children(recursive=True):
        names = {Path(one.path).name for one in process.memory_maps() if "counter_" in one.path}
        found[process.pid] = names
    return found


def test_one_worker_counts_in_memory(scored_home: Home, tmp_path: Path) -> None:
    port = free_port(HOST, 24930)
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        for _ in range(3):
            assert httpx.get(f"http://{HOST}:{port}/v1/models").status_code == 200
        assert [name for names in counting(process.pid).values() for name in names] == []
        text = httpx.get(f"http://{HOST}:{port}/metrics").text
    assert [float(found) for found in COUNTED.findall(text)] == [3]


def test_the_process_that_watches_workers_holds_nothing_of_what_answers() -> None:
    code = "import sys, serving.service; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "serving.service" in done.stdout.split()
    assert not {"serving.runtime", "serving.metrics", "prometheus_client.values"} & set(done.stdout.split())


def test_each_of_two_workers_counts_in_files_of_its_own_and_either_tells_the_sum(
    scored_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_WORKERS", "2")
    port = free_port(HOST, 24900)
    own: set[int] = set()
    asked, until = 0, time.monotonic() + 60
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        while len(own) < 2:  # whichever worker comes first takes a connection
            assert time.monotonic() < until
            for _ in range(20):
                assert httpx.get(f"http://{HOST}:{port}/v1/models").status_code == 200
            asked += 20
            files = counting(process.pid)
            own = {number for number, names in files.items() if f"counter_{number}.db" in names}
            own -= {one.pid for one in psutil.Process(process.pid).children() if one.name() == "regulars-parent"}
        assert all(files[number] == {f"counter_{number}.db"} for number in own)
        text = httpx.get(f"http://{HOST}:{port}/metrics").text
    assert [float(found) for found in COUNTED.findall(text)] == [asked]
