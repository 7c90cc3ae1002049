"""`regulars` commands in processes of their own, forked from a warm server, killed with SIGKILL where a test says."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from tests.training.registry import killed

PRELOADED = [
    "serving.cli",
    "serving.nightly.run",
    "serving.doctor",
    "training.cli_drift",
    "training.model_drift",
    "training.insight.keep",
    "training.run",
    "training.score",
    "training.value",
    __name__,
]
COMMANDS = multiprocessing.get_context("forkserver")
#: Where in a step a run is killed: at its first effect on disk, or when all is done and not written down yet.
BEGUN, DONE = "begun", "done"
#: Not in a step: the report is there, and not yet the last one.
CLOSING = "closing"


class Kill(NamedTuple):
    step: str
    at: str


def _kill_at(home: str, kill: Kill) -> None:
    """Make this process end itself there. What is written of the run is told by the file about to be renamed."""
    begun = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal begun
        if event not in ("os.rename", "os.mkdir", "open") or not arguments or not str(arguments[0]).startswith(home):
            return
        if event == "os.rename" and str(arguments[1]).endswith("nightly/last.json") and kill.step == CLOSING:
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "os.rename" and str(arguments[1]).endswith("nightly/running.json"):
            last = json.loads(Path(arguments[0]).read_text())["steps"][-1:]
            if last and last[0]["name"] == kill.step:
                if last[0]["status"] != "running" and kill.at == DONE:
                    os.kill(os.getpid(), signal.SIGKILL)
                begun = last[0]["status"] == "running"
            return
        writes = event != "open" or bool(set(arguments[1] or "") & set("wxa+"))
        if begun and writes and kill.at == BEGUN and "/nightly/" not in str(arguments[0]):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _command(said: str, arguments: tuple[str, ...], variables: dict[str, str], kill: Kill | None) -> None:
    os.environ.update(variables)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    if kill is not None:
        _kill_at(variables["REGULARS_HOME"], kill)
    from serving.cli import main

    sys.argv = ["regulars", *arguments]
    main()


def start(said: Path, *arguments: str, kill: Kill | None = None, **variables: str) -> BaseProcess:
    COMMANDS.set_forkserver_preload([*killed.PRELOADED, *PRELOADED])
    process = COMMANDS.Process(target=_command, args=(str(said), arguments, variables, kill))
    process.start()
    return process


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(said: Path, *arguments: str, kill: Kill | None = None, **variables: str) -> Ran:
    process = start(said, *arguments, kill=kill, **variables)
    process.join(300)
    assert process.exitcode is not None
    return Ran(process.exitcode, *(Path(f"{said}.{name}").read_text() for name in ("out", "err")))
