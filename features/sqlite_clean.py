"""Removing from an SQLite file what it no longer holds: deleted rows stay in its pages until they are written over."""

from __future__ import annotations

import sqlite3
import time

_TRIES, _WAIT_SECONDS = 20, 0.25


def clean(con: sqlite3.Connection) -> bool:
    """Write the file anew without what was deleted, and empty its log; no transaction may be open.

    False where another process read the file all the while, so that its log could not be emptied: the log is written
    over in time, and the next call empties it. Others may read meanwhile, and wait to write.
    """
    con.execute("VACUUM")
    for _ in range(_TRIES):
        # (whether it was hindered, …): truncated only where nobody reads from the log.
        if con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
            return True
        time.sleep(_WAIT_SECONDS)
    return False
