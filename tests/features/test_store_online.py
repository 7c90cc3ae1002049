"""What is read one customer at a time: the same as offline, never too old, and only what serving reads."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, String

from features.cli import app as features_app
from features.errors import ConfigError, NotReadyError
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings
from features.store.away import OnlineStoreAwayError
from features.store.configuration import FILE, online_store
from features.store.feast_store import open_store, point_in_time, register
from features.store.materialize import materialize
from features.store.online import online_features, push_live
from features.store.online_views import LIVE, LIVE_VIEW, ONLINE, ONLINE_VIEW
from features.store.snapshots import Snapshots, build_snapshots
from tests.features.small_shop import write_random_shop
from tests.redis_server import PASSWORD, Redis

MOMENTS = [datetime(2024, 3, 1), datetime(2024, 3, 8)]
LIMIT = timedelta(hours=48)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop of forty customers in the lake, with snapshots as of two moments."""
    root = tmp_path_factory.mktemp("online")
    mapping = write_random_shop(root, seed=11, customers=40, most_orders=8)
    settings = Settings(home=root / "home", threads=1)
    ingest("files", settings, mapping=mapping, now=datetime(2024, 5, 1))
    build_snapshots(settings, read_lake(Home(settings.home)), MOMENTS)
    return settings


class Online:
    """The shop with an online store of its own."""

    def __init__(self, shop: Settings, folder: Path, url: str | None) -> None:
        self.settings = Settings(home=folder / "home", threads=1, online_store=url)
        self.home = Home(self.settings.home)
        self.home.root.mkdir()
        for name in ("lake", "features"):
            (self.home.root / name).symlink_to(shop.home / name)
        self.snapshots, _ = build_snapshots(self.settings, read_lake(self.home), MOMENTS)
        self.store = open_store(self.home, self.settings)
        register(self.store, self.snapshots)

    def materialize(self, **how: bool) -> int:
        return materialize(self.home, self.store, self.snapshots, **how).rows

    def read(self, *customers: str, now: datetime):
        return online_features(self.store, customers, now=now.replace(tzinfo=UTC), max_age=LIMIT)


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def online(shop: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Online:
    """Both online stores: SQLite, and a real Redis."""
    url = None if request.param == "sqlite" else request.getfixturevalue("redis_server").url
    return Online(shop, tmp_path, url)


@pytest.fixture
def embedded(shop: Settings, tmp_path: Path) -> Online:
    return Online(shop, tmp_path, None)


def test_online_equals_offline(online: Online) -> None:
    customers = [f"c{number:02}" for number in range(40)]
    asked = pd.DataFrame({"customer_id": customers, "as_of": pd.array([MOMENTS[1]] * 40, "datetime64[us]")})
    offline = point_in_time(online.store, asked, names=ONLINE).set_index("customer_id")[list(ONLINE)]
    assert online.materialize() == offline["orders_90d"].notna().sum() > 20
    found = online.read(*customers, now=MOMENTS[1] + timedelta(hours=1))
    rows = pd.DataFrame([one.values for one in found], index=[one.customer_id for one in found])
    pd.testing.assert_frame_equal(rows[list(ONLINE)].astype(float), offline, check_names=False)


def test_the_newest_is_written_once_and_over_what_is_older(online: Online) -> None:
    newest = online.snapshots.newest()
    assert newest == online.snapshots.file(MOMENTS[1])
    assert online.materialize() > 0
    assert online.materialize() == 0
    assert online.materialize(again=True) > 0
    before = Snapshots(online.home.root / "older")
    before.folder(_customer()).mkdir(parents=True)
    (before.file(MOMENTS[0])).hardlink_to(online.snapshots.file(MOMENTS[0]))
    materialize(online.home, online.store, before)
    [found] = online.read("c03", now=MOMENTS[1])
    assert found.ages[ONLINE_VIEW] == timedelta(0)  # what is older was not written over what is newer


def test_a_lake_begun_anew_leaves_nothing_of_the_one_before_online(online: Online, tmp_path: Path) -> None:
    online.materialize()
    [before] = online.read("c03", now=MOMENTS[1])
    assert before.values["orders_90d"] is not None
    (online.home.root / "lake").unlink()
    (tmp_path / "other").mkdir()
    mapping = write_random_shop(tmp_path / "other", seed=12, customers=2, most_orders=4)
    ingest("files", online.settings, mapping=mapping, now=datetime(2024, 5, 1))
    snapshots, _ = build_snapshots(online.settings, read_lake(online.home), MOMENTS[:1])
    register(online.store, snapshots)
    materialize(online.home, online.store, snapshots)
    gone, there = online.read("c03", "c01", now=MOMENTS[0])
    assert gone.values["orders_90d"] is None
    assert there.ages[ONLINE_VIEW] == timedelta(0)


def _customer():
    from features.definitions import CUSTOMER

    return CUSTOMER


@pytest.mark.parametrize(
    ("later", "known"), [(timedelta(0), True), (LIMIT, True), (LIMIT + timedelta(seconds=1), False)]
)
def test_what_is_too_old_is_unknown_and_its_age_is_told(embedded: Online, later: timedelta, known: bool) -> None:
    embedded.materialize()
    [found] = embedded.read("c03", now=MOMENTS[1] + later)
    assert found.ages[ONLINE_VIEW] == later
    assert (found.values["orders_90d"] is not None) is known


def test_a_customer_not_there_is_unknown(online: Online) -> None:
    online.materialize()
    stranger, known = online.read("nobody", "c03", now=MOMENTS[1])
    assert set(stranger.values.values()) == {None}
    assert set(stranger.ages.values()) == {None}
    assert known.values["orders_90d"] is not None
    assert online.read(now=MOMENTS[1]) == []


def test_only_what_serving_reads_is_kept(embedded: Online) -> None:
    embedded.materialize()
    with sqlite3.connect(embedded.home.feast / "online.db") as con:
        tables = {name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = {row[1] for row in con.execute(f"PRAGMA table_info(regulars_{ONLINE_VIEW})")}
    con.close()
    assert tables == {f"regulars_{ONLINE_VIEW}", f"regulars_{LIVE_VIEW}"}
    assert columns == {"entity_key", "event_at", *ONLINE}


def pushed(customer: str, at: datetime, views: float) -> pd.DataFrame:
    row = {"customer_id": customer, "event_timestamp": at, **dict.fromkeys(LIVE, 0.0), "views_1h": views}
    return pd.DataFrame([row]).assign(event_timestamp=lambda frame: pd.to_datetime(frame["event_timestamp"], utc=True))


def test_live_features_are_pushed_through_feast_and_read_back_and_older_ones_change_nothing(online: Online) -> None:
    online.materialize()
    at = datetime(2024, 3, 8, 12)
    push_live(online.store, pushed("c03", at, 3.0))
    push_live(online.store, pushed("c03", at - timedelta(minutes=5), 9.0))
    push_live(online.store, pushed("new", at, 1.0))
    [found, new] = online.read("c03", "new", now=at + timedelta(minutes=2))
    assert found.values["views_1h"] == 3.0
    assert found.ages == {ONLINE_VIEW: timedelta(hours=12, minutes=2), LIVE_VIEW: timedelta(minutes=2)}
    assert found.values["orders_90d"] is not None
    assert new.values["views_1h"] == 1.0
    assert new.values["orders_90d"] is None


def test_feast_itself_gives_what_is_long_past_its_time_to_live_which_is_why_reading_checks_the_age(
    tmp_path: Path,
) -> None:
    row = pd.DataFrame({"customer_id": ["a"], "at": [datetime(2020, 1, 1)], "value": [1.0]})
    row.to_parquet(tmp_path / "a.parquet")
    config = RepoConfig(
        project="trap",
        provider="local",
        registry=str(tmp_path / "registry.db"),
        online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="values",
        entities=[customer],
        ttl=timedelta(hours=1),
        source=FileSource(path=str(tmp_path / "a.parquet"), timestamp_field="at"),
        schema=[Field(name="customer_id", dtype=String), Field(name="value", dtype=Float64)],
    )
    store.apply([customer, view])
    store.write_to_online_store("values", row)
    found = store.get_online_features(features=["values:value"], entity_rows=[{"customer_id": "a"}])
    assert found.to_dict()["value"] == [1.0]


@pytest.mark.needs("redis-server")
def test_a_redis_that_goes_away_is_said_in_words_and_its_password_is_kept_to_the_owner(
    shop: Settings, tmp_path: Path, redis_server: Redis
) -> None:
    online = Online(shop, tmp_path, redis_server.url)
    online.materialize()
    assert stat.S_IMODE((online.home.feast / FILE).stat().st_mode) == 0o600
    redis_server.stop()
    started = time.monotonic()
    with pytest.raises(OnlineStoreAwayError, match="does not answer") as raised:
        online.read("c03", now=MOMENTS[1])
    assert time.monotonic() - started < 3
    assert PASSWORD not in str(raised.value)
    redis_server.start()
    assert online.materialize(again=True) > 0
    assert online.read("c03", now=MOMENTS[1])[0].values["orders_90d"] is not None


def test_without_the_redis_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"regulars\[redis\]"):
        online_store(Settings(online_store="redis://cache"))


def test_another_online_store_has_a_write_of_its_own(shop: Settings, tmp_path: Path, embedded: Online) -> None:
    assert embedded.materialize() > 0
    moved = embedded.store.config.model_copy(deep=True)
    moved.online_store.path = "elsewhere.db"
    elsewhere = FeatureStore(repo_path=str(embedded.store.repo_path), config=moved)
    elsewhere._get_provider().online_store.update(
        moved, [], [elsewhere.get_feature_view(ONLINE_VIEW)], [], [], partial=True
    )
    assert materialize(embedded.home, elsewhere, embedded.snapshots).rows > 0


@pytest.mark.parametrize("url", ["localhost:6379", "http://host", "redis://:a,b@host", "redis://host/x", "redis://h:x"])
def test_an_address_that_is_no_redis_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        online_store(Settings(online_store=url))
    assert url not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://cache", "cache:6379,db=0"),
        ("rediss://shop:p%40ss@cache:7000/2", 'cache:7000,db=2,username="shop",password="p@ss",ssl=true'),
    ],
)
def test_an_address_as_feast_writes_it(url: str, told: str) -> None:
    patience = ",socket_timeout=5,socket_connect_timeout=2"
    assert online_store(Settings(online_store=url))["connection_string"] == told + patience


def test_commands_put_features_online_and_read_them(embedded: Online, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from features.settings import current_settings

    monkeypatch.setenv("REGULARS_HOME", str(embedded.settings.home))
    monkeypatch.setenv("REGULARS_THREADS", "1")
    monkeypatch.setenv("REGULARS_ONLINE_MAX_AGE_HOURS", "1000000")
    current_settings.cache_clear()
    try:
        runner = CliRunner()
        done = runner.invoke(features_app, ["features", "materialize", "--json"], catch_exceptions=False)
        assert json.loads(done.stdout)["rows"] > 0
        read = runner.invoke(features_app, ["features", "online", "c03", "--json"], catch_exceptions=False)
        [found] = json.loads(read.stdout)
        assert found["features"]["orders_90d"] is not None
        assert found["age_hours"][ONLINE_VIEW] > 0
    finally:
        current_settings.cache_clear()


def test_without_features_the_command_to_run_is_said(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", threads=1)
    store = open_store(Home(settings.home), settings)
    with pytest.raises(NotReadyError, match="materialize"):
        online_features(store, ["a"], now=datetime.now(UTC), max_age=LIMIT)
