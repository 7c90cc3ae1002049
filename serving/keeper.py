"""Keeps a server's workers: waits until one ends, then becomes again what loads everything and forks another.

It takes the place of the process that forked them (`serving.workers`), which would keep a copy of every page of memory
that its workers change. So it is run by path, and needs nothing but the system's part of the standard library.
"""

import os
import signal
import sys
import time

#: Process ids of the workers that run, and of the one that ended with how it did; told to what this process becomes.
LEFT, ENDED = "REGULARS_WORKERS_LEFT", "REGULARS_WORKER_ENDED"
ENDING = (signal.SIGTERM, signal.SIGINT)
#: A worker that ends sooner than this after the last was started is not replaced at once: it would end again.
_LEAST_SECONDS = 2.0


def keep(server: int, workers: set[int], command: list[str]) -> None:
    """Wait for the workers of the server; SIGTERM and SIGINT are passed on to them. Does not return.

    Expects both signals to be blocked, and blocks them before it becomes `command`, so that none is lost between.
    """
    started = time.monotonic()
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for worker in workers:
            try:
                os.kill(worker, signal.SIGTERM)
            except ProcessLookupError:  # it ended a moment ago
                continue

    for number in ENDING:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    while workers:
        ended, status = os.waitpid(-1, 0)
        workers.discard(ended)
        # What is forked after the server has gone would hold its port against the next one.
        stopping = stopping or os.getppid() != server
        if not stopping:
            time.sleep(max(0.0, started + _LEAST_SECONDS - time.monotonic()))
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        if not stopping:
            os.environ[LEFT] = ",".join(map(str, workers))
            os.environ[ENDED] = f"{ended}:{os.waitstatus_to_exitcode(status)}"
            os.execv(command[0], command)  # noqa: S606
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    sys.exit(0)


def name_process(name: str) -> None:
    """Give this process a name that `top` and `ps` show, on Linux; 15 bytes of it count."""
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(name)
    except OSError:
        return


if __name__ == "__main__":
    name_process("regulars-parent")
    keep(int(sys.argv[1]), {int(worker) for worker in sys.argv[2].split(",")}, sys.argv[3:])
