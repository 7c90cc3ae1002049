"""Who works on which customer, and who is left alone for a while: notes of the retention team, kept for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from features.erased import read_erased
from serving.database import Database, desk_notes
from serving.doorbell import Doorbell

ASSIGNED, SNOOZED = "assigned", "snoozed"


@dataclass(frozen=True)
class DeskNote:
    """What stands noted of one customer now. Time in UTC."""

    assigned_to: str | None = None
    snoozed_until: datetime | None = None

    def is_snoozed(self, now: datetime) -> bool:
        """Whether the customer is to be left alone at `now`."""
        return self.snoozed_until is not None and self.snoozed_until > now


NOTHING_NOTED = DeskNote()


class DeskLog:
    """Writes notes; they are read with the outcomes, for both say who stands on the list."""

    def __init__(self, database: Database, doorbell: Doorbell) -> None:
        self.database = database
        self.doorbell = doorbell

    def assign(self, customers: Sequence[str], to: str | None, *, who: str, at: datetime) -> None:
        """Give the customers to somebody, or to nobody. Raises StoreAwayError when nothing was written."""
        self._write(customers, ASSIGNED, assigned_to=to, who=who, at=at)

    def snooze(self, customers: Sequence[str], until: datetime | None, *, who: str, at: datetime) -> None:
        """Leave the customers alone until then (UTC), or no longer. Raises StoreAwayError when nothing was written."""
        self._write(customers, SNOOZED, snoozed_until=until, who=who, at=at)

    def _write(self, customers: Sequence[str], kind: str, *, who: str, at: datetime, **noted: object) -> None:
        erased = read_erased(self.database.home)
        kept = [one for one in customers if not erased.holds(one)]
        rows = [{"customer_id": one, "kind": kind, "who": who, "written_at": at, **noted} for one in kept]
        if not rows:
            return
        with self.database.write() as connection:
            connection.execute(sa.insert(desk_notes), rows)
        self.doorbell.ring()


def notes_since(
    connection: sa.Connection, known: Mapping[str, DeskNote], version: int
) -> tuple[Mapping[str, DeskNote], int]:
    """What stands noted of each customer, and the number of the newest row read."""
    row = desk_notes.c
    columns = (row.seq, row.customer_id, row.kind, row.assigned_to, row.snoozed_until)
    wanted = sa.select(*columns).where(row.seq > version).order_by(row.seq)
    found, last = dict(known), version
    for seq, customer, kind, assigned_to, until in connection.execute(wanted):
        before = found.get(customer, NOTHING_NOTED)
        if kind == ASSIGNED:
            found[customer] = replace(before, assigned_to=assigned_to)
        else:
            found[customer] = replace(before, snoozed_until=until)
        last = seq
    return found, last
