"""Customers under pseudonyms: keyed hashes of their ids, so that nothing in a data home names anybody.

    privacy/pseudonym.key   random bytes that the hashes are keyed with, for the owner alone

A pseudonym is HMAC-SHA256 (RFC 2104) of the id, cut to 128 bits: the same id has the same one for as long as the key
stands, so orders, events and scores of one customer meet; without the key nobody can even try ids out. What is a
pseudonym already stays as it is, so that what an answer names can be asked about.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb
import pyarrow as pa

from features.errors import ConfigError, DataError, RegularsError
from features.home import Home, write_private
from features.lake import Lake, read_lake
from features.mapping import TableSource
from features.schema import C
from features.settings import Settings

KEY = "pseudonym.key"
#: What the manifest of a lake under pseudonyms tells of their key.
MANIFEST_KEY = "pseudonyms"
_KEY_BYTES = 32
_PREFIX, _DIGITS = "anon-", 32
_PSEUDONYM = re.compile(f"{_PREFIX}[0-9a-f]{{{_DIGITS}}}")
_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Pseudonyms:
    """The pseudonyms of one data home."""

    key: bytes

    def of(self, customer_id: str) -> str:
        """The pseudonym of an id; a pseudonym is its own."""
        if _PSEUDONYM.fullmatch(customer_id):
            return customer_id
        # "surrogatepass": an id may be half a character, which the lake never holds and a request may.
        digest = hmac.digest(self.key, customer_id.encode("utf-8", "surrogatepass"), "sha256")
        return f"{_PREFIX}{digest.hex()[:_DIGITS]}"

    @property
    def mark(self) -> str:
        """Tells one key from another, and nothing else of it."""
        return hmac.digest(self.key, b"regulars: which key", "sha256").hex()[:16]


def pseudonyms_of(settings: Settings, *, anew: bool = False) -> Pseudonyms | None:
    """The pseudonyms of the settings' home, whose key is made when it is first asked for; None where they are off.

    Raises DataError where the lake was written under a key that is gone, unless it is to be written `anew`.
    """
    if not settings.privacy.pseudonyms:
        return None
    path = settings.data_home.privacy / KEY
    if not path.is_file():
        _make_key(settings.data_home, path, anew=anew)
    return _read(path, path.stat().st_mtime_ns)


def known_as(settings: Settings, customers: Iterable[str]) -> list[str]:
    """The customers by the names under which the home holds them."""
    pseudonyms = pseudonyms_of(settings)
    return list(customers) if pseudonyms is None else [pseudonyms.of(one) for one in customers]


def check_lake(lake: Lake, pseudonyms: Pseudonyms | None) -> None:
    """Raises DataError unless the lake names customers as the settings do now, under the same key."""
    there = lake.manifest.get(MANIFEST_KEY)
    if there == (pseudonyms and pseudonyms.mark):
        return
    if there is None:
        held = "names customers by the shop's own ids, and [privacy] pseudonyms is on"
    elif pseudonyms is None:
        held = "names customers by pseudonyms, and [privacy] pseudonyms is off"
    else:
        held = f"names customers by pseudonyms under another key than {lake.home.privacy / KEY}"
    raise DataError(
        f"{lake.path} {held}: one customer would be two. Set it back, or load everything anew: "
        " regulars ingest --replace with its source"
    )


def check_mapping(source: TableSource, used: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    """Raises ConfigError where what an id is read from is kept in another column too. `used`: (column, read from)."""
    by_column = dict(used)
    of_customer = frozenset(by_column.pop(C.CUSTOMER_ID, ()))
    for column, names in by_column.items():
        twice = sorted(of_customer.intersection(names))
        if twice:
            raise ConfigError(
                f"{source.where}: '{column}' is read from '{twice[0]}', which names the customer. With [privacy] "
                "pseudonyms it would keep the id as it is. Read it from another column, or leave it out."
            )


def put_pseudonyms(con: duckdb.DuckDBPyConnection, pseudonyms: Pseudonyms) -> None:
    """Name the customers of the table `typed` by pseudonyms, and drop the text of `rejects`: it may hold an id."""
    con.execute("UPDATE rejects SET row_text = NULL")
    columns = {str(row[0]) for row in con.execute("DESCRIBE typed").fetchall()}
    if C.CUSTOMER_ID not in columns:
        return
    names = con.execute(f"SELECT DISTINCT {C.CUSTOMER_ID} FROM typed WHERE {C.CUSTOMER_ID} IS NOT NULL").fetchall()
    ids = [str(row[0]) for row in names]
    con.register("pseudonyms_given", pa.table({"id": ids, "pseudonym": [pseudonyms.of(one) for one in ids]}))
    con.execute(
        f"UPDATE typed SET {C.CUSTOMER_ID} = given.pseudonym FROM pseudonyms_given given "
        f"WHERE typed.{C.CUSTOMER_ID} = given.id"
    )
    con.unregister("pseudonyms_given")


@lru_cache(maxsize=64)
def _read(path: Path, _written: int) -> Pseudonyms:
    return Pseudonyms(path.read_bytes())


def _make_key(home: Home, path: Path, *, anew: bool) -> None:
    with home.lock("pseudonyms", wait_seconds=_WAIT_SECONDS):
        if path.is_file():  # another process made it meanwhile
            return
        if not anew and _needs_key(home):
            raise DataError(
                f"{path} is gone, without which no customer's pseudonym can be told. Bring it back from a backup; if "
                "there is none, load everything anew:  regulars ingest --replace with its source"
            )
        write_private(path, secrets.token_bytes(_KEY_BYTES))


def _needs_key(home: Home) -> bool:
    """Whether customers of the lake there is are named under some key."""
    try:
        return read_lake(home).manifest.get(MANIFEST_KEY) is not None
    except RegularsError:  # none was loaded, or the load that finds it damaged says so
        return False
