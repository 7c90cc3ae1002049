"""Whether a champion still fits its customers: by hand, and on the made-up shop before and after it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import DataError
from features.ingest import ingest
from features.lake import read_lake
from features.settings import current_settings
from serving.cli import app
from serving.doctor import Finding, _drifted
from tests.small_shop import MAPPING, START
from tests.training.outcomes.conftest import copied
from training.model_drift import Level, Week, alerts, kept, measure_drift
from training.protocols import Context, Trained
from training.reference import Bins, Reference
from training.tracking import LOCK, open_registry
from training.versions import CHAMPION, Comparison


def test_the_index_worked_by_hand() -> None:
    # Ten values of four each, cut into ten bins; then half of the customers have the greatest value.
    before = pd.Series(np.repeat(np.arange(10.0), 4))
    bins = Bins.of(before)
    assert bins.index(before) == pytest.approx(0)
    now = pd.Series(np.concatenate([np.repeat(np.arange(9.0), 2), np.full(18, 9.0)]))
    share = 1 / 18
    by_hand = 9 * (share - 0.1) * np.log(share / 0.1) + (0.5 - 0.1) * np.log(0.5 / 0.1)
    assert bins.index(now) == pytest.approx(by_hand)


def test_texts_new_values_and_what_is_not_known_are_bins_of_their_own() -> None:
    bins = Bins.of(pd.Series(["a", "a", "b", None], dtype=object))
    assert bins.counts == (2.0, 1.0, 0.0, 1.0)
    assert bins.count(pd.Series(["b", "c", "c", None], dtype=object)).tolist() == [0, 1, 2, 1]
    numbers = Bins.of(pd.Series([1.0, 2.0, np.nan]))
    assert numbers.count(pd.Series([np.nan, np.nan])).tolist()[-1] == 2
    assert Bins.from_json(json.loads(json.dumps(bins.as_json()))) == bins
    assert Bins.from_json(json.loads(json.dumps(numbers.as_json()))) == numbers


def test_a_reference_kept_in_a_bundle_is_read_back_and_one_without_is_told_to_train(tmp_path: Path) -> None:
    frame = pd.DataFrame({"spend": [1.0, 2.0, 3.0], "age": ["x", "y", None]})
    reference = Reference.of(frame, ["spend", "age"], np.array([0.1, 0.2, 0.3]), as_of="2024-06-01T00:00:00")
    reference.keep(tmp_path)
    again = Reference.kept(tmp_path, model="value")
    assert again == reference
    assert set(again.indices(frame).values()) == {0.0}
    # A feature that went away is not known of anybody.
    assert next(iter(again.indices(frame.drop(columns="spend")))) == "spend"
    with pytest.raises(DataError, match="regulars train value"):
        Reference.kept(tmp_path / "none", model="value")


def week(scores: float, **features: float) -> Week:
    return Week(datetime(2024, 7, 1), 100, scores, features, 0.2)


def level(ratio: float, low: float, high: float) -> Level:
    return Level(datetime(2024, 6, 1), 100, 0.2, 0.2 * ratio, ratio, low, high, 0.1, "served")


def test_only_what_matters_is_told() -> None:
    importance = {"gap": 0.5, "shoes": 0.01}
    assert alerts(week(0.1, gap=0.2, shoes=3.0), None, importance) == ()
    assert alerts(week(0.3), None, importance) == ("its scores have moved (PSI 0.30)",)
    assert alerts(week(0.0, gap=0.26), None, importance) == ("features that it goes by have moved: gap (PSI 0.26)",)
    # Surely off, but by little; off by much, but not surely; both.
    assert alerts(week(0.0), level(1.1, 1.05, 1.15), importance) == ()
    assert alerts(week(0.0), level(1.6, 0.9, 2.3), importance) == ()
    (told,) = alerts(week(0.0), level(1.6, 1.4, 1.8), importance)
    assert "as of 2024-06-01 was 1.60 times what was predicted (95% interval 1.40 to 1.80)" in told


@pytest.fixture(scope="module")
def served(shop: Context, trained: Mapping[str, Trained], tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A copy of the shop whose champion of value is the trained one."""
    context = copied(shop, tmp_path_factory.mktemp("drift") / "home")
    registry = open_registry(context.home)
    first = Comparison("mae", higher_is_better=False, challenger=1.0, champion_version=None)
    version = registry.log(trained["value"], fingerprint="f", data_hash=context.lake.version, comparison=first)
    with registry.home.lock(LOCK):
        registry.name(version, CHAMPION)
    return context


@pytest.fixture
def run(served: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    monkeypatch.setenv("REGULARS_HOME", str(served.home.root))
    monkeypatch.setenv("REGULARS_THREADS", "1")
    current_settings.cache_clear()
    yield CliRunner()
    current_settings.cache_clear()


def doctor(context: Context) -> list[Finding]:
    return list(_drifted(context.home))


def test_right_after_training_little_has_moved_and_the_level_is_not_known_yet(
    served: Context, run: CliRunner, tmp_path: Path
) -> None:
    assert [(one.name, one.status, one.do) for one in doctor(served)] == [("value", "missing", "regulars drift value")]
    result = run.invoke(app, ["drift", "value", "--weeks", "2", "--plots", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)
    assert [one["as_of"] > told["reference_as_of"] for one in told["weeks"]] == [True] * len(told["weeks"])
    assert told["weeks"][-1]["scores"] < 0.25
    # The served model has seen what came last, the tested one has not.
    assert (told["level"]["by"], told["no_level"]) == ("tested", None)
    assert told["level"]["as_of"] > told["reference_as_of"]
    logged = open_registry(served.home).client.get_run(told["run_id"])
    assert (logged.info.status, logged.data.params["model"]) == ("FINISHED", "value")
    assert logged.data.metrics["psi_scores"] == pytest.approx(told["weeks"][-1]["scores"])
    assert (tmp_path / "value-drift.png").is_file()
    assert kept(served.home, "value") == {name: value for name, value in told.items() if name != "run_id"}
    (found,) = doctor(served)
    assert found.status == ("stale" if told["alerts"] else "ok")


def test_when_customers_spend_six_times_as_much_it_is_told_in_words_and_by_the_doctor(
    served: Context, run: CliRunner, tmp_path: Path
) -> None:
    last = datetime.fromisoformat(served.lake.manifest["last_order_at"])
    lines = [
        f"n{who}-{day},m{who},a{(who + day) % 40},{last + timedelta(days=day, hours=1):%d/%m/%Y %H:%M},3,40"
        for who in range(1, 400, 2)
        for day in range(1, 60, 6)
    ]
    (tmp_path / "orders.csv").write_text("\n".join(["Receipt,Member,Article,Time,Pieces,Price", *lines]))
    (tmp_path / "shop.toml").write_text(MAPPING.split("[products]")[0])
    ingest("files", served.settings, mapping=tmp_path / "shop.toml", now=START + timedelta(days=500))
    changed = Context(settings=served.settings, home=served.home, lake=read_lake(served.home))
    found = measure_drift(changed, "value", weeks=1)
    assert found.level.by in ("served", "tested")
    assert found.level.low > 1.25
    assert any("scores have moved" in alert for alert in found.alerts)
    assert any("times what was predicted" in alert for alert in found.alerts)
    found.keep(served.home)
    (told,) = doctor(served)
    assert (told.status, told.do) == ("stale", "regulars train value")
    assert "scores have moved" in told.found
    shown = run.invoke(app, ["drift", "value", "--weeks", "1"])
    assert "alert its scores have moved" in shown.output


def test_without_a_champion_it_says_what_to_train(served: Context, run: CliRunner) -> None:
    assert "There is no churn champion" in str(run.invoke(app, ["drift", "churn"]).exception)
