"""The event log in the database: each event once, in the order in which it became visible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from features.erased import read_erased
from features.sources.live_events import IDENTIFY
from serving.database import Database, events
from serving.doorbell import Doorbell
from serving.event_types import Event, as_row
from serving.request_ids import origin

_AT_ONCE = 500  # ids in one question; SQLite takes no more than some thousands of parameters
DOORBELL = "doorbell"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """What became of the events of one call; those of erased customers are neither. `fresh`: where new ones stood."""

    accepted: int
    duplicates: int
    fresh: tuple[int, ...] = ()


class EventLog:
    """Appends and reads. `doorbell` rings after each append, for the other processes of this machine."""

    def __init__(self, database: Database) -> None:
        self.database = database
        #: Called after each append, for servers on other machines.
        self.tell_others: Callable[[], None] = lambda: None
        self.doorbell = Doorbell(database.folder / DOORBELL)

    def append(self, calls: Sequence[Sequence[Row]], *, at: datetime) -> list[Kept]:
        """Write the rows of several calls in one transaction; when this returns, they are on disk.

        A row whose event_id is known, in the log or earlier in the calls, is a duplicate and left out; so is a row of
        a customer who was erased.
        Raises StoreAwayError when nothing was written.
        """
        erased = read_erased(self.database.home)
        with self.database.write() as connection:
            seen = self._known(connection, [row["event_id"] for rows in calls for row in rows])
            new: list[dict[str, Any]] = []
            kept = []
            for rows in calls:
                fresh, refused = [], 0
                for position, row in enumerate(rows):
                    if erased.holds(row["customer_id"]):
                        refused += 1
                    elif row["event_id"] not in seen:
                        seen.add(row["event_id"])
                        new.append({**row, "received_at": at})
                        fresh.append(position)
                kept.append(Kept(len(fresh), len(rows) - len(fresh) - refused, tuple(fresh)))
            if new:
                connection.execute(sa.insert(events), new)
        self.announce()
        return kept

    def announce(self) -> None:
        """Let every server look for what is new in the database. Call it after the commit."""
        self.doorbell.ring()
        self.tell_others()

    def count(self, rows: Sequence[Row]) -> Kept:
        """What `append` would do, without doing it."""
        ids = [row["event_id"] for row in rows]
        with self.database.read() as connection:
            known = self._known(connection, ids)
        accepted = len(set(ids) - known)
        return Kept(accepted, len(rows) - accepted)

    @staticmethod
    def _known(connection: sa.Connection, ids: Sequence[str]) -> set[str]:
        known: set[str] = set()
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            known.update(connection.scalars(sa.select(events.c.event_id).where(events.c.event_id.in_(part))))
        return known

    def since(self, seq: int, *, limit: int, occurred_from: datetime | None = None) -> list[Row]:
        """The rows numbered after `seq`, oldest first; with `occurred_from`, only those not before it."""
        wanted = sa.select(events).where(events.c.seq > seq).order_by(events.c.seq).limit(limit)
        if occurred_from is not None:
            wanted = wanted.where(events.c.occurred_at >= occurred_from)
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]

    def last(self) -> int:
        """The number of the newest row; 0 when there is none."""
        with self.database.read() as connection:
            return connection.scalar(sa.select(sa.func.coalesce(sa.func.max(events.c.seq), 0))) or 0


def rows_of(sent: Iterable[Event]) -> list[Row]:
    """Events as rows of the log. What an event leaves out of its placement and variant, its request_id says."""
    rows: list[Row] = []
    for event in sent:
        said = origin(event.request_id)
        row = as_row(event)
        row["placement"] = row["placement"] or said.placement
        row["experiment"] = row["experiment"] or said.experiment
        row["variant"] = row["variant"] or said.variant
        rows.append({**row, "strategy": said.strategy, "model_version": said.model_version})
    return rows


def identify_row(session_id: str, customer_id: str, *, at: datetime) -> Row:
    """The row that says whose a visit is."""
    empty = dict.fromkeys(("product_id", "placement", "request_id", "experiment", "variant", "propensity"))
    return {
        **empty,
        # Ids of events hold no line feed, so this can be no event's.
        "event_id": f"{IDENTIFY}\n{session_id}\n{customer_id}",
        "kind": IDENTIFY,
        "occurred_at": at,
        "customer_id": customer_id,
        "session_id": session_id,
        "strategy": None,
        "model_version": None,
    }
