"""The customer and product features in pandas and in Polars, beside ours: the same columns over the same file.

    .venv/bin/uv pip install --python .venv/bin/python --require-hashes -r benchmarks/rivals.lock   # Polars
    .venv/bin/python -m benchmarks.feature_rivals --engine polars --lines 15000000 --home /tmp/big
    .venv/bin/python -m benchmarks.feature_rivals --check --lines 1 --home /tmp/big     # Complete Journey as it is
    .venv/bin/python -m benchmarks.feature_rivals --engine pandas --largest --home /tmp/big

The first prints one line of JSON: `seconds` from reading the lake's Parquet files to having written both tables, and
`megabytes`, the peak of the process that did it. A run that needs more than `--memory` (8 GB) of its own is ended, and
says so. `--check` computes ours too and requires every column of a rival to equal ours. `--largest` tries 1.5, 5, 15,
50 and 100 million lines in turn, until one is more than the engine can hold.

The columns are those of `CUSTOMER` and `PRODUCT` in benchmarks/rival_columns.py: all windows of orders and spend,
recency, order size, habits, returns, discount and coupons, visits and gaps, silence and trends, breadth; and all of
products but what their catalogue says. Money and lines count at their line's own time, an order at its first purchase.
Left out, so that the rivals do less than ours: price level, spend decile, lifecycle stage, shares of departments and
brands, attributes. Money is a floating number in the rivals. Weeks are counted in days, so the moment is a midnight.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from datetime import datetime
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.big_shop import big_shop
from features.build import entity_features, features_of
from features.definitions import CUSTOMER, PRODUCT
from features.engine import connect
from features.home import Home
from features.lake import Lake, read_lake
from features.settings import Settings
from features.snapshot import take_snapshot

AS_OF = datetime(2017, 12, 15)
ENGINES = ("pandas", "polars")
SIZES = (1_500_000, 5_000_000, 15_000_000, 50_000_000, 100_000_000)
TOO_LARGE = "needs more memory than it may have"
_ENTITIES = {"customer": CUSTOMER, "product": PRODUCT}


def compute(engine: str, home: Path, *, as_of: datetime = AS_OF) -> dict[str, float]:
    """Both tables of one engine, written beside the lake, in this process."""
    lake = read_lake(Home(home))
    rival = import_module(f"benchmarks.rival_{engine}")
    targets = {name: home / f"{engine}-{name}.parquet" for name in _ENTITIES}
    started = time.perf_counter()
    rival.compute(lake.file("order_lines"), lake.file("products"), as_of, targets)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure(engine: str, home: Path, *, memory_gb: float) -> dict[str, float | str]:
    """The same in a process of its own, which is ended when it holds more than so much of its own."""
    command = [sys.executable, "-m", "benchmarks.feature_rivals", "--engine", engine, "--home", str(home), "--here"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if _held_gb(process.pid) > memory_gb:
                process.kill()
                return {"error": f"{engine} {TOO_LARGE} ({memory_gb:g} GB)"}
            time.sleep(0.02)
        out, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"{engine} failed:\n{said[-3000:]}")
    found: dict[str, float | str] = json.loads(out.splitlines()[-1])
    return found


def _held_gb(pid: int) -> float:
    """Memory that the process holds for itself; pages of files that it reads are the system's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    kilobytes = [int(row.split()[1]) for row in status.splitlines() if row.startswith("RssAnon:")]
    return sum(kilobytes) / 1e6


def differences(engine: str, home: Path, lake: Lake, *, as_of: datetime = AS_OF) -> list[str]:
    """What of a rival's columns does not equal ours, in words; empty when all do."""
    found = []
    for name, entity in _ENTITIES.items():
        snapshot = take_snapshot(lake, connect(Settings(home=home)), as_of)
        ours = entity_features(snapshot, entity, features_of(snapshot, entity)).to_pandas().set_index(entity.keys[0])
        theirs = pd.read_parquet(home / f"{engine}-{name}.parquet").set_index(entity.keys[0])
        theirs.index = theirs.index.astype(str)
        missing = sorted(set(_columns(name)) - set(theirs.columns))
        if missing or set(theirs.index) != set(ours.index):
            found.append(f"{name}: columns {missing} missing, {len(theirs)} rows against {len(ours)}")
            continue
        theirs = theirs.loc[ours.index]
        for column in _columns(name):
            one, other = (frame[column].to_numpy(float) for frame in (ours, theirs))
            if not np.allclose(one, other, rtol=1e-7, atol=1e-7, equal_nan=True):
                unlike = ~np.isclose(one, other, rtol=1e-7, atol=1e-7, equal_nan=True)
                at = int(np.flatnonzero(unlike)[0])
                found.append(f"{name}.{column}: {unlike.sum()} rows, {ours.index[at]}: {one[at]} against {other[at]}")
    return found


def _columns(entity: str) -> tuple[str, ...]:
    from benchmarks import rival_columns

    return rival_columns.CUSTOMER if entity == "customer" else rival_columns.PRODUCT


def main() -> None:
    """Measure one engine, or check that it computes what ours does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="both when not given")
    parser.add_argument("--lines", type=int, default=SIZES[0])
    parser.add_argument("--home", type=Path, default=Path("/tmp/regulars-big"), help="where the shops lie")
    parser.add_argument("--memory", type=float, default=8.0, help="gigabytes that an engine may hold")
    parser.add_argument("--largest", action="store_true", help="try sizes until one is too large")
    parser.add_argument("--check", action="store_true", help="compare with ours")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    engines = arguments.engine or ENGINES
    if arguments.here:
        print(json.dumps(compute(engines[0], arguments.home)))
        return
    for engine in engines:
        for lines in SIZES if arguments.largest else (arguments.lines,):
            home = arguments.home / str(lines)
            lake = big_shop(Home(home), lines)
            run = measure(engine, home, memory_gb=arguments.memory)
            about = {"engine": engine, "lines": lake.rows["order_lines"], "cores": os.cpu_count()}
            print(json.dumps(about | run), flush=True)
            if "error" in run:
                break
            if arguments.check:
                found = differences(engine, home, lake)
                counts = " and ".join(f"{len(_columns(name))} of {name}" for name in _ENTITIES)
                print("\n".join(found) or f"{engine}: {counts} columns equal ours", file=sys.stderr)
                if found:
                    raise SystemExit(1)


if __name__ == "__main__":
    main()
