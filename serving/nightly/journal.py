"""Where nightly runs are kept, below <home>/nightly/: the one going on, the last one, and their reports.

running.json        the run that was begun and is not finished; replaced whole at each step
last.json           the last finished run in short, which the server and alerts read
holder.json         the process that holds the lock
runs/<run>/         report.json and report.html of each finished run, the oldest removed
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from features.errors import RegularsError
from features.home import Home, new_directory, remove_directory, sweep, write_text
from serving.nightly.record import EXIT_CODES, RunRecord, Status, run_from_json

LOCK = "nightly"
FOLDER = "nightly"
REPORT, PAGE = "report.json", "report.html"


class BusyError(RegularsError):
    """Another run is going on."""


class Journal:
    """The nightly runs of one data home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.root = home.root / FOLDER
        self.running = self.root / "running.json"
        self.last = self.root / "last.json"
        self.holder = self.root / "holder.json"
        self.runs = self.root / "runs"

    @contextmanager
    def lock(self, *, at: datetime) -> Iterator[None]:
        """One run at a time. The system frees the lock when its process dies. Raises BusyError naming who holds it."""
        with ExitStack() as held:
            try:
                # Whoever only looks whether a run is going on holds it for a moment: see is_held.
                held.enter_context(self.home.lock(LOCK, wait_seconds=1))
            except RegularsError:
                raise BusyError(
                    f"Another nightly run is going on in {self.home.root.resolve()}{self._held_by()}. "
                    "Nothing was done. Wait for it, or stop that process: the next run resumes where it was."
                ) from None
            sweep(self.root)
            write_text(self.holder, json.dumps({"pid": os.getpid(), "since": at.isoformat(timespec="seconds")}))
            yield
            self.holder.unlink(missing_ok=True)

    def _held_by(self) -> str:
        found = _read(self.holder)
        return "" if found is None else f": process {found.get('pid')}, since {found.get('since')}"

    def is_held(self) -> bool:
        """Whether a run is going on now."""
        try:
            with self.home.lock(LOCK):
                return False
        except RegularsError:
            return True

    def unfinished(self) -> RunRecord | None:
        """The run that was begun and is not finished; one that cannot be read counts as none."""
        return _record(self.running)

    def write(self, run: RunRecord) -> None:
        """Keep how the run that goes on stands."""
        write_text(self.running, _text(run.as_json()))

    def last_summary(self) -> dict[str, Any] | None:
        """The last finished run in short; None where there was none."""
        return _read(self.last)

    def last_finished(self) -> RunRecord | None:
        """The last finished run whole; None where there was none, or its report is gone."""
        found = self.last_summary()
        return None if found is None else self.report(str(found.get("run")))

    def report(self, run: str) -> RunRecord | None:
        """One finished run."""
        return _record(self.runs / run / REPORT)

    def close(self, run: RunRecord, page: str, *, keep: int) -> Path:
        """Keep the report of a finished run and make it the last; the folder of its report. Safe to do again."""
        target = self.runs / run.run
        if target.exists():  # closed before, by a process that was killed while it did
            remove_directory(target)
        with new_directory(target) as aside:
            (aside / REPORT).write_text(_text(run.as_json()), encoding="utf-8")
            (aside / PAGE).write_text(page, encoding="utf-8")
        write_text(self.last, _text(self._summary(run, target)))
        self.running.unlink(missing_ok=True)
        kept = sorted((path for path in self.runs.iterdir() if path.is_dir()), key=lambda path: path.name)
        for path in kept[:-keep]:
            remove_directory(path)
        return target

    def _summary(self, run: RunRecord, target: Path) -> dict[str, Any]:
        result = run.result or Status.FAILED
        before = self.last_summary() or {}
        succeeded = before.get("succeeded_at") if result is Status.FAILED else run.finished_at
        return {
            "schema": run.schema,
            "run": run.run,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "result": result,
            "exit_code": EXIT_CODES[result],
            # A run that failed does not take away when one last came through.
            "succeeded_at": succeeded,
            "nothing_new": run.nothing_new,
            "report": str(target.relative_to(self.root)),
        }


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _record(path: Path) -> RunRecord | None:
    found = _read(path)
    if found is None:
        return None
    try:
        return run_from_json(found)
    except (ValueError, KeyError, TypeError):
        return None
