"""How fast features go online and are read back, in SQLite and, where one is named, in Redis.

    .venv/bin/python -m benchmarks.online_store --customers 200000 --redis redis://127.0.0.1:6379/0

Snapshots of made-up customers are written to the online store by `regulars features materialize`'s own function; then
one customer at a time is read, as a server would. Beside it, for fewer customers: the same five features through
Feast's own SQLite store and `write_to_online_store`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore

from features.definitions import CUSTOMER
from features.home import Home
from features.ingest import ingest
from features.settings import Settings
from features.store.feast_store import open_store, register, writer
from features.store.materialize import materialize
from features.store.online import online_features
from features.store.online_views import ONLINE, ONLINE_VIEW
from features.store.snapshots import CATALOGUE, CREATED_AT, Snapshots

AS_OF = datetime(2024, 3, 1)
READS = 1_000
OUT = Path(__file__).parent / "out" / "online_store.json"
FEAST_CUSTOMERS = 20_000


def made_snapshots(root: Path, customers: int) -> Snapshots:
    """One snapshot of so many customers with the online features, of random numbers."""
    snapshots = Snapshots(root)
    snapshots.folder(CUSTOMER).mkdir(parents=True)
    told = {"type": "float64", "description": "", "unit": "", "nulls": "", "owner": "", "computed_over": ""}
    catalogue = [{"name": name, "window_days": None, **told} for name in ONLINE]
    (snapshots.folder(CUSTOMER) / CATALOGUE).write_text(json.dumps(catalogue))
    rng = np.random.default_rng(0)
    moment = pa.array(np.full(customers, np.datetime64(AS_OF, "us")))
    columns = {name: rng.random(customers) * 100 for name in ONLINE}
    ids = [f"customer-{number}" for number in range(customers)]
    table = pa.table({"customer_id": ids, "as_of": moment, CREATED_AT: moment, **columns})
    pq.write_table(table, snapshots.file(AS_OF))
    return snapshots


def measure(name: str, settings: Settings, snapshots: Snapshots, customers: int) -> float:
    """Customers a second that one store takes in; prints that, and how long it takes to read one."""
    home = Home(settings.home)
    ingest("cdnow", settings, now=AS_OF)  # what is online follows the loads of a lake
    store = open_store(home, settings)
    register(store, snapshots)
    started = time.perf_counter()
    rows = materialize(home, store, snapshots, again=True).rows
    seconds = time.perf_counter() - started
    reads = []
    for number in np.random.default_rng(1).integers(0, customers, READS):
        started = time.perf_counter()
        online_features(store, [f"customer-{number}"], now=AS_OF.replace(tzinfo=UTC), max_age=timedelta(days=2))
        reads.append((time.perf_counter() - started) * 1000)
    p50, p99 = np.percentile(reads, [50, 99])
    print(
        f"{name:<16} {rows:>9,} customers x {len(ONLINE)} features written in {seconds:6.1f} s ({rows / seconds:9,.0f} "
        f"customers/s); one read {p50:.1f} ms p50, {p99:.1f} ms p99"
    )
    return rows / seconds


def measure_feast(settings: Settings, snapshots: Snapshots) -> float:
    """Customers a second that Feast's own SQLite store takes in, through its own function; prints it."""
    store = open_store(Home(settings.home), settings)
    register(store, snapshots)
    config = writer(store).config.model_copy(deep=True)
    config.online_config = {"type": "sqlite", "path": str(settings.home / "feast.db")}
    config._online_store = None
    own = FeatureStore(repo_path=str(store.repo_path), config=config)
    own._get_provider().update_infra(own.project, [], [own.get_feature_view(ONLINE_VIEW)], [], [], partial=True)
    frame: pd.DataFrame = pq.read_table(snapshots.file(AS_OF)).to_pandas()
    started = time.perf_counter()
    own.write_to_online_store(ONLINE_VIEW, frame)
    seconds = time.perf_counter() - started
    print(
        f"{'Feast SQLite':<16} {len(frame):>9,} customers x {len(ONLINE)} features written in {seconds:6.1f} s "
        f"({len(frame) / seconds:9,.0f} customers/s)"
    )
    return len(frame) / seconds


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--redis", help="a Redis to be written to, as the setting online_store names it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        snapshots = made_snapshots(root / "snapshots", arguments.customers)
        rates = {}
        rates["SQLite"] = measure("SQLite", Settings(home=root / "sqlite"), snapshots, arguments.customers)
        if arguments.redis:
            at_redis = Settings(home=root / "redis", online_store=arguments.redis)
            rates["Redis"] = measure("Redis", at_redis, snapshots, arguments.customers)
        fewer = made_snapshots(root / "fewer", min(arguments.customers, FEAST_CUSTOMERS))
        rates["Feast SQLite"] = measure_feast(Settings(home=root / "feast"), fewer)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"customers": arguments.customers, "customers_a_second": rates}, indent=2))


if __name__ == "__main__":
    main()
