"""The online store being away, said in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from features.errors import RegularsError


class OnlineStoreAwayError(RegularsError):
    """The online store cannot be read or written now."""


@contextmanager
def answering() -> Iterator[None]:
    """Failures of SQLite or Redis within the block become OnlineStoreAwayError."""
    try:
        yield
    except Exception as error:
        # The Redis client comes with an extra, so its errors are known by their module.
        if isinstance(error, sqlite3.Error) or type(error).__module__.startswith("redis."):
            raise OnlineStoreAwayError(
                f"The online store does not answer ({type(error).__name__}). See that it is there, or set "
                "'online_store' to another; without it features are kept in SQLite in the data home."
            ) from error
        raise
