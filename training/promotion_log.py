"""Our own promotion log: which version was champion when, who made it so, and why. MLflow keeps only the present.

Each change is first written down as an intent, then made, then marked done, so that a change cut short is completed
by whoever opens the log next.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

FILE = "promotions.db"
_TABLE = """
CREATE TABLE IF NOT EXISTS promotions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL,
    action TEXT NOT NULL,
    from_version INTEGER,
    to_version INTEGER NOT NULL,
    who TEXT NOT NULL,
    at TEXT NOT NULL,
    why TEXT NOT NULL,
    metrics TEXT NOT NULL,
    state TEXT NOT NULL
)
"""
_COLUMNS = "id, model, action, from_version, to_version, who, at, why, metrics, state"


class Action(StrEnum):
    """What happened to a version."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    REFUSED = "refused"


class State(StrEnum):
    """How far a change has come."""

    INTENT = "intent"
    DONE = "done"
    ABANDONED = "abandoned"  # the version was gone before the change could be made


@dataclass(frozen=True)
class Promotion:
    """One row of the log. `metrics` are those of `to_version` on its back-test."""

    id: int
    model: str
    action: Action
    from_version: int | None
    to_version: int
    who: str
    at: datetime
    why: str
    metrics: Mapping[str, float]
    state: State


@dataclass(frozen=True)
class PromotionLog:
    """The log in one SQLite file; every method is one transaction."""

    path: Path

    def write(
        self,
        *,
        model: str,
        action: Action,
        from_version: int | None,
        to_version: int,
        who: str,
        at: datetime,
        why: str,
        metrics: Mapping[str, float],
        state: State,
    ) -> int:
        """Append a row; its id."""
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        row = (model, action, from_version, to_version, who, at.isoformat(), why, json.dumps(finite), state)
        with self._connection() as connection:
            cursor = connection.execute(
                "INSERT INTO promotions (model, action, from_version, to_version, who, at, why, metrics, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            return int(cursor.lastrowid or 0)

    def settle(self, row_id: int, state: State) -> None:
        """Mark an intent as done or abandoned."""
        with self._connection() as connection:
            connection.execute("UPDATE promotions SET state = ? WHERE id = ?", (state, row_id))

    def rows(self, model: str | None = None) -> list[Promotion]:
        """Every row, oldest first; of one model when named."""
        if not self.path.is_file():
            return []
        with self._connection() as connection:
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM promotions WHERE ? IS NULL OR model = ? ORDER BY id", (model, model)
            ).fetchall()
        return [
            Promotion(
                id=row[0],
                model=row[1],
                action=Action(row[2]),
                from_version=row[3],
                to_version=row[4],
                who=row[5],
                at=datetime.fromisoformat(row[6]),
                why=row[7],
                metrics=json.loads(row[8]),
                state=State(row[9]),
            )
            for row in found
        ]

    def pending(self) -> list[Promotion]:
        """Intents that were never settled, oldest first."""
        return [row for row in self.rows() if row.state is State.INTENT]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            connection.execute(_TABLE)
            yield connection


def before(rows: Sequence[Promotion], *, champion: int, exists: frozenset[int]) -> int | None:
    """The version that was champion before `champion`; None when there was none that still `exists`.

    A promotion puts a version on a stack and a rollback takes one off, so rolling back twice goes back two
    promotions instead of forth again.
    """
    stack: list[int] = []
    for row in rows:
        if row.state is not State.DONE:
            continue
        if row.action is Action.PROMOTED:
            stack.append(row.to_version)
        elif row.action is Action.ROLLED_BACK:
            while stack and stack[-1] != row.to_version:
                stack.pop()
    if champion in stack:
        last = len(stack) - 1 - stack[::-1].index(champion)
        stack = stack[:last]
    earlier = [version for version in stack if version in exists and version != champion]
    return earlier[-1] if earlier else None
