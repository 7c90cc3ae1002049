"""Events, sessions and keys in a real PostgreSQL, and what happens while it is away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from features.ingest import ingest
from features.settings import Settings
from serving.app import build_app
from serving.database import events
from tests.postgres import Server

pytestmark = pytest.mark.needs("postgresql")


def event(event_id: str, product: str = "p2") -> dict:
    at = datetime.now(UTC).isoformat()
    return {"event_id": event_id, "product_id": product, "kind": "view", "occurred_at": at, "customer_id": "bob"}


@pytest.fixture
def url(postgres: Server) -> str:
    postgres.sql("DROP DATABASE IF EXISTS live")
    postgres.sql("CREATE DATABASE live")
    return postgres.url("live")


def test_events_are_kept_once_and_seen_by_other_servers_at_once(url: str, make_runtime, asked) -> None:
    one, other = (make_runtime(database_url=url) for _ in range(2))
    first, second = asked(build_app(one)), asked(build_app(other))
    assert first.post("/v1/events", json=event("e1")).json()["accepted"] == 1
    assert second.post("/v1/events", json={"events": [event("e1"), event("e2")]}).json()["duplicates"] == 1
    with one.database.read() as connection:
        assert list(connection.scalars(sa.select(events.c.event_id).order_by(events.c.seq))) == ["e1", "e2"]
    answer = second.post("/v1/recommendations", json={"customer_id": "bob", "k": 1}).json()
    assert answer["strategy"] == "session"


def test_database_killed_and_started_again_is_taken_up_by_itself(
    url: str, postgres: Server, make_runtime, asked
) -> None:
    client = asked(build_app(make_runtime(database_url=url)))
    assert client.post("/v1/events", json=event("e1")).status_code == 200
    postgres.stop()
    try:
        refused = client.post("/v1/events", json=event("e2"))
        assert refused.status_code == 503
        assert "away" in refused.json()["detail"]
        assert client.post("/v1/recommendations", json={"customer_id": "bob", "k": 1}).status_code == 200
    finally:
        postgres.start()
    again = client.post("/v1/events", json={"events": [event("e1"), event("e2")]}).json()
    assert (again["accepted"], again["duplicates"]) == (1, 1)


def test_stock_told_to_one_server_is_known_to_another_and_refused_while_the_database_is_away(
    url: str, postgres: Server, make_runtime, asked
) -> None:
    first, second = (asked(build_app(make_runtime(database_url=url))) for _ in range(2))
    words = {"products": [{"product_id": "p1", "in_stock": False}, {"product_id": "p3", "in_stock": True}]}
    question = {"customer_id": "ann", "k": 6}

    def shown(client) -> set[str]:
        return {item["product_id"] for item in client.post("/v1/recommendations", json=question).json()["items"]}

    assert first.request("PUT", "/v1/stock", json=words).json()["changed"] == 2
    assert first.request("PUT", "/v1/stock", json=words).json()["unchanged"] == 2
    for client in (first, second):
        assert "p1" not in shown(client)
        assert "p3" in shown(client)
    postgres.stop()
    try:
        back = {"product_id": "p1", "in_stock": True}
        assert first.request("PUT", "/v1/stock", json=back).status_code == 503
        assert "p1" not in shown(second)
    finally:
        postgres.start()


def test_events_come_into_the_lake_once(url: str, make_runtime, asked, tmp_path) -> None:
    client = asked(build_app(make_runtime(database_url=url)))
    client.post("/v1/events", json={"events": [event("e1"), event("e2")]})
    (tmp_path / "orders.csv").write_text("order,customer,product,at\n1,bob,p1,2024-01-02 10:00\n")
    (tmp_path / "shop.toml").write_text(
        '[order_lines]\npath = "orders.csv"\norder_id = "order"\ncustomer_id = "customer"\nproduct_id = "product"\n'
        'ordered_at = "at"\n'
    )
    settings = Settings(home=tmp_path / "shop", database_url=url)
    now = datetime.now(UTC).replace(tzinfo=None)
    ingest("files", settings, mapping=tmp_path / "shop.toml", now=now)
    report = ingest("events", settings, now=now)
    assert [(table.table, table.added) for table in report.tables] == [("interactions", 2)]
    assert not ingest("events", settings, now=now).changed
