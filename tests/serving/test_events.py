import asyncio
import json
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from features.home import Home
from features.schema import INTERACTIONS, Columns
from features.settings import load_settings
from serving.app import build_app
from serving.database import StoreAwayError, events, open_database
from serving.event_log import EventLog, identify_row, rows_of
from serving.event_types import Event
from serving.group_commit import GroupCommit
from serving.runtime import Runtime

NOW = datetime.now(UTC)


def event(event_id: str, product: str = "p0", kind: str = "view", **other: object) -> dict:
    who = {} if "session_id" in other else {"customer_id": "ann"}
    moment = {"event_id": event_id, "product_id": product, "kind": kind, "occurred_at": NOW.isoformat()}
    return moment | who | other


def kept(runtime: Runtime) -> list[str]:
    with runtime.database.read() as connection:
        return list(connection.scalars(sa.select(events.c.event_id).order_by(events.c.seq)))


def recommended(client, **request: object) -> dict:
    return client.post("/v1/recommendations", json=request).json()


def ids(answer: dict) -> list[str]:
    return [item["product_id"] for item in answer["items"]]


def test_an_event_has_the_columns_of_the_contract_and_requires_those_it_requires() -> None:
    assert Event.__struct_fields__[:4] == ("event_id", "product_id", "kind", "occurred_at")
    assert set(Event.__struct_fields__) == {column.name for column in INTERACTIONS.columns}
    optional = set(Event.__struct_fields__[-len(Event.__struct_defaults__) :])
    assert set(Event.__struct_fields__) - optional == set(INTERACTIONS.required)


def test_one_event_and_a_batch_are_on_disk_when_answered(client, runtime: Runtime) -> None:
    assert client.post("/v1/events", json=event("e1")).json() == {"accepted": 1, "duplicates": 0, "dry_run": False}
    assert kept(runtime) == ["e1"]
    answer = client.post("/v1/events", json={"events": [event("e2"), event("e3")]}).json()
    assert (answer["accepted"], kept(runtime)) == (2, ["e1", "e2", "e3"])


def test_a_repeated_event_is_counted_and_kept_once(client, runtime: Runtime) -> None:
    client.post("/v1/events", json=event("e1"))
    again = {"events": [event("e1"), event("e2"), event("e2")]}
    assert client.post("/v1/events", json=again).json() == {"accepted": 1, "duplicates": 2, "dry_run": False}
    assert kept(runtime) == ["e1", "e2"]
    text = client.get("/metrics").text
    assert "regulars_duplicate_events_total 2.0" in text
    assert 'regulars_events_total{kind="view"} 2.0' in text


def test_a_dry_run_counts_and_keeps_nothing(client, runtime: Runtime) -> None:
    client.post("/v1/events", json=event("e1"))
    sent = {"events": [event("e1"), event("e2"), event("e2")]}
    answer = client.post("/v1/events?dry_run=true", json=sent).json()
    assert answer == {"accepted": 1, "duplicates": 2, "dry_run": True}
    assert kept(runtime) == ["e1"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "seen"}, "kind"),
        ({"occurred_at": "2024-06-01T10:00:00"}, "occurred_at"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": (NOW + timedelta(days=2)).isoformat()}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": " x"}, "event_id"),
        ({"event_id": "x\n"}, "event_id"),
        ({"product_id": "a\u0000b"}, "product_id"),
        ({"placement": "a b"}, "placement"),
        ({"customer_id": None}, "customer_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_event_names_its_field_and_nothing_of_its_batch_is_kept(
    client, runtime: Runtime, change: dict, field: str
) -> None:
    alone = client.post("/v1/events", json=event("e1") | change)
    assert (alone.status_code, alone.json()["errors"][0]["field"]) == (422, field)
    batch = client.post("/v1/events", json={"events": [event("e0"), event("e1") | change]})
    assert (batch.status_code, batch.json()["errors"][0]["field"]) == (422, f"events[1].{field}")
    assert kept(runtime) == []


def test_a_batch_holds_at_most_a_thousand(client) -> None:
    thousand = {"events": [event(f"e{n}") for n in range(1000)]}
    assert client.post("/v1/events", json=thousand).json()["accepted"] == 1000
    assert client.post("/v1/events", json={"events": [event(f"f{n}") for n in range(1001)]}).status_code == 422
    assert client.post("/v1/events", json={"events": []}).status_code == 422


def test_views_and_carts_change_the_next_answer_at_once(client) -> None:
    assert recommended(client, customer_id="bob", k=2)["strategy"] == "personal"
    client.post("/v1/events", json=event("e1", "p2", customer_id="bob"))
    viewed = recommended(client, customer_id="bob", k=2)
    assert (viewed["strategy"], ids(viewed)) == ("session", ["p1", "p0"])
    client.post("/v1/events", json=event("e2", "p0", "cart", customer_id="bob"))
    with_cart = recommended(client, customer_id="bob", k=1)
    assert (with_cart["strategy"], ids(with_cart)) == ("cart", ["p1"])


def test_a_visit_of_nobody_known_is_answered_by_its_events(client) -> None:
    client.post("/v1/events", json=event("e1", "p1", session_id="s1"))
    assert recommended(client, session_id="s1", k=1)["strategy"] == "session"
    assert recommended(client, session_id="s2", k=1)["strategy"] == "popular"


def test_a_purchase_keeps_the_product_back_and_counts_when_it_returns(make_runtime, asked) -> None:
    client = asked(build_app(make_runtime()))
    client.post("/v1/events", json=event("e1", "p1", "purchase"))
    assert "p1" not in ids(recommended(client, customer_id="ann", k=5))
    at_once = asked(build_app(make_runtime(rebuy_hours=0)))
    again = recommended(at_once, customer_id="ann", k=5)
    assert (again["strategy"], again["items"][0]["product_id"]) == ("personal", "p1")
    assert again["items"][0]["reason"] == "Bought in 6 of your orders"


def test_what_was_bought_live_is_offered_again_to_a_customer_without_a_list(make_runtime, asked) -> None:
    client = asked(build_app(make_runtime(rebuy_hours=0)))
    client.post("/v1/events", json={"events": [event(f"e{n}", "p4", "purchase", customer_id="new") for n in (1, 2)]})
    first = recommended(client, customer_id="new", k=3)["items"][0]
    assert (first["product_id"], first["reason"]) == ("p4", "Bought in 2 of your orders")


def test_a_purchase_that_the_scores_know_already_is_not_counted_twice(client) -> None:
    before = datetime(2024, 5, 1, tzinfo=UTC).isoformat()  # the scores are as of June
    client.post("/v1/events", json=event("e1", "p1", "purchase", occurred_at=before))
    assert recommended(client, customer_id="ann", k=1)["items"][0]["reason"] == "Bought in 5 of your orders"


def test_an_old_view_no_longer_counts(client) -> None:
    long_ago = (NOW - timedelta(hours=2)).isoformat()
    client.post("/v1/events", json=event("e1", "p2", customer_id="bob", occurred_at=long_ago))
    assert recommended(client, customer_id="bob", k=1)["strategy"] == "personal"


def test_signing_in_makes_the_visit_the_customers_own(client) -> None:
    client.post("/v1/events", json=event("e1", "p2", session_id="s1"))
    assert recommended(client, customer_id="bob", k=1)["strategy"] == "personal"
    answer = client.post("/v1/sessions/s1/customer", json={"customer_id": "bob"})
    assert answer.json() == {"session_id": "s1", "customer_id": "bob"}
    assert recommended(client, customer_id="bob", k=1)["strategy"] == "session"
    client.post("/v1/events", json=event("e2", "p0", "cart", session_id="s1"))
    assert recommended(client, customer_id="bob", k=1)["strategy"] == "cart"


def test_an_event_that_names_both_makes_the_visit_the_customers_own(client) -> None:
    client.post("/v1/events", json=event("e1", "p2", session_id="s1"))
    client.post("/v1/events", json=event("e2", "p3", session_id="s1", customer_id="bob"))
    assert recommended(client, customer_id="bob", k=1)["strategy"] == "session"


def test_another_process_sees_an_event_with_its_next_request(make_runtime, asked) -> None:
    one, other = asked(build_app(make_runtime())), asked(build_app(make_runtime()))
    assert recommended(other, customer_id="bob", k=1)["strategy"] == "personal"
    one.post("/v1/events", json=event("e1", "p2", customer_id="bob"))
    assert recommended(other, customer_id="bob", k=1)["strategy"] == "session"


def test_a_restart_takes_in_what_happened_before(client, make_runtime, asked) -> None:
    client.post("/v1/events", json=event("e1", "p2", customer_id="bob"))
    client.post("/v1/events", json=event("e2", "p1", session_id="s1"))
    client.post("/v1/sessions/s1/customer", json={"customer_id": "eve"})
    restarted = asked(build_app(make_runtime()))
    assert recommended(restarted, customer_id="bob", k=1)["strategy"] == "session"
    assert recommended(restarted, session_id="s1", customer_id="eve", k=1)["strategy"] == "session"


def test_a_full_disk_refuses_events_with_the_reason_and_recommendations_go_on(runtime: Runtime, client) -> None:
    client.post("/v1/events", json=event("e1"))
    page_limit = "PRAGMA max_page_count = 1"

    @sa.event.listens_for(runtime.database.engine, "begin")
    def fill(connection: sa.Connection) -> None:
        connection.exec_driver_sql(page_limit)

    full = client.post("/v1/events", json={"events": [event(f"f{n}") for n in range(1000)]})
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")
    assert full.json()["detail"] == "Not kept: the disk of the event store is full. Send it again later."
    assert recommended(client, customer_id="bob", k=1)["strategy"] == "personal"
    page_limit = "PRAGMA max_page_count = 1000000"
    assert client.post("/v1/events", json=event("f1")).json()["accepted"] == 1
    assert kept(runtime) == ["e1", "f1"]


def test_a_database_away_at_start_refuses_events_and_answers_all_the_same(make_runtime, asked) -> None:
    away = make_runtime(database_url="sqlite:////nowhere/at/all.db")
    client = asked(build_app(away))
    refused = client.post("/v1/events", json=event("e1"))
    assert (refused.status_code, refused.json()["detail"]) == (
        503,
        "Not kept: the event store is away. Send it again later.",
    )
    assert client.post("/v1/outcomes", json=OUTCOME).status_code == 503
    assert client.get("/v1/feedback").status_code in (401, 503)
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["problems"]["events"] == "the event store is away"
    assert 'regulars_away{part="events"} 1.0' in away.metrics.text().decode()


OUTCOME = {"outcome_id": "o1", "customer_id": "ann", "outcome": "saved", "occurred_at": NOW.isoformat()}


def test_a_writer_that_holds_the_database_too_long_is_waited_for_and_then_named(runtime: Runtime) -> None:
    log = runtime.events
    log.append([[identify_row("s", "c", at=NOW.replace(tzinfo=None))]], at=NOW.replace(tzinfo=None))
    file = runtime.database.folder / "live.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, lambda: other.execute("COMMIT"))
    release.start()
    rows = rows_of([Event("e1", "p1", "view", NOW, customer_id="ann")])
    assert log.append([rows], at=NOW.replace(tzinfo=None))[0].accepted == 1
    release.join()
    other.close()


def test_calls_at_the_same_time_share_transactions_and_each_gets_its_own_count(scored_home: Home) -> None:
    database = open_database(load_settings(home=scored_home.root))
    log = EventLog(database)
    transactions = 0
    real = log.append

    def counted(calls, *, at):
        nonlocal transactions
        transactions += 1
        return real(calls, at=at)

    log.append = counted  # type: ignore[method-assign]

    async def ask() -> list:
        commit = GroupCommit(log)
        calls = [rows_of([Event(f"e{n % 50}", "p1", "view", NOW, customer_id="ann")]) for n in range(100)]
        return await asyncio.gather(*(commit.append(rows) for rows in calls))

    answers = asyncio.run(ask())
    assert sum(answer.accepted for answer in answers) == 50
    assert sum(answer.duplicates for answer in answers) == 50
    assert transactions < 20
    database.close()


def test_more_than_can_be_written_is_refused_at_once(scored_home: Home, monkeypatch) -> None:
    monkeypatch.setattr("serving.group_commit.MOST_WAITING", 3)
    database = open_database(load_settings(home=scored_home.root))
    rows = rows_of([Event(f"e{n}", "p1", "view", NOW, customer_id="ann") for n in range(4)])
    with pytest.raises(StoreAwayError, match="more events are waiting"):
        asyncio.run(GroupCommit(EventLog(database)).append(rows))
    database.close()


def test_events_are_stored_as_sent_in_utc(client, runtime: Runtime) -> None:
    answer = recommended(client, customer_id="ann", k=1, placement="home")
    shown = event("e1", "p1", "impression", request_id=answer["request_id"], occurred_at="2024-06-01T12:00:00+02:00")
    client.post("/v1/events", content=json.dumps(shown))
    row = runtime.events.since(0, limit=10)[0]
    assert row[Columns.OCCURRED_AT] == datetime(2024, 6, 1, 10)
    assert (row[Columns.PLACEMENT], row["strategy"], row["model_version"]) == ("home", "personal", "3")
