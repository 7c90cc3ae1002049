"""The steps about models: drift, train where one is due, and the gate that promotes or holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from features.errors import DataError, GateError, NotReadyError
from features.lake import read_lake
from features.terminal import step
from serving.nightly import scoring
from serving.nightly.night import Done, Findings, Night, told, without_quotes
from serving.nightly.record import Status, moment

if TYPE_CHECKING:
    from training.tracking import Registry
    from training.versions import ModelVersion

DRIFT, LOOKBACK, TRAIN, GATE = "drift", "lookback", "train", "gate"
PROMOTED, REFUSED, HELD = "promoted", "refused", "held for a person"


def _registry(night: Night) -> Registry:
    from training.tracking import open_registry

    return open_registry(night.home)


def drift_inputs(night: Night) -> Mapping[str, Any]:
    """The data and the champions."""
    return {"lake": read_lake(night.home).version, "champions": scoring.champions(night)}


def drift(night: Night) -> Done:
    """How far customers and scores have moved since each champion was trained."""
    from training.cli_drift import look
    from training.model_drift import WEEKS
    from training.outcome_backtest import QUESTIONS

    asked = night.settings.nightly
    context, found = night.context(), Findings()
    models: dict[str, Any] = {}
    there = scoring.champions(night)
    for model in (name for name in QUESTIONS if name in asked.models):
        if model not in there:
            found.add(Status.OK, f"{model}: no champion yet.")
            continue
        try:
            with step(f"Looking at {model}"):
                one, _ = look(context, model, weeks=WEEKS)
        except (DataError, NotReadyError) as error:
            found.add(Status.WARNED, f"{model}: {told(error)}", f"regulars drift {model}")
            continue
        except Exception as error:  # one model must not take the others' night away
            found.add(Status.FAILED, f"{model}: {told(error)}", f"regulars drift {model}")
            continue
        newest = one.weeks[-1]
        models[model] = {
            "version": one.version,
            "as_of": newest.as_of.isoformat(),
            "scores": newest.scores,
            "weeks": {f"{week.as_of:%Y-%m-%d}": week.scores for week in one.weeks},
            "features": dict(list(newest.features.items())[:10]),
            "level": None if one.level is None else one.level.ratio,
            "alerts": list(one.alerts),
        }
        for alert in one.alerts:
            # Training follows by itself, unless the shop wants to decide it.
            status = Status.OK if asked.retrain_when_drifted else Status.WARNED
            found.add(status, f"{model}: {alert}.", "" if status is Status.OK else f"regulars train {model}")
    return found.done(models=models)


def lookback_inputs(night: Night) -> Mapping[str, Any]:
    """The data, and what can be judged by them; once it was, that is nothing."""
    from training.said import due as passed

    lake = read_lake(night.home)
    return {"lake": lake.version, "due": [said.name for said in passed(night.home, lake)]}


def lookback(night: Night) -> Done:
    """What scorings said whose horizon has passed, against what came: each once."""
    from training.cli_lookback import judge
    from training.said import due as passed
    from training.verdicts import ALERTS

    asked, context, found = night.settings.nightly, night.context(), Findings()
    judged: dict[str, Any] = {}
    for said in passed(context.home, context.lake):
        try:
            with step(f"Looking back on the scores as of {said.name}"):
                one = judge(context, said)
        except Exception as error:  # one scoring must not take the others' night away
            found.add(Status.FAILED, f"The scores as of {said.name}: {told(error)}", "regulars lookback")
            continue
        judged[said.name] = {model.model: {"verdict": model.verdict, "why": model.why} for model in one.models}
        for note in one.notes:
            found.add(Status.OK, f"Scores as of {said.name}, {note}")
        for model in one.models:
            text = f"{model.model}, scores as of {said.name}: {model.verdict}. {model.why}"
            # Training follows by itself, unless the shop wants to decide it.
            acts = model.verdict in ALERTS and not asked.retrain_when_drifted
            found.add(Status.WARNED if acts else Status.OK, text, f"regulars train {model.model}" if acts else "")
    if not judged:
        found.add(Status.OK, "The horizon of no scoring has passed since.")
    return found.done(judged=judged)


def due(night: Night, registry: Registry | None = None) -> dict[str, str]:
    """The models to train now, each with why. One that learned from this very lake is not, unless for an erasure."""
    from training.retrain import asked_at
    from training.verdicts import ALERTS, newest_verdicts

    asked, now = night.settings.nightly, night.clock()
    lake = read_lake(night.home).version
    registry = registry or _registry(night)
    alerts = {model: one["alerts"] for model, one in night.found(DRIFT).get("models", {}).items()}
    verdicts = newest_verdicts(night.home)
    erased = asked_at(night.home)
    found: dict[str, str] = {}
    for model in asked.models:
        newest = next(iter(registry.versions(model)), None)
        if newest is None:
            found[model] = "it has no version yet"
            continue
        if erased is not None and newest.created < erased:
            found[model] = f"version {newest.version} learned from somebody erased since"
            continue
        if newest.data_hash == lake:
            continue
        age = (now - newest.created) / timedelta(days=1)
        if age >= asked.retrain_days:
            found[model] = f"version {newest.version} is {age:.0f} days old, due after {asked.retrain_days:g}"
        elif asked.retrain_when_drifted and alerts.get(model) and age >= asked.drift_rest_days:
            found[model] = f"drifted: {'; '.join(alerts[model])}"
        elif asked.retrain_when_drifted and age >= asked.drift_rest_days:
            stood = verdicts.get(model)
            # A version made since then may do better; one that was refused in its place was tried.
            if stood is not None and stood["verdict"] in ALERTS and stood["version"] == newest.version:
                found[model] = f"its scores as of {stood['as_of'][:10]} were {stood['verdict']}: {stood['why']}"
    return found


def train_inputs(night: Night) -> Mapping[str, Any]:
    """The data, and which models are due; after a training, those are none."""
    return {"lake": read_lake(night.home).version, "due": sorted(due(night))}


def train(night: Night) -> Done:
    """Each model that is due, trained and measured against its champion on one back-test; nothing is promoted yet."""
    from training.run import NOT_TRAINED, TRAINED
    from training.run import train as train_models

    found = Findings()
    models: dict[str, dict[str, Any]] = {}
    # What a process that died found due is due still, though its training may be there by now.
    wanted: Mapping[str, str] = night.found(TRAIN).get("due") or due(night)
    night.note({"due": dict(wanted)})
    champions = scoring.champions(night)
    if not wanted:
        found.add(Status.OK, "No model is due.")
    for model, why in wanted.items():
        try:
            (outcome,) = train_models(night.context(), [model], at=night.clock(), deciding=False)
        except Exception as error:  # one model must not take the others' night away
            found.add(
                Status.FAILED,
                f"{model} was not trained, the champion before stays: {told(error)}",
                f"regulars train {model}",
            )
            models[model] = {"due": why, "status": "failed"}
            continue
        models[model] = {"due": why, "status": outcome.status, "seconds": outcome.seconds}
        if outcome.status == NOT_TRAINED or outcome.version is None:
            # A shop may never have enough for one of them; losing what it had is worth a word.
            lost = model in champions or not champions
            said = without_quotes(outcome.why)
            found.add(
                Status.WARNED if lost else Status.OK, f"{model}: not trained. {said}", "regulars doctor" if lost else ""
            )
            continue
        models[model] |= _told(outcome.version)
        if outcome.version.created >= moment(night.run.started_at):
            models[model]["status"] = TRAINED
        found.add(Status.OK, f"{model}: version {outcome.version.version} {models[model]['status']} ({why}).")
    return found.done(models=models, due=dict(wanted))


def _told(version: ModelVersion) -> dict[str, Any]:
    """A version's figures."""
    from training.grades import grade

    one = version.comparison
    graded = grade(version.model, version.metrics)
    return {
        "version": version.version,
        "metric": one.metric,
        "value": version.metrics.get(one.metric),
        "champion_version": one.champion_version,
        "champion_value": one.champion,
        "ahead": None if one.ahead is None else [one.ahead.value, one.ahead.low, one.ahead.high],
        "grade": None if graded is None else graded.grade,
        "test_as_of": version.test_as_of.isoformat(),
    }


def gate_inputs(night: Night) -> Mapping[str, Any]:
    """The data, the newest version of each model, and whether it was decided about."""
    from training.promotions import is_decided

    registry = _registry(night)
    newest = {model: next(iter(registry.versions(model)), None) for model in night.settings.nightly.models}
    decided = {model: [one.version, is_decided(night.home, one)] for model, one in newest.items() if one is not None}
    return {
        "lake": read_lake(night.home).version,
        "newest": decided,
        "promote": night.settings.nightly.promote,
    }


def gate(night: Night) -> Done:
    """Each new version made champion, or held, with the reason written down."""
    from training.promotions import is_decided, recover
    from training.run import listing

    registry, found, models = _registry(night), Findings(), {}
    recover(registry)
    for model in night.settings.nightly.models:
        newest = next(iter(registry.versions(model)), None)
        if newest is not None and not is_decided(night.home, newest):
            models[model] = _decide(night, registry, newest, found)
        elif (
            newest is not None and night.found(TRAIN).get("models", {}).get(model, {}).get("version") == newest.version
        ):
            # Promoted or refused by a process that died before it could say so.
            models[model] = _decided(night, newest, found)
    listing(registry)
    if not models:
        found.add(Status.OK, "There is no new version to decide about.")
    return found.done(models=models)


def _decide(night: Night, registry: Registry, version: ModelVersion, found: Findings) -> dict[str, Any]:
    from training.gates import comparison_between, decide
    from training.promotions import promote

    model = version.model
    decision = decide(comparison_between(version, registry.resolve(model)))
    if not night.settings.nightly.promote:
        says = "would promote" if decision.promote else "would refuse"
        found.add(
            Status.HELD,
            f"{model} version {version.version}: held, for [nightly] promote is false. The gate {says}: "
            f"{without_quotes(decision.why)}",
            f"regulars promote {model} --version {version.version} --why 'the reason'",
        )
        return _row(version, HELD, without_quotes(decision.why))
    try:
        row = promote(registry, model, version.version, who=night.settings.who, at=night.clock())
    except GateError:
        return _refused(version, without_quotes(decision.why), found)
    found.add(Status.OK, f"{model} version {version.version}: promoted. {row.why}")
    return _row(version, PROMOTED, row.why)


def _decided(night: Night, version: ModelVersion, found: Findings) -> dict[str, Any]:
    """What the promotion log says of a version."""
    from training.promotion_log import Action
    from training.promotions import history

    row = [one for one in history(night.home, version.model) if one.to_version == version.version][-1]
    if row.action == Action.REFUSED:
        return _refused(version, without_quotes(row.why), found)
    found.add(Status.OK, f"{version.model} version {version.version}: promoted. {row.why}")
    return _row(version, PROMOTED, row.why)


def _refused(version: ModelVersion, why: str, found: Findings) -> dict[str, Any]:
    model, number = version.model, version.version
    found.add(
        Status.HELD,
        f"{model} version {number}: not promoted. {why}. The champion before stays.",
        f"regulars models {model}   or, to promote it all the same:  regulars promote {model} --version {number} "
        "--force --why 'the reason'",
    )
    return _row(version, REFUSED, why)


def _row(version: ModelVersion, decision: str, why: str) -> dict[str, Any]:
    return {"decision": decision, "why": why, **_told(version)}
