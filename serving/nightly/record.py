"""What is written of a nightly run: a record for the run and one for each of its steps, as JSON of a stated version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

#: Raised when a field changes its meaning or goes; readers of another version say so instead of guessing.
SCHEMA = 1


class Status(StrEnum):
    """How a step stands."""

    RUNNING = "running"
    OK = "ok"
    WARNED = "warned"  # done, with something to look at
    HELD = "held"  # kept back on purpose: bad data, or a version the gate refused
    FAILED = "failed"
    SKIPPED = "skipped"  # a step that it needs did not come through


#: A step that stands so is done.
FINISHED = frozenset({Status.OK, Status.WARNED, Status.HELD})
#: The exit code of the command by how a run came out; 2 is a wrong use of the command.
EXIT_CODES: Mapping[Status, int] = {Status.OK: 0, Status.FAILED: 1, Status.WARNED: 3, Status.HELD: 3}
#: The worst of its steps is how a run came out.
_WORST = (Status.FAILED, Status.HELD, Status.WARNED)


@dataclass(frozen=True)
class StepRecord:
    """One step. `said` and `do` are sentences without anything personal; `found` is what the report shows.

    `inputs` fixes what the step depends on: while it is the same, a finished step is not repeated. `of_run` names the
    earlier run that did the work, where this one had nothing to do.
    """

    name: str
    status: Status
    started_at: str
    finished_at: str | None = None
    seconds: float = 0.0
    tries: int = 1
    said: tuple[str, ...] = ()
    do: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    of_run: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """One run: its steps in their order, as far as they were begun. `result` is there once it is finished.

    `accepted` is why a person lets the data pass although a floor says no.
    """

    run: str
    started_at: str
    steps: Mapping[str, StepRecord] = field(default_factory=dict)
    resumed: int = 0
    finished_at: str | None = None
    result: Status | None = None
    nothing_new: bool = False
    accepted: str | None = None
    schema: int = SCHEMA

    def with_step(self, step: StepRecord) -> RunRecord:
        """The same run with that step as it stands now."""
        return replace(self, steps={**self.steps, step.name: step})

    def as_json(self) -> dict[str, Any]:
        """Plain values; steps as a list, in their order."""
        return {**asdict(self), "steps": [asdict(step) for step in self.steps.values()]}


def run_from_json(kept: Mapping[str, Any]) -> RunRecord:
    """The inverse of `as_json`. Raises ValueError for another schema, KeyError or TypeError for what is no record."""
    if kept["schema"] != SCHEMA:
        raise ValueError(f"it has schema {kept['schema']}, this release reads {SCHEMA}")
    steps = [
        StepRecord(**{**one, "status": Status(one["status"]), "said": tuple(one["said"]), "do": tuple(one["do"])})
        for one in kept["steps"]
    ]
    result = None if kept["result"] is None else Status(kept["result"])
    return RunRecord(**{**kept, "steps": {step.name: step for step in steps}, "result": result})


def result_of(run: RunRecord) -> Status:
    """How a run came out: the worst of its steps."""
    found = {step.status for step in run.steps.values()}
    return next((status for status in _WORST if status in found), Status.OK)


def plain(value: Any) -> Any:
    """The value as it is after a way through JSON, so that it compares with what was read."""
    return json.loads(json.dumps(value, default=str))


def moment(value: str) -> datetime:
    """A time of a record."""
    return datetime.fromisoformat(value)
