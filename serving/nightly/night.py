"""What a step of the nightly run is, what it is given, and what it gives back."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.errors import DataError, RegularsError
from features.home import Home
from features.lake import read_lake
from features.settings import Settings
from serving.nightly.record import RunRecord, Status, StepRecord

if TYPE_CHECKING:
    from training.protocols import Context

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True)
class Night:
    """What a step works with: the run as it stands, and the last finished one.

    `note` keeps something of the step that is going on, for the process that resumes it if this one dies.
    """

    settings: Settings
    run: RunRecord
    last: RunRecord | None
    clock: Callable[[], datetime]
    note: Callable[[Mapping[str, Any]], None] = lambda _: None

    @property
    def home(self) -> Home:
        """The data home."""
        return self.settings.data_home

    def context(self) -> Context:
        """What trainings and scorings are given: the lake as it is now."""
        from training.protocols import Context

        return Context(settings=self.settings, home=self.home, lake=read_lake(self.home))

    def step(self, name: str) -> StepRecord | None:
        """A step of this run, as far as it was begun."""
        return self.run.steps.get(name)

    def found(self, name: str) -> Mapping[str, Any]:
        """What a step of this run found; nothing where it did not come so far."""
        step = self.step(name)
        return {} if step is None else step.found

    def found_last(self, name: str) -> Mapping[str, Any]:
        """What that step of the last finished run found."""
        step = None if self.last is None else self.last.steps.get(name)
        return {} if step is None else step.found


@dataclass(frozen=True)
class Done:
    """What a step that ended has to say."""

    status: Status = Status.OK
    said: tuple[str, ...] = ()
    do: tuple[str, ...] = ()
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A step: `needs` must have come through before it, `inputs` is what it depends on.

    `holds`: when it holds something back, what needs it is not done either. `carried`: while its inputs are those of
    the last finished run, that run's work stands and nothing is done. `changes` names inputs of earlier steps that this
    one changes itself, which is no reason to do those again. `repair` is the command to try by hand.
    """

    name: str
    does: str
    inputs: Callable[[Night], Mapping[str, Any]]
    do: Callable[[Night], Done]
    repair: str
    needs: tuple[str, ...] = ()
    holds: bool = False
    carried: bool = True
    changes: tuple[str, ...] = ()


@dataclass
class Findings:
    """Sentences gathered while a step goes through its parts; the worst status counts."""

    said: list[str] = field(default_factory=list)
    do: list[str] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)

    def add(self, status: Status, said: str, do: str = "") -> None:
        """One finding, and what to do about it."""
        self.statuses.append(status)
        self.said.append(said)
        if do and do not in self.do:
            self.do.append(do)

    def done(self, **found: Any) -> Done:
        """All of it."""
        worst = next((s for s in (Status.FAILED, Status.HELD, Status.WARNED) if s in self.statuses), Status.OK)
        return Done(worst, tuple(self.said), tuple(self.do), found)


def without_quotes(said: str) -> str:
    """The sentence without what it quotes of the data."""
    return _QUOTED.sub("'…'", said)


def told(error: BaseException) -> str:
    """An error in words that may leave the machine: they name no customer.

    What an error of the data quotes may be a customer's id, and a library's message may hold anything, so the one is
    told without its quotes and of the other only its kind and place.
    """
    if isinstance(error, DataError):
        return without_quotes(str(error))
    if isinstance(error, RegularsError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}{place}"
    return f"{type(error).__name__}{place}"
