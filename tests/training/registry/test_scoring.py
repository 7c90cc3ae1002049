from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.errors import DataError
from features.home import ASIDE, Home
from tests.training.registry.fakes import AT, trained, trained_recommender
from tests.training.registry.killed import run_killed
from tests.training.registry.shop import CHAMPIONS, LINES, context, write_lake
from training.bundle import read_manifest, seal
from training.customer_scores import SCHEMA
from training.protocols import ACCEPTED, Context, Metric, Trained
from training.ranked_lists import load_ranked_lists
from training.run import train
from training.score import KEPT, score


@pytest.fixture
def shop(home: Home) -> Home:
    write_lake(home)
    return home


def train_all(home: Home, *models: str) -> None:
    def trainer(model: str) -> Callable[[Context, Path], Trained]:
        if model == "recommender":
            return lambda _, into: trained_recommender(into)
        return lambda _, into: trained(into, model=model)

    train(context(home), models, at=AT, trainers={model: trainer(model) for model in models})


def customers(home: Home) -> pd.DataFrame:
    current = (home.scores / "CURRENT").read_text()
    table = pq.read_table(home.scores / "versions" / current / "customers.parquet")
    assert table.schema.equals(SCHEMA)
    return table.to_pandas().set_index("customer_id")


def test_facts_of_every_customer_who_ever_bought(shop: Home) -> None:
    report = score(context(shop), at=AT, champions=CHAMPIONS)
    assert report.as_of == datetime(2024, 6, 30, tzinfo=UTC)
    found = customers(shop)
    assert list(found.index) == ["ann", "bob", "cem", "dee", "eve"]
    assert found["orders"].tolist() == [4, 6, 1, 1, 2]
    assert found["spend"].tolist() == [50, 30, 99, 7, 14]
    assert found["days_since_last_order"].tolist() == [0, 22, 179, 4, 39]
    assert found["active"].tolist() == [True, True, False, True, False]
    assert found["stage"].tolist() == ["regular", "slipping", "lost", "new", "lapsed"]
    assert found.loc["ann", "last_order_at"] == pd.Timestamp("2024-06-29T10:00", tz="UTC")


def test_without_champions_there_are_facts_and_no_scores(shop: Home) -> None:
    report = score(context(shop), at=AT, champions=CHAMPIONS)
    assert report.models == {"recommender": None, "churn": None, "propensity": None, "value": None}
    scores = ["churn_probability", "purchase_probability", "expected_spend", "value_at_risk"]
    assert customers(shop)[scores].isna().all(axis=None)
    assert [list(words) for words in customers(shop)["reasons"]] == [[]] * 5
    assert not (report.path / "ranking").exists()


def test_scores_of_all_champions_land_on_their_customers(shop: Home) -> None:
    train_all(shop, "recommender", "churn", "propensity", "value")
    report = score(context(shop), at=AT, champions=CHAMPIONS)
    found = customers(shop)
    assert report.models == {"recommender": 1, "churn": 1, "propensity": 1, "value": 1}
    assert found["churn_probability"].fillna(-1).tolist() == [0.1, 0.2, -1, 0.4, -1]
    told = [[(reason["message"], reason["number"]) for reason in row] for row in found["reasons"]]
    assert told == [[("weeks", 1)], [("weeks", 2)], [], [("weeks", 4)], []]
    assert found["purchase_probability"].tolist() == [0.5] * 5
    assert found["expected_spend"].tolist() == [0, 100, 0, 0, 0]
    assert load_ranked_lists(report.path / "ranking").popular.tolist() == [1, 0, 2]
    about = read_manifest(report.path, kind="scores")
    assert about["models"] == dict(report.models)
    assert (about["created_at"], about["lake_version"], about["horizon_days"]) == (AT.isoformat(), "lake1", 28)


def test_value_at_risk_is_what_a_usual_horizon_would_lose(shop: Home) -> None:
    train_all(shop, "churn")
    score(context(shop), at=AT, champions=CHAMPIONS)
    at_risk = customers(shop)["value_at_risk"]
    # ann came 59.6 days ago (2.13 horizons) and spent 50; dee spent 7 in less than one horizon.
    assert at_risk["ann"] == pytest.approx(0.1 * 50 / (timedelta(days=59, hours=14) / timedelta(days=28)))
    assert at_risk["dee"] == pytest.approx(0.4 * 7)
    train_all(shop, "value")
    score(context(shop), at=AT, champions=CHAMPIONS)
    assert customers(shop)["value_at_risk"]["bob"] == pytest.approx(0.2 * 100)


def test_a_shop_without_amounts_has_no_money_columns(home: Home) -> None:
    write_lake(home, [(*line[:4], None) for line in LINES])
    train_all(home, "churn")
    score(context(home), at=AT, champions=CHAMPIONS)
    assert customers(home)[["spend", "expected_spend", "value_at_risk"]].isna().all(axis=None)
    assert customers(home)["churn_probability"].notna().any()


def test_a_champion_that_cannot_score_is_named_and_the_others_score(shop: Home) -> None:
    def broken(*_: Any) -> Any:
        raise DataError("column 'tenure' is missing")

    train_all(shop, "recommender", "churn", "propensity")
    parts = replace(CHAMPIONS, predict={**CHAMPIONS.predict, "churn": broken}, rank=broken)
    report = score(context(shop), at=AT, champions=parts)
    assert report.models == {"recommender": None, "churn": None, "propensity": 1, "value": None}
    assert report.notes[1] == "churn version 1 could not score: column 'tenure' is missing"
    assert customers(shop)["purchase_probability"].notna().all()
    assert not (report.path / "ranking").exists()


@pytest.mark.parametrize("horizon_days", [28, 14])
def test_lists_go_by_an_uplift_only_where_it_looks_as_far_ahead_as_the_scoring(shop: Home, horizon_days: int) -> None:
    def uplift(_: Context, into: Path) -> Trained:
        made = trained(into, model="uplift")
        seal(made.bundle, kind="uplift", about={"measured_by": "1 campaign", "horizon_days": horizon_days})
        return replace(made, metrics=[*made.metrics, Metric(ACCEPTED, 1.0)], horizon_days=horizon_days)

    train_all(shop, "churn")
    train(context(shop), ["uplift"], at=AT, trainers={"uplift": uplift})
    parts = replace(
        CHAMPIONS, predict={**CHAMPIONS.predict, "uplift": lambda _, frame: {"uplift": 0.1 * frame["number"]}}
    )
    report = score(context(shop), at=AT, champions=parts)
    goes_by_it = horizon_days == 28
    assert report.models.get("uplift") == (1 if goes_by_it else None)
    assert customers(shop)["uplift"].notna().any() == goes_by_it
    told = [
        note for note in report.notes if note.startswith("uplift version 1 looks 14 days ahead and this scoring 28")
    ]
    assert len(told) == (0 if goes_by_it else 1)


def test_customers_without_features_are_not_scored_silently(shop: Home) -> None:
    train_all(shop, "churn")
    parts = replace(CHAMPIONS, frame=lambda *_: pd.DataFrame({"customer_id": ["ann"], "number": [1]}))
    report = score(context(shop), at=AT, champions=parts)
    assert "4 customers have orders but no features, for instance 'bob'" in report.notes[0]


def test_scoring_again_does_no_work_until_something_changed(shop: Home) -> None:
    first = score(context(shop), at=AT, champions=CHAMPIONS)
    again = score(context(shop), at=AT + timedelta(days=1), champions=CHAMPIONS)
    assert (first.scored, again.scored, again.version) == (True, False, first.version)
    train_all(shop, "churn")
    after = score(context(shop), at=AT, champions=CHAMPIONS)
    assert after.scored
    assert (shop.scores / "CURRENT").read_text() == after.version != first.version


def test_a_damaged_scoring_is_made_anew(shop: Home) -> None:
    first = score(context(shop), at=AT, champions=CHAMPIONS)
    (first.path / "customers.parquet").write_bytes(b"damaged")
    assert score(context(shop), at=AT, champions=CHAMPIONS).scored
    assert len(customers(shop)) == 5


def test_the_newest_scorings_are_kept(shop: Home) -> None:
    made = []
    for days in range(28, 28 + KEPT + 2):
        report = score(context(shop, horizon_days=days), at=AT, champions=CHAMPIONS)
        os.utime(report.path, (days, days))  # a test makes them faster than the clock of the file system ticks
        made.append(report.version)
    assert {path.name for path in (shop.scores / "versions").iterdir()} == set(made[-KEPT:])


def test_a_shop_with_nothing_bought_says_so(home: Home) -> None:
    write_lake(home, [("fay", "f1", "2024-06-25T10:00", -1, -7)])
    with pytest.raises(DataError, match="no purchases"):
        score(context(home), at=AT, champions=CHAMPIONS)


def score_shop(home: Home) -> None:
    score(context(home), at=AT, champions=CHAMPIONS)


def test_killed_at_any_moment_readers_have_the_scoring_before(shop: Home) -> None:
    score_shop(shop)
    pointer, versions = shop.scores / "CURRENT", shop.scores / "versions"
    before = pointer.read_text()
    train_all(shop, "recommender")
    score_shop(shop)
    after = pointer.read_text()

    def killed(moment: int) -> list[str] | None:
        pointer.write_text(before)
        shutil.rmtree(versions / after)
        return run_killed(shop.root, score_shop, shop, moment=moment)

    moments = killed(0)
    assert moments is not None
    for share in (0.2, 0.4, 0.6, 0.8, 0.9, 1):
        assert killed(int(len(moments) * share)) is None
        read_manifest(versions / pointer.read_text(), kind="scores")
        score_shop(shop)
        assert pointer.read_text() == after
        assert not list(shop.scores.rglob(f"{ASIDE}*"))
