from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features.engine import connect
from features.home import Home
from features.horizon import shop_rhythm
from features.settings import current_settings
from serving.cli import app
from training.backtest_ranking import pooled_difference
from training.evaluate import evaluate_recommender
from training.protocols import Context
from training.tracking import open_registry


def test_the_difference_is_the_mean_of_the_means_and_who_is_undefined_at_a_cut_off_does_not_count_there() -> None:
    customers = [np.array([0, 1], dtype=np.int32), np.array([1, 2, 3], dtype=np.int32)]
    differences = [np.array([0.2, 0.4]), np.array([0.1, np.nan, 0.5])]
    found = pooled_difference(customers, differences, rng=np.random.default_rng(0))
    assert found.value == pytest.approx((0.3 + 0.3) / 2)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high


def test_a_customer_seen_at_every_cut_off_is_one_customer_and_not_many() -> None:
    rng = np.random.default_rng(1)
    who = np.arange(200, dtype=np.int32)
    own = rng.normal(size=200)
    once = pooled_difference([who], [own], rng=np.random.default_rng(2))
    often = pooled_difference([who] * 6, [own] * 6, rng=np.random.default_rng(2))
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.1)


@pytest.fixture(scope="module")
def told(small_shop: Context, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Context, Path]:
    """What `regulars backtest recommender` says of two cut-offs, on a copy of the shop, and where its pictures are."""
    home = Home(tmp_path_factory.mktemp("backtest") / "home")
    shutil.copytree(small_shop.home.root, home.root)
    plots = home.root.with_name("plots")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGULARS_HOME", str(home.root))
        patch.setenv("REGULARS_THREADS", "1")
        patch.setenv("REGULARS_SEED", "1")
        current_settings.cache_clear()
        command = ["backtest", "recommender", "--cutoffs", "2", "--plots", str(plots), "--json"]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
    current_settings.cache_clear()
    return json.loads(result.stdout)[0], Context(small_shop.settings, home, small_shop.lake), plots


def test_the_newest_cut_off_is_what_evaluate_says_and_the_other_lies_a_horizon_before(
    told: tuple[dict, Context, Path], small_shop: Context
) -> None:
    found, context, _ = told
    horizon, moments = shop_rhythm(context.lake, connect(context.settings), context.settings)
    days = [row["as_of"] for row in found["cutoffs"]]
    apart = timedelta(days=max(horizon.days // 7, 1) * 7)
    assert days == [f"{moments.test - apart:%Y-%m-%d}", f"{moments.test:%Y-%m-%d}"]
    evaluation = evaluate_recommender(small_shop).evaluation
    newest = found["cutoffs"][-1]
    assert newest["results"]["regulars"]["ndcg@10"]["value"] == evaluation.results["regulars"]["ndcg@10"]
    assert newest["results"]["als"] == pytest.approx(evaluation.results["als"])
    assert newest["bands"] == evaluation.groups


def test_the_mean_and_the_lead_are_those_of_the_cut_offs(told: tuple[dict, Context, Path]) -> None:
    found = told[0]
    each = [row["results"] for row in found["cutoffs"]]
    ours = np.mean([one["regulars"]["ndcg@10"]["value"] for one in each])
    theirs = np.mean([one[found["best_peer"]]["ndcg@10"] for one in each])
    assert found["mean"]["regulars"]["ndcg@10"] == pytest.approx(ours)
    assert found["ahead"]["value"] == pytest.approx(ours - theirs)
    assert found["is_ahead"] == (found["ahead"]["low"] > 0)


def test_it_is_one_run_of_its_own_experiment_with_a_step_for_each_cut_off_and_pictures(
    told: tuple[dict, Context, Path],
) -> None:
    found, context, plots = told
    client = open_registry(context.home).client
    steps = client.get_metric_history(found["run_id"], "ndcg_at_10")
    assert [metric.value for metric in steps] == [
        row["results"]["regulars"]["ndcg@10"]["value"] for row in found["cutoffs"]
    ]
    pictures = {Path(item.path).name for item in client.list_artifacts(found["run_id"], "pictures")}
    assert pictures == {"over_time.png", "bands.png"}
    assert {path.name for path in plots.iterdir()} == {f"recommender-{name}" for name in pictures}
