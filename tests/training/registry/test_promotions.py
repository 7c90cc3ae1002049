from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from features.errors import GateError, NotReadyError, RegularsError
from features.home import Home
from tests.training.registry.fakes import AT, context, trained
from training.gates import compare
from training.promotion_log import Action, State
from training.promotions import history, is_decided, open_log, promote, recover, rollback
from training.protocols import Context, Trained
from training.run import train
from training.tracking import Registry
from training.versions import CHALLENGER, ModelVersion


def log(registry: Registry, directory: Path, *, auc: float) -> ModelVersion:
    champion = registry.resolve("churn")
    new = trained(directory, auc=auc)
    comparison = compare(new, champion, registry.fetch(champion) if champion else None)
    return registry.log(new, fingerprint=f"f{auc}", data_hash="lake", comparison=comparison)


def numbers(registry: Registry) -> tuple[int | None, int | None]:
    champion, challenger = registry.resolve("churn"), registry.resolve("churn", CHALLENGER)
    return champion and champion.version, challenger and challenger.version


def test_first_version_becomes_champion_and_the_log_says_so(registry: Registry, tmp_path: Path) -> None:
    log(registry, tmp_path, auc=0.8)
    row = promote(registry, "churn", who="ann", at=AT, why="launch")
    assert numbers(registry) == (1, None)
    assert (row.action, row.from_version, row.to_version) == (Action.PROMOTED, None, 1)
    assert (row.who, row.at, row.state) == ("ann", AT, State.DONE)
    assert row.why == "launch; first version (auc 0.8000)"
    assert row.metrics["auc"] == 0.8
    assert history(registry.home, "churn") == [row]


def test_a_worse_challenger_is_refused_and_the_refusal_logged(registry: Registry, tmp_path: Path) -> None:
    log(registry, tmp_path / "a", auc=0.8)
    promote(registry, "churn", who="ann", at=AT)
    second = log(registry, tmp_path / "b", auc=0.7)
    assert not is_decided(registry.home, second)
    with pytest.raises(GateError, match=r"was not promoted: worse: auc 0\.7000, champion version 1 0\.8000.*--force"):
        promote(registry, "churn", who="ann", at=AT)
    assert numbers(registry) == (1, 2)
    assert is_decided(registry.home, second)
    assert [row.action for row in history(registry.home)] == [Action.PROMOTED, Action.REFUSED]


def test_force_promotes_a_worse_one_and_the_log_keeps_that_it_was_worse(registry: Registry, tmp_path: Path) -> None:
    log(registry, tmp_path / "a", auc=0.8)
    promote(registry, "churn", who="ann", at=AT)
    log(registry, tmp_path / "b", auc=0.7)
    row = promote(registry, "churn", who="bob", at=AT, force=True, why="new catalogue")
    assert numbers(registry) == (2, None)
    assert row.why.startswith("new catalogue; forced, although worse: auc 0.7000")


def test_rollback_returns_to_the_version_before_and_again_to_the_one_before_that(
    registry: Registry, tmp_path: Path
) -> None:
    for auc in (0.7, 0.8, 0.9):
        log(registry, tmp_path / str(auc), auc=auc)
        promote(registry, "churn", who="ann", at=AT)
    row = rollback(registry, "churn", who="bob", at=AT + timedelta(days=1), why="complaints")
    assert (row.action, row.from_version, row.to_version, row.why) == (Action.ROLLED_BACK, 3, 2, "complaints")
    assert rollback(registry, "churn", who="bob", at=AT, why="more").to_version == 1
    with pytest.raises(GateError, match="no version was champion before version 1"):
        rollback(registry, "churn", who="bob", at=AT, why="again")
    assert numbers(registry) == (1, None)
    with pytest.raises(GateError, match="has no challenger; version 1 is champion"):
        promote(registry, "churn", who="bob", at=AT)
    promote(registry, "churn", 3, who="bob", at=AT)
    assert numbers(registry) == (3, None)


def test_a_model_that_was_never_trained_says_how_to(registry: Registry) -> None:
    with pytest.raises(NotReadyError, match="regulars train churn"):
        promote(registry, "churn", who="ann", at=AT)
    with pytest.raises(NotReadyError, match="regulars train churn"):
        rollback(registry, "churn", who="ann", at=AT, why="x")


def test_promoting_the_champion_says_that_it_is(registry: Registry, tmp_path: Path) -> None:
    log(registry, tmp_path, auc=0.8)
    promote(registry, "churn", who="ann", at=AT)
    with pytest.raises(GateError, match="version 1 is champion already"):
        promote(registry, "churn", 1, who="ann", at=AT)


def test_an_intent_cut_short_is_completed(registry: Registry, tmp_path: Path) -> None:
    version = log(registry, tmp_path, auc=0.8)
    intent(registry, version.version)
    recover(registry)
    assert numbers(registry) == (1, None)
    assert [row.state for row in history(registry.home)] == [State.DONE]


def test_an_intent_for_a_version_that_is_gone_is_abandoned(registry: Registry) -> None:
    intent(registry, 9)
    recover(registry)
    assert numbers(registry) == (None, None)
    assert [row.state for row in history(registry.home)] == [State.ABANDONED]


def test_only_one_writer_at_a_time(registry: Registry, tmp_path: Path) -> None:
    log(registry, tmp_path, auc=0.8)
    code = (
        "import sys, time; from pathlib import Path; from features.home import Home\n"
        "with Home(Path(sys.argv[1])).lock('registry'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(registry.home.root)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RegularsError, match="Another 'registry' is running"):
            promote(registry, "churn", who="ann", at=AT)
        holder.kill()
    assert promote(registry, "churn", who="ann", at=AT).to_version == 1


def intent(registry: Registry, number: int) -> None:
    open_log(registry.home).write(
        model="churn",
        action=Action.PROMOTED,
        from_version=None,
        to_version=number,
        who="ann",
        at=AT,
        why="x",
        metrics={},
        state=State.INTENT,
    )


def test_a_training_dates_its_decision_by_when_it_was_made(home: Home) -> None:
    def trainer(_: Context, into: Path) -> Trained:
        time.sleep(0.1)
        return trained(into, auc=0.8)

    train(context(home), ["churn"], at=AT, trainers={"churn": trainer})
    (row,) = history(home, "churn")
    assert timedelta(seconds=0.1) <= row.at - AT < timedelta(minutes=5)
