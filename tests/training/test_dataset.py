from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.errors import DataError
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings
from tests.features.small_shop import write_random_shop
from training.dataset import examples, feature_columns, features_as_of, horizon_of
from training.profiles import last_moment, profiles
from training.protocols import Context

HORIZON = 14
MOMENTS = [datetime(2024, 3, 1), datetime(2024, 2, 23)]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    root: Path = tmp_path_factory.mktemp("dataset")
    mapping = write_random_shop(root, seed=11, customers=30, most_orders=11)
    settings = Settings(home=root / "home", threads=2, horizon_days=HORIZON)
    ingest("files", settings, mapping=mapping, now=datetime(2024, 5, 1))
    home = Home(settings.home)
    return Context(settings=settings, home=home, lake=read_lake(home))


@pytest.fixture(scope="module")
def orders(context: Context) -> pd.DataFrame:
    return pd.read_parquet(context.lake.file("order_lines"))


def test_examples_have_a_row_per_moment_and_customer_known_by_then(context: Context, orders: pd.DataFrame) -> None:
    found = examples(context, MOMENTS, HORIZON)
    expected = [
        (moment, customer)
        for moment in sorted(MOMENTS)
        for customer in sorted(orders.loc[orders["ordered_at"] < moment, "customer_id"].unique())
    ]
    assert list(zip(found["as_of"], found["customer_id"], strict=True)) == expected


def test_labels_and_features_of_examples_agree_with_a_count_in_plain_python(
    context: Context, orders: pd.DataFrame
) -> None:
    for row in examples(context, MOMENTS, HORIZON).itertuples():
        own = orders[orders["customer_id"] == row.customer_id]
        past = own[own["ordered_at"] < row.as_of]
        ahead = own[(own["ordered_at"] >= row.as_of) & (own["ordered_at"] < row.as_of + timedelta(days=HORIZON))]
        recent = past[past["ordered_at"] >= row.as_of - timedelta(days=30)]
        assert row.orders_life == past["order_id"].nunique()
        assert row.orders_30d == recent["order_id"].nunique()
        assert row.spend_life == pytest.approx(float(past["amount"].sum()))
        assert row.bought == (len(ahead) > 0)
        assert row.stopped == (len(ahead) == 0)
        assert row.spend == pytest.approx(float(ahead["amount"].sum()))
        assert row.active == (past["ordered_at"].max() >= row.as_of - timedelta(days=HORIZON))


def test_features_at_scoring_are_those_of_training_at_the_same_moment(context: Context) -> None:
    learned = examples(context, MOMENTS, HORIZON)
    learned = learned[learned["as_of"] == MOMENTS[0]].reset_index(drop=True)
    scored = features_as_of(context, MOMENTS[0].replace(tzinfo=UTC), HORIZON)
    names = ["customer_id", "active", *feature_columns(learned)]
    pd.testing.assert_frame_equal(scored[names], learned[names])


def test_keys_and_labels_are_no_features(context: Context) -> None:
    columns = feature_columns(examples(context, MOMENTS, HORIZON))
    assert not {"customer_id", "as_of", "active", "stopped", "bought", "spend"} & set(columns)
    assert "orders_life" in columns


def test_a_moment_whose_horizon_has_not_passed_is_refused(context: Context) -> None:
    with pytest.raises(DataError, match="not known yet"):
        examples(context, [datetime(2024, 3, 30)], HORIZON)


def test_scoring_knows_every_customer_profiled(context: Context) -> None:
    moment = last_moment(context)
    scored = features_as_of(context, moment, HORIZON)
    described = profiles(context, moment, horizon_days=HORIZON)
    assert scored["customer_id"].tolist() == described["customer_id"].tolist()
    assert scored["active"].tolist() == described["active"].tolist()
    assert horizon_of(context) == HORIZON
