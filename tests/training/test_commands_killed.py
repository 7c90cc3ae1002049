"""`regulars train`, `promote` and `score` as a shop runs them, killed with SIGKILL while they write, then run again."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from features.home import ASIDE, Home
from serving.cli import main
from tests.training.registry import killed
from training.promotions import history
from training.protocols import Context
from training.tracking import open_registry

Moment = Callable[[], bool]
#: Commands are forked from a server that has imported what they need: their work is tried, not Python's start.
COMMANDS = multiprocessing.get_context("forkserver")
PRELOADED = ["serving.cli", "training.run", "training.score", "training.promotions", "training.value", __name__]


def _command(home: str, said: str, arguments: tuple[str, ...], settings: dict[str, str]) -> None:
    os.environ.update({"REGULARS_HOME": home, "REGULARS_THREADS": "1", **settings})
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = ["regulars", *arguments, "--json"]
    main()


def start(home: Home, *arguments: str, **settings: str) -> BaseProcess:
    COMMANDS.set_forkserver_preload([*killed.PRELOADED, *PRELOADED])
    process = COMMANDS.Process(target=_command, args=(str(home.root), _said(home), arguments, settings))
    process.start()
    return process


def _said(home: Home) -> str:
    return str(home.root.with_name("said"))


def run(home: Home, *arguments: str, **settings: str) -> Any:
    process = start(home, *arguments, **settings)
    process.join(300)
    assert process.exitcode == 0, Path(f"{_said(home)}.err").read_text()
    return json.loads(Path(f"{_said(home)}.out").read_text())


def run_killed(home: Home, *arguments: str, at: Moment, **settings: str) -> None:
    """Run until the moment has come, then kill. Fails when the command ends before it."""
    process = start(home, *arguments, **settings)
    try:
        while not at():
            assert process.exitcode is None, f"the moment never came: {Path(f'{_said(home)}.err').read_text()}"
            time.sleep(0.002)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL


def a_file_in(folder: Path, pattern: str = "*") -> Moment:
    return lambda: any(path.is_file() for path in folder.rglob(pattern))


def a_row_in(database: Path, query: str) -> Moment:
    """Whether the query finds anything; a database or table not there yet holds nothing."""

    def found() -> bool:
        if not database.is_file():
            return False
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            try:
                return connection.execute(query).fetchone() is not None
            except sqlite3.OperationalError:
                return False

    return found


@pytest.fixture(scope="module")
def home(small_shop: Context, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The made-up shop in a home of its own. The tests below go through it in their order, as a shop would."""
    root = tmp_path_factory.mktemp("killed") / "home"
    shutil.copytree(small_shop.home.lake, root / "lake")
    return Home(root)


def leftovers(home: Home) -> list[Path]:
    return [path for path in home.root.rglob(f"{ASIDE}*") if home.features not in path.parents]


def test_training_killed_at_every_stage_then_run_again_completes(home: Home) -> None:
    database = home.mlflow / "mlflow.db"
    stages = {
        "computing features": a_file_in(home.features, "*.parquet"),
        "the bundle is written": a_file_in(home.root / "tmp", "model.txt"),
        "the version is being registered": a_row_in(database, "SELECT 1 FROM model_versions"),
    }
    for moment in stages.values():
        run_killed(home, "train", "value", at=moment)
    (outcome,) = run(home, "train", "value")
    assert outcome["version"]["aliases"] == ["champion"]
    registry = open_registry(home)
    (version,) = registry.versions("value")
    assert [(row.action, row.to_version) for row in history(home, "value")] == [("promoted", version.version)]
    assert [run.info.status for run in _runs(registry)].count("FINISHED") == 1
    assert not leftovers(home)


def _runs(registry: Any) -> list[Any]:
    experiment = registry.client.get_experiment_by_name("value")
    return list(registry.client.search_runs([experiment.experiment_id]))


def test_promotion_killed_is_completed_by_the_next_command(home: Home) -> None:
    run(home, "train", "value", REGULARS_SEED="5")
    registry = open_registry(home)
    first, second = sorted(version.version for version in registry.versions("value"))
    other = second if registry.resolve("value").version == first else first
    intent = a_row_in(home.root / "promotions.db", "SELECT 1 FROM promotions WHERE state = 'intent'")
    run_killed(home, "promote", "value", "--version", str(other), "--force", "--why", "a test", at=intent)
    # The intent is in the log. Whatever comes next completes it, whether the alias had moved or not.
    row = run(home, "rollback", "value", "--why", "another test")
    assert row["from_version"] == other
    rows = history(home, "value")
    assert [row.to_version for row in rows[-2:]] == [other, registry.resolve("value").version]
    assert {row.state for row in rows} == {"done"}


def test_scoring_killed_leaves_nothing_to_read_and_then_completes(home: Home) -> None:
    run_killed(home, "score", at=a_file_in(home.scores / "versions", f"{ASIDE}*/*"))
    assert not (home.scores / "CURRENT").exists()
    report = run(home, "score")
    assert report["scored"]
    assert (home.scores / "CURRENT").read_text() == report["version"]
    assert not leftovers(home)
