"""Ranked lists for benchmarks.spark: made by both engines, and compared."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from features.engine import connect
from features.home import Home
from features.lake import read_lake
from features.matrix import day_number, read_purchases
from features.settings import Settings
from training.bundle import seal
from training.candidates.als import AlsCandidates
from training.candidates.attributes import read_attributes
from training.pair_table import TASTE_DECAY, decayed
from training.protocols import Context
from training.ranked_lists import load_ranked_lists, save_ranked_lists
from training.ranking import RankerConfig
from training.ranking_tasks import TaskConfig
from training.recommender import CONFIG, MODEL, RANKER, fitted_on_lake, rank_everyone
from training.splits import cutoff_split
from training.two_stage import RecommenderConfig, learn_ranker

#: Candidates of each customer that are compared: as many as the ALS source gives.
CANDIDATES = 40


def fit_sources(context: Context, bundle: Path) -> None:
    """The sources that lists come from, which no engine shares out."""
    fitted_on_lake(replace(context, settings=context.settings.model_copy(update={"engine": "duckdb"})), bundle)


def rank(context: Context, bundle: Path, out: Path) -> None:
    """Ranked lists of everybody in a folder, as the server reads them."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    if context.settings.engine == "spark":
        from training.spark_lists import lists_on_spark

        with lists_on_spark(context, bundle) as ranked:
            save_ranked_lists(ranked, out)
    else:
        save_ranked_lists(rank_everyone(context, bundle), out)


def compare_als(home: Home, threads: int) -> dict[str, float]:
    """The share of implicit's candidates that MLlib's factors give too, and that implicit's of another seed give."""
    from training.spark_als import SparkAls

    settings = [Settings(home=home.root, threads=threads, engine=engine) for engine in ("duckdb", "spark")]
    purchases = read_purchases(read_lake(home), connect(settings[0]))
    taste = decayed(purchases, TASTE_DECAY)
    taste.data = np.log1p(taste.data)
    everybody = np.arange(purchases.n_customers, dtype=np.int32)
    ours, another = (AlsCandidates(threads=threads, seed=seed).fit(taste) for seed in (0, 1))
    with tempfile.TemporaryDirectory(dir=home.root) as scratch:
        mllib = SparkAls(connect(settings[1]), Path(scratch), factors=ours.factors, seed=0).fit(taste)
    known = ours.candidates(everybody, CANDIDATES)
    found = {
        name: float(np.isin(known, of.candidates(everybody, CANDIDATES)).mean())
        for name, of in (("mllib", mllib), ("another_seed", another))
    }
    print(
        f"ALS candidates of implicit found by MLlib: {found['mllib']:.3f}, by another seed {found['another_seed']:.3f}"
    )
    return found


def compare_lists(duckdb_lists: Path, spark_lists: Path) -> dict[str, float]:
    """The share of equal lists, and the mean share of the first ten products of a list that both engines name."""
    ours, theirs = (load_ranked_lists(folder).lists for folder in (duckdb_lists, spark_lists))
    shared = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(ours[:, :10], theirs[:, :10], strict=True)]
    found = {"equal": float((ours == theirs).all(axis=1).mean()), "overlap@10": float(np.mean(shared))}
    print(f"lists of {len(ours):,} customers: {found['equal']:.4%} equal, overlap@10 {found['overlap@10']:.6f}")
    return found


def learn_lists(context: Context, bundle: Path, *, before: datetime, horizon_days: int) -> None:
    """A small ranker, in a bundle whose own lists are of another lake."""
    backend = connect(context.settings)
    purchases = read_purchases(context.lake, backend)
    config = RecommenderConfig(ranker=RankerConfig(max_rounds=100), tasks=TaskConfig(moments=1))
    config = config.on(threads=context.settings.threads, seed=context.settings.seed)
    question = cutoff_split(purchases, as_of_day=day_number(before), horizon_days=horizon_days)
    attributes = read_attributes(context.lake, backend, purchases)
    ranker = learn_ranker(question, config, horizon_days=horizon_days, attributes=attributes)
    bundle.mkdir(parents=True)
    ranker.save(bundle / RANKER)
    (bundle / CONFIG).write_text(json.dumps(asdict(config)), encoding="utf-8")
    seal(
        bundle,
        kind=MODEL,
        about={"lake": "another", "learned_before": before.isoformat(), "horizon_days": horizon_days},
    )
