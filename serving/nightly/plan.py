"""What a nightly run would do now, found without doing any of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from features.errors import NotReadyError, RegularsError
from features.lake import read_lake
from features.settings import Settings
from serving.nightly import models, pull, retention, scoring, telling
from serving.nightly.journal import Journal
from serving.nightly.night import Night, told
from serving.nightly.record import FINISHED, RunRecord, moment, plain
from serving.nightly.steps import STEPS

#: Steps whose inputs say beforehand whether there is anything to do, as long as the lake stays as it is.
_TOLD = (scoring.FEATURES, scoring.SCORE, models.DRIFT)


def plan(settings: Settings, *, clock: Callable[[], datetime]) -> list[tuple[str, str]]:
    """Each step, and what it would do."""
    journal = Journal(settings.data_home)
    last, now = journal.last_finished(), clock()
    run = journal.unfinished()
    if run is not None and now - moment(run.started_at) >= timedelta(hours=settings.nightly.resume_hours):
        run = None
    rows = [("begin", _begin(run))]
    night = Night(settings, run or RunRecord("", now.isoformat()), last, clock)
    if models.DRIFT not in night.run.steps and last is not None and models.DRIFT in last.steps:
        # What drift found last is what is known of it now.
        night = replace(night, run=night.run.with_step(last.steps[models.DRIFT]))
    for step in STEPS:
        own = None if run is None else run.steps.get(step.name)
        if own is not None and own.status in FINISHED:
            rows.append((step.name, f"done already ({own.status}); repeated only if what it depends on has changed"))
        else:
            rows.append((step.name, _would(night, step.name)))
    return rows


def _begin(run: RunRecord | None) -> str:
    if run is None:
        return "a new run"
    return f"resume the run of {run.run}, which was cut short"


def _would(night: Night, name: str) -> str:
    try:
        return _of(night, name)
    except NotReadyError as error:
        return f"wait for data: {error}"
    except RegularsError as error:
        return f"fail: {told(error)}"


def _of(night: Night, name: str) -> str:
    asked = night.settings.nightly
    if name == pull.NAME:
        named = [str(mapping or source) for source, mapping in pull.asked_of(night.settings)]
        missing = [one.mapping for one in asked.sources if one.mapping is not None and not one.mapping.is_file()]
        if missing:
            return f"fail: {', '.join(map(str, missing))} does not exist"
        return f"pull {', '.join(named)}" if named else "nothing: no source is named in [nightly], no live events"
    if name == telling.NAME:
        return f"tell {' and '.join(telling.channels(night.settings)) or 'nobody'} ({asked.notify})"
    if name == retention.NAME:
        return _pruned(night)
    lake = read_lake(night.home)
    if name == "check":
        return (
            f"hold back if more than {asked.most_set_aside:.0%} of a table is set aside, or the week has less than "
            f"{asked.least_orders:.0%} of its usual orders"
        )
    trained = night.home.has_registry
    if name == models.TRAIN:
        due = models.due(night) if trained else dict.fromkeys(asked.models, "it has no version yet")
        return "; ".join(f"{model}: {why}" for model, why in due.items()) or "nothing is due"
    if name == models.GATE:
        return "promote what is not worse, hold the rest" if asked.promote else "hold every new version for a person"
    if name == scoring.RESCORE:
        return "score again if a champion is new"
    return _told(night, name, lake.version)


def _pruned(night: Night) -> str:
    asked = night.settings.retention
    if not asked.nightly:
        return "nothing: [retention] does not ask for it"
    return (
        f"remove versions and runs older than {asked.older_than_days:g} days, but {asked.keep_versions} of each model"
    )


def _told(night: Night, name: str, lake: str) -> str:
    (step,) = (step for step in STEPS if step.name == name)
    before = None if night.last is None else night.last.steps.get(name)
    if before is not None and before.status in FINISHED and plain(step.inputs(night)) == plain(before.inputs):
        return f"nothing, unless new data come in: done for lake {lake}"
    return step.does
