"""How long features take as a shop grows, beside the least that DuckDB can do over the same file.

    .venv/bin/python -m benchmarks.features --lines 1500000 15000000 100000000 --home /tmp/big

For each size: one plain `GROUP BY customer` sum over the order lines; the ledger, which is made once for a version of
the lake; then, as of the middle of the data's last month, all customer and all product features written to Parquet, and
all features of customers with products: every value computed and added up, and once more handed out as Arrow batches,
which costs more than making them (57 million rows of 100 million lines). Every task is a process of its own, so that
its peak memory is its own; each is run `--repeat` times (the ledger once) and the fastest counts. Prints ratios to the
plain sum in the same run, and the exponent that time and memory grow with. Then, on the smallest size, reading 600,000
(customer, moment) rows of 30 features back by point-in-time join, beside DuckDB's ASOF JOIN over the same files. With
`--rivals`, the same customer and product features by pandas and by Polars at each size that they can hold in 8 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.big_shop import big_shop
from benchmarks.feature_rivals import ENGINES
from benchmarks.feature_rivals import measure as measure_rival
from features.build import entity_features, features_of
from features.definitions import CUSTOMER, CUSTOMER_PRODUCT, PRODUCT, Entity
from features.engine import connect
from features.home import Home
from features.lake import Lake, read_lake
from features.ledger_store import lake_ledger
from features.settings import Settings
from features.snapshot import take_snapshot
from features.store.feast_store import open_store, point_in_time, register
from features.store.snapshots import LOCK, build_snapshots

OUT = Path(__file__).parent / "out" / "features.json"
AS_OF = datetime(2017, 12, 15)
SUM, LEDGER, TABLES = "plain_sum", "ledger", "customer_and_product"
PAIRS, STREAMED = "customer_product", "the same, streamed"
ASOF, FEAST = "asof_join", "point_in_time"
ASKED_ROWS, ASKED_FEATURES = 600_000, 30
BATCH_ROWS = 1_000_000
TASKS = (SUM, LEDGER, TABLES, PAIRS, STREAMED)


def task(name: str, settings: Settings) -> None:
    """One measured task, in this process."""
    lake = read_lake(Home(settings.home))
    backend = connect(settings)
    if name in (ASOF, FEAST):
        _retrieve(name, settings, lake)
        return
    if name == LEDGER:
        shutil.rmtree(lake.home.ledgers, ignore_errors=True)
    started = time.perf_counter()
    if name == SUM:
        lines = f"read_parquet('{lake.file('order_lines')}')"
        backend.raw_sql(f"SELECT customer_id, sum(amount) AS paid FROM {lines} GROUP BY customer_id").to_arrow_table()
    elif name == LEDGER:
        lake_ledger(lake, backend)
    elif name == TABLES:
        for entity in (CUSTOMER, PRODUCT):
            _features(lake, backend, entity).to_parquet(str(settings.home / f"{entity.name}.parquet"))
    elif name == PAIRS:
        table = _features(lake, backend, CUSTOMER_PRODUCT)
        keys = {key: table[key].max() for key in CUSTOMER_PRODUCT.keys}
        values = {column: table[column].sum() for column in table.columns if column not in keys}
        table.aggregate(**keys, **values).to_pyarrow()
    else:
        for batch in _features(lake, backend, CUSTOMER_PRODUCT).to_pyarrow_batches(chunk_size=BATCH_ROWS):
            del batch
    _report(started)


def _features(lake: Lake, backend: Any, entity: Entity) -> Any:
    snapshot = take_snapshot(lake, backend, AS_OF)
    return entity_features(snapshot, entity, features_of(snapshot, entity))


def _retrieve(name: str, settings: Settings, lake: Lake) -> None:
    moments = [AS_OF - timedelta(weeks=week) for week in range(12)]
    with Home(settings.home).lock(LOCK):
        snapshots, _ = build_snapshots(settings, lake, moments)
    store = open_store(Home(settings.home))
    register(store, snapshots)
    asked = _asked(settings, lake)
    numbers = [str(column["name"]) for column in snapshots.catalogue(CUSTOMER) if column["type"] == "float64"]
    names = sorted(numbers)[:ASKED_FEATURES]
    started = time.perf_counter()
    if name == FEAST:
        found = point_in_time(store, asked, names=names)
    else:
        backend = connect(settings)
        backend.con.register("asked", asked)
        columns = ", ".join(f"f.{column}" for column in names)
        files = f"read_parquet('{snapshots.folder(CUSTOMER)}/*.parquet')"
        found = backend.con.execute(
            f"SELECT asked.*, {columns} FROM asked ASOF LEFT JOIN {files} f "
            "ON asked.customer_id = f.customer_id AND asked.as_of >= f.as_of"
        ).df()
    _report(started)
    assert len(found) == ASKED_ROWS


def _asked(settings: Settings, lake: Lake) -> pd.DataFrame:
    ids = connect(settings).raw_sql(f"SELECT DISTINCT customer_id FROM read_parquet('{lake.file('order_lines')}')")
    customers = np.sort(ids.to_arrow_table()["customer_id"].to_numpy(zero_copy_only=False))
    rng = np.random.default_rng(0)
    minutes = rng.integers(0, 80 * 24 * 60, ASKED_ROWS).astype("timedelta64[m]")
    times = np.datetime64(AS_OF, "us") - minutes
    return pd.DataFrame({"customer_id": rng.choice(customers, ASKED_ROWS), "as_of": times})


def _report(started: float) -> None:
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "megabytes": megabytes}))


def measure(name: str, settings: Settings, repeat: int) -> dict[str, float]:
    """The fastest of `repeat` runs, each a process of its own."""
    environment = os.environ | {"REGULARS_HOME": str(settings.home), "REGULARS_MEMORY_LIMIT": settings.memory_limit}
    runs = []
    for _ in range(1 if name == LEDGER else repeat):
        command = [sys.executable, "-m", "benchmarks.features", "--task", name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["seconds"])


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of log(value) over log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0]) if len(sizes) > 1 else float("nan")


def _print_run(lines: int, name: str, run: dict[str, float], plain: float) -> None:
    print(
        f"{lines:>12,} lines  {name:<21} {run['seconds']:8.2f} s  {run['seconds'] / plain:7.1f} x plain sum"
        f"  {run['megabytes']:8,.0f} MB",
        flush=True,
    )


def main() -> None:
    """Run the sizes asked for, print and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[1_500_000, 5_000_000, 15_000_000])
    parser.add_argument(
        "--home", type=Path, default=Path("/tmp/regulars-big"), help="where the shops are made and kept"
    )
    parser.add_argument("--memory", default="6GB", help="DuckDB's memory limit; the process needs some more")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--rivals", action="store_true", help="pandas and Polars too (install benchmarks/rivals.lock)")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        task(arguments.task, Settings())
        return
    results: dict[str, dict[str, dict[str, float]]] = {}
    customers: dict[str, int] = {}
    made = []
    for lines in arguments.lines:
        settings = Settings(home=arguments.home / str(lines), memory_limit=arguments.memory)
        lake = big_shop(Home(settings.home), lines)
        made.append(lake.rows["order_lines"])
        counted = connect(settings).raw_sql(
            f"SELECT count(DISTINCT customer_id) FROM read_parquet('{lake.file('order_lines')}')"
        )
        customers[str(made[-1])] = int(counted.fetchall()[0][0])
        results[str(made[-1])] = {name: measure(name, settings, arguments.repeat) for name in TASKS}
        plain = results[str(made[-1])][SUM]["seconds"]
        for name, run in results[str(made[-1])].items():
            _print_run(made[-1], name, run, plain)
        for engine in ENGINES if arguments.rivals else ():
            rival = measure_rival(engine, settings.home, memory_gb=8)
            if "error" in rival:
                print(f"{made[-1]:>12,} lines  {rival['error']}")
                continue
            run = {name: float(value) for name, value in rival.items()}
            results[str(made[-1])][engine] = run
            _print_run(made[-1], engine, run, plain)
    for name in TASKS:
        runs = [results[str(size)][name] for size in made]
        times, memory = (f"{exponent(made, [run[of] for run in runs]):.2f}" for of in ("seconds", "megabytes"))
        print(f"{name:<21} time grows with lines to the {times}, memory to the {memory}")
    settings = Settings(home=arguments.home / str(arguments.lines[0]), memory_limit=arguments.memory)
    measure(FEAST, settings, 1)  # computes the snapshots that both read
    reading = {name: measure(name, settings, arguments.repeat) for name in (ASOF, FEAST)}
    ratio = reading[FEAST]["seconds"] / reading[ASOF]["seconds"]
    print(f"{ASKED_ROWS:,} rows of {ASKED_FEATURES} features: point-in-time retrieval takes {ratio:.1f} x an ASOF JOIN")
    OUT.parent.mkdir(exist_ok=True)
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "data": "Complete Journey copied, see big_shop",
    }
    OUT.write_text(json.dumps({**about, "customers": customers, "sizes": results, "retrieval": reading}, indent=2))


if __name__ == "__main__":
    main()
