"""Who becomes champion: promote, refuse, roll back, and complete what was cut short. Each change is in the log."""

from __future__ import annotations

from datetime import datetime

from features.errors import GateError, NotReadyError
from features.home import Home
from training.gates import Decision, comparison_between, decide
from training.promotion_log import FILE, Action, Promotion, PromotionLog, State, before
from training.registry_sweep import sweep
from training.tracking import LOCK, Registry
from training.versions import CHALLENGER, CHAMPION, ModelVersion


def open_log(home: Home) -> PromotionLog:
    """The promotion log of a data home."""
    return PromotionLog(home.root / FILE)


def history(home: Home, model: str | None = None) -> list[Promotion]:
    """The promotion log, oldest first; of one model when named."""
    return open_log(home).rows(model)


def promote(
    registry: Registry,
    model: str,
    number: int | None = None,
    *,
    who: str,
    at: datetime,
    why: str = "",
    force: bool = False,
) -> Promotion:
    """Make a version champion: the one named, or else the challenger.

    Raises GateError when it is worse than the champion on the same back-test, unless `force`d; that is logged too.
    """
    with registry.home.lock(LOCK):
        repair(registry)
        version = _candidate(registry, model) if number is None else registry.get(model, number)
        champion = registry.resolve(model, CHAMPION)
        if champion is not None and champion.version == version.version:
            raise GateError(f"{model} version {version.version} is champion already; nothing to do.")
        decision = decide(comparison_between(version, champion))
        if decision.promote:
            return _change(registry, version, champion, Action.PROMOTED, who=who, at=at, why=_joined(why, decision))
        if force:
            reason = Decision(True, f"forced, although {decision.why}")
            return _change(registry, version, champion, Action.PROMOTED, who=who, at=at, why=_joined(why, reason))
        _refuse(registry, version, champion, who=who, at=at, why=decision.why)
        raise GateError(
            f"{model} version {version.version} was not promoted: {decision.why}. To promote it all the same:  "
            f"regulars promote {model} --version {version.version} --force --why 'the reason'"
        )


def rollback(registry: Registry, model: str, *, who: str, at: datetime, why: str) -> Promotion:
    """Make the version before the champion champion again. Raises GateError when there is none."""
    with registry.home.lock(LOCK):
        repair(registry)
        champion = registry.resolve(model, CHAMPION)
        if champion is None:
            raise NotReadyError(f"{model} has no champion. Train one first:  regulars train {model}")
        there = {v.version: v for v in registry.versions(model)}
        number = before(history(registry.home, model), champion=champion.version, exists=frozenset(there))
        if number is None:
            raise GateError(
                f"{model}: no version was champion before version {champion.version}. "
                f"Promote another:  regulars promote {model} --version N"
            )
        return _change(registry, there[number], champion, Action.ROLLED_BACK, who=who, at=at, why=why)


def is_decided(home: Home, version: ModelVersion) -> bool:
    """Whether the version was ever promoted or refused. A training killed before that leaves it open."""
    return any(row.to_version == version.version for row in history(home, version.model))


def recover(registry: Registry) -> None:
    """Leave the registry as if no writer had ever been killed."""
    with registry.home.lock(LOCK):
        sweep(registry)
        repair(registry)


def repair(registry: Registry) -> None:
    """Complete the changes that were cut short. Call it holding the lock."""
    log = open_log(registry.home)
    for row in log.pending():
        version = next((v for v in registry.versions(row.model) if v.version == row.to_version), None)
        if version is not None:
            registry.name(version, CHAMPION)
        log.settle(row.id, State.DONE if version is not None else State.ABANDONED)


def _candidate(registry: Registry, model: str) -> ModelVersion:
    challenger = registry.resolve(model, CHALLENGER)
    if challenger is not None:
        return challenger
    champion = registry.resolve(model, CHAMPION)
    if champion is None:
        raise NotReadyError(f"{model} has no version to promote. Train one first:  regulars train {model}")
    raise GateError(
        f"{model} has no challenger; version {champion.version} is champion. "
        f"Name another:  regulars promote {model} --version N"
    )


def _change(
    registry: Registry,
    version: ModelVersion,
    champion: ModelVersion | None,
    action: Action,
    *,
    who: str,
    at: datetime,
    why: str,
) -> Promotion:
    log = open_log(registry.home)
    row = _write(log, version, champion, action, State.INTENT, who=who, at=at, why=why)
    registry.name(version, CHAMPION)
    log.settle(row, State.DONE)
    return next(entry for entry in log.rows(version.model) if entry.id == row)


def _refuse(
    registry: Registry, version: ModelVersion, champion: ModelVersion | None, *, who: str, at: datetime, why: str
) -> None:
    _write(open_log(registry.home), version, champion, Action.REFUSED, State.DONE, who=who, at=at, why=why)
    registry.name(version, CHALLENGER)


def _write(
    log: PromotionLog,
    version: ModelVersion,
    champion: ModelVersion | None,
    action: Action,
    state: State,
    *,
    who: str,
    at: datetime,
    why: str,
) -> int:
    return log.write(
        model=version.model,
        action=action,
        from_version=champion.version if champion is not None else None,
        to_version=version.version,
        who=who,
        at=at,
        why=why,
        metrics=version.metrics,
        state=state,
    )


def _joined(why: str, decision: Decision) -> str:
    return f"{why}; {decision.why}" if why else decision.why
