"""The nightly run: each step once, resumed where it was cut short, one run at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.markup import escape

from features.errors import RegularsError
from features.settings import Settings
from features.terminal import progress
from serving.logs import exception_text
from serving.nightly import telling
from serving.nightly.journal import Journal
from serving.nightly.night import Done, Night, Step, told
from serving.nightly.page import page_of
from serving.nightly.record import FINISHED, RunRecord, Status, StepRecord, moment, plain, result_of
from serving.nightly.steps import STEPS

_SHOWN = {
    Status.OK: "[green]✓[/]",
    Status.WARNED: "[yellow]![/]",
    Status.HELD: "[yellow]■[/]",
    Status.FAILED: "[bold red]✗[/]",
    Status.SKIPPED: "[dim]-[/]",
}


@dataclass(frozen=True)
class Ended:
    """A finished run, and the folder of its report."""

    run: RunRecord
    report: Path


def nightly(
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    accepted: str | None = None,
    steps: Sequence[Step] = STEPS,
) -> Ended:
    """Run the steps, or resume the run that was cut short. `clock` gives the time now (UTC, aware).

    `accepted` is why a person lets the data pass. Raises BusyError while another run goes on, RegularsError when
    nothing can be written down.
    """
    journal = Journal(settings.data_home)
    try:
        with journal.lock(at=clock()):
            return _go(journal, settings, clock, accepted, steps)
    except OSError as error:  # of the journal: those of a step are that step's
        reason = f"{journal.root.resolve()} cannot be written: {told(error)}"
        do = "Free space there, or correct its rights, then run again: it resumes."
        now = clock().isoformat()
        lost = StepRecord("journal", Status.FAILED, now, finished_at=now, said=(reason,), do=(do,))
        telling.send(settings, RunRecord(_name(clock()), now, {lost.name: lost}, finished_at=now, result=Status.FAILED))
        raise RegularsError(f"{reason}. {do}") from None


def _name(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H-%M-%S}"


def _go(
    journal: Journal, settings: Settings, clock: Callable[[], datetime], accepted: str | None, steps: Sequence[Step]
) -> Ended:
    last, run = _begin(journal, settings, clock, steps)
    run = replace(run, accepted=accepted or run.accepted)
    journal.write(run)
    for number, step in enumerate(steps, start=1):
        progress.print(f"[bold]{number}/{len(steps)} {step.name}:[/] [dim]{step.does}[/]", soft_wrap=True)
        if step.name == telling.NAME:  # it tells how everything before it came out
            run = replace(run, result=result_of(run), nothing_new=_nothing_new(run, steps))
        run = _one(journal, Night(settings, run, last, clock), step, steps)
        _say(run.steps[step.name])
    run = replace(run, result=result_of(run), nothing_new=_nothing_new(run, steps), finished_at=clock().isoformat())
    return Ended(run, journal.close(run, page_of(run, last), keep=settings.nightly.keep_runs))


def _begin(
    journal: Journal, settings: Settings, clock: Callable[[], datetime], steps: Sequence[Step]
) -> tuple[RunRecord | None, RunRecord]:
    """The last finished run, and the one to go on with: that which was cut short, or a new one."""
    now, found = clock(), journal.unfinished()
    if found is not None:
        if now - moment(found.started_at) < timedelta(hours=settings.nightly.resume_hours):
            progress.print(f"[yellow]note[/] resuming the run of {found.run}, which was cut short")
            return journal.last_finished(), replace(found, resumed=found.resumed + 1)
        _close_cut_short(journal, found, now, keep=settings.nightly.keep_runs, names=[step.name for step in steps])
    name = _name(now)
    while (journal.runs / name).exists():
        name += "b"  # two within a second
    return journal.last_finished(), RunRecord(run=name, started_at=now.isoformat())


def _close_cut_short(journal: Journal, run: RunRecord, now: datetime, *, keep: int, names: Sequence[str]) -> None:
    """Put away a run too old to resume, as failed at the step where it died."""
    at = next((name for name in names if name not in run.steps or run.steps[name].status is Status.RUNNING), names[-1])
    died = run.steps.get(at, StepRecord(at, Status.FAILED, run.started_at))
    said = "The run was cut short here and not resumed in time."
    run = run.with_step(replace(died, status=Status.FAILED, said=(said,), finished_at=now.isoformat()))
    run = replace(run, result=Status.FAILED, finished_at=now.isoformat())
    journal.close(run, page_of(run, None), keep=keep)
    progress.print(f"[yellow]note[/] the run of {run.run} was cut short at {at}, too long ago to resume it")


def _one(journal: Journal, night: Night, step: Step, steps: Sequence[Step]) -> RunRecord:
    """The run with that step done, carried over, or left out."""
    run, own = night.run, night.step(step.name)
    blocked = _blocked_by(step, run, holding={one.name for one in steps if one.holds})
    if blocked is not None:
        left = StepRecord(
            step.name, Status.SKIPPED, night.clock().isoformat(), said=(f"Left out: it needs {blocked}.",)
        )
        run = run.with_step(replace(left, finished_at=left.started_at))
        journal.write(run)
        return run
    standing = _standing(night, step, own, steps)
    if standing is not None:
        run = run.with_step(standing)
        journal.write(run)
        return run
    dying = own is not None and own.status is Status.RUNNING
    tries = own.tries + 1 if own is not None and dying else 1
    # What a process that died noted of its step is there for the one that resumes it.
    noted = dict(own.found) if own is not None and dying else {}
    begun = StepRecord(step.name, Status.RUNNING, night.clock().isoformat(), tries=tries, found=noted)
    run = run.with_step(begun)
    journal.write(run)
    most = night.settings.nightly.most_tries
    if tries > most:
        said = (
            f"Given up: the run died here {most} times, without a word. Is there too little memory, or a limit of time?"
        )
        run = run.with_step(
            replace(begun, status=Status.FAILED, tries=most, said=(said,), do=(step.repair,), finished_at=_iso(night))
        )
        journal.write(run)
        return run

    def note(found: Mapping[str, Any]) -> None:
        journal.write(run.with_step(replace(begun, found={**noted, **found})))

    started = time.perf_counter()
    done, inputs = _tried(replace(night, run=run, note=note), step)
    ended = replace(
        begun,
        status=done.status,
        said=done.said,
        do=done.do,
        found=plain(done.found),
        inputs=inputs,
        finished_at=_iso(night),
        seconds=time.perf_counter() - started,
    )
    run = run.with_step(ended)
    journal.write(run)
    return run


def _tried(night: Night, step: Step) -> tuple[Done, Mapping[str, Any]]:
    """What the step has to say, and its inputs as they are after it."""
    try:
        done = step.do(night)
        after = replace(night, run=night.run.with_step(replace(night.run.steps[step.name], found=plain(done.found))))
        return done, plain(step.inputs(after))
    except Exception as error:  # whatever goes wrong in a step, the others and the notice go on
        said = told(error)
        if not isinstance(error, RegularsError):
            progress.print(escape(exception_text((type(error), error, error.__traceback__))), soft_wrap=True)
        return Done(Status.FAILED, (said,), (step.repair,)), {}


def _blocked_by(step: Step, run: RunRecord, *, holding: set[str]) -> str | None:
    """The step that keeps this one from being done, with how it stands."""
    for name in step.needs:
        found = run.steps.get(name)
        if found is None:
            continue
        if found.status in (Status.FAILED, Status.SKIPPED):
            return f"{name}, which {'failed' if found.status is Status.FAILED else 'was left out'}"
        if found.status is Status.HELD and name in holding:
            return f"{name}, which holds the data back"
    return None


def _standing(night: Night, step: Step, own: StepRecord | None, steps: Sequence[Step]) -> StepRecord | None:
    """The step as it was done before, by this run or the last, if what it depends on is the same now."""
    if own is not None and own.status in FINISHED:
        later = steps[[one.name for one in steps].index(step.name) + 1 :]
        # What later steps of this very run have changed since is no reason to do this one again.
        ours = {key for one in later if one.name in night.run.steps for key in one.changes}
        if _same(night, step, {**own.inputs}, but=ours):
            return own
    last = night.last
    before = None if last is None or not step.carried else last.steps.get(step.name)
    if last is None or before is None or before.status not in FINISHED:
        return None
    if not _same(night, step, _as_left(last, before, {key for one in steps for key in one.changes})):
        return None
    now = _iso(night)
    return replace(before, of_run=before.of_run or last.run, started_at=now, finished_at=now, seconds=0.0, tries=1)


def _same(night: Night, step: Step, inputs: Mapping[str, Any], *, but: Collection[str] = ()) -> bool:
    try:
        now = plain(step.inputs(night))
    except Exception:  # doing the step says what is wrong, in the place for it
        return False
    return {**now, **dict.fromkeys(but)} == {**inputs, **dict.fromkeys(but)}


def _as_left(last: RunRecord, step: StepRecord, changed: Collection[str]) -> dict[str, Any]:
    """The inputs of a step of the last run, with those that the run itself changed as it left them."""
    left = {key: one.inputs[key] for one in last.steps.values() for key in changed if key in one.inputs}
    return {**step.inputs, **{key: value for key, value in left.items() if key in step.inputs}}


def _nothing_new(run: RunRecord, steps: Sequence[Step]) -> bool:
    """Whether nothing came in, and every other step's work was done before."""
    pulled = run.steps.get("pull")
    if pulled is None or pulled.status is not Status.OK or pulled.found.get("changed"):
        return False
    return all(run.steps[step.name].of_run is not None for step in steps if step.carried and step.name in run.steps)


def _iso(night: Night) -> str:
    return night.clock().isoformat()


def _say(step: StepRecord) -> None:
    mark = _SHOWN.get(step.status, "")
    how = "" if step.status is Status.OK else f" {step.status}"
    before = f" [dim]as in the run of {step.of_run}[/]" if step.of_run else f" [dim]{step.seconds:.1f} s[/]"
    progress.print(f"{mark} {step.name}{how}{before}")
    for said in step.said:
        progress.print(f"  {escape(said)}", soft_wrap=True)
    for do in step.do:
        progress.print(f"  [dim]what to do:[/] {escape(do)}", soft_wrap=True)
