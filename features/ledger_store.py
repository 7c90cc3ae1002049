"""The ledger of each version of the lake: made when it is first asked for, and found from then on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from features.code_hash import code_hash
from features.engine import is_spark
from features.home import forget_old, remove_directory, sweep
from features.lake import Lake
from features.ledger_files import Ledger, open_ledger, write_ledger
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
_SPARK_CODE, _SPARK_LIBRARIES = (*_CODE, "spark*"), (*_LIBRARIES, "pyspark")


def lake_ledger(lake: Lake, backend: Any, say: Callable[[str], None] = lambda _: None) -> Ledger:
    """The ledger of this version of the lake, read on `backend`; made now where there is none. `say` hears how far."""
    return _spark_ledger(lake, backend, say) if is_spark(backend) else _duckdb_ledger(lake, backend, say)


def _duckdb_ledger(lake: Lake, backend: Any, say: Callable[[str], None]) -> Ledger:
    def write(path: Path) -> None:
        threads = min(int(backend.raw_sql("SELECT current_setting('threads')").fetchone()[0]), MOST_THREADS)
        lines = lake_batches(lake.file(ORDER_LINES.name))
        write_ledger(lake.tables(backend), lines, path, say, threads=threads)

    path = lake.home.ledgers / _name(lake, _CODE, _LIBRARIES)
    return _kept(lake, path, lambda: open_ledger(path, backend), write)


def _spark_ledger(lake: Lake, backend: Any, say: Callable[[str], None]) -> Ledger:
    from features.spark_ledger import open_spark_ledger, write_spark_ledger

    path = lake.home.spark_ledgers / _name(lake, _SPARK_CODE, _SPARK_LIBRARIES)
    return _kept(
        lake, path, lambda: open_spark_ledger(path, backend), lambda path: write_spark_ledger(lake, backend, path, say)
    )


def _name(lake: Lake, code: Sequence[str], libraries: Sequence[str]) -> str:
    return hashlib.sha256(f"{lake.version} {code_hash(code, libraries)}".encode()).hexdigest()[:16]


def _kept(lake: Lake, path: Path, opened: Callable[[], Ledger | None], write: Callable[[Path], None]) -> Ledger:
    """The ledger in a folder, written first where it is not there."""
    found = opened()
    if found is not None:
        return found
    with lake.home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        if opened() is None:
            sweep(path.parent)
            if path.exists():  # without its manifest: somebody removed a part of it
                remove_directory(path)
            write(path)
            forget_old(path.parent, current=path.name, keep=KEPT)
    made = opened()
    if made is None:
        raise FileNotFoundError(path)
    return made
