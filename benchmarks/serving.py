"""How fast the server is, beside an empty BentoML endpoint and a bare constant answer, measured in turn in one run.

    .venv/bin/python -m benchmarks.serving                     # all of what follows
    .venv/bin/python -m benchmarks.serving --only load         # throughput and tail beside the peers
    .venv/bin/python -m benchmarks.serving --only workers      # two workers beside one
    .venv/bin/python -m benchmarks.serving --only collector    # tail with and without the collector's settings
    .venv/bin/python -m benchmarks.serving --only memory       # memory of workers, start
    .venv/bin/python -m benchmarks.serving --only at-risk      # the list and its export with 1,000,000 customers

Needs wrk (apt-get install wrk). The scores are made up (benchmarks/made_scores.py): 68,000 products; 70 % of requests
are of known customers with nothing new, 10 % of customers with live events, 10 % with a cart, 10 % of nobody known.
wrk shares the machine with the servers. Peers: a native `@bentoml.api` that returns a constant, and uvicorn with a
Starlette route that does, each with as many workers. The result is printed and written to benchmarks/out/serving.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq

from benchmarks.made_scores import made_scores
from features.home import Home, write_text
from features.settings import load_settings
from serving.database import open_database
from serving.event_log import EventLog, rows_of
from serving.event_types import Event
from serving.last_good import CURRENT
from serving.server import answers, command, environment, free_port, stop

OUT = Path(__file__).parent / "out"
HOST = "127.0.0.1"
PRODUCTS = 68_000
NATIVE = """
import bentoml
@bentoml.service(name="empty", workers=WORKERS, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Empty:
    @bentoml.api
    def answer(self, customer_id: str = "", k: int = 10) -> dict:
        return {"items": []}
"""
BARE = """
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
async def answer(request):
    return Response(b'{"items":[]}', media_type="application/json")
app = Starlette(routes=[Route("/answer", answer, methods=["POST"]), Route("/readyz", answer)])
"""
LUA = """
local bodies = {}
for line in io.lines("BODIES") do bodies[#bodies + 1] = line end
math.randomseed(os.time())
local at = math.random(#bodies)
request = function()
  at = at % #bodies + 1
  return wrk.format("POST", "PATH", {["Content-Type"] = "application/json"}, bodies[at])
end
DELAY
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'JSON{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"p999":%f,"errors":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", choices=["load", "workers", "collector", "memory", "at-risk"])
    parser.add_argument("--home", type=Path, help="Where the made-up scores are kept for the next run.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regulars-serving-") as folder:
        home = Home(given.home or Path(folder) / "home")
        measured: dict[str, Any] = {"machine": machine(), "at": datetime.now(UTC).isoformat(timespec="seconds")}
        if given.only != "at-risk":
            made_scores(home, version="made-next", customers=given.customers, products=PRODUCTS, seed=1)
            made_scores(home, version="made", customers=given.customers, products=PRODUCTS)
        if given.only in (None, "load"):
            measured["load"] = load(home, Path(folder), given)
        if given.only in (None, "workers"):
            measured["workers"] = two_workers(home, Path(folder), given)
        if given.only in (None, "collector"):
            measured["collector"] = collector(home, Path(folder), given)
        if given.only in (None, "memory"):
            measured["memory"] = memory(home, Path(folder))
        if given.only in (None, "at-risk"):
            measured["at_risk"] = at_risk(Home(home.root.with_name("million")), Path(folder))
    OUT.mkdir(exist_ok=True)
    (OUT / "serving.json").write_text(json.dumps(measured, indent=2), encoding="utf-8")
    print(json.dumps(measured, indent=2))


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "python": platform.python_version()}


def load(home: Home, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Throughput and latency of the server and its peers, in turn."""
    bodies = folder / "bodies"
    _seed_events(home, given.customers)
    bodies.write_text("".join(f"{json.dumps(body)}\n" for body in mix(given.customers)), encoding="utf-8")
    with ExitStack() as stack:
        servers = {
            "regulars": (stack.enter_context(regulars(home, folder, workers=given.workers)), "/v1/recommendations"),
            "native": (stack.enter_context(native(folder, workers=given.workers)), "/answer"),
            "bare": (stack.enter_context(bare(folder, workers=given.workers)), "/answer"),
        }
        for port, path in servers.values():
            wrk(folder, bodies, port, path, seconds=2, connections=given.connections)  # warm
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
        for _ in range(given.rounds):
            for name, (port, path) in servers.items():
                before = _cpu_seconds(port)
                found = wrk(folder, bodies, port, path, given.seconds, given.connections)
                # What a busy machine takes away changes how many are answered, and hardly what each costs.
                found["cpu_us_per_request"] = (_cpu_seconds(port) - before) / found["requests"] * 1e6
                rounds[name].append(found)
        capacity = {
            name: statistics.median(one["requests"] / one["seconds"] for one in found) for name, found in rounds.items()
        }
        calm: dict[str, list[dict[str, float]]] = {"regulars": [], "bare": []}
        for _ in range(given.rounds):
            for name in calm:
                port, path = servers[name]
                rate = 0.7 * capacity[name]
                calm[name].append(wrk(folder, bodies, port, path, given.seconds, given.connections, rate=rate))
    at_70 = {
        name: {key: statistics.median(one[key] for one in found) for key in ("p50", "p99", "p999")}
        | {"rate": statistics.median(one["requests"] / one["seconds"] for one in found)}
        for name, found in calm.items()
    }
    return {
        "data": f"{given.customers} customers, {PRODUCTS} products, made up; {given.workers} worker(s), "
        f"{given.connections} connections, {given.rounds} rounds of {given.seconds:g} s",
        "requests_per_second": capacity,
        "cpu_us_per_request": {
            name: statistics.median(one["cpu_us_per_request"] for one in found) for name, found in rounds.items()
        },
        "to_native": capacity["regulars"] / capacity["native"],
        "to_bare": capacity["regulars"] / capacity["bare"],
        "errors": {name: sum(one["errors"] for one in found) for name, found in rounds.items()},
        "at_70_percent_ms": at_70,
        "p99_allowed_ms": 2 * at_70["bare"]["p50"] + 10,
        "rounds": rounds,
    }


def two_workers(home: Home, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Throughput of two workers on two cores beside one on one, in turn: what the load costs is in both alike.

    wrk runs on the same cores as the servers, so it takes the same share of each core in both. Beside these stands a
    worker whose load comes from the other core, with what each worker answers for each second of its own CPU: there
    two workers share their caches with wrk where one does not.
    """
    bodies = folder / "bodies"
    _seed_events(home, given.customers)
    bodies.write_text("".join(f"{json.dumps(body)}\n" for body in mix(given.customers)), encoding="utf-8")
    ways = {"one worker, one core": (1, 1), "two workers, two cores": (2, 2), "one worker, two cores": (1, 2)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, (workers, cores) in ways.items():
            with _on_cores(cores), regulars(home, folder, workers=workers) as port:
                wrk(folder, bodies, port, "/v1/recommendations", seconds=2, connections=given.connections)
                before = _cpu_seconds(port)
                one = wrk(folder, bodies, port, "/v1/recommendations", given.seconds, given.connections)
                spent = _cpu_seconds(port) - before
            if one["errors"]:
                raise SystemExit(f"{one['errors']} errors")
            found[name].append((one["requests"] / one["seconds"], workers * one["requests"] / spent))
    medians = {name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in found.items()}
    one, two, apart = (medians[name] for name in ways)
    return {
        "requests_per_second": {name: each[0] for name, each in medians.items()},
        "two_to_one": two[0] / one[0],
        "two_to_one_load_from_another_core": two[0] / apart[0],
        "two_to_one_load_from_another_core_by_cpu": two[1] / apart[1],
        "rounds": found,
    }


@contextmanager
def _on_cores(n: int) -> Iterator[None]:
    """Whatever is started within runs on the first n of the cores that this process may use."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:n])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


#: Read by every Python that starts: the collector as it is without our settings.
AS_IT_WAS = "import gc\ngc.freeze = lambda: None\ngc.set_threshold = lambda *given: None\n"


def collector(home: Home, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The tail with the collector's settings and without them, in turn, at one connection and at several."""
    bodies = folder / "bodies"
    _seed_events(home, given.customers)
    bodies.write_text("".join(f"{json.dumps(body)}\n" for body in mix(given.customers)), encoding="utf-8")
    (folder / "as-it-was").mkdir(exist_ok=True)
    (folder / "as-it-was" / "sitecustomize.py").write_text(AS_IT_WAS, encoding="utf-8")
    without = {"PYTHONPATH": os.pathsep.join([str(folder / "as-it-was"), os.environ.get("PYTHONPATH", "")])}
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(given.rounds):
        for name, env in (("with", {}), ("without", without)):
            with regulars(home, folder, workers=1, more=env) as port:
                for connections in (1, given.connections):
                    wrk(folder, bodies, port, "/v1/recommendations", seconds=1, connections=connections)
                    one = wrk(folder, bodies, port, "/v1/recommendations", given.seconds, connections)
                    found.setdefault(f"{name}, {connections} connections", []).append(one)
    return {
        name: {key: statistics.median(one[key] for one in each) for key in ("p50", "p99", "p999")}
        for name, each in found.items()
    }


def mix(customers: int, *, n: int = 20_000) -> Iterator[dict[str, Any]]:
    """The bodies asked."""
    rng = np.random.default_rng(1)
    for kind, customer in zip(rng.random(n), rng.integers(0, customers, n), strict=True):
        if kind < 0.7:
            yield {"customer_id": f"c{_quiet(customer, customers):07d}", "placement": "home"}
        elif kind < 0.8:
            yield {"customer_id": f"c{customer % (customers // 10):07d}", "placement": "home"}
        elif kind < 0.9:
            cart = [f"p{code:06d}" for code in rng.integers(0, 2000, 2)]
            yield {"customer_id": f"c{customer:07d}", "cart": cart, "placement": "cart"}
        else:
            yield {"customer_id": f"stranger-{customer}", "placement": "home"}


def _quiet(customer: int, customers: int) -> int:
    """One without live events."""
    return customers // 10 + int(customer) % (customers - customers // 10)


def _seed_events(home: Home, customers: int) -> None:
    """The last hour's views of a tenth of the customers."""
    database = open_database(load_settings(home=home.root))
    log, now = EventLog(database), datetime.now(UTC)
    rng = np.random.default_rng(2)
    stamp = now.timestamp()
    products = rng.integers(0, 5000, (customers // 10, 2))
    for start in range(0, customers // 10, 1000):
        rows = rows_of(
            Event(f"{stamp}-{c}-{n}", f"p{products[c, n]:06d}", "view", now, customer_id=f"c{c:07d}")
            for c in range(start, min(start + 1000, customers // 10))
            for n in range(2)
        )
        log.append([rows], at=now.replace(tzinfo=None))
    database.close()


def wrk(
    folder: Path, bodies: Path, port: int, path: str, seconds: float, connections: int, *, rate: float | None = None
) -> dict[str, float]:
    """One run. With `rate`, each connection pauses at random between its requests, so that about so many are sent."""
    pause = (
        ""
        if rate is None
        else f"delay = function() return -math.log(1 - math.random()) * {1000 * connections / rate} end"
    )
    script = folder / "load.lua"
    text = LUA.replace("BODIES", str(bodies)).replace("PATH", path).replace("DELAY", pause)
    script.write_text(text, encoding="utf-8")
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(script)]
    done = subprocess.run(["wrk", *options, f"http://{HOST}:{port}"], capture_output=True, text=True, check=True)
    found = re.search(r"JSON(\{.*\})", done.stdout)
    if found is None:
        raise SystemExit(f"wrk said nothing of use: {done.stdout}{done.stderr}")
    return json.loads(found.group(1))


@contextmanager
def _started(arguments: list[str], port: int, *, env: dict[str, str], folder: Path, name: str) -> Iterator[int]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            arguments,
            env=env,
            cwd=folder if name != "regulars" else None,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 120
        while not answers(HOST, port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-3000:]}")
            time.sleep(0.02)
        yield port
    finally:
        stop(process)


@contextmanager
def regulars(
    home: Home, folder: Path, *, workers: int, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[int]:
    """Our server, with `more` in its environment."""
    port = free_port(HOST, 25000)
    env = environment(home.root) | {"REGULARS_WORKERS": str(workers), "REGULARS_SESSION_MINUTES": "600"} | more
    with _started(command(host=HOST, port=port), port, env=env, folder=folder, name="regulars") as found:
        yield found


@contextmanager
def native(folder: Path, *, workers: int) -> Iterator[int]:
    """An empty BentoML endpoint."""
    port = free_port(HOST, 25100)
    (folder / "bench_native.py").write_text(NATIVE.replace("WORKERS", str(workers)), encoding="utf-8")
    env = os.environ | {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml-native")}
    arguments = [sys.executable, "-m", "bentoml", "serve", "bench_native:Empty", "--host", HOST, "--port", str(port)]
    with _started(arguments, port, env=env, folder=folder, name="native") as found:
        yield found


@contextmanager
def bare(folder: Path, *, workers: int) -> Iterator[int]:
    """A constant answer."""
    port = free_port(HOST, 25200)
    (folder / "bench_bare.py").write_text(BARE, encoding="utf-8")
    options = [
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        str(workers),
        "--no-access-log",
        "--log-level",
        "error",
    ]
    arguments = [sys.executable, "-m", "uvicorn", "bench_bare:app", *options]
    with _started(arguments, port, env=dict(os.environ), folder=folder, name="bare") as found:
        yield found


def memory(home: Home, folder: Path) -> dict[str, Any]:
    """What a server of one, two and three workers takes under the same load, and how long each takes to be ready.

    Counted is PSS (/proc/PID/smaps_rollup: a page shared by n processes counts 1/n in each), of the workers and the
    process they are forked from, after requests of 20,000 customers to all workers together, and once more after
    another scoring was taken up and as many requests were answered. BentoML's process that watches them is told apart.
    """
    bodies = folder / "bodies"
    customers = pq.read_metadata(home.scores / "versions" / "made" / "customers.parquet").num_rows
    bodies.write_text("".join(f"{json.dumps(body)}\n" for body in mix(customers)), encoding="utf-8")
    found: dict[str, Any] = {"customers": customers, "products": PRODUCTS, "counted": "PSS"}
    totals: dict[str, list[float]] = {"loaded": [], "after_reload": []}
    for workers in (1, 2, 3):
        write_text(home.scores / CURRENT, "made")
        started = time.perf_counter()
        with regulars(home, folder, workers=workers) as port:
            found[f"start_to_ready_seconds_{workers}"] = time.perf_counter() - started
            _until(lambda p=port, n=workers: len(_workers(p)) == n + (n > 1))
            for name in totals:
                if name == "after_reload":
                    write_text(home.scores / CURRENT, "made-next")
                    time.sleep(10)
                wrk(folder, bodies, port, "/v1/recommendations", seconds=6, connections=32)
                each = {one.name(): [] for one in _workers(port)}
                for one in _workers(port):
                    each[one.name()].append(round(_pss(one.pid) / 1e6, 1))
                found[f"{name}_mb_{workers}"] = each
                totals[name].append(sum(map(sum, each.values())))
            found["watcher_mb"] = round(_pss(_servers(port)[0].pid) / 1e6, 1)
    for name, (one, two, three) in totals.items():
        found[f"second_worker_share_of_first_{name}"] = (two - one) / one
        found[f"third_worker_share_of_first_{name}"] = (three - two) / one
    return found


def _until(met: Callable[[], bool]) -> None:
    while not met():
        time.sleep(0.2)


def _servers(port: int) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if f"--port {port}" in " ".join(p.info["cmdline"] or [])]


def _workers(port: int) -> list[psutil.Process]:
    children = [child for parent in _servers(port) for child in parent.children(recursive=True)]
    return [child for child in children if "worker.service" in " ".join(child.cmdline())]


def _cpu_seconds(port: int) -> float:
    every = {p.pid: p for parent in _servers(port) for p in (parent, *parent.children(recursive=True))}
    return sum(times.user + times.system for times in (p.cpu_times() for p in every.values()))


def _pss(process_id: int) -> int:
    return int(psutil.Process(process_id).memory_full_info().pss)


def _ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[float, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    started = time.perf_counter()
    connection.request(method, path, body, {"Content-Type": "application/json"})
    content = connection.getresponse().read()
    took = time.perf_counter() - started
    connection.close()
    return took * 1000, content


def at_risk(home: Home, folder: Path, *, customers: int = 1_000_000) -> dict[str, Any]:
    """The list of 100 of a million customers, filtered and sorted, and the export of all, over HTTP."""
    made_scores(home, version="million", customers=customers, products=2_000, ranked=1_000)
    queries = [
        f"/v1/customers/at-risk?limit=100&sort={sort}&min_probability={least}{stage}&offset={offset}"
        for sort in ("value_at_risk", "churn_probability", "spend")
        for least in (0, 0.3, 0.9)
        for stage in ("", "&stage=slipping")
        for offset in (0, 10_000)
    ]
    with regulars(home, folder, workers=1) as port:
        times = [_ask(port, "GET", query)[0] for _ in range(10) for query in queries]
        (worker,) = _workers(port)
        before = worker.memory_info().rss
        connection = http.client.HTTPConnection(HOST, port, timeout=600)
        started = time.perf_counter()
        connection.request("GET", "/v1/customers/at-risk/export")
        response = connection.getresponse()
        size, most = 0, before
        while part := response.read(1 << 20):
            size += len(part)
            most = max(most, worker.memory_info().rss)
        exported = time.perf_counter() - started
    shutil.rmtree(home.root, ignore_errors=True)
    return {
        "customers": customers,
        "requests": len(times),
        "p50_ms": float(np.percentile(times, 50)),
        "p99_ms": float(np.percentile(times, 99)),
        "export_mb": size / 1e6,
        "export_seconds": exported,
        "worker_mb_before_export": before / 1e6,
        "worker_mb_most_during": most / 1e6,
    }


if __name__ == "__main__":
    main()
