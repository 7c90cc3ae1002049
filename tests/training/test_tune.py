from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_tweedie_deviance
from typer.testing import CliRunner

from features.errors import DataError
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import current_settings, load_settings
from serving.cli import app
from tests.small_shop import START, write_files
from training.boosting import BoostingConfig
from training.fingerprint import fingerprint
from training.outcome_backtest import read_setting
from training.protocols import Context
from training.registry_sweep import sweep
from training.search_log import PARENT
from training.searches import Judged, Range, Search, Settings, deviance, plan, surprise
from training.tracking import open_registry
from training.tune import gain_of, tune
from training.tuned import Tuned, keep, kept, tuned_boosting, tuned_path

LATE = START + timedelta(days=180)  # by then customers stop
NEWEST = datetime(2024, 11, 1)
UNTIL = NEWEST + timedelta(days=28)
FOUND = Tuned("churn", {"num_leaves": 8, "lambda_l2": 2.5}, "log_loss", 0.4, 0.3, "lake", UNTIL.isoformat(), 9)


@pytest.fixture
def shop(small_shop: Context, tmp_path: Path) -> Context:
    """The made-up shop in a home of its own."""
    home = Home(tmp_path / "home")
    shutil.copytree(small_shop.home.root, home.root)
    return Context(small_shop.settings.model_copy(update={"home": home.root}), home, read_lake(home))


def search_for(best: float, *, chance: float = 0.01) -> Search:
    """A search whose judge is least, 0.1, where lambda_l2 is `best`; the defaults are 20 away.

    `chance` is how much the loss of one held back differs by the settings alone.
    """

    def judge(tried: Settings) -> Judged:
        distance = abs(float(tried["lambda_l2"]) - best)
        if distance > 60:
            raise DataError("cannot be fitted")
        loss = 0.1 + distance / 100
        rng = np.random.default_rng(int(distance * 1000))
        return Judged(loss, loss + chance * rng.normal(size=300))

    space = {"lambda_l2": Range(0.0, 100.0), "num_leaves": (4, 8)}
    return Search("churn", "log_loss", False, space, {"lambda_l2": best + 20, "num_leaves": 4}, NEWEST, UNTIL, judge)


def test_settings_found_better_are_kept_and_the_next_training_uses_them(shop: Context) -> None:
    before = fingerprint(shop, "churn")
    found = tune(shop, "churn", trials=12, minutes=5, search=search_for(30.0))
    assert found.kept
    assert found.best < found.default == pytest.approx(0.3)
    assert found.trials[0]["settings"] == {"lambda_l2": 50.0, "num_leaves": 4}
    assert read_setting(shop, "churn").config.lambda_l2 == found.settings["lambda_l2"]
    assert fingerprint(shop, "churn") != before
    assert read_setting(shop, "propensity").config.lambda_l2 == BoostingConfig().lambda_l2


def test_settings_that_those_held_back_do_not_surely_find_better_are_not_kept_and_earlier_ones_are_forgotten(
    shop: Context,
) -> None:
    keep(shop.home, FOUND)
    found = tune(shop, "churn", trials=12, minutes=5, search=search_for(30.0, chance=20.0))
    assert found.best < found.default
    assert found.gain.low < 0 < found.gain.high
    assert not found.kept
    assert "the defaults stay" in found.why
    assert kept(shop.home, "churn") is None


def test_noise_alone_is_seldom_kept_however_many_settings_were_tried() -> None:
    rng, search = np.random.default_rng(3), search_for(30.0)
    gains = [
        gain_of(search, Judged(0.3, rng.normal(size=150)), Judged(0.1, rng.normal(size=150)), seed=seed)
        for seed in range(60)
    ]
    assert sum(gain.low > 0 for gain in gains) <= 5  # 1.5 expected


def test_every_trial_is_a_child_run_in_mlflow_and_one_that_cannot_be_fitted_has_failed(shop: Context) -> None:
    found = tune(shop, "churn", trials=15, minutes=5, search=search_for(0.0))
    registry = open_registry(shop.home)
    parent = registry.client.get_run(found.run_id)
    assert parent.data.metrics["log_loss"] == found.best
    assert parent.data.params["most_trials"] == "15"
    children = registry.client.search_runs([parent.info.experiment_id], f"tags.`{PARENT}` = '{found.run_id}'")
    assert len(children) == 15
    statuses = [run.info.status for run in children]
    assert statuses.count("FINISHED") == len(found.trials)
    assert 0 < statuses.count("FAILED") == 15 - len(found.trials)


def test_a_search_leaves_the_runs_of_trained_versions_to_be_swept_alone(shop: Context) -> None:
    found = tune(shop, "churn", trials=2, minutes=5, search=search_for(30.0))
    registry = open_registry(shop.home)
    sweep(registry)
    assert registry.client.get_run(found.run_id).info.status == "FINISHED"


def test_a_search_that_is_interrupted_says_so_in_mlflow_and_keeps_nothing(shop: Context) -> None:
    def judge(tried: Settings) -> Judged:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(shop, "churn", trials=3, minutes=5, search=replace(search_for(30.0), judge=judge))
    registry = open_registry(shop.home)
    runs = registry.client.search_runs([registry.experiment("churn")], "tags.search = 'churn'")
    assert [run.info.status for run in runs] == ["KILLED"]
    assert not tuned_path(shop.home, "churn").exists()


def test_losses_of_rows_average_to_the_metrics_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    happened, probability = rng.random(50) < 0.3, rng.random(50)
    assert surprise(happened, probability).mean() == pytest.approx(log_loss(happened, probability))
    spent, expected = rng.gamma(2, 10, 50) * (rng.random(50) < 0.6), rng.gamma(2, 10, 50)
    assert deviance(spent, expected).mean() == pytest.approx(mean_tweedie_deviance(spent, expected, power=1.2))


def test_a_test_whose_answers_the_search_has_seen_is_answered_by_the_defaults(tmp_path: Path) -> None:
    home = Home(tmp_path)
    keep(home, FOUND)
    assert tuned_boosting(home, "churn", BoostingConfig(), as_of=UNTIL).num_leaves == 8
    assert tuned_boosting(home, "churn", BoostingConfig(), as_of=UNTIL - timedelta(days=1)) == BoostingConfig()


def test_kept_settings_of_another_release_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path)
    keep(home, replace(FOUND, settings={"leaves_of_old": 3}))
    with pytest.raises(DataError, match=r"leaves_of_old is no setting of this release.*regulars tune churn --forget"):
        tuned_boosting(home, "churn", BoostingConfig(), as_of=UNTIL)
    tuned_path(home, "churn").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        kept(home, "churn")


@pytest.mark.parametrize("model", ["recommender", "churn"])
def test_trials_are_judged_the_same_whatever_comes_after_the_test_cut_off(model: str, tmp_path: Path) -> None:
    mapping = write_files(tmp_path / "files", customers=120, products=15)
    orders = mapping.parent / "orders.csv"
    header, *lines = orders.read_text().splitlines()
    at = [datetime.strptime(line.split(",")[3], "%d/%m/%Y %H:%M") for line in lines]
    lines = [line for line, when in zip(lines, at, strict=True) if when >= LATE]
    at = [when for when in at if when >= LATE]
    end = max(at)

    def judged(place: str, changed_from: datetime) -> tuple[datetime, float, list[float]]:
        # The end of the data stays, by which the cut-offs are set.
        told = [line for line, when in zip(lines, at, strict=True) if when < changed_from or when == end]
        orders.write_text("\n".join([header, *told]) + "\n")
        settings = load_settings(home=tmp_path / place, threads=1, seed=1, horizon_days=28)
        ingest("files", settings, mapping=mapping, replace=False, now=datetime(2025, 1, 1))
        home = Home(settings.home)
        search = plan(Context(settings, home, read_lake(home)), model)
        found = search.judge({"num_leaves": 4, "max_rounds": 15})
        return search.judged_until, found.value, found.held_back[~np.isnan(found.held_back)].tolist()

    until, value, held_back = judged("whole", end)
    assert judged("changed", until) == (until, value, held_back)
    assert len(held_back) > 20
    assert sum(until <= when < end for when in at) > 100


@pytest.fixture
def command(shop: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """`regulars tune churn` on the shop."""
    monkeypatch.setenv("REGULARS_HOME", str(shop.home.root))
    monkeypatch.setenv("REGULARS_THREADS", "1")
    current_settings.cache_clear()
    yield lambda *options: CliRunner().invoke(app, ["tune", "churn", *options], catch_exceptions=False).stdout
    current_settings.cache_clear()


def test_the_command_searches_and_tells_what_it_found_and_forgets_when_told(
    shop: Context, command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.tune.plan", lambda context, model: search_for(30.0))
    table = command("--trials", "6")
    assert "judged as of 2024-11-01" in table
    assert "kept, and used by the next training" in " ".join(table.split())
    told = json.loads(command("--trials", "6", "--json"))
    assert told["best"] == min(trial["value"] for trial in told["trials"]) < told["default"]
    assert told["kept"] == tuned_path(shop.home, "churn").exists()
    keep(shop.home, FOUND)
    assert "back to the defaults" in command("--forget")
    assert kept(shop.home, "churn") is None
