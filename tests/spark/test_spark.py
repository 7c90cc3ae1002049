"""engine = "spark" on a real cluster of a master and two workers gives what DuckDB gives, a lost worker included."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from features.build import BUILT_IN, entity_features, features_of
from features.definitions import ENTITIES, Entity
from features.engine import connect
from features.errors import DataError, NotOnSparkError, RegularsError
from features.home import ASIDE
from features.horizon import shop_rhythm
from features.labels import (
    assigned_labels,
    campaign_labels,
    category_labels,
    contact_labels,
    customer_labels,
    followed_labels,
    wait_labels,
)
from features.matrix import read_purchases
from features.schema import C
from features.snapshot import take_snapshot
from features.spark import stop_spark
from tests.spark import full_shop
from tests.spark.cluster import CONF, REGISTERED, Cluster, left_over, running_cluster
from tests.spark.full_recommender import recommender
from tests.spark.full_shop import HORIZON
from tests.training.registry.fakes import AT, trained
from training import spark_lists
from training.boosting import BoostingConfig
from training.bundle import read_manifest, seal
from training.candidates.als import AlsCandidates
from training.champions import default_champions
from training.churn import ChurnModel
from training.customer_scores import SCHEMA
from training.dataset import examples
from training.propensity import PropensityModel
from training.protocols import Context, Trained
from training.ranked_lists import load_ranked_lists
from training.return_backtest import known_waits, with_waits
from training.run import train
from training.score import ScoreReport, score
from training.spark_als import SparkAls
from training.spark_scores import Champion, score_on_spark
from training.tracking import open_registry
from training.value import ValueModel

pytestmark = [
    pytest.mark.needs("openjdk-17-jre-headless"),
    # PySpark leaves the sockets by which it fetches rows to be closed when they are forgotten.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(300),
]

#: By how much a floating number may differ, of its size: exp() and ln() of Java and C differ in the last bit or two.
TOLERANCE = 1e-12
AS_OF = datetime(2024, 9, 1, 13, 30)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Everything of it, and of Spark in this process, is gone afterwards."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield started
        stop_spark()
    assert left_over(started) == []


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return full_shop.loaded(tmp_path_factory.mktemp("full-shop"))


@pytest.fixture(scope="session")
def on_spark(shop: Context, cluster: Cluster) -> Context:
    """The same shop, asked of Spark."""
    set_so = {"engine": "spark", "spark_master": cluster.url, "spark_conf": CONF}
    return replace(shop, settings=shop.settings.model_copy(update=set_so))


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Texts, flags, times and whole numbers are equal; other numbers within TOLERANCE."""
    assert list(found.columns) == list(expected.columns)
    for name in expected.columns:
        ours, theirs = found[name], expected[name]
        if pd.api.types.is_float_dtype(theirs) and not (theirs.dropna() % 1 == 0).all():
            np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, err_msg=str(name))
        elif pd.api.types.is_datetime64_any_dtype(theirs):
            assert ours.astype(theirs.dtype).equals(theirs), name
        else:
            pd.testing.assert_series_equal(ours, theirs, check_dtype=False, check_exact=True)


def features_at(context: Context, entity: Entity, moment: datetime) -> pd.DataFrame:
    taken = take_snapshot(context.lake, connect(context.settings), moment)
    table = entity_features(taken, entity, features_of(taken, entity))
    return table.order_by(list(entity.keys)).to_pandas()


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=ENTITIES)
def test_every_built_in_feature_is_that_of_duckdb(entity: Entity, shop: Context, on_spark: Context) -> None:
    expected = features_at(shop, entity, AS_OF)
    assert {feature.name for feature in BUILT_IN if feature.entity is entity} <= set(expected.columns)
    assert len(expected) > 20
    same(features_at(on_spark, entity, AS_OF), expected)


def test_the_shop_has_the_same_horizon_and_cutoffs(shop: Context, on_spark: Context) -> None:
    def rhythm(context: Context) -> Any:
        unset = context.settings.model_copy(update={"horizon_days": None})
        return shop_rhythm(context.lake, connect(unset), unset)

    assert rhythm(on_spark) == rhythm(shop)


LABELS: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "customer": (lambda tables: customer_labels(tables, AS_OF, horizon_days=HORIZON), [C.CUSTOMER_ID]),
    "wait": (lambda tables: wait_labels(tables, AS_OF, until=datetime(2024, 12, 1)), [C.CUSTOMER_ID]),
    "followed": (lambda tables: followed_labels(tables, AS_OF, until=datetime(2024, 12, 1)), [C.CUSTOMER_ID]),
    "category": (
        lambda tables: category_labels(tables, AS_OF, horizon_days=HORIZON),
        [C.CUSTOMER_ID, C.CATEGORY],
    ),
    "campaign": (
        lambda tables: campaign_labels(tables, datetime(2024, 5, 20), horizon_days=HORIZON),
        [C.CAMPAIGN_ID, C.CUSTOMER_ID],
    ),
    "contact": (
        lambda tables: contact_labels(tables, until=datetime(2024, 12, 1), horizon_days=HORIZON),
        [C.CAMPAIGN_ID, C.CUSTOMER_ID],
    ),
    "assigned": (
        lambda tables: assigned_labels(tables, "k2", datetime(2024, 5, 20), horizon_days=HORIZON),
        [C.CUSTOMER_ID],
    ),
}


@pytest.mark.parametrize("name", LABELS)
def test_every_label_is_that_of_duckdb(name: str, shop: Context, on_spark: Context) -> None:
    made, keys = LABELS[name]
    found, expected = (
        made(context.lake.tables(connect(context.settings))).order_by(keys).to_pandas() for context in (on_spark, shop)
    )
    assert len(expected) > 20
    same(found, expected)


MOMENTS = [datetime(2024, 8, 1), datetime(2024, 9, 5)]


@pytest.fixture(scope="session")
def learned(shop: Context) -> pd.DataFrame:
    return examples(shop, MOMENTS, HORIZON)


def test_a_data_set_is_assembled_alike(learned: pd.DataFrame, on_spark: Context) -> None:
    assert learned["stopped"].nunique() == learned["bought"].nunique() == 2
    same(examples(on_spark, MOMENTS, HORIZON), learned)


@pytest.fixture(scope="session")
def champions(shop: Context, learned: pd.DataFrame) -> dict[str, Champion]:
    """Small models in the registry: churn and propensity with the time to the next order, and value."""
    config = BoostingConfig(threads=1)
    rows = with_waits(shop, learned, HORIZON)
    waits = {"waits": known_waits(rows, until=datetime(2024, 11, 1), horizon_days=HORIZON), "horizon_days": HORIZON}
    active = rows["active"].to_numpy(bool)
    models = {
        "churn": ChurnModel(config, rounds=15).fit(
            rows[active], rows["stopped"][active], waits=waits["waits"][active], horizon_days=HORIZON
        ),
        "propensity": PropensityModel(config, rounds=15).fit(rows, rows["bought"], **waits),
        "value": ValueModel(config, rounds=15).fit(rows, rows["spend"]),
    }

    def trainer(name: str) -> Callable[[Context, Path], Trained]:
        def made(_: Context, into: Path) -> Trained:
            bundle = into / "real"
            models[name].save(bundle)
            seal(bundle, kind=name, about={"horizon_days": HORIZON})
            example = models[name].features_.encode(rows.head(3))
            return replace(trained(into, model=name), bundle=bundle, horizon_days=HORIZON, input_example=example)

        return made

    trainers = {name: trainer(name) for name in models} | {"recommender": recommender}
    train(shop, list(trainers), at=AT, trainers=trainers)
    predict, registry = default_champions().predict, open_registry(shop.home)
    versions = {name: registry.resolve(name) for name in models}
    return {name: Champion(registry.fetch(v), predict[name], HORIZON) for name, v in versions.items() if v is not None}


def scores_of(path: Path) -> pd.DataFrame:
    table = pq.read_table(path)
    assert table.schema.equals(SCHEMA)
    return table.to_pandas()


def wait_until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def blocks_done(context: Any) -> int:
    """Tasks finished of the stages that run and have more than the two parts of others."""
    tracker = context.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return max((one.numCompletedTasks for one in stages if one is not None and one.numTasks > 2), default=0)


def told(scores: pd.DataFrame) -> list[list[tuple[str, bool, Any]]]:
    return [[(one["message"], one["lowers"], one["detail"]) for one in row] for row in scores["reasons"]]


def numbers_told(scores: pd.DataFrame) -> list[float]:
    return [one[what] for row in scores["reasons"] for one in row for what in ("number", "other")]


@pytest.fixture(scope="session")
def there(champions: dict[str, Champion], on_spark: Context) -> ScoreReport:
    """A scoring on both workers."""
    return score(on_spark, at=AT)


def test_everybody_is_scored_alike(there: ScoreReport, shop: Context) -> None:
    here = score(shop, at=AT)
    assert there.models == here.models == {"recommender": 1, "churn": 1, "propensity": 1, "value": 1}
    assert there.notes == here.notes == ()
    expected, found = (scores_of(report.path / "customers.parquet") for report in (here, there))
    assert len(expected) == here.customers == there.customers == full_shop.CUSTOMERS
    assert expected["churn_probability"].notna().any()
    assert any(told(expected))
    assert told(found) == told(expected)
    np.testing.assert_allclose(np.array(numbers_told(found), float), np.array(numbers_told(expected), float), rtol=1e-9)
    curves = [np.stack(scores["order_within"]) for scores in (found, expected)]
    np.testing.assert_allclose(*curves, rtol=1e-6)  # of 32 bits
    apart = ["reasons", "order_within"]
    same(found.drop(columns=apart), expected.drop(columns=apart))
    told_of = [read_manifest(report.path, kind="scores") for report in (here, there)]
    assert told_of[0] | {"files": None} == told_of[1] | {"files": None}


def arrays_of(folder: Path) -> dict[str, Any]:
    return {str(file.relative_to(folder)): np.load(file) for file in folder.rglob("*.npy")}


def test_everybody_is_recommended_alike(there: ScoreReport, shop: Context) -> None:
    here = score(shop, at=AT)
    expected, found = (arrays_of(report.path / "ranking") for report in (here, there))
    lists = expected["lists.npy"]
    assert lists.shape == (full_shop.CUSTOMERS, full_shop.PRODUCTS)
    assert {0, 1, 2} & set(expected["sources.npy"].ravel().tolist())
    # Scores are of sums of floating numbers, which other shapes of a matrix round otherwise in the last bits.
    np.testing.assert_allclose(found.pop("scores.npy"), expected.pop("scores.npy"), rtol=1e-5)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype
    ranked = [load_ranked_lists(report.path / "ranking") for report in (there, here)]
    assert ranked[0].customers.equals(ranked[1].customers)
    assert ranked[0].products.equals(ranked[1].products)
    assert ranked[0].evidence is not None
    assert not list(shop.home.lake.glob(f"{ASIDE}*"))


def test_factors_of_mllib_propose_what_those_of_implicit_do(on_spark: Context, tmp_path: Path) -> None:
    """Four kinds of customers, each with six products of their own, of which each customer lacks one."""
    of_kind = np.kron(np.eye(4), np.ones((12, 6)))
    of_kind[np.arange(48), 6 * (np.arange(48) // 12) + np.arange(48) % 6] = 0
    weights = sparse.csr_matrix(np.column_stack([of_kind, np.zeros(48)]), dtype=np.float32)
    customers = np.arange(48, dtype=np.int32)
    ours = AlsCandidates(factors=6, threads=1).fit(weights)
    theirs = SparkAls(connect(on_spark.settings), tmp_path, factors=6, iterations=2).fit(weights)
    for name in ("user_factors_", "item_factors_"):
        found, expected = getattr(theirs, name), getattr(ours, name)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert not theirs.item_factors_[-1].any()  # nobody bought it
    of_own_kind = (customers[:, None] * 25 + 6 * (customers // 12)[:, None] + np.arange(6)).ravel()
    recall = [np.isin(of_own_kind, of.candidates(customers, 6)).mean() for of in (ours, theirs)]
    assert min(recall) > 0.95


def test_with_factors_of_mllib_most_of_each_list_stays_as_it_was(there: ScoreReport, on_spark: Context) -> None:
    registry = open_registry(on_spark.home)
    version = registry.resolve("recommender")
    assert version is not None
    by_mllib = replace(on_spark, settings=on_spark.settings.model_copy(update={"spark_als": True}))
    with (
        patch.object(spark_lists, "SparkAls", wraps=spark_lists.SparkAls) as als,
        spark_lists.lists_on_spark(by_mllib, registry.fetch(version)) as ranked,
    ):
        assert als.call_count == 1
        found = np.array(ranked.lists)
    expected = load_ranked_lists(there.path / "ranking").lists
    assert found.shape == expected.shape
    overlap = [np.isin(ours[:10], theirs[:10]).mean() for ours, theirs in zip(found, expected, strict=True)]
    assert np.mean(overlap) > 0.8


def test_what_spark_has_not_yet_is_refused_by_name(on_spark: Context) -> None:
    with pytest.raises(NotOnSparkError, match=r"purchases in order.*REGULARS_ENGINE=duckdb"):
        read_purchases(on_spark.lake, connect(on_spark.settings))


def test_what_stops_an_executor_is_said_in_a_sentence(on_spark: Context, tmp_path: Path) -> None:
    def stopped(_: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise DataError("The features lack 2 columns. Train again.")

    backend = connect(on_spark.settings)
    rows = backend.session.range(2).mapInArrow(stopped, "id long")
    with pytest.raises(RegularsError, match=r"^The features lack 2 columns\. Train again\.$"):
        backend.write(rows, tmp_path / "none.parquet", pa.schema({"id": pa.int64()}))
    assert list(tmp_path.iterdir()) == []


def test_a_worker_lost_in_mid_job_changes_nothing(
    champions: dict[str, Champion], there: ScoreReport, on_spark: Context, cluster: Cluster, tmp_path: Path
) -> None:
    """Features and scores of everybody, computed anew while a worker and its executor are killed."""
    as_of = there.as_of
    for snapshot in on_spark.home.features.rglob(f"{as_of:%Y%m%d}*.parquet"):
        snapshot.unlink()
    context = connect(on_spark.settings).session.sparkContext
    executors = context._jsc.sc().getExecutorMemoryStatus
    assert executors().size() == 3  # the driver's too
    target = tmp_path / "customers.parquet"
    before = len(context.statusTracker().getJobIdsForGroup())
    work = threading.Thread(
        target=lambda: score_on_spark(on_spark, champions, target, as_of=as_of, horizon_days=HORIZON)
    )
    work.start()
    until = time.monotonic() + 120
    while time.monotonic() < until:
        begun = len(context.statusTracker().getJobIdsForGroup()) - before
        if begun >= 5 and context.statusTracker().getActiveJobsIds():
            break
        time.sleep(0.02)
    assert work.is_alive()
    assert not target.exists()
    cluster.kill(cluster.workers[0])
    work.join(200)
    assert pq.read_table(target).equals(pq.read_table(there.path / "customers.parquet"))
    assert target.read_bytes() == (there.path / "customers.parquet").read_bytes()
    assert executors().size() == 2
    assert [worker.poll() is None for worker in cluster.workers] == [False, True]


def test_a_worker_lost_while_lists_are_made_changes_nothing(
    there: ScoreReport, on_spark: Context, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_lists, "BLOCK_CUSTOMERS", 6)
    context = connect(on_spark.settings).session.sparkContext
    executors = context._jsc.sc().getExecutorMemoryStatus
    before = executors().size()
    cluster.wait_for(cluster.start_worker(), REGISTERED)
    wait_until(lambda: executors().size() == before + 1)
    registry = open_registry(on_spark.home)
    version = registry.resolve("recommender")
    assert version is not None
    bundle = registry.fetch(version)
    found: dict[str, Any] = {}

    def make() -> None:
        with spark_lists.lists_on_spark(on_spark, bundle) as ranked:
            found.update(lists=np.array(ranked.lists), bought=np.array(ranked.evidence.own_products))

    work = threading.Thread(target=make)
    work.start()
    wait_until(lambda: blocks_done(context) >= 2)
    assert work.is_alive()
    cluster.kill(cluster.workers[-1])
    work.join(120)
    expected = load_ranked_lists(there.path / "ranking")
    np.testing.assert_array_equal(found["lists"], expected.lists)
    np.testing.assert_array_equal(found["bought"], expected.evidence.own_products)
    assert executors().size() == before
