"""The short form of every benchmark, one after the other: `make bench`.

    make bench                                     # all of them
    .venv/bin/python -m benchmarks.bench --only serving recommender
    .venv/bin/python -m benchmarks.bench --page    # the page anew, of the results there are

Each is a process of its own, on Complete Journey or on made-up data, small enough that all take less than 20 minutes on
two cores with nothing else running. Writes benchmarks/results.json and benchmarks/results.html: each row says what was
measured, ours and the peer's figure of the same run, their ratio, and on which data. What fails is named, the others go
on, and the command exits 1. The long forms, whose figures the documents give: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import bench_rows
from benchmarks.bench_page import page
from benchmarks.bench_rows import Reader, Row
from features.home import write_text
from features.terminal import as_json, step

HERE = Path(__file__).parent
OUT = HERE / "out"
RESULTS, PAGE = HERE / "results.json", HERE / "results.html"
LOG_LINES = 5


@dataclass(frozen=True)
class Short:
    """A benchmark, what makes it short, the report it leaves in benchmarks/out, and how that is read."""

    name: str
    arguments: tuple[str, ...]
    report: str
    rows: Reader
    prepares: tuple[tuple[str, ...], ...] = ()  # commands of regulars that must come before


SHORT = (
    Short("ingest", ("--lines", "1500000"), "ingest", bench_rows.ingest),
    Short("features", ("--lines", "1500000", "--repeat", "1"), "features", bench_rows.features),
    Short("online_store", ("--customers", "20000"), "online_store", bench_rows.online_store),
    Short("recommender", ("--shops", "category"), "recommender", bench_rows.recommender),
    Short("carts", (), "carts", bench_rows.carts),
    Short("audiences", (), "audiences", bench_rows.audiences),
    Short("customers", ("--models", "churn", "--cutoffs", "2"), "customers", bench_rows.customers),
    Short("lifetime", ("--data", "cdnow"), "lifetime", bench_rows.lifetime),
    Short("response", (), "response", bench_rows.response),
    Short("training", (), "training", bench_rows.training),
    Short("uplift", ("--customers", "5000", "--holdout", "0.5", "--draws", "2"), "uplift", bench_rows.uplift),
    Short(
        "scoring",
        ("--customers", "50000", "--models", "churn"),
        "scoring",
        bench_rows.scoring,
        prepares=(("train", "churn", "propensity", "value"),),
    ),
    Short("insights", ("--baskets", "department"), "insights", bench_rows.insights),
    Short("one_customer", ("--customers", "20000", "--answers", "2000"), "one_customer", bench_rows.one_customer),
    Short(
        "serving",
        ("--only", "load", "--customers", "20000", "--seconds", "3", "--rounds", "3"),
        "serving",
        bench_rows.serving,
    ),
    Short("console", ("--customers", "100000", "--repeats", "5"), "console", bench_rows.console),
    Short("survival", ("kill", "--times", "5"), "survival-kill", bench_rows.survival),
)


@dataclass(frozen=True)
class Ran:
    """What became of one benchmark."""

    name: str
    command: str
    seconds: float
    failed: str | None  # the end of what it said, where it failed
    rows: tuple[Row, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {"benchmark": self.name, "command": self.command, "seconds": self.seconds, "failed": self.failed}
        return told | {"rows": [row.as_dict() for row in self.rows]}


def run(short: Short, home: Path) -> Ran:
    """Run one in a process of its own, its words in benchmarks/out/NAME.log."""
    arguments = [*short.arguments, *(("--home", str(home)) if short.name == "insights" else ())]
    own = [sys.executable, "-m", f"benchmarks.{short.name}", *arguments]
    told = f"python -m benchmarks.{short.name} {' '.join(short.arguments)}".rstrip()
    before = [[sys.executable, "-m", "serving", *command] for command in short.prepares]
    log = OUT / f"{short.name}.log"
    started = time.perf_counter()
    with log.open("wb") as file:
        for command in (*before, own):
            environment = os.environ | {"REGULARS_HOME": str(home), "PYTHONWARNINGS": "ignore"}
            done = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                break
    ran = Ran(short.name, told, round(time.perf_counter() - started, 1), None)
    if done.returncode:
        ends = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return replace(ran, failed="\n".join(ends))
    report = json.loads((OUT / f"{short.report}.json").read_text(encoding="utf-8"))
    return replace(ran, rows=tuple(short.rows(report)))


def machine() -> dict[str, Any]:
    """What it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 1),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main(given: Sequence[str] | None = None) -> None:
    """Run those asked for, say how each went, and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[short.name for short in SHORT], help="those and no others")
    parser.add_argument("--page", action="store_true", help="measure nothing: the page of benchmarks/results.json")
    asked = parser.parse_args(given)
    if asked.page:
        write_text(PAGE, page(json.loads(RESULTS.read_text(encoding="utf-8"))))
        return
    OUT.mkdir(exist_ok=True)
    home = OUT / "home"
    told = machine()
    with step("orders of Complete Journey"):
        subprocess.run(
            [sys.executable, "-m", "serving", "ingest", "--source", "complete-journey"],
            env=os.environ | {"REGULARS_HOME": str(home)},
            check=True,
            capture_output=True,
        )
    chosen = [short for short in SHORT if not asked.only or short.name in asked.only]
    found = []
    for short in chosen:
        with step(short.name) as say:
            found.append(run(short, home))
            say(f"{len(found[-1].rows)} rows" if found[-1].failed is None else "FAILED")
    results = {
        "machine": told,
        "seconds": round(sum(one.seconds for one in found), 1),
        "benchmarks": [one.as_dict() for one in found],
    }
    write_text(RESULTS, as_json(results) + "\n")
    write_text(PAGE, page(results))
    failed = [one for one in found if one.failed is not None]
    for one in failed:
        print(f"\n{one.name} failed; all it said is in {OUT / one.name}.log, which ends:\n{one.failed}")
    print(f"{results['seconds']:.0f} s. The tables and pictures: {PAGE}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
