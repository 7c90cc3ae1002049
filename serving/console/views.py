"""Saved views: a name for a list as it is filtered and sorted, shared by the whole team."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from serving.database import Database, saved_views


@dataclass(frozen=True)
class SavedView:
    """One view. `query` is what stands behind the ? of the list's address."""

    view_id: str
    name: str
    query: str
    who: str


class SavedViews:
    """The views of one database. Every method may raise StoreAwayError."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def save(self, name: str, query: str, *, who: str, at: datetime) -> None:
        """Keep a view; one of the same name is replaced."""
        row = {"view_id": secrets.token_hex(6), "name": name, "query": query, "who": who, "saved_at": at}
        with self.database.write() as connection:
            connection.execute(sa.delete(saved_views).where(saved_views.c.name == name))
            connection.execute(sa.insert(saved_views), [row])

    def remove(self, view_id: str) -> None:
        """Forget a view; nothing happens where there is none."""
        with self.database.write() as connection:
            connection.execute(sa.delete(saved_views).where(saved_views.c.view_id == view_id))

    def all(self) -> list[SavedView]:
        """Every view, by name."""
        row = saved_views.c
        wanted = sa.select(row.view_id, row.name, row.query, row.who).order_by(row.name)
        with self.database.read() as connection:
            return [SavedView(*found) for found in connection.execute(wanted)]
