"""A training killed with SIGKILL while it logs or promotes leaves nothing readers see, and the next completes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from features.home import ASIDE, Home
from tests.training.registry.fakes import train_churn
from tests.training.registry.killed import run_killed
from training.promotion_log import State
from training.promotions import history
from training.tracking import Registry, open_registry
from training.versions import CHAMPION

#: Shares of a run at which it is killed.
SHARES = (0.01, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.97, 1.0)


def check_readers_see_only_whole_versions(registry: Registry) -> None:
    for version in registry.versions("churn"):
        assert version.metrics["auc"] > 0
        assert (registry.fetch(version) / "model.txt").is_file()


def check_nothing_is_left_over(registry: Registry, *, versions: int) -> None:
    client, home = registry.client, registry.home
    whole = registry.versions("churn")
    assert len(whole) == versions
    assert [v.aliases for v in whole] == [(CHAMPION,)] + [()] * (versions - 1)
    assert len(client.search_model_versions("name = 'churn'")) == versions
    experiment = client.get_experiment_by_name("churn")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    assert len([run for run in runs if run.info.status == "FINISHED"]) == versions
    assert len(client.search_logged_models([experiment.experiment_id])) == versions
    artifacts = home.mlflow / "artifacts" / "churn"
    assert len(list((artifacts / "models").iterdir())) == versions
    assert len([path for path in artifacts.iterdir() if path.name != "models"]) == versions
    assert [row.state for row in history(home)] == [State.DONE] * versions
    assert [row.to_version for row in history(home)] == [v.version for v in reversed(whole)]
    assert not list(home.root.rglob(f"{ASIDE}*"))


@pytest.fixture(scope="module")
def moments(new_home: Callable[[Path], Home], tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many moments a training has in a home whose MLflow has its tables."""
    home = new_home(tmp_path_factory.mktemp("moments") / "home")
    seen = run_killed(home.root, train_churn, home, moment=0)
    assert seen is not None
    return len(seen)


@pytest.mark.parametrize("share", SHARES)
def test_first_training_killed_then_run_again_completes(home: Home, moments: int, share: float) -> None:
    assert run_killed(home.root, train_churn, home, moment=max(1, int(moments * share))) is None
    check_readers_see_only_whole_versions(open_registry(home))
    train_churn(home)
    check_nothing_is_left_over(open_registry(home), versions=1)


@pytest.mark.parametrize("share", [0.6, 0.93, 0.97])
def test_training_beside_a_champion_killed_leaves_the_champion_until_it_completes(
    home: Home, moments: int, share: float
) -> None:
    train_churn(home, 0.8, "lake1")
    assert run_killed(home.root, train_churn, home, 0.9, "lake2", moment=int(moments * share)) is None
    registry = open_registry(home)
    check_readers_see_only_whole_versions(registry)
    assert registry.resolve("churn") is not None
    train_churn(home, 0.9, "lake2")
    check_nothing_is_left_over(registry, versions=2)


@pytest.mark.parametrize("moment", [5, 300])
def test_killed_while_the_registry_is_made_it_is_made_anew(tmp_path: Path, moment: int) -> None:
    home = Home(tmp_path / "home")
    assert run_killed(home.root, train_churn, home, moment=moment) is None
    assert not (home.mlflow / "mlflow.db").exists()
    train_churn(home)
    check_nothing_is_left_over(open_registry(home), versions=1)
