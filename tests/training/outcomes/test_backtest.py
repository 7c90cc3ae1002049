"""Models tested at one cut-off after another, on the made-up shop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import DataError
from features.settings import current_settings
from serving.cli import app
from training.backtest import CutOff, Rolling, best_peer, rolling_backtest
from training.cli_backtest import _show as show
from training.cli_backtest import lead_in_words
from training.protocols import Context, Metric
from training.registry_sweep import sweep
from training.report_runs import Report, log_report
from training.tracking import LOCK as REGISTRY_LOCK
from training.tracking import open_registry


@pytest.fixture(scope="module")
def home(shop: Context) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGULARS_HOME", str(shop.home.root))
        patch.setenv("REGULARS_THREADS", "1")
        current_settings.cache_clear()
        yield shop.home.root
    current_settings.cache_clear()


@pytest.fixture(scope="module")
def told(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the command says of value at its two newest cut-offs."""
    plots = tmp_path_factory.mktemp("plots")
    result = CliRunner().invoke(app, ["backtest", "value", "--cutoffs", "2", "--plots", str(plots), "--json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    return {**found, "plots": sorted(path.name for path in plots.iterdir())}


def test_each_cut_off_is_a_horizon_before_the_next_and_tests_customers_known_then(told: dict, shop: Context) -> None:
    first, second = (pd.Timestamp(row["as_of"]) for row in told["cutoffs"])
    assert (second - first).days == told["horizon_days"] // 7 * 7 or told["horizon_days"] < 7
    assert told["cutoffs"][0]["customers"] <= told["cutoffs"][1]["customers"]
    assert all(row["results"]["regulars"]["mae"]["value"] > 0 for row in told["cutoffs"])


def test_the_mean_and_the_difference_are_of_the_cut_offs_told(told: dict) -> None:
    ours = [row["results"]["regulars"]["mae"]["value"] for row in told["cutoffs"]]
    theirs = [row["results"][told["best_peer"]]["mae"] for row in told["cutoffs"]]
    assert told["mean"]["regulars"]["mae"] == pytest.approx(np.mean(ours))
    assert told["ahead"]["value"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert told["ahead"]["low"] <= told["ahead"]["value"] <= told["ahead"]["high"]
    assert told["is_ahead"] == (told["ahead"]["high"] < 0)
    assert sum(group["customers"] for group in told["groups"] if group["kind"] == "stage") == sum(
        row["customers"] for row in told["cutoffs"]
    )


def test_it_is_one_finished_run_with_a_step_for_each_cut_off_and_its_pictures(told: dict, shop: Context) -> None:
    client = open_registry(shop.home).client
    run = client.get_run(told["run_id"])
    history = client.get_metric_history(told["run_id"], "mae")
    assert (run.info.status, run.data.params["best_peer"]) == ("FINISHED", told["best_peer"])
    assert [entry.step for entry in history] == [0, 1]
    assert [entry.value for entry in history] == [row["results"]["regulars"]["mae"]["value"] for row in told["cutoffs"]]
    assert {Path(one.path).name for one in client.list_artifacts(told["run_id"], "pictures")} == {
        "over_time.png",
        "level.png",
        "amounts.png",
    }
    assert told["plots"] == ["value-amounts.png", "value-level.png", "value-over_time.png"]
    # What a killed writer left is swept; a finished report is not.
    registry = open_registry(shop.home)
    sweep(registry)
    assert client.get_run(told["run_id"]).info.status == "FINISHED"


def test_where_history_ends_there_are_fewer_cut_offs_and_it_is_said_why(shop: Context) -> None:
    settings = shop.settings.model_copy(update={"horizon_days": 84})
    context = Context(settings=settings, home=shop.home, lake=shop.lake)
    found = rolling_backtest(context, "value", cutoffs=4, every_days=28)
    assert len(found.tested) < 4
    assert "The data start on 2024-01-01" in found.stopped


def test_a_shop_too_young_for_any_cut_off_is_refused(shop: Context) -> None:
    settings = shop.settings.model_copy(update={"horizon_days": 180})
    with pytest.raises(DataError, match="predicting 180 days ahead needs 720"):
        rolling_backtest(Context(settings=settings, home=shop.home, lake=shop.lake), "value")


def month(**aucs: float) -> CutOff:
    empty = np.empty(0)
    scores = {name: {"auc": value} for name, value in aucs.items()}
    return CutOff("churn", pd.Timestamp("2024-06-01"), empty, empty, empty, dict.fromkeys(aucs, empty), [], scores)


def test_the_peer_to_beat_is_the_best_on_average_and_not_of_one_month() -> None:
    months = [month(recency=0.70, frequency=0.80), month(recency=0.85, frequency=0.78)]
    assert best_peer(months, "auc", lower=False) == "frequency"
    assert best_peer(months, "auc", lower=True) == "recency"


def rolling(lead: Metric, *, is_amount: bool = False) -> Rolling:
    return Rolling("m", "auc", 28, "", is_amount, [], "recency_rank", lead, [], None)


def test_a_lead_whose_interval_is_not_known_is_told_without_one() -> None:
    rule = "auc less that of recency rank, the best simple rule: +0.0200"
    assert lead_in_words(rolling(Metric("difference", 0.02, 0.01, 0.03))) == (
        f"{rule}, 95% interval +0.0100 to +0.0300: surely ahead."
    )
    few = lead_in_words(rolling(Metric("difference", 0.02)))
    assert few == f"{rule}; with so few events how sure that is cannot be told: not surely ahead."


def test_a_report_waits_for_another_writer_and_its_pictures_are_there_when_it_cannot_be_logged(
    told: dict, shop: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, registry = threading.Event(), open_registry(shop.home)

    def write() -> None:
        with shop.home.lock(REGISTRY_LOCK):
            held.set()
            time.sleep(0.5)

    writer = threading.Thread(target=write)
    writer.start()
    held.wait()
    run_id = log_report(registry, Report("backtest-wait", "waits", {}, {"auc": [0.7]}))
    writer.join()
    assert registry.client.get_run(run_id).info.status == "FINISHED"

    monkeypatch.setattr("training.report_runs.LONGEST_WRITE", 0)
    with shop.home.lock(REGISTRY_LOCK):
        asked = ["backtest", "value", "--cutoffs", "1", "--plots", str(tmp_path / "plots")]
        result = CliRunner().invoke(app, asked)
    assert result.exit_code != 0
    assert (tmp_path / "plots" / "value-over_time.png").exists()


def test_ahead_means_that_the_whole_interval_is_on_the_better_side() -> None:
    def sure(*, is_amount: bool, low: float, high: float) -> bool:
        lead = Metric("difference", 0.0, low, high)
        return rolling(lead, is_amount=is_amount).is_ahead

    assert sure(is_amount=False, low=0.01, high=0.02)
    assert not sure(is_amount=False, low=-0.01, high=0.02)
    assert sure(is_amount=True, low=-0.02, high=-0.01)
    assert not sure(is_amount=True, low=0.01, high=0.02)


def test_in_a_terminal_it_says_how_good_each_month_was_and_whether_it_is_surely_ahead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(0)

    def cut_off(day: str) -> CutOff:
        happened = rng.random(200) < 0.3
        said = np.clip(0.3 + 0.2 * happened + rng.normal(0, 0.1, 200), 0.01, 0.99)
        facts = {"days_since_last_order": 3.0, "days_since_first_order": 200.0, "orders_life": 9.0}
        metrics = [Metric("auc", 0.9, 0.85, 0.95), Metric("ece", 0.1)]
        peers = {"recency": {"auc": 0.7}}
        frame = pd.DataFrame(facts, index=range(200))
        return CutOff("churn", pd.Timestamp(day), frame, happened, said, {"recency": rng.random(200)}, metrics, peers)

    months = [cut_off("2024-05-01"), cut_off("2024-05-29")]
    lead = Metric("difference", 0.2, 0.15, 0.25)
    show(Rolling("churn", "auc", 28, "no order in 28 days", False, months, "recency", lead, [], "too early"), "run1")
    said = capsys.readouterr().out
    for told in ("2024-05-01", "0.9000", "surely ahead", "no earlier cut-off: too early", "run run1"):
        assert told in said.replace("\n", " ")
    assert "auc less that of recency, the best simple rule: +0.2000" in said.replace("\n", " ")
