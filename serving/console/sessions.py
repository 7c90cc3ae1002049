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
#: Stands in no name of a shop and in no random part.
_JOINT = "."
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
    """The sessions of one database. Every method may raise StoreAwayError.

    Where a server has several shops, a token begins with the name of its own, `tenant`, which the hash covers too.
    """

    def __init__(self, database: Database, *, tenant: str | None = None) -> None:
        self.database = database
        self.before = "" if tenant is None else f"{tenant}{_JOINT}"

    def open(self, key_id: str | None, *, name: str, at: datetime) -> str:
        """The token of a new session, known from now on to the browser alone. Sessions that ended are forgotten."""
        token = f"{self.before}{secrets.token_urlsafe(32)}"
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
        if not token.startswith(self.before):
            return None
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


def shop_named_in(token: str) -> str | None:
    """The shop that a token says it is of; None where it names none."""
    name, joint, _ = token.partition(_JOINT)
    return name if joint else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
