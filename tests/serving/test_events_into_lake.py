from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from features.errors import DataError
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import Settings, load_settings
from serving.database import contact_plan_members, open_database
from serving.event_log import EventLog, identify_row, rows_of
from serving.event_types import Event
from serving.outcomes import Outcome, OutcomeLog

NOW = datetime(2024, 6, 2)
AT = datetime(2024, 6, 1, 12, tzinfo=UTC)
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "orders.csv").write_text("order,customer,product,at\no1,ann,p0,2024-05-01 10:00:00\n")
    (tmp_path / "shop.toml").write_text(MAPPING)
    found = load_settings(home=tmp_path / "home", threads=1)
    ingest("files", found, mapping=tmp_path / "shop.toml", now=NOW)
    return found


@pytest.fixture
def log(settings: Settings):
    database = open_database(settings)
    yield EventLog(database)
    database.close()


def send(log: EventLog, *events: Event) -> None:
    log.append([rows_of(events)], at=NOW)


def load(settings: Settings):
    return ingest("events", settings, now=NOW)


def held(settings: Settings, columns: str = "event_id, customer_id", table: str = "interactions") -> list[tuple]:
    file = read_lake(Home(settings.home)).file(table)
    return duckdb.sql(f"SELECT {columns} FROM read_parquet('{file}') ORDER BY ALL").fetchall()


def test_events_come_into_the_lake_once_and_loading_again_changes_nothing(settings: Settings, log: EventLog) -> None:
    send(log, Event("e1", "p1", "view", AT, customer_id="ann"), Event("e2", "p2", "cart", AT, session_id="s1"))
    first = load(settings)
    assert [(table.table, table.added) for table in first.tables] == [("interactions", 2)]
    assert held(settings) == [("e1", "ann"), ("e2", None)]
    again = load(settings)
    assert not again.changed
    send(log, Event("e3", "p1", "purchase", AT, customer_id="bob"))
    third = load(settings)
    assert (third.tables[0].read, third.tables[0].added, third.tables[0].held) == (1, 1, 3)
    assert [row[0] for row in held(settings)] == ["e1", "e2", "e3"]


def test_each_column_comes_as_it_was_sent(settings: Settings, log: EventLog) -> None:
    sent = Event("e1", "p1", "click", AT, customer_id="ann", placement="home", request_id="r~s~1~e~v~home")
    send(log, sent)
    load(settings)
    columns = "product_id, kind, occurred_at, placement, request_id, experiment, variant"
    assert held(settings, columns) == [
        ("p1", "click", datetime(2024, 6, 1, 12), "home", "r~s~1~e~v~home", "e", "v"),
    ]


def test_a_visit_known_later_brings_its_earlier_events_to_the_customer(settings: Settings, log: EventLog) -> None:
    send(log, Event("e1", "p1", "view", AT, session_id="s1"), Event("e2", "p1", "view", AT, session_id="s2"))
    load(settings)
    log.append([[identify_row("s1", "ann", at=NOW)]], at=NOW)
    assert load(settings).changed
    assert held(settings) == [("e1", "ann"), ("e2", None)]
    assert not load(settings).changed


def test_a_load_cut_off_before_the_lake_points_to_it_is_made_up_for(
    settings: Settings, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(log, Event("e1", "p1", "view", AT, customer_id="ann"))

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr("features.ingest._load", cut_off)
        with pytest.raises(KeyboardInterrupt):
            load(settings)
    assert "interactions" not in read_lake(Home(settings.home)).rows
    load(settings)
    assert held(settings) == [("e1", "ann")]


def test_outcomes_come_as_contacts(settings: Settings) -> None:
    database = open_database(settings)
    outcomes = OutcomeLog(database)
    outcomes.append(
        [
            Outcome("o1", "ann", "saved", AT, campaign_id="spring", channel="phone"),
            Outcome("o2", "bob", "reached", AT),
        ],
        at=NOW,
    )
    load(settings)
    moment = datetime(2024, 6, 1, 12)
    expected = [("retention", "bob", moment, None, True), ("spring", "ann", moment, "phone", True)]
    columns = "campaign_id, customer_id, contacted_at, channel, treated"
    assert held(settings, columns, "contacts") == expected
    # A customer saved responded; whom nobody but reached did not.
    assert held(settings, "campaign_id, customer_id, responded_at", "responses") == [("spring", "ann", moment)]
    assert not load(settings).changed
    database.close()


def test_a_recorded_list_comes_as_its_two_arms_and_its_outcomes_are_no_further_contacts(settings: Settings) -> None:
    database = open_database(settings)
    members = [
        {"campaign_id": "june", "customer_id": who, "treated": treated, "planned_at": NOW, "until": NOW}
        for who, treated in (("ann", True), ("bob", False), ("cat", True))
    ]
    with database.write() as connection:
        connection.execute(sa.insert(contact_plan_members), members)
    load(settings)
    columns = "campaign_id, customer_id, contacted_at, treated"
    arms = [("june", "ann", NOW, True), ("june", "bob", NOW, False), ("june", "cat", NOW, True)]
    assert held(settings, columns, "contacts") == arms
    OutcomeLog(database).append(
        [
            Outcome("o1", "ann", "reached", AT, campaign_id="june"),
            Outcome("o2", "ann", "saved", AT, campaign_id="june"),
            Outcome("o3", "bob", "reached", AT, campaign_id="june"),  # held out, and called all the same
            Outcome("o4", "cat", "lost", AT, campaign_id="july"),  # of another campaign
        ],
        at=NOW,
    )
    load(settings)
    moment = datetime(2024, 6, 1, 12)
    others = [("july", "cat", moment, True), ("retention", "bob", moment, True)]
    assert held(settings, columns, "contacts") == sorted([*arms, *others])
    assert held(settings, "customer_id", "responses") == [("ann",)]
    assert not load(settings).changed
    database.close()


def test_a_log_without_plans_is_of_an_earlier_release(settings: Settings) -> None:
    database = open_database(settings)
    OutcomeLog(database).append([Outcome("o1", "ann", "saved", AT)], at=NOW)
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE contact_plan_members")
    database.close()
    load(settings)
    assert held(settings, "customer_id", "contacts") == [("ann",)]


def test_without_a_log_it_says_so(settings: Settings) -> None:
    with pytest.raises(DataError, match="There are no live events"):
        load(settings)


def test_a_log_that_cannot_be_read_is_named(settings: Settings) -> None:
    Home(settings.home).live.mkdir()
    (Home(settings.home).live / "live.db").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(DataError, match="The event log cannot be read"):
        load(settings)


def test_propensities_and_dislikes_come_too_from_a_log_made_by_an_earlier_release(settings: Settings) -> None:
    database = open_database(settings)
    EventLog(database).append([rows_of([Event("e1", "p1", "view", AT, customer_id="ann")])], at=NOW)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE events DROP COLUMN propensity")
        connection.exec_driver_sql("DROP TABLE alembic_version")
    database.close()
    load(settings)
    assert held(settings, "event_id, propensity") == [("e1", None)]
    later = open_database(settings)
    shown = Event("e2", "p1", "impression", AT, customer_id="ann", request_id="r1", propensity=0.25)
    send(EventLog(later), shown, Event("e3", "p1", "dislike", AT, customer_id="ann"))
    later.close()
    load(settings)
    columns = "event_id, kind, propensity"
    assert held(settings, columns)[1:] == [("e2", "impression", 0.25), ("e3", "dislike", None)]
