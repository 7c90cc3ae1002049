"""Workers forked from one process that has loaded everything: what all of them only read lies in memory once.

That process answers nothing, and keeps nothing of what it loaded: once it has forked them it becomes a keeper, of a few
megabytes (`serving.keeper`). For a worker that ends it becomes again what it was, loads everything and forks another,
while the others answer. Where it ends itself, its workers answer on while BentoML starts its successor.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

from serving import keeper
from serving.keeper import ENDING, name_process
from serving.parent import is_server

log = logging.getLogger("regulars.serving")
#: How long workers answer on without the process they came from: longer than its successor takes to start.
_ALONE_SECONDS = 30.0
_LOOK_SECONDS = 0.5


def fork_workers(count: int) -> None:
    """Return in as many forked processes as are missing of `count`. The caller itself becomes their keeper.

    It passes SIGTERM and SIGINT on to the workers, and ends once all of them have ended.
    """
    origin, server = os.getpid(), os.getppid()
    running = _left()
    _forget_gauges(origin)  # what it loaded is told by its workers, and may be of the past here
    # A signal that comes before there is a keeper waits for it, lest it miss a worker.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    while len(running) < count and not signal.sigpending() & set(ENDING):
        child = os.fork()
        if not child:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            name_process("regulars-worker")
            _end_when_alone(origin, server)
            return
        running.append(child)
    _become_keeper(server, running)


def _left() -> list[int]:
    """The workers that run already, where this process was their keeper; says which one ended."""
    left, ended = os.environ.pop(keeper.LEFT, ""), os.environ.pop(keeper.ENDED, None)
    if ended is not None:
        process, _, how = ended.partition(":")
        _forget_gauges(int(process))
        log.error("worker %s ended (%s); another takes its place", process, how)
    return [int(worker) for worker in left.split(",") if worker]


def _become_keeper(server: int, workers: list[int]) -> NoReturn:
    if not workers:
        raise SystemExit(0)  # stopped before there was any
    again = [sys.executable, *sys.orig_argv[1:]]
    arguments = [sys.executable, "-I", "-S", keeper.__file__, str(server), ",".join(map(str, workers)), *again]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, arguments)  # noqa: S606


def _forget_gauges(process: int) -> None:
    """What a process that is gone last knew is no longer so; what it counted stays counted."""
    if values.ValueClass._multiprocess:
        mark_process_dead(process)  # type: ignore[no-untyped-call]


def _end_when_alone(origin: int, server: int) -> None:
    """Start a thread that ends this worker some time after `origin`, and at once after the `server` above that."""

    def alone() -> None:
        _wait_for(lambda: os.getppid() != origin)
        until = time.monotonic() + _ALONE_SECONDS
        _wait_for(lambda: time.monotonic() > until or not is_server(server))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=alone, name="regulars-alone", daemon=True).start()


def _wait_for(met: Callable[[], bool]) -> None:
    while not met():
        time.sleep(_LOOK_SECONDS)
