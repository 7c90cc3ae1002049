"""The same work on DuckDB and on Spark side by side: time, memory, and whether both give the same.

    .venv/bin/python -m benchmarks.spark --copies 1 10 --home /tmp/big

For each size (copies of Complete Journey, see benchmarks.big_shop; 100 takes hours on two cores) and each engine:
loading its order lines from one CSV and its products from Parquet into an empty lake, which must come out the same; the
ledger, which is made once for a version of the lake; all customer and all product features as of the middle of the
data's last month, written to Parquet; the labels of that moment; and churn, propensity and value of everybody with
reasons, and ranked lists of everybody (sources fitted anew in one process, customers asked on executors), by small
models and a small ranker learned on the first size. Spark runs in one process on `--threads` cores, or where `--master`
says. Every task is a process of its own. Time counts from the first request to the last file and leaves out starting
Spark, which is told apart; memory is the most that the process and all below it held at once (resident, every 0.2 s).
First, on Complete Journey as it is, every feature of all four entities and every label of customers is compared, and
candidates by the factors of MLlib with those of implicit; of every size, the ranked lists.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.big_shop import big_shop
from benchmarks.spark_lists import compare_als, compare_lists, fit_sources, learn_lists, rank
from features.build import entity_features, features_of
from features.definitions import CUSTOMER, ENTITIES, PRODUCT, Entity
from features.engine import connect, save
from features.home import Home
from features.ingest import ingest
from features.labels import customer_labels
from features.lake import Lake, read_lake
from features.ledger_store import lake_ledger
from features.settings import Settings
from features.snapshot import take_snapshot
from training.boosting import BoostingConfig
from training.champions import default_champions
from training.churn import ChurnModel
from training.customer_scores import Predictions, score_table
from training.dataset import examples, features_as_of
from training.profiles import profiles
from training.propensity import PropensityModel
from training.protocols import Context
from training.recommender import MODEL
from training.value import ValueModel

OUT = Path(__file__).parent / "out" / "spark.json"
LINES = 1_468_000  # of one copy: a few less than there are
LOADED = datetime(2018, 6, 1)
AS_OF, LEARNED, HORIZON = datetime(2017, 12, 15), datetime(2017, 11, 1), 28
START, INGEST, LEDGER, FEATURES, LABELS, SCORES, FIT, LISTS = TASKS = (
    *("start", "ingest", "ledger", "features", "labels", "scores", "fit", "lists"),
)
ENGINES = ("duckdb", "spark")
#: Columns of the order lines that Complete Journey has.
GIVEN = ("order_id", "customer_id", "product_id", "ordered_at", "quantity", "amount", "discount", "coupon", "store_id")
MODELS = {"churn": (ChurnModel, "stopped"), "propensity": (PropensityModel, "bought"), "value": (ValueModel, "spend")}
#: As in tests/spark: exp() and ln() of Java and C differ in their last bits.
TOLERANCE = 1e-12


def task(name: str, settings: Settings, models: Path) -> None:
    """One measured task, in this process."""
    lake = read_lake(Home(settings.home))
    started = time.perf_counter()
    backend = connect(settings)
    if name != START:
        started = time.perf_counter()
    out = settings.home / f"{settings.engine}-{name}.parquet"
    if name == INGEST:
        ingest("files", _into(settings), mapping=settings.home / "files" / "shop.toml", now=LOADED)
    elif name == LEDGER:
        ledgers = lake.home.ledgers if settings.engine == "duckdb" else lake.home.spark_ledgers
        shutil.rmtree(ledgers, ignore_errors=True)
        started = time.perf_counter()
        lake_ledger(lake, backend)
    elif name == FEATURES:
        for entity in (CUSTOMER, PRODUCT):
            save(_features(lake, backend, entity), settings.home / f"{settings.engine}-{entity.name}.parquet")
    elif name == LABELS:
        save(customer_labels(lake.tables(backend), AS_OF, horizon_days=HORIZON), out)
    elif name == SCORES:
        _score(Context(settings, Home(settings.home), lake), models, out)
    elif name == FIT:
        fit_sources(Context(settings, Home(settings.home), lake), models / MODEL)
    elif name == LISTS:
        rank(Context(settings, Home(settings.home), lake), models / MODEL, out.with_suffix(""))
    print(json.dumps({"seconds": time.perf_counter() - started}))


def _into(settings: Settings) -> Settings:
    """The same with an empty home for what is loaded."""
    home = settings.home / f"{settings.engine}-ingested"
    shutil.rmtree(home, ignore_errors=True)
    return settings.model_copy(update={"home": home})


def write_files(lake: Lake, folder: Path) -> None:
    """Order lines as CSV and products as Parquet, with a mapping; what is there already stays."""
    if (folder / "shop.toml").exists():
        return
    folder.mkdir(exist_ok=True)
    with duckdb.connect() as con:
        lines = f"SELECT {', '.join(GIVEN)} FROM read_parquet('{lake.file('order_lines')}')"
        con.execute(f"COPY ({lines}) TO '{folder}/orders.csv' (HEADER)")
    shutil.copyfile(lake.file("products"), folder / "products.parquet")
    mapping = ["[order_lines]", 'path = "orders.csv"', *(f'{name} = "{name}"' for name in GIVEN)]
    mapping += ["[products]", 'path = "products.parquet"']
    mapping += [
        f'{name} = "{name}"' for name in ("product_id", "name", "department", "category", "subcategory", "brand")
    ]
    (folder / "shop.toml").write_text("\n".join(mapping), encoding="utf-8")


def compare_loaded(root: Path) -> None:
    """Raises SystemExit where the two engines loaded other rows, or said other things of them."""
    manifests = [read_lake(Home(root / f"{engine}-ingested")).manifest for engine in ENGINES]
    if manifests[0] != manifests[1]:
        raise SystemExit("The lakes loaded by DuckDB and by Spark differ.")
    print(f"loaded alike: {manifests[0]['rows']}, version {manifests[0]['version']}")


def _features(lake: Lake, backend: Any, entity: Entity) -> Any:
    snapshot = take_snapshot(lake, backend, AS_OF)
    return entity_features(snapshot, entity, features_of(snapshot, entity))


def _score(context: Context, models: Path, out: Path) -> None:
    as_of, predict = AS_OF.replace(tzinfo=UTC), default_champions().predict
    shutil.rmtree(context.home.features, ignore_errors=True)
    if context.settings.engine == "spark":
        from training.spark_scores import Champion, score_on_spark

        champions = {name: Champion(models / name, predict[name], HORIZON) for name in MODELS}
        score_on_spark(context, champions, out, as_of=as_of, horizon_days=HORIZON)
        return
    who = profiles(context, as_of, horizon_days=HORIZON)
    frame = features_as_of(context, as_of, HORIZON)
    columns: dict[str, Any] = {}
    for name in MODELS:
        columns |= predict[name](models / name, frame)
    pq.write_table(score_table(who, Predictions(**columns), horizon_days=HORIZON), out, compression="zstd")


def learn(context: Context, models: Path) -> None:
    """Small models of churn, propensity and value."""
    rows = examples(context, [LEARNED], HORIZON)
    for name, (kind, label) in MODELS.items():
        known = rows[rows["active"]] if name == "churn" else rows
        kind(BoostingConfig(threads=context.settings.threads), rounds=100).fit(known, known[label]).save(models / name)


def measured(arguments: Sequence[str]) -> dict[str, float]:
    """What a task took, in a process of its own, and the most that it and those below it held in memory."""
    command = [sys.executable, "-m", "benchmarks.spark", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    most = 0
    while process.poll() is None:
        most = max(most, _resident(process.pid))
        time.sleep(0.2)
    said = process.stdout.read() if process.stdout is not None else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed ({process.returncode}); run it by itself to see why.")
    return {**json.loads(said.splitlines()[-1]), "gigabytes": most / 1e9}


def _resident(root: int) -> int:
    below: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        process = int(stat.parent.name)
        below.setdefault(int(fields[1]), []).append(process)
        pages[process] = int(fields[21])
    found, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        found += pages.get(process, 0)
        waiting += below.get(process, [])
    return found * 4096


def compare(home: Home, threads: int) -> dict[str, float]:
    """The greatest relative difference of any feature of each entity, and of labels, on Complete Journey itself.

    Raises SystemExit where a text, a flag or a whole number differs, or another number by more than TOLERANCE.
    """
    lake, moment = read_lake(home), AS_OF.replace(hour=13, minute=30)
    backends = [connect(Settings(home=home.root, threads=threads, engine=engine)) for engine in ENGINES]

    def both(make: Any, keys: Sequence[str]) -> list[pd.DataFrame]:
        return [make(backend).order_by(list(keys)).to_pandas() for backend in backends]

    def features(backend: Any, entity: Entity) -> Any:
        taken = take_snapshot(lake, backend, moment)
        return entity_features(taken, entity, features_of(taken, entity))

    apart = {}
    for name, entity in ENTITIES.items():
        expected, found = both(lambda backend, of=entity: features(backend, of), entity.keys)
        apart[name] = _apart(name, expected, found)
    labels = both(lambda backend: customer_labels(lake.tables(backend), moment, horizon_days=14), CUSTOMER.keys)
    apart["labels"] = _apart("labels", *labels)
    return apart


def _apart(what: str, expected: pd.DataFrame, found: pd.DataFrame) -> float:
    most = 0.0
    for name in expected.columns:
        ours, theirs = found[name], expected[name]
        if pd.api.types.is_float_dtype(theirs) and not (theirs.dropna() % 1 == 0).all():
            difference = (ours - theirs).abs() / np.maximum(theirs.abs(), 1.0)
            wrong = not ours.isna().equals(theirs.isna()) or difference.max() > TOLERANCE
            most = max(most, float(difference.max()))
        else:
            wrong = not ours.astype(theirs.dtype).equals(theirs)
        if wrong:
            raise SystemExit(f"{what}: {name} differs between DuckDB and Spark.")
    print(f"{what}: {len(expected):,} rows of {len(expected.columns)} columns alike, to {most:.1e}")
    return most


def report(copies: int, lines: int, found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """One table of a size."""
    print(f"\n{copies} x Complete Journey, {lines:,} order lines")
    print("| what | DuckDB | | Spark | | Spark to DuckDB, time |\n| --- | --- | --- | --- | --- | --- |")
    for name in found[ENGINES[0]]:
        ours, theirs = (found[engine][name] for engine in ENGINES)
        cells = [f"{one['seconds']:.1f} s | {one['gigabytes']:.1f} GB" for one in (ours, theirs)]
        print(f"| {name} | {' | '.join(cells)} | {theirs['seconds'] / ours['seconds']:.1f} |", flush=True)


def main() -> None:
    """Every size in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=[1])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--master", help="where Spark runs, for instance spark://host:7077")
    parser.add_argument("--unchecked", action="store_true", help="leave out the comparison on Complete Journey")
    parser.add_argument("--task", choices=TASKS, help="one measured task, in this process")
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--only", choices=TASKS, nargs="+", default=TASKS, help="leave out the other tasks")
    arguments = parser.parse_args()
    given = {"threads": arguments.threads, "spark_master": arguments.master}
    models = arguments.home / "models"
    if arguments.task:
        (copies,) = arguments.copies
        home = arguments.home / str(copies)
        task(arguments.task, Settings(home=home, engine=arguments.engine, **given), models)
        return
    results: dict[str, Any] = {"threads": arguments.threads, "sizes": {}}
    for copies in arguments.copies:
        root = arguments.home / str(copies)
        lake = big_shop(Home(root), copies * LINES, threads=arguments.threads)
        if "alike" not in results and not arguments.unchecked:
            results["alike"] = compare(Home(root / "small"), arguments.threads)
            results["als"] = compare_als(Home(root / "small"), arguments.threads)
        write_files(lake, root / "files")
        here = Context(Settings(home=root, threads=arguments.threads), Home(root), lake)
        if SCORES in arguments.only and not (models / "churn").exists():
            learn(here, models)
        if {FIT, LISTS} & set(arguments.only) and not (models / MODEL).exists():
            learn_lists(here, models / MODEL, before=LEARNED, horizon_days=HORIZON)
        same = ["--home", str(arguments.home), "--copies", str(copies), "--threads", str(arguments.threads)]
        same += ["--master", arguments.master] if arguments.master else []
        found = {
            engine: {name: measured([*same, "--engine", engine, "--task", name]) for name in arguments.only}
            for engine in ENGINES
        }
        if INGEST in arguments.only:
            compare_loaded(root)
        if LISTS in arguments.only:
            results.setdefault("lists", {})[str(copies)] = compare_lists(
                *(root / f"{engine}-{LISTS}" for engine in ENGINES)
            )
        results["sizes"][str(copies)] = {"lines": lake.rows["order_lines"], **found}
        report(copies, lake.rows["order_lines"], found)
        OUT.parent.mkdir(exist_ok=True)
        OUT.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
