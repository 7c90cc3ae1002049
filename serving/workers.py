"""Workers forked from one process that has loaded everything: what all of them only read lies in memory once.

That process answers nothing. It starts another worker, at once, for each that ends; and where it ends itself, its
workers answer on while BentoML starts its successor.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

from serving.parent import is_server, name_process

log = logging.getLogger("regulars.serving")
#: A worker that ends sooner than this after its start is not replaced at once: it would end again.
_LEAST_SECONDS = 2.0
#: How long workers answer on without the process they came from: longer than its successor takes to start.
_ALONE_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_ENDING = (signal.SIGTERM, signal.SIGINT)


def fork_workers(count: int) -> None:
    """Return in `count` forked processes, and in one more for each of them that ends. The caller itself stays here.

    It passes SIGTERM and SIGINT on to the workers, and exits (SystemExit) once all of them have ended.
    """
    origin, server = os.getpid(), os.getppid()
    running: dict[int, float] = {}
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        _end(running)

    before = {number: signal.signal(number, stop) for number in _ENDING}
    name_process("regulars-parent")
    _forget_gauges(origin)  # what it loaded is told by its workers, and may be of the past here

    while running or not stopping:
        while len(running) < count and not stopping:
            # A signal that came between the fork and the note of it would miss the new worker.
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
            child = os.fork()
            if not child:
                for number, handler in before.items():
                    signal.signal(number, handler)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
                name_process("regulars-worker")
                _end_when_alone(origin, server)
                return
            running[child] = time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        ended, status = os.waitpid(-1, 0)
        lived = time.monotonic() - running.pop(ended, 0.0)
        _forget_gauges(ended)
        # What is forked after the server has gone would hold its port against the next one.
        stopping = stopping or os.getppid() != server
        if not stopping:
            how = os.waitstatus_to_exitcode(status)
            log.error("worker %d ended (%s) after %.1f s; another takes its place", ended, how, lived)
            if lived < _LEAST_SECONDS:
                time.sleep(_LEAST_SECONDS)
    raise SystemExit(0)


def _end(processes: dict[int, float]) -> None:
    for process in list(processes):
        try:
            os.kill(process, signal.SIGTERM)
        except ProcessLookupError:  # it ended a moment ago
            continue


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
