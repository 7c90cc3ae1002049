"""A customer's page reads the online store, tells the age of what it says, and answers without it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings
from features.store.feast_store import open_store, register
from features.store.materialize import materialize
from features.store.online import push_live
from features.store.online_views import LIVE, LIVE_VIEW, ONLINE, ONLINE_VIEW
from features.store.snapshots import build_snapshots
from serving.app import build_app
from serving.keys import now_utc
from serving.online import OnlineReader
from tests.features.small_shop import write_random_shop
from tests.redis_server import Redis

AT = datetime(2024, 3, 8)
HOUR = timedelta(hours=1)


def fill(settings: Settings, folder: Path) -> None:
    """Forty customers as of AT and one live push, online in the home of the settings."""
    ingest("files", settings, mapping=write_random_shop(folder, seed=3, customers=40, most_orders=8), now=AT)
    home = Home(settings.home)
    snapshots, _ = build_snapshots(settings, read_lake(home), [AT])
    store = open_store(home, settings)
    register(store, snapshots)
    materialize(home, store, snapshots)
    push_live(
        store,
        pd.DataFrame(
            {"customer_id": ["c03"], "event_timestamp": [pd.Timestamp(AT + HOUR, tz="UTC")]}
            | {name: [float(place)] for place, name in enumerate(LIVE)}
        ),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", threads=1)


def read(reader: OnlineReader, customer: str, *, now: datetime = AT + 2 * HOUR, seconds: float = 20):
    return asyncio.run(reader.read(customer, now=now.replace(tzinfo=now_utc().tzinfo), seconds=seconds))


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def test_the_page_says_what_is_online_and_how_old_it_is(
    settings: Settings, tmp_path: Path, asked, make_runtime, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_server").url if kind == "redis" else None
    fill(settings.model_copy(update={"online_store": url and SecretStr(url)}), tmp_path)
    # The orders are of long ago, and must still be told of now.
    runtime = make_runtime(Home(settings.home), online_store=url, online_max_age_hours=1e6, threads=1)
    page = asked(build_app(runtime)).get("/v1/customers/c03").json()["online"]
    assert page["problem"] is None
    assert set(page["features"]) == {*ONLINE, *LIVE}
    assert page["features"]["orders_90d"] >= 1
    assert [page["features"][name] for name in LIVE] == [0.0, 1.0, 2.0]
    hours = (now_utc().replace(tzinfo=None) - AT) / HOUR
    assert page["age_hours"][ONLINE_VIEW] == pytest.approx(hours, abs=0.1)
    assert page["age_hours"][LIVE_VIEW] == pytest.approx(hours - 1, abs=0.1)


def test_what_is_older_than_the_shop_allows_is_null_with_its_age(settings: Settings, tmp_path: Path) -> None:
    fill(settings, tmp_path)
    reader = OnlineReader(settings)
    fresh, stale = (read(reader, "c03", now=AT + hours * HOUR) for hours in (48, 48.5))
    assert fresh.features["orders_90d"] is not None
    assert stale.features["orders_90d"] is None
    assert stale.age_hours[ONLINE_VIEW] == 48.5
    assert stale.features["views_1h"] is not None  # an hour younger
    stranger = read(reader, "nobody")
    assert set(stranger.features.values()) == {None}
    reader.close()


def test_a_shop_that_keeps_nothing_online_is_told_nothing(settings: Settings) -> None:
    reader = OnlineReader(settings)
    reader.start()
    assert read(reader, "c03") is None
    assert reader.problem is None


@pytest.mark.needs("redis-server")
def test_a_store_that_is_away_is_said_and_the_page_comes_all_the_same(
    settings: Settings, tmp_path: Path, redis_server: Redis, asked, make_runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=settings.home, threads=1, online_store=redis_server.url)
    fill(settings, tmp_path)
    runtime = make_runtime(Home(settings.home), online_store=redis_server.url, threads=1)
    client = asked(build_app(runtime))
    assert client.get("/v1/customers/c03").json()["online"]["problem"] is None
    redis_server.stop()
    page = client.get("/v1/customers/c03")
    assert page.status_code == 200
    assert "The online store does not answer" in page.json()["online"]["problem"]
    runtime.refresh()
    ready = client.get("/readyz").json()
    assert "The online store does not answer" in ready["problems"]["online"]
    assert 'regulars_away{part="online"} 1.0' in client.get("/metrics").text
    # For a while it is not even asked, so that answers do not wait for it one after another.
    monkeypatch.setattr(runtime.online, "_thread", None)
    assert client.get("/v1/customers/c03").json()["online"]["problem"] == page.json()["online"]["problem"]
    monkeypatch.undo()
    redis_server.start()
    fill_again = OnlineReader(settings)
    assert read(fill_again, "c03").problem is None  # empty now, and there
    fill_again.close()
    runtime.online._not_before = time.monotonic()
    assert client.get("/v1/customers/c03").json()["online"]["problem"] is None
    runtime.refresh()
    assert "online" not in client.get("/readyz").json()["problems"]


def test_an_answer_does_not_wait_for_a_slow_store(settings: Settings, tmp_path: Path) -> None:
    fill(settings, tmp_path)
    reader = OnlineReader(settings)
    reader._thread.submit(time.sleep, 1.0)
    before = time.perf_counter()
    found = read(reader, "c03", seconds=0.05)
    assert time.perf_counter() - before < 0.9
    assert found.problem == "the online store did not answer within 50 ms"
    assert read(reader, "c03").problem is None  # later it does
    reader.close()


def test_features_put_online_later_are_read_without_a_restart(settings: Settings, tmp_path: Path) -> None:
    reader = OnlineReader(settings)
    reader.start()
    assert read(reader, "c03") is None
    fill(settings, tmp_path)
    assert read(reader, "c03").features["orders_90d"] is not None
    reader.close()


def test_the_store_keeps_no_more_than_the_page_says(settings: Settings, tmp_path: Path) -> None:
    fill(settings, tmp_path)
    reader = OnlineReader(settings)
    registered = open_store(Home(settings.home), settings).list_feature_views()
    online = {field.name for view in registered if view.online for field in view.features}
    assert set(read(reader, "c03").features) == online
    assert json.loads(Home(settings.home).materialized.read_text())
    reader.close()
