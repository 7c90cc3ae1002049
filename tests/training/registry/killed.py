"""Runs a writer in a process of its own and kills it with SIGKILL between two effects on disk.

The n-th moment is the n-th writing SQL statement, commit, or file or folder made below the data home. Processes are
forked from a warm server, so that hundreds of moments can be tried.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PRELOADED = ["features.ingest", "training.tracking", "training.promotions", "tests.training.registry.fakes", __name__]
_WRITING = frozenset({"INSERT", "UPDATE", "DELETE", "COMMIT", "CREATE", "ALTER"})
_MOVING = frozenset({"os.rename", "os.mkdir", "os.remove", "shutil.copytree", "shutil.rmtree"})


def _child(answer: Connection, moment: int, home: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    seen: list[str] = []

    def tick(what: str) -> None:
        seen.append(what)
        if len(seen) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(sql: str) -> None:
        words = sql.split(None, 3)
        if words and words[0].upper() in _WRITING:
            tick(" ".join(words[:3]))

    connect = sqlite3.connect

    def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.set_trace_callback(statement)
        return connection

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        ours = arguments and str(arguments[0]).startswith(home)
        if ours and (event in _MOVING or (event == "open" and set(arguments[1] or "") & set("wxa+"))):
            tick(f"{event} {Path(str(arguments[0])).name}")

    sqlite3.connect = sqlite3.dbapi2.connect = traced
    sys.addaudithook(hook)
    work(*arguments)
    answer.send(seen)


def run_killed(
    home: Path, work: Callable[..., None], *arguments: Any, moment: int, preloaded: Sequence[str] = ()
) -> list[str] | None:
    """The moments there were, when the work came to its end; None when it was killed at `moment` (from 1)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *preloaded])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, moment, str(home), work, arguments))
    process.start()
    sender.close()
    process.join(120)
    if process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0, f"the writer ended with {process.exitcode}"
    seen: list[str] = receiver.recv()
    return seen
