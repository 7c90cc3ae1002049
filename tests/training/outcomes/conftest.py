from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.home import Home
from features.lake import read_lake
from training.outcome_training import train_outcome
from training.protocols import Context, Trained

ROWS = 3_000


def frame_of(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Customers with a few features, one of them text, and what they did: silence and few weeks make them stop."""
    rng = np.random.default_rng(seed)
    gap = rng.uniform(2, 30, rows).round(2)
    silence = rng.uniform(0, 28, rows).round(2)
    weeks = rng.integers(1, 13, rows).astype(float)
    odds = 0.06 * (silence - gap) - 0.3 * (weeks - 6) - 0.5
    stopped = rng.random(rows) < 1 / (1 + np.exp(-odds))
    return pd.DataFrame(
        {
            "customer_id": [f"c{row:05d}" for row in range(rows)],
            "active": True,
            "days_since_last_order": silence,
            "gap_mean_days": np.where(rng.random(rows) < 0.05, np.nan, gap),
            "weeks_active_12w": weeks,
            "days_since_first_order": rng.uniform(28, 400, rows).round(2),
            "orders_90d": weeks + rng.integers(0, 5, rows),
            "orders_180d": 2 * weeks + rng.integers(5, 9, rows),
            "spend_90d": (weeks * rng.gamma(2, 20, rows)).round(2),
            "spend_180d": (2 * weeks * rng.gamma(2, 20, rows) + 2_000).round(2),
            "attribute_age": rng.choice(np.array(["20-39", "40-59", None], dtype=object), rows),
            "stopped": stopped,
            "bought": ~stopped,
            "spend": np.where(stopped, 0.0, weeks * rng.gamma(2, 10, rows)).round(2),
        }
    )


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return frame_of()


@pytest.fixture(scope="session")
def later() -> pd.DataFrame:
    return frame_of(1_000, seed=1)


def copied(context: Context, root: Path) -> Context:
    """A context over a copy of the home, so that writing to it is nobody else's business."""
    shutil.copytree(context.home.root, root)
    home = Home(root)
    settings = context.settings.model_copy(update={"home": root, "threads": 1})
    return replace(context, settings=settings, home=home, lake=read_lake(home))


@pytest.fixture(scope="session")
def shop(small_shop: Context, tmp_path_factory: pytest.TempPathFactory) -> Context:
    return copied(small_shop, tmp_path_factory.mktemp("outcomes") / "home")


@pytest.fixture(scope="session")
def trained(shop: Context, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Trained]:
    """Churn, propensity and value trained once on the made-up shop."""
    root = tmp_path_factory.mktemp("trained")
    return {name: train_outcome(shop, root / name, name) for name in ("churn", "propensity", "value")}
