"""Pruning removes old versions and runs with their files, and nothing that answers or may be asked for again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from features.home import Home
from tests.training.registry.fakes import train_churn
from tests.training.registry.killed import run_killed
from training.bundle import seal
from training.cli_models import models
from training.prune import prune
from training.report_runs import Report, log_report
from training.tracking import Registry, open_registry

LATER = datetime.now(UTC) + timedelta(days=100)


def numbers(registry: Registry) -> list[int]:
    return [one.version for one in registry.versions("churn")]


def folders(home: Home) -> int:
    churn = home.mlflow / "artifacts" / "churn"
    return len([path for path in churn.iterdir() if path.name != "models"]) + len(list((churn / "models").iterdir()))


@pytest.fixture
def seven(home: Home) -> Home:
    """Seven versions: each better than the one before, so that the last is champion and the sixth was before it."""
    for number in range(1, 8):
        train_churn(home, 0.7 + number / 100, f"lake{number}")
    return home


def pruned(home: Home, keep: int = 1, days: float = 90, *, dry_run: bool = False) -> list[int]:
    done = prune(open_registry(home), keep=keep, older_than_days=days, now=LATER, dry_run=dry_run)
    return [one.version for one in done.versions]


def test_what_answers_is_pinned_or_would_be_rolled_back_to_stays_and_the_rest_is_freed(seven: Home) -> None:
    registry = open_registry(seven)
    for path, number in (("scores/versions/pinned", 2), ("live/last-good/old", 3)):
        folder = seven.root / path
        folder.mkdir(parents=True)
        seal(folder, kind="scores", about={"models": {"churn": number, "recommender": None}})
    registry.fetch(registry.get("churn", 1))
    log_report(registry, Report("backtest-churn", "old", {}, {"auc": [0.5]}, tables={"rows": [{"a": 1}]}))
    before = folders(seven)
    assert pruned(seven, days=200) == []
    assert pruned(seven, dry_run=True) == [5, 4, 1]
    assert numbers(registry) == [7, 6, 5, 4, 3, 2, 1]
    assert folders(seven) == before == 14
    assert pruned(seven, keep=3, dry_run=True) == [4, 1]
    assert pruned(seven) == [5, 4, 1]
    assert numbers(registry) == [7, 6, 3, 2]
    assert folders(seven) == 8
    assert not (seven.models / "churn" / "1").exists()
    assert not list((seven.mlflow / "artifacts" / "backtest-churn").iterdir())
    assert pruned(seven) == []
    for number in numbers(registry):
        assert registry.fetch(registry.get("churn", number)).is_dir()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_killed_and_run_again_it_completes(home: Home, share: float) -> None:
    for number in range(1, 5):
        train_churn(home, 0.7 + number / 100, f"lake{number}")
    # A pruning of two versions has more than sixty moments.
    assert run_killed(home.root, pruned, home, moment=int(60 * share)) is None
    registry = open_registry(home)
    for number in numbers(registry):
        assert registry.fetch(registry.get("churn", number)).is_dir()
    pruned(home)
    assert numbers(registry) == [4, 3]
    assert folders(home) == 4


def test_the_bare_form_lists_and_a_command_is_a_command(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_HOME", str(home.root))
    from features.settings import current_settings

    current_settings.cache_clear()
    train_churn(home)
    run = CliRunner().invoke
    for given in ([], ["churn"], ["list"]):
        assert [one["version"] for one in json.loads(run(models, [*given, "--json"]).stdout)] == [1]
    assert "champion" in run(models, []).output
    assert "promoted" in run(models, ["--log"]).output
    assert "first version" in run(models, ["churn", "--log", "--json"]).output
    assert "Would remove 0 versions" in run(models, ["prune", "--keep", "1", "--dry-run"]).output
    assert "prune" in run(models, ["--help"]).output
    current_settings.cache_clear()
