from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import DataError
from features.home import Home
from features.ingest import ingest
from features.labels import ACTIVE, BOUGHT, SPEND, STOPPED
from features.lake import read_lake
from features.schema import C
from features.settings import load_settings
from tests.small_shop import write_files
from training.bundle import MANIFEST, read_manifest, seal
from training.champions import default_champions
from training.dataset import features_as_of
from training.evaluate_customers import evaluate_customers, measure
from training.moments import plan_moments
from training.outcome_backtest import QUESTIONS, BackTest, Setting, check_floors, read_setting
from training.outcome_training import TESTED, train_outcome
from training.peers import cadence_ratio, order_history, spend_guesses
from training.protocols import Context, Metric, Trained
from training.reason_messages import say

PNG = bytes.fromhex("89504e470d0a1a0a")


def value_of(metrics: list[Metric] | object, name: str) -> float:
    return next(metric.value for metric in metrics if metric.name == name)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("model", "gate", "peer"),
    [
        ("churn", "auc", "recency_rank"),
        ("propensity", "auc", "rfm_logistic"),
        ("value", "mae", "last_period_spend"),
    ],
)
def test_a_training_leaves_what_the_registry_logs(
    trained: Mapping[str, Trained], model: str, gate: str, peer: str
) -> None:
    found = trained[model]
    assert found.gate.metric == gate
    assert found.gate.higher_is_better == (model != "value")
    assert math.isfinite(value_of(found.metrics, gate))
    assert math.isfinite(value_of(found.peers[peer], gate))
    assert read_manifest(found.bundle, kind=model)["horizon_days"] == found.horizon_days
    assert found.pictures
    assert all(picture.read_bytes().startswith(PNG) for picture in found.pictures)
    native = lgb.Booster(model_file=found.bundle / "model.txt").predict(found.input_example)
    assert native.tolist() == found.output_example["prediction"].tolist()


def test_churn_and_propensity_and_value_beat_what_a_shop_would_do(trained: Mapping[str, Trained]) -> None:
    # Who of 160 made-up customers stops is known to the made-up shop alone; that they come back is not hard to tell.
    propensity, value = trained["propensity"], trained["value"]
    assert value_of(propensity.metrics, "auc") > value_of(propensity.peers["recency_rank"], "auc")
    assert value_of(value.metrics, "mae") < value_of(value.peers["last_period_spend"], "mae")
    assert value_of(value.metrics, "mae") < value_of(value.peers["mean_spend"], "mae")


def test_champions_score_every_customer_with_them(shop: Context, trained: Mapping[str, Trained]) -> None:
    horizon = trained["churn"].horizon_days
    frame = features_as_of(shop, datetime(2024, 12, 30), horizon)
    parts = default_champions()
    said: dict[str, object] = {}
    for model in ("churn", "propensity", "value"):
        said |= parts.predict[model](trained[model].bundle, frame)
    assert set(said) == {"churn", "reasons", "purchase", "returns", "spend", "spend_ends", "lifetime", "categories"}
    rows = [len(said[name]) for name in ("churn", "reasons", "purchase", "spend")]  # type: ignore[arg-type]
    assert rows == [len(frame)] * 4
    returns = said["returns"]
    # One question, one answer: the curve of the next order passes through the probability of the horizon.
    assert returns.back_within(float(horizon)) == pytest.approx(said["purchase"], abs=1e-3)  # type: ignore[attr-defined]
    told = [len(row) for row in said["reasons"].to_pylist()]  # type: ignore[attr-defined]
    assert [n > 0 for n in told] == frame["active"].tolist()
    assert 0 < sum(frame["active"]) < len(frame)


def test_the_served_model_learned_from_later_moments_than_the_tested_one(trained: Mapping[str, Trained]) -> None:
    for found in trained.values():
        about = read_manifest(found.bundle, kind=found.model)
        seen = {who: datetime.fromisoformat(about[f"{who}_has_seen"]) for who in ("tested", "served")}
        assert seen["tested"] == found.test_as_of.replace(tzinfo=None)
        assert seen["served"] == seen["tested"] + timedelta(days=found.horizon_days)
        assert (found.bundle / "model.txt").read_bytes() != (found.bundle / TESTED / "model.txt").read_bytes()


def test_rescoring_its_own_bundle_gives_its_own_metrics(trained: Mapping[str, Trained]) -> None:
    for found in trained.values():
        # What a training compares between its own two models is of no bundle; categories are no part of the back-test.
        apart = ("reasons.", "category.")
        of_model = [metric for metric in found.metrics if not metric.name.startswith(apart)]
        assert list(found.rescore(found.bundle)) == of_model


def resealed(found: Trained, target: Path, **changes: object) -> Path:
    """A copy of the bundle whose manifest says something else."""
    shutil.copytree(found.bundle, target)
    about = read_manifest(target, kind=found.model) | changes
    (target / MANIFEST).unlink()
    seal(target, kind=found.model, about=about)
    return target


def test_a_bundle_that_saw_the_answers_is_not_scored(trained: Mapping[str, Trained], tmp_path: Path) -> None:
    found = trained["propensity"]
    later = (found.test_as_of.replace(tzinfo=None) + timedelta(days=1)).isoformat()
    knowing = resealed(found, tmp_path / "knowing", tested_has_seen=later, served_has_seen=later)
    with pytest.raises(DataError, match="knows answers of the back-test"):
        found.rescore(knowing)


def test_a_served_model_that_saw_nothing_of_the_test_is_the_one_scored(
    trained: Mapping[str, Trained], tmp_path: Path
) -> None:
    found = trained["propensity"]
    test = found.test_as_of.replace(tzinfo=None).isoformat()
    older = resealed(found, tmp_path / "older", served_has_seen=test)
    assert value_of(found.rescore(older), "auc") != value_of(found.metrics, "auc")


def test_another_horizon_is_not_compared(trained: Mapping[str, Trained], tmp_path: Path) -> None:
    found = trained["propensity"]
    other = resealed(found, tmp_path / "other", horizon_days=found.horizon_days + 7)
    with pytest.raises(DataError, match="days ahead"):
        found.rescore(other)


def test_an_evaluation_has_every_peer_and_says_what_it_measured(shop: Context, trained: Mapping[str, Trained]) -> None:
    found = evaluate_customers(shop, "churn")
    assert list(found.results) == ["regulars", "recency_rank", "frequency_63_days", "cadence_ratio", "rfm_logistic"]
    wanted = {"auc", "average_precision", "lift@10%", "brier", "ece", "calibration_slope"}
    assert wanted <= set(found.results["regulars"])
    assert wanted <= set(found.results["rfm_logistic"])
    assert "brier" not in found.results["recency_rank"]
    assert {"customers", "products", "orders", "hash"} <= set(found.data)
    assert found.data["horizon_days"] == 21
    assert found.data["hash"] == shop.lake.version
    assert found.results["regulars"]["auc"] == value_of(trained["churn"].metrics, "auc")
    assert json.loads(json.dumps(found.data)) == found.data


def test_a_cutoff_whose_horizon_has_not_passed_is_refused(shop: Context) -> None:
    with pytest.raises(DataError, match="not known yet"):
        evaluate_customers(shop, "churn", as_of=datetime(2024, 12, 25))


def test_a_cutoff_too_early_says_from_when_on(shop: Context) -> None:
    with pytest.raises(DataError, match="can be tested from 2024-03-04 on"):
        evaluate_customers(shop, "value", as_of=datetime(2024, 2, 1))


def made_up(stopped: int, stayed: int, moments: list[datetime]) -> pd.DataFrame:
    n = stopped + stayed
    one = pd.DataFrame(
        {C.CUSTOMER_ID: [f"c{i}" for i in range(n)], STOPPED: [True] * stopped + [False] * stayed, ACTIVE: True}
    )
    one = one.assign(**{BOUGHT: ~one[STOPPED], SPEND: np.where(one[STOPPED], 0.0, 9.0)})
    return pd.concat([one.assign(as_of=moment) for moment in moments], ignore_index=True)


@pytest.mark.parametrize("model", ["churn", "propensity", "value"])
def test_too_few_customers_are_refused_with_their_counts(model: str) -> None:
    question = QUESTIONS[model]
    moments = plan_moments(datetime(2024, 1, 1), datetime(2024, 9, 1), 28)
    setting = Setting(question, 28, moments, question.config)

    def check(stopped: int, stayed: int) -> None:
        frame = made_up(stopped, stayed, list(moments.all))
        check_floors(setting, frame, frame[frame.as_of == moments.test])

    check(10, 10)
    with pytest.raises(DataError, match=r"Too few customers to learn from .* 9 "):
        check(10, 9)
    if model == "value":
        check(0, 10)
    else:
        with pytest.raises(DataError, match=r"Too few customers to learn from .* 9 "):
            check(9, 10)


def test_a_shop_without_amounts_has_no_value_and_says_what_to_map(shop: Context) -> None:
    manifest = {**shop.lake.manifest, "has_amounts": False}
    context = replace(shop, lake=replace(shop.lake, manifest=manifest))
    with pytest.raises(DataError, match=r"no amounts.*\[order_lines\].*Churn and propensity work without"):
        read_setting(context, "value")
    assert read_setting(context, "churn").horizon_days == 21


def lake_of(shop: Context, root: Path, lines: list[tuple[str, str, float, int]]) -> Context:
    """The shop's context over other order lines: customer, moment, quantity, amount."""
    path = root / "order_lines.parquet"
    schema = pq.read_schema(shop.lake.file("order_lines"))
    columns: dict[str, list[object]] = {name: [None] * len(lines) for name in schema.names}
    columns["customer_id"] = [line[0] for line in lines]
    columns["order_id"] = [line[1] for line in lines]
    columns["product_id"] = ["bread"] * len(lines)
    columns["ordered_at"] = [datetime.fromisoformat(line[1]) for line in lines]
    columns["quantity"], columns["amount"] = [line[2] for line in lines], [Decimal(line[3]) for line in lines]
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)
    return replace(shop, lake=replace(shop.lake, path=root, rows={"order_lines": len(lines)}))


def test_order_history_worked_by_hand(shop: Context, tmp_path: Path) -> None:
    context = lake_of(
        shop,
        tmp_path,
        [
            ("ann", "2024-01-01T00:00", 1, 10),
            ("ann", "2024-02-01T00:00", 1, 20),
            ("ann", "2024-02-02T00:00", -1, -5),
            ("ann", "2024-03-01T00:00", 1, 99),
            ("bob", "2024-02-28T12:00", 2, 8),
            ("cem", "2024-02-28T12:00", -1, -8),
        ],
    )
    found = order_history(context, datetime(2024, 3, 1), 28)
    # The order at the very moment is not known yet, and cem never bought.
    assert found["customer_id"].tolist() == ["ann", "bob"]
    assert found["recency_days"].tolist() == [29, 1.5]
    assert found["tenure_days"].tolist() == [60, 1.5]
    assert found["recent_orders"].tolist() == [2, 1]
    assert found["spend"].tolist() == [25, 8]
    assert found["last_spend"].tolist() == [-5, 8]
    # Silent for 29 days against a gap of 31; a single order is taken to be a horizon apart.
    assert cadence_ratio(found, horizon_days=28).tolist() == pytest.approx([29 / 31, 1.5 / 28])
    guesses = spend_guesses(found, horizon_days=28)
    assert guesses["last_period_spend"].tolist() == [0, 8]
    assert guesses["mean_spend"].tolist() == pytest.approx([25 / (60 / 28), 8])


def test_a_ranking_is_measured_as_one_and_a_probability_as_one(shop: Context) -> None:
    setting = read_setting(shop, "churn")
    actual = np.array([True, False] * 10)
    nothing = pd.DataFrame()
    backtest = BackTest(setting, None, nothing, nothing, actual, np.linspace(0.1, 0.9, 20), {})
    assert "ece" in measure(backtest, "rfm_logistic", backtest.predicted)
    assert "ece" not in measure(backtest, "recency_rank", backtest.predicted)


def test_what_is_no_bundle_is_not_scored(trained: Mapping[str, Trained], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a bundle"):
        trained["churn"].rescore(tmp_path)


def test_a_shop_without_amounts_trains_churn_and_tells_reasons(tmp_path: Path) -> None:
    mapping = write_files(tmp_path / "files")
    lines = mapping.read_text(encoding="utf-8").splitlines()
    mapping.write_text("\n".join(line for line in lines if not line.startswith("amount")), encoding="utf-8")
    settings = load_settings(home=tmp_path / "home", threads=1, seed=1)
    ingest("files", settings, mapping=mapping, replace=False, now=datetime(2025, 1, 1))
    home = Home(settings.home)
    context = Context(settings=settings, home=home, lake=read_lake(home))
    assert not context.lake.has_amounts
    found = train_outcome(context, tmp_path / "churn", "churn")
    assert math.isfinite(value_of(found.metrics, "auc"))
    assert not any("spend" in name for name in found.input_example.columns)
    frame = features_as_of(context, datetime(2024, 12, 30), found.horizon_days)
    told = default_champions().predict["churn"](found.bundle, frame)["reasons"].to_pylist()
    assert any(told)
    assert not any("spen" in say(reason) for row in told for reason in row)
