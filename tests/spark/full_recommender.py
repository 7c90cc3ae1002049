"""A small recommender of the made-up shop, learned on DuckDB, whose lists have still to be made."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from features.engine import connect
from features.matrix import day_number, read_purchases
from tests.spark.full_shop import HORIZON
from tests.training.registry.fakes import trained_recommender
from training.bundle import seal
from training.candidates.attributes import read_attributes
from training.protocols import Context, Trained
from training.ranking import RankerConfig
from training.ranking_tasks import TaskConfig
from training.recommender import CONFIG, MODEL, RANKER
from training.splits import cutoff_split
from training.two_stage import RecommenderConfig, learn_ranker

CUTOFF = datetime(2024, 11, 1)


def recommender(context: Context, into: Path) -> Trained:
    """A bundle whose own lists are of another lake, as of before the newest orders."""
    backend = connect(context.settings)
    purchases = read_purchases(context.lake, backend)
    config = RecommenderConfig(ranker=RankerConfig(max_rounds=20), tasks=TaskConfig(moments=1)).on(threads=1, seed=1)
    question = cutoff_split(purchases, as_of_day=day_number(CUTOFF), horizon_days=HORIZON)
    attributes = read_attributes(context.lake, backend, purchases)
    ranker = learn_ranker(question, config, horizon_days=HORIZON, attributes=attributes)
    bundle = into / "real"
    bundle.mkdir()
    ranker.save(bundle / RANKER)
    (bundle / CONFIG).write_text(json.dumps(asdict(config)), encoding="utf-8")
    seal(bundle, kind=MODEL, about={"lake": "another", "learned_before": CUTOFF.isoformat(), "horizon_days": HORIZON})
    return replace(trained_recommender(into), bundle=bundle)
