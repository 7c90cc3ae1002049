"""Erasing where live events lie in a real PostgreSQL and features online in a real Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from features.errors import DataError
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings, load_settings
from features.store.away import OnlineStoreAwayError
from features.store.feast_store import open_store, register
from features.store.materialize import materialize
from features.store.online import online_features
from features.store.snapshots import build_snapshots
from serving.app import build_app
from serving.database import events, outcomes
from serving.privacy import erase, retain
from tests.features.small_shop import write_random_shop
from tests.postgres import Server
from tests.redis_server import Redis

NOW = datetime(2024, 8, 1)
MOMENT = datetime(2024, 3, 8)


@pytest.mark.needs("postgresql")
def test_in_postgresql(postgres: Server, make_runtime, asked) -> None:
    postgres.sql("DROP DATABASE IF EXISTS erasing")
    postgres.sql("CREATE DATABASE erasing")
    runtime = make_runtime(database_url=postgres.url("erasing"))
    client = asked(build_app(runtime))
    at = datetime.now(UTC)
    for number, who in enumerate(["zoe", "bob", "zoe"]):
        event = {"event_id": f"e{number}", "product_id": "p1", "kind": "view", "occurred_at": at.isoformat()}
        assert client.post("/v1/events", json=event | {"customer_id": who}).json()["accepted"] == 1
        outcome = {"outcome_id": f"o{number}", "customer_id": who, "outcome": "reached"}
        old = (at - timedelta(days=40)).isoformat()
        assert client.post("/v1/outcomes", json=outcome | {"occurred_at": old}).status_code == 200
    report = erase(runtime.settings, ["zoe"], now=NOW)
    assert report.counts == {"live events": 2, "live outcomes": 2}
    with runtime.database.read() as connection:
        assert list(connection.scalars(sa.select(events.c.customer_id))) == ["bob"]
    again = erase(runtime.settings, ["zoe"], now=NOW)
    assert again.counts == {}
    limited = load_settings(
        home=runtime.settings.home, database_url=runtime.settings.database_url, privacy={"keep_outcomes_days": 30}
    )
    assert retain(limited, now=at.replace(tzinfo=None)).counts == {"live outcomes": 1}
    with runtime.database.read() as connection:
        assert list(connection.scalars(sa.select(outcomes.c.customer_id))) == []
    with pytest.raises(DataError, match="Nothing is kept of 'nobody'"):
        erase(runtime.settings, ["nobody"], now=NOW)


@pytest.mark.needs("redis-server")
def test_in_redis_and_while_it_is_away(redis_server: Redis, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", threads=1, online_store=redis_server.url)
    home = Home(settings.home)
    mapping = write_random_shop(tmp_path, seed=11, customers=12, most_orders=8)
    ingest("files", settings, mapping=mapping, now=datetime(2024, 5, 1))
    snapshots, _ = build_snapshots(settings, read_lake(home), [MOMENT])
    store = open_store(home, settings)
    register(store, snapshots)
    materialize(home, store, snapshots)

    def known(customer: str) -> bool:
        moment = (MOMENT + timedelta(hours=1)).replace(tzinfo=UTC)
        [found] = online_features(open_store(home, settings), [customer], now=moment, max_age=timedelta(hours=48))
        return any(value is not None for value in found.values.values())

    assert known("c03")
    assert known("c04")
    report = erase(settings, ["c03"], now=NOW)
    assert report.counts["features online"] == 1
    assert not known("c03")
    assert known("c04")
    redis_server.stop()
    with pytest.raises(OnlineStoreAwayError):
        erase(settings, ["c04"], now=NOW)
    redis_server.start()
    erase(settings, ["c04"], now=NOW)
    assert not known("c04")
