"""Who is logged in: sessions kept in the database, of each only the hash of the token that its browser holds."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from serving.database import Database, sessions

COOKIE = "regulars_session"
#: A working day; then the key is asked for again.
LASTS = timedelta(hours=12)


@dataclass(frozen=True)
class Session:
    """One browser that showed a key. `key_id` is None where the shop has no keys yet; `csrf` goes into every form."""

    token_hash: str
    key_id: str | None
    name: str  # of the agent, as given at the login
    csrf: str

    def is_from_its_page(self, csrf: str) -> bool:
        """Whether a form that carries this value was made by a page of this session."""
        return hmac.compare_digest(csrf.encode(), self.csrf.encode())


class Sessions:
    """The sessions of one database. Every method may raise StoreAwayError."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def open(self, key_id: str | None, *, name: str, at: datetime) -> str:
        """The token of a new session, known from now on to the browser alone. Sessions that ended are forgotten."""
        token = secrets.token_urlsafe(32)
        row = {
            "token_hash": _hash(token),
            "key_id": key_id,
            "name": name,
            "csrf": secrets.token_urlsafe(32),
            "expires_at": at + LASTS,
        }
        with self.database.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.expires_at <= at))
            connection.execute(sa.insert(sessions), [row])
        return token

    def find(self, token: str, *, at: datetime) -> Session | None:
        """The session of that token; None when there is none, it ended, or it was closed."""
        row = sessions.c
        wanted = sa.select(row.token_hash, row.key_id, row.name, row.csrf).where(
            row.token_hash == _hash(token), row.expires_at > at
        )
        with self.database.read() as connection:
            found = connection.execute(wanted).one_or_none()
        return None if found is None else Session(*found)

    def close(self, session: Session) -> None:
        """End a session: its token is worth nothing from now on."""
        with self.database.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.token_hash == session.token_hash))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
