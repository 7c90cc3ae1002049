"""Small trainings with real boosters, for tests of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa

from features.home import Home
from features.lake import Lake
from features.settings import Settings
from training.bundle import seal
from training.protocols import Context, Gate, Metric, Trained
from training.ranked_lists import RankedLists, save_ranked_lists
from training.run import train

AS_OF = datetime(2024, 6, 2, tzinfo=UTC)
AT = datetime(2024, 6, 30, 12, tzinfo=UTC)
PNG = bytes.fromhex("89504e470d0a1a0a")


def rescore_by_size(bundle: Path) -> Sequence[Metric]:
    """What the champion scores is written in its bundle, so that a test decides it."""
    return [Metric("auc", float((bundle / "auc.txt").read_text()))]


def trained(directory: Path, *, model: str = "churn", auc: float = 0.8, notes: Sequence[str] = ()) -> Trained:
    """A churn-like model: a booster on two columns."""
    bundle = directory / "bundle"
    bundle.mkdir(parents=True)
    x = pd.DataFrame({"orders": np.arange(40), "days_since_last_order": np.linspace(0, 9, 40)})
    data = lgb.Dataset(x, (x.orders > 20).astype(float))
    booster = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 3)
    booster.save_model(bundle / "model.txt")
    (bundle / "auc.txt").write_text(str(auc))
    seal(bundle, kind=model, about={"horizon_days": 28})
    picture = directory / "reliability.png"
    picture.write_bytes(PNG)
    return Trained(
        model=model,
        bundle=bundle,
        params={"num_leaves": 31, "objective": "binary"},
        metrics=[Metric("auc", auc, auc - 0.02, auc + 0.02), Metric("lift@10%", 3.5)],
        peers={"recency_rank": [Metric("auc", 0.7)]},
        gate=Gate("auc"),
        pictures=[picture],
        input_example=x.head(3),
        output_example=pd.DataFrame({"probability": np.asarray(booster.predict(x.head(3)))}),
        test_as_of=AS_OF,
        horizon_days=28,
        rescore=rescore_by_size,
        notes=notes,
    )


def ranked_lists() -> RankedLists:
    """Two customers, three products; the second customer's list is shorter."""
    return RankedLists(
        customers=pa.table({"customer_id": ["ann", "bob"]}),
        products=pa.table(
            {
                "product_id": ["bread", "milk", "tea"],
                "name": ["Bread", "Milk", None],
                "department": ["bakery", "dairy", None],
                "category": pa.nulls(3, pa.string()),
                "brand": pa.nulls(3, pa.string()),
                "price": pa.array([2.0, 1.0, None]),
                "in_stock": [True, True, True],
            }
        ),
        lists=np.array([[1, 0], [2, -1]], dtype=np.int32),
        scores=np.array([[0.9, 0.4], [0.7, 0.0]], dtype=np.float32),
        sources=np.array([[0, 3], [1, 0]], dtype=np.uint8),
        own_orders=np.array([[4, 0], [0, 0]], dtype=np.uint16),
        popular=np.array([1, 0, 2], dtype=np.int32),
        neighbours=np.full((3, 1), -1, dtype=np.int32),
        neighbour_lift=np.zeros((3, 1), dtype=np.float32),
        about={"as_of": AS_OF.isoformat()},
    )


def trained_recommender(directory: Path, lists: RankedLists | None = None) -> Trained:
    """A recommender: ranked lists and no booster of its own."""
    bundle = directory / "bundle"
    (bundle / "ranking").mkdir(parents=True)
    save_ranked_lists(lists or ranked_lists(), bundle / "ranking")
    seal(bundle, kind="recommender", about={"horizon_days": 28})
    return Trained(
        model="recommender",
        bundle=bundle,
        params={},
        metrics=[Metric("ndcg@10", 0.2)],
        peers={},
        gate=Gate("ndcg@10"),
        pictures=[],
        input_example=pd.DataFrame({"customer_id": ["ann"]}),
        output_example=pd.DataFrame({"customer_id": ["ann"], "rank": [1], "product_id": ["milk"], "score": [0.9]}),
        test_as_of=AS_OF,
        horizon_days=28,
        rescore=lambda bundle: [Metric("ndcg@10", 0.2)],
    )


def context(home: Home, *, lake: str = "lake1") -> Context:
    """A context whose lake is only a version."""
    return Context(
        settings=Settings(home=home.root, who="ann"),
        home=home,
        lake=Lake(version=lake, path=home.lake / "versions" / lake, rows={}, manifest={}),
    )


def train_churn(home: Home, auc: float = 0.8, lake: str = "lake1") -> None:
    """A training run of one model."""

    def trainer(context: Context, into: Path) -> Trained:
        return trained(into, auc=auc)

    train(context(home, lake=lake), ["churn"], at=AT, trainers={"churn": trainer})
