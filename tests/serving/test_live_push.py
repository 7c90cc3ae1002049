"""Live features from the event log to the online store, beside the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.settings import Settings
from serving.database import open_database
from serving.event_log import EventLog, identify_row, rows_of
from serving.event_types import Event
from serving.live_push import LivePush

AT = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path):
    database = open_database(Settings(home=tmp_path / "home"))
    yield EventLog(database)
    database.close()


def event(name: str, kind: str, minutes: float, **of: str) -> Event:
    return Event(name, of.pop("product", "p1"), kind, AT + timedelta(minutes=minutes), **of)


def send(log: EventLog, *events: Event) -> None:
    log.append([rows_of(events)], at=datetime(2024, 6, 1, 13))


class Pushed:
    def __init__(self) -> None:
        self.frames: list[pd.DataFrame] = []

    def __call__(self, frame: pd.DataFrame) -> None:
        self.frames.append(frame)


def test_each_look_pushes_those_who_did_something_since_the_last(log: EventLog) -> None:
    to = Pushed()
    push = LivePush(log, to)
    send(
        log,
        event("1", "view", -90, customer_id="ann"),
        event("2", "view", -30, customer_id="ann", product="p2"),
        event("3", "cart", -20, customer_id="ann", product="p3"),
        event("4", "purchase", 0, customer_id="ann", product="p2"),
        event("5", "view", 0, customer_id="bob"),
        event("6", "impression", 0, customer_id="carl"),
        event("7", "view", 0, session_id="nobody known"),
    )
    assert push.once() == 2
    [frame] = to.frames
    told = frame.set_index("customer_id")
    assert list(told.index) == ["ann", "bob"]
    # p1 was seen 90 minutes before the last event; p2 is bought, so it counts as bought alone.
    assert told.loc["ann", ["views_1h", "carts_1h", "purchases_24h"]].tolist() == [0.0, 1.0, 1.0]
    assert told.loc["ann", "event_timestamp"] == pd.Timestamp(AT)
    assert push.once() == 0
    send(log, event("8", "view", 5, customer_id="bob", product="p9"))
    assert push.once() == 1
    assert to.frames[1][["customer_id", "views_1h"]].values.tolist() == [["bob", 2.0]]


def test_a_visit_counts_for_its_customer_once_that_is_known(log: EventLog) -> None:
    to = Pushed()
    push = LivePush(log, to)
    send(log, event("1", "view", 0, session_id="s1"))
    assert push.once() == 0
    log.append([[identify_row("s1", "ann", at=AT.replace(tzinfo=None))]], at=datetime(2024, 6, 1, 13))
    assert push.once() == 1
    assert to.frames[0][["customer_id", "views_1h"]].values.tolist() == [["ann", 1.0]]


def test_what_could_not_be_pushed_is_pushed_by_the_next_look(log: EventLog) -> None:
    def away(frame: pd.DataFrame) -> None:
        raise ConnectionError("away")

    push = LivePush(log, away)
    send(log, event("1", "purchase", 0, customer_id="ann"))
    with pytest.raises(ConnectionError):
        push.once()
    push.push = to = Pushed()
    assert push.once() == 1
    assert to.frames[0]["purchases_24h"].tolist() == [1.0]
