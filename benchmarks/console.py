"""How long the console's list takes with a million customers: pages over HTTP from a real server, one after the other.

    .venv/bin/python -m benchmarks.console
    .venv/bin/python -m benchmarks.console --customers 100000

Prints the median and the slowest of the repeats of each page in milliseconds, as JSON. The scores are made up.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.made_scores import made_scores
from features.home import Home
from serving.server import free_port, running

HOST = "127.0.0.1"
OUT = Path(__file__).parent / "out" / "console.json"
#: A page is to stand within a second, its pictures included.
LIMIT_MS = 1_000.0
PAGES = {
    "first page": "/console/at-risk",
    "last page": "/console/at-risk?page=1000000",
    "sorted, lowest first": "/console/at-risk?sort=churn_probability&up=true",
    "filtered": "/console/at-risk?risk=30&value=10&overdue=true",
    "part of an id": "/console/at-risk?find=9999",
    "search": "/console/customer?find=99999",
}


def main() -> None:
    """Make the scores, serve them, ask each page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regulars-console-") as folder:
        home = Home(Path(folder) / "home")
        made_scores(home, version="made", customers=given.customers, products=2_000, ranked=1_000)
        port = free_port(HOST, 3900)
        with running(host=HOST, port=port, home=home.root, log=Path(folder) / "serve.log", wait_seconds=120):
            cookie = _log_in(port)
            found = {name: _timed(port, path, cookie, repeats=given.repeats) for name, path in PAGES.items()}
    report = json.dumps({"customers": given.customers, "limit_ms": LIMIT_MS, "milliseconds": found}, indent=2)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(report)
    print(report)


def _log_in(port: int) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/console/session", urlencode({"name": "bench"}), headers)
    return str(connection.getresponse().headers["set-cookie"]).split(";")[0]


def _timed(port: int, path: str, cookie: str, *, repeats: int) -> dict[str, float]:
    """Milliseconds from the request to the last byte of the page."""
    spent = []
    for _ in range(repeats):
        connection = http.client.HTTPConnection(HOST, port, timeout=60)
        started = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        spent.append((time.perf_counter() - started) * 1000)
        connection.close()
        if answer.status not in (200, 303):
            raise SystemExit(f"{path} answered {answer.status}")
    return {"median": round(statistics.median(spent), 1), "slowest": round(max(spent), 1)}


if __name__ == "__main__":
    main()
