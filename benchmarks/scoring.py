"""Scoring a million customers, beside what LightGBM takes for the bare predictions: `python -m benchmarks.scoring`.

Run `regulars ingest --source complete-journey && regulars train churn propensity value` first. The customers are those
of Complete Journey, drawn with replacement, each an active one: the dearest case, since only the active have reasons.
Each part is measured in a process of its own, so that its peak of memory is its own. Time is told by the clock and as
work of the processor, which a busy machine changes less. What comes before, features as of a moment, is measured by
benchmarks/features.py.

    bare        LightGBM's predict on the matrices of numbers that the model's boosters are asked about, the least
                anybody could do with them: of churn and propensity those are the booster of what happens (told apart
                as `first booster`), and that of the time to the next order, asked of each customer once for every age
                they live through within the horizon
    scores      from the frame of features to calibrated probabilities, or expected spend
    reasons     of churn: why, as messages and numbers, for every customer
    words       all reasons put in words, which the server does only for those it shows
    everything  scores and reasons of all three models and the table on disk, as `regulars score` makes it
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from features.home import Home
from features.labels import ACTIVE
from features.lake import read_lake
from features.settings import load_settings
from training.boosting import BATCH, tree_tables
from training.champions import default_champions
from training.churn import ChurnModel
from training.customer_scores import Predictions, score_table
from training.dataset import features_as_of
from training.profiles import last_moment, profiles
from training.propensity import PropensityModel
from training.protocols import Context
from training.reason_messages import say
from training.reasons import explain
from training.tracking import open_registry
from training.value import ValueModel

OUT = Path(__file__).parent / "out"
MODELS: dict[str, Any] = {"churn": ChurnModel, "propensity": PropensityModel, "value": ValueModel}


class Spent(NamedTuple):
    """Seconds by the clock, and seconds that the processor worked, over all threads."""

    seconds: float
    cpu: float

    def times(self, other: float) -> Spent:
        """So many times as much."""
        return Spent(self.seconds * other, self.cpu * other)

    def plus(self, other: Spent) -> Spent:
        """One after the other."""
        return Spent(self.seconds + other.seconds, self.cpu + other.cpu)


def current() -> tuple[Context, dict[str, Path], int]:
    """The lake, the bundles of the champions, and the days they look ahead."""
    settings = load_settings()
    home = Home(settings.home)
    registry = open_registry(home)
    versions = {model: registry.resolve(model) for model in MODELS}
    missing = [model for model, version in versions.items() if version is None]
    if missing:
        raise SystemExit(f"No champion of {', '.join(missing)}. Train:  regulars train {' '.join(missing)}")
    found = {model: version for model, version in versions.items() if version is not None}
    context = Context(settings=settings, home=home, lake=read_lake(home))
    return context, {model: registry.fetch(version) for model, version in found.items()}, found["churn"].horizon_days


def drawn(context: Context, horizon: int, customers: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles and features of so many active customers, drawn with replacement and given ids of their own."""
    as_of = last_moment(context)
    who = profiles(context, as_of, horizon_days=horizon)
    frame = features_as_of(context, as_of, horizon)
    frame = frame.set_index("customer_id", drop=False).loc[who["customer_id"]].reset_index(drop=True)
    able = np.flatnonzero(who["active"] & frame[ACTIVE])
    rows = np.random.default_rng(seed).choice(able, customers)
    ids = np.char.mod("c%08d", np.arange(customers))
    return tuple(part.iloc[rows].reset_index(drop=True).assign(customer_id=ids) for part in (who, frame))


def timed(work: Callable[[], Any]) -> tuple[Spent, Any]:
    """What one call took, and what it gave."""
    started, worked = time.perf_counter(), time.process_time()
    found = work()
    return Spent(time.perf_counter() - started, time.process_time() - worked), found


def measure(what: str, customers: int, seed: int) -> dict[str, Any]:
    """Measure one part here: its seconds by step, and this process's peak of memory."""
    context, bundles, horizon = current()
    threads = context.settings.threads
    who, frame = drawn(context, horizon, customers, seed)
    found: dict[str, Any] = {"before_mb": _peak()}
    if what == "everything":
        found |= _everything(bundles, who, frame, horizon)
    else:
        found |= _one(what, bundles[what], frame, threads)
    # Plain tuples: this process knows the module by another name than the one that asked.
    plain = {name: tuple(value) if isinstance(value, Spent) else value for name, value in found.items()}
    return plain | {"peak_mb": _peak()}


def _one(model: str, bundle: Path, frame: pd.DataFrame, threads: int) -> dict[str, Any]:
    loaded = MODELS[model].load(bundle, threads=threads)
    first, bare, slow = _of_lightgbm(loaded, frame, threads)
    found: dict[str, Any] = {"trees": loaded.booster_.num_trees(), "features": len(loaded.features_.names)}
    found |= {
        "first_booster": first,
        "bare": bare,
        "lightgbm_contributions": slow,
        "tables": tree_tables(loaded.booster_) is not None,
    }
    ask = loaded.predict if model == "value" else loaded.predict_proba
    found["scores"], _ = timed(lambda: ask(frame))
    if model == "churn":
        # As a scoring does: the probabilities are at hand.
        raw = loaded.raw_probability(frame)
        found["reasons"], told = timed(lambda: explain(loaded, frame, raw=raw))
        part = told.slice(0, len(told) // 20)
        spent, _ = timed(lambda: [[say(reason) for reason in row] for row in part.to_pylist()])
        found["words"] = spent.times(20)
    return found


def _of_lightgbm(model: Any, frame: pd.DataFrame, threads: int) -> tuple[Spent, Spent, Spent]:
    """What LightGBM's own predictions take, of the first booster and of all, and its contributions of the first.

    The contributions are measured on a twentieth of the customers.
    """
    # As LightGBM likes it best.
    matrix = np.ascontiguousarray(model.features_.encode(frame).to_numpy())
    part = matrix[: len(matrix) // 20]
    first, _ = timed(lambda: model.booster_.predict(matrix, num_threads=threads))
    slow, _ = timed(lambda: model.booster_.predict(part, num_threads=threads, pred_contrib=True))
    bare, waiting = first, getattr(model, "return_time_", None)
    for start in range(0, len(frame) if waiting is not None else 0, BATCH):
        _, _, asked = waiting.asked_within(frame.iloc[start : start + BATCH], waiting.horizon_days)
        pairs = np.ascontiguousarray(asked.to_numpy())
        spent, _ = timed(functools.partial(waiting.booster_.predict, pairs, num_threads=threads))
        bare = bare.plus(spent)
    return first, bare, slow.times(len(matrix) / len(part))


def _everything(bundles: dict[str, Path], who: pd.DataFrame, frame: pd.DataFrame, horizon: int) -> dict[str, Any]:
    predict = default_champions().predict

    def score() -> int:
        columns: dict[str, Any] = {}
        for model in MODELS:
            columns |= predict[model](bundles[model], frame)
        table = score_table(who, Predictions(**columns), horizon_days=horizon)
        with tempfile.TemporaryDirectory() as directory:
            pq.write_table(table, Path(directory) / "customers.parquet", compression="zstd")
            return (Path(directory) / "customers.parquet").stat().st_size

    spent, size = timed(score)
    return {**spent._asdict(), "table_mb": size / 1e6}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(what: str, customers: int, seed: int) -> dict[str, Any]:
    """The figures of one part, measured in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        found = alone.submit(measure, what, customers, seed).result()
    return {name: Spent(*value) if isinstance(value, tuple) else value for name, value in found.items()}


def show(model: str, found: dict[str, Any], customers: int) -> None:
    """Print one model's steps beside its bare predictions."""
    kind = "tables" if found["tables"] else "LightGBM"
    print(f"\n{model}: {found['trees']} trees, {found['features']} features, by {kind}")
    steps = {"bare": found["bare"], "first booster": found["first_booster"], "scores": found["scores"]}
    if "reasons" in found:
        steps["scores and reasons"] = found["scores"].plus(found["reasons"])
        steps["words"] = found["words"]
    steps["LightGBM's contributions"] = found["lightgbm_contributions"]
    for name, spent in steps.items():
        rate, times = customers / spent.seconds, spent.seconds / found["bare"].seconds
        cpu = f"CPU {spent.cpu:7.1f} s {spent.cpu / found['bare'].cpu:6.2f} times"
        print(f"  {name:26}{spent.seconds:8.1f} s {rate:12,.0f} customers/s {times:8.2f} times bare   {cpu}")
    print(f"  {'peak of memory':26}{found['peak_mb']:8,.0f} MB, {found['before_mb']:,.0f} of it before")


def main() -> None:
    """Measure, print, and write benchmarks/out/scoring.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS), help="beside everything")
    arguments = parser.parse_args()
    threads = load_settings().threads
    print(f"{arguments.customers:,} customers, {platform.machine()}, {os.cpu_count()} cores, {threads} threads")
    found: dict[str, Any] = {"customers": arguments.customers, "cores": os.cpu_count(), "threads": threads}
    for what in arguments.models:
        found[what] = apart(what, arguments.customers, arguments.seed)
        show(what, found[what], arguments.customers)
    whole = found["everything"] = apart("everything", arguments.customers, arguments.seed)
    rate = arguments.customers / whole["seconds"]
    print(f"\neverything: {whole['seconds']:.1f} s, {rate:,.0f} customers/s, CPU {whole['cpu']:.1f} s")
    memory = f"peak of memory {whole['peak_mb']:,.0f} MB ({whole['before_mb']:,.0f} before)"
    print(f"  {memory}, table {whole['table_mb']:.0f} MB")
    OUT.mkdir(exist_ok=True)
    (OUT / "scoring.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
