"""The ledger of each version of the lake: made when it is first asked for, and found from then on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from features.code_hash import code_hash
from features.home import forget_old, remove_directory, sweep
from features.lake import Lake
from features.ledger_files import StoredLedger, open_ledger, write_ledger
from features.ledger_input import lake_batches
from features.schema import ORDER_LINES

LOCK = "ledger"
#: Another process may be making the same ledger; it takes a few seconds for a million order lines.
WAIT_SECONDS = 3600
#: Ledgers kept, the newest first: a lake version before may still be read.
KEPT = 2
#: Each thread holds a part of the customers, of some hundred megabytes.
MOST_THREADS = 4
_CODE = ("ledger*", "mixes", "runs", "schema")
_LIBRARIES = ("duckdb", "ibis-framework", "numpy", "pyarrow")


def lake_ledger(lake: Lake, backend: Any, say: Callable[[str], None] = lambda _: None) -> StoredLedger:
    """The ledger of this version of the lake, read on `backend`; made now where there is none. `say` hears how far."""
    ledgers = lake.home.ledgers
    path = ledgers / hashlib.sha256(f"{lake.version} {code_hash(_CODE, _LIBRARIES)}".encode()).hexdigest()[:16]
    found = open_ledger(path, backend)
    if found is not None:
        return found
    with lake.home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        if open_ledger(path, backend) is None:
            sweep(ledgers)
            if path.exists():  # without its manifest: somebody removed a part of it
                remove_directory(path)
            threads = min(int(backend.raw_sql("SELECT current_setting('threads')").fetchone()[0]), MOST_THREADS)
            lines = lake_batches(lake.file(ORDER_LINES.name))
            write_ledger(lake.tables(backend), lines, path, say, threads=threads)
            forget_old(ledgers, current=path.name, keep=KEPT)
    made = open_ledger(path, backend)
    if made is None:
        raise FileNotFoundError(path)
    return made
