"""`regulars nightly` as a shop runs it: once without a fault, and once killed at every step; both come to the same."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.home import Home
from features.lake import read_lake
from tests.serving.nightly.processes import BEGUN, CLOSING, DONE, Kill, run
from tests.small_shop import write_files
from training.promotions import history
from training.tracking import open_registry

DOCS = Path(__file__).parents[3] / "docs" / "nightly.md"
BEGINS, TONIGHT = "2024-09-25", "2024-11-25"
SETTINGS = """
threads = 1
seed = 1
horizon_days = 7
[nightly]
sources = [{ source = "files", mapping = "shop.toml" }]
models = ["value"]
most_days_old = 0
"""
#: Where the run is killed, one after another, each time resumed. The steps not named "begun" write nothing else here.
KILLS = [
    *(Kill("pull", BEGUN), Kill("pull", DONE)),
    Kill("check", DONE),
    *(Kill("features", BEGUN), Kill("features", DONE)),
    *(Kill("score", DONE), Kill("drift", DONE), Kill("lookback", DONE)),
    *(Kill("train", BEGUN), Kill("train", DONE)),
    Kill("gate", DONE),
    *(Kill("rescore", BEGUN), Kill("rescore", DONE)),
    *(Kill("notify", DONE), Kill(CLOSING, "")),
]


def orders_until(folder: Path, day: str, everything: pd.DataFrame) -> None:
    at = pd.to_datetime(everything.Time, format="%d/%m/%Y %H:%M")
    kept = everything[(at >= pd.Timestamp(BEGINS)) & (at < pd.Timestamp(day))]
    kept.to_csv(folder / "orders.csv", index=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A folder with files, mapping and settings, and all orders there will ever be."""
    folder = tmp_path_factory.mktemp("shop")
    write_files(folder, customers=40)
    everything = pd.read_csv(folder / "orders.csv")
    orders_until(folder, TONIGHT, everything)
    mapping = (folder / "shop.toml").read_text()
    (folder / "shop.toml").write_text(mapping.replace('path = "', f'path = "{folder}/'))
    (folder / "regulars.toml").write_text(SETTINGS.replace("shop.toml", str(folder / "shop.toml")))
    return folder, everything


def nightly(home: Path, shop: Path, *arguments: str, kill: Kill | None = None) -> Any:
    variables = {"REGULARS_HOME": str(home), "REGULARS_CONFIG": str(shop / "regulars.toml")}
    return run(home.with_name(f"{home.name}-said"), "nightly", *arguments, kill=kill, **variables)


@pytest.fixture(scope="module")
def unkilled(shop: tuple[Path, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The home after a night without a fault, and the run's record."""
    home = tmp_path_factory.mktemp("nights") / "home"
    done = nightly(home, shop[0], "--json")
    assert done.code == 0, done.err
    return home, done.json


def scores(home: Path) -> Any:
    current = (home / "scores" / "CURRENT").read_text().strip()
    return pq.read_table(home / "scores" / "versions" / current / "customers.parquet")


def told(run: dict[str, Any]) -> dict[str, Any]:
    """Of each step what does not depend on when it ran."""
    return {step["name"]: (step["status"], step["said"], step["do"]) for step in run["steps"]}


def test_a_first_night_goes_from_files_to_scores_of_a_champion(unkilled: tuple[Path, dict[str, Any]]) -> None:
    home, record = unkilled
    assert [step["name"] for step in record["steps"]] == [
        *("pull", "check", "features", "score", "drift", "lookback", "train", "gate", "rescore", "prune", "notify")
    ]
    assert {step["status"] for step in record["steps"]} == {"ok"}
    assert scores(home).num_rows == read_lake(Home(home)).manifest["customers"]
    assert scores(home)["expected_spend"].null_count == 0
    page = (home / "nightly" / "runs" / record["run"] / "report.html").read_text()
    assert "first version (mae" in page  # the gate's reason
    assert page.count("<svg") == 2  # seconds, orders by day
    assert not re.search(r"<script|https?://", page)
    customers = set(scores(home)["customer_id"].to_pylist())
    kept = "".join(path.read_text() for path in (home / "nightly").rglob("*") if path.is_file())
    assert not customers & set(re.findall(r"m[0-9]+", kept))


def test_killed_at_every_step_and_resumed_it_comes_to_the_same(
    shop: tuple[Path, pd.DataFrame], unkilled: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    other, expected = unkilled
    home = tmp_path / "home"
    for kill in KILLS:
        done = nightly(home, shop[0], "--json", kill=kill)
        assert done.code == -signal.SIGKILL, f"{kill} never came: {done.code} {done.err}"
        assert not (home / "nightly" / "last.json").exists()
    done = nightly(home, shop[0], "--json")
    assert done.code == 0, done.err
    record = done.json
    assert record["resumed"] == len(KILLS)
    assert told(record) == told(expected)
    assert read_lake(Home(home)).version == read_lake(Home(other)).version
    assert scores(home).equals(scores(other))
    (ours,), (theirs,) = (open_registry(Home(one)).versions("value") for one in (home, other))
    assert (ours.fingerprint, ours.metrics, ours.aliases) == (theirs.fingerprint, theirs.metrics, theirs.aliases)
    assert [(row.action, row.why) for row in history(Home(home), "value")] == [
        (row.action, row.why) for row in history(Home(other), "value")
    ]
    assert not (home / "nightly" / "running.json").exists()
    assert len(list((home / "nightly" / "runs").iterdir())) == 1
    assert not list((home / "nightly").rglob(".aside-*"))


def test_run_again_with_nothing_new_it_does_nothing_and_says_so(
    shop: tuple[Path, pd.DataFrame], unkilled: tuple[Path, dict[str, Any]]
) -> None:
    home, first = unkilled
    done = nightly(home, shop[0], "--json")
    assert done.code == 0
    assert done.json["nothing_new"]
    assert {step["of_run"] for step in done.json["steps"]} == {None, first["run"]}
    assert [step["name"] for step in done.json["steps"] if step["of_run"] is None] == ["pull", "notify"]
    assert len(open_registry(Home(home)).versions("value")) == 1


def cron_line() -> str:
    found = re.search(r"<!-- cron: begin -->\s*```text\n(.*?)\n```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_cron_line_of_the_docs_runs_a_night(
    shop: tuple[Path, pd.DataFrame], unkilled: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """As it stands there, but for the folder it runs in."""
    home, _ = unkilled
    folder = tmp_path / "srv"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "regulars").symlink_to(Path(sys.executable).with_name("regulars"))
    (folder / "regulars.toml").write_text(f'home = "{home}"\n' + (shop[0] / "regulars.toml").read_text())
    schedule = cron_line().split(maxsplit=5)
    assert schedule[:5] == ["15", "2,4", "*", "*", "*"]
    command = schedule[5].replace("/srv/regulars", str(folder))
    done = subprocess.run(["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin"}, cwd="/", timeout=120)
    log = (folder / "nightly.log").read_text()
    assert done.returncode == 0, log
    assert "Nothing new came in: nothing was done" in log


def test_a_second_night_takes_new_orders_looks_for_drift_and_scores_anew(
    shop: tuple[Path, pd.DataFrame], unkilled: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, everything = shop
    home = tmp_path / "home"
    shutil.copytree(unkilled[0], home)
    orders_until(folder, "2024-11-28", everything)
    try:
        done = nightly(home, folder, "--json")
    finally:
        orders_until(folder, TONIGHT, everything)
    found = {step["name"]: step for step in done.json["steps"]}
    assert done.code == 0, done.err
    assert found["pull"]["found"]["sources"][0]["tables"]["order_lines"]["added"] > 0
    assert found["check"]["found"]["last_order_at"].startswith("2024-11-27")
    assert found["drift"]["found"]["models"]["value"]["version"] == 1
    assert found["train"]["said"] == ["No model is due."]
    assert found["score"]["found"]["as_of"].startswith("2024-11-28")
    last = json.loads((home / "nightly" / "last.json").read_text())
    assert (last["run"], last["result"], last["exit_code"]) == (done.json["run"], "ok", 0)
    page = (home / "nightly" / last["report"] / "report.html").read_text()
    assert "Drift of value" in page
    assert "total expected spend" in page
