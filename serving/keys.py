"""API keys: made, listed and revoked in the database; of each, only the hash of its secret is kept.

A key reads `rg_<scope>_<id>_<secret>`. The id finds the row; the secret is 256 random bits, so one SHA-256 is as
safe as a slow password hash and does not slow each request. A copy of the hashes lies beside the scores, so that a
server started while the database is away still knows its keys.

Where a server has several shops, a key reads `rg_<shop>_<scope>_<id>_<secret>`, and what is hashed is all of it: it
opens its own shop alone, whatever shop's name is written into it and into whosever database its row is copied.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import sqlalchemy as sa

from features.errors import RegularsError
from features.home import write_text
from serving.database import Database, keys
from serving.doorbell import Doorbell
from serving.scopes import KeyScope

COPY = "keys.json"
DOORBELL = "keys.doorbell"
_REST = rf"({'|'.join(KeyScope)})_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})"
_NAMES_SHOP = re.compile(rf"rg_([a-z0-9-]{{1,40}})_{_REST}")
#: What of a key's text is hashed, as groups of its form.
_WHOLE, _SECRET = 0, 3
#: Compared with where no key has the id, so that the answer takes as long.
_NO_HASH = "0" * 64

_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class ApiKey:
    """One key as it is kept. Times are UTC."""

    key_id: str
    scope: KeyScope
    name: str
    hash: str
    per_minute: int
    created_at: datetime
    revoked_at: datetime | None = None


class Keys:
    """The keys of one database. `tenant` names the shop, where a server has several."""

    def __init__(self, database: Database, *, tenant: str | None = None) -> None:
        self.database = database
        self.tenant = tenant
        self.copy = database.folder / COPY
        self.doorbell = Doorbell(database.folder / DOORBELL)

    def create(self, scope: KeyScope, *, name: str, per_minute: int, at: datetime) -> tuple[ApiKey, str]:
        """A new key and its text, which is shown this once."""
        secret = secrets.token_urlsafe(32)
        key_id = secrets.token_hex(6)
        text = f"rg_{scope}_{key_id}_{secret}" if self.tenant is None else f"rg_{self.tenant}_{scope}_{key_id}_{secret}"
        hashed = _hash(secret if self.tenant is None else text)
        key = ApiKey(key_id, scope, name, hashed, per_minute, at)
        row = {name: getattr(key, name) for name in keys.c.keys()}  # noqa: SIM118
        with self.database.write() as connection:
            connection.execute(sa.insert(keys), [row | {"scope": scope.value}])
        self._changed()
        return key, text

    def revoke(self, key_id: str, *, at: datetime) -> ApiKey:
        """The key, revoked; servers refuse it within a second. Raises RegularsError when no key has that id."""
        with self.database.write() as connection:
            connection.execute(
                sa.update(keys).where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=at)
            )
        self._changed()
        for key in self.all():
            if key.key_id == key_id:
                return key
        raise RegularsError(f"No key has the id '{key_id}'. The ids stand in:  regulars keys list")

    def all(self) -> list[ApiKey]:
        """Every key, revoked ones too, oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(keys).order_by(keys.c.created_at, keys.c.key_id)).mappings().all()
        return [ApiKey(**{**row, "scope": KeyScope(row["scope"])}) for row in rows]

    def save_copy(self, found: Sequence[ApiKey]) -> None:
        """Keep the hashes beside, for a start without the database."""
        write_text(self.copy, msgspec.json.encode(list(found)).decode())
        self.copy.chmod(0o600)

    def _changed(self) -> None:
        self.save_copy(self.all())
        self.doorbell.ring()


def read_copy(path: Path) -> list[ApiKey] | None:
    """The keys last seen, or None when none were ever written down."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[ApiKey])
    except FileNotFoundError:
        return None


def shop_named_in(text: str) -> str | None:
    """The shop that a key says it is of; None where it is no key, or one of a server of one shop."""
    parts = _NAMES_SHOP.fullmatch(text)
    return None if parts is None else parts.group(1)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class KeyRing:
    """The keys in force, looked up by id."""

    def __init__(self, found: Sequence[ApiKey], *, exist: bool | None = None, tenant: str | None = None) -> None:
        self._form = re.compile(f"rg_{_REST}" if tenant is None else f"rg_{re.escape(tenant)}_{_REST}")
        self._hashed = _SECRET if tenant is None else _WHOLE
        # Revoked ones count: a shop that ever made a key is not open again.
        self.exist = bool(found) if exist is None else exist
        self._by_id = {key.key_id: key for key in found if key.revoked_at is None}

    def by_id(self, key_id: str) -> ApiKey | None:
        """The key in force with that id, or None."""
        return self._by_id.get(key_id)

    def find(self, text: str) -> ApiKey | None:
        """The key that the text is, or None. How long it takes says nothing of the secret."""
        parts = self._form.fullmatch(text)
        key = None if parts is None else self._by_id.get(parts.group(2))
        expected = _NO_HASH if key is None else key.hash
        given = _hash("" if parts is None else parts.group(self._hashed))
        matches = hmac.compare_digest(given, expected)
        return key if matches and parts is not None and key is not None and key.scope == parts.group(1) else None


def now_utc() -> datetime:
    """The moment in UTC, without a zone, as the database keeps it."""
    # Every answer asks: it costs half of what a moment with its zone does, from which the zone is taken.
    return _EPOCH + timedelta(0, time.time())
