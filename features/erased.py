"""Who was erased: keyed hashes of customers' ids, so that no later load or event brings them back.

    privacy/key          random bytes that the hashes are keyed with, for the owner alone
    privacy/erased.json  hash -> when it was asked for, when it was done, whether they may return
    privacy/served       another text whenever customers were taken out of what servers hold

Neither names a customer: who has the list and not the key cannot even try ids out.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from features.errors import DataError
from features.home import Home, write_private

KEY, LIST, SERVED = "key", "erased.json", "served"
_KEY_BYTES = 32


@dataclass(frozen=True)
class Erasure:
    """One customer's. Times are UTC in ISO 8601; `done_at` is None while it is under way, or was cut short."""

    asked_at: str
    done_at: str | None = None
    may_return: bool = False


@dataclass(frozen=True)
class Erased:
    """The list as it stands."""

    key: bytes = b""
    by_hash: Mapping[str, Erasure] = field(default_factory=dict)

    def hash(self, customer_id: str) -> str:
        """The keyed hash of an id, in hex."""
        # "surrogatepass": an id may be half a character, which the lake never holds and a request may.
        return hmac.digest(self.key, customer_id.encode("utf-8", "surrogatepass"), "sha256").hex()

    def holds(self, customer_id: str | None) -> bool:
        """Whether nothing may be kept of a customer."""
        return bool(self.by_hash) and customer_id is not None and self.hash(customer_id) in self.by_hash

    def of(self, customer_id: str) -> Erasure | None:
        """The erasure of a customer, if there was one."""
        return self.by_hash.get(self.hash(customer_id)) if self.by_hash else None

    def among(self, customers: Iterable[str]) -> set[str]:
        """Those of the customers who were erased."""
        return {customer for customer in customers if self.holds(customer)}

    def unfinished(self) -> list[Erasure]:
        """Erasures begun and not finished."""
        return [one for one in self.by_hash.values() if one.done_at is None]


def read_erased(home: Home) -> Erased:
    """The list of a data home, read anew only when it changed. Raises DataError where the key is lost."""
    path = home.privacy / LIST
    try:
        found = path.stat()
    except FileNotFoundError:
        return Erased()
    return _read(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=64)
def _read(path: Path, _state: tuple[int, int, int]) -> Erased:
    given = json.loads(path.read_text(encoding="utf-8"))
    try:
        key = path.with_name(KEY).read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"{path.with_name(KEY)} is gone, without which nobody can tell who was erased. Bring it back from a "
            f"backup; if there is none, remove {path} and erase those customers again."
        ) from None
    return Erased(key, {digest: Erasure(**one) for digest, one in given.items()})


def record(home: Home, customers: Iterable[str], *, at: datetime, may_return: bool) -> Erased:
    """The list with these customers on it, on disk when this returns. Call it holding the lock "ingest"."""
    known = read_erased(home)
    known = Erased(known.key or _new_key(home), known.by_hash)
    asked = Erasure(at.isoformat(timespec="seconds"), None, may_return)
    return _write(home, Erased(known.key, {**known.by_hash, **{known.hash(one): asked for one in customers}}))


def finish(home: Home, customers: Iterable[str], *, at: datetime) -> Erased:
    """The list with these marked as done, and without those who may return. Call it holding the lock "ingest"."""
    known = read_erased(home)
    left = dict(known.by_hash)
    for digest in map(known.hash, customers):
        if left[digest].may_return:
            del left[digest]
        else:
            left[digest] = replace(left[digest], done_at=at.isoformat(timespec="seconds"))
    return _write(home, Erased(known.key, left))


def served_mark(home: Home) -> str | None:
    """Changes when customers were taken out of what is served under names that stay; None while none ever were."""
    try:
        return (home.privacy / SERVED).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def tell_servers(home: Home) -> None:
    """Have every server of this home read what it holds anew. Call it when all of it is changed."""
    write_private(home.privacy / SERVED, secrets.token_hex(8).encode())


def _write(home: Home, erased: Erased) -> Erased:
    text = json.dumps({digest: asdict(one) for digest, one in sorted(erased.by_hash.items())}, indent=1)
    write_private(home.privacy / LIST, text.encode())
    return erased


def _new_key(home: Home) -> bytes:
    path = home.privacy / KEY
    if not path.is_file():  # else a first erasure was cut short before it wrote the list
        write_private(path, secrets.token_bytes(_KEY_BYTES))
    return path.read_bytes()
