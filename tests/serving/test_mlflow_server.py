"""The registry on a real MLflow server on PostgreSQL: as good as the embedded one, and its failure is survived."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.errors import RegularsError
from features.home import Home
from serving.app import build_app
from serving.mlflow_server import fetch_pictures
from serving.scopes import KeyScope
from serving.server import free_port, running
from tests.mlflow_server import MlflowServer
from tests.postgres import Server
from tests.serving.console_browser import Browser
from tests.serving.test_parts_killed import HOST, Shopper, wait_until
from tests.training.registry.fakes import PNG, trained, trained_recommender
from tests.training.registry.shop import CHAMPIONS, context, write_lake
from training.forget_models import count_in_models, forget_in_models
from training.gates import compare
from training.mlflow_library import TellingClient
from training.promotions import promote
from training.ranked_lists import load_ranked_lists
from training.registry_sweep import sweep
from training.run import train
from training.score import score
from training.tracking import RegistryAwayError, open_registry

AT = datetime(2024, 6, 30, 12, tzinfo=UTC)
NO_PLOTS = "The MLflow server does not give the plots just now."
pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture(scope="module")
def mlflow_server(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    postgres.sql("CREATE DATABASE mlflow")
    url = postgres.url("mlflow").replace("postgresql:", "postgresql+psycopg:")
    folder = tmp_path_factory.mktemp("mlflow") / "artifacts"
    server = MlflowServer(url, free_port(HOST, 24700), folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def shop(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose registry is the server."""
    home = Home(tmp_path_factory.mktemp("shop") / "home", mlflow_url=mlflow_server.url)
    write_lake(home)
    return home


def log_recommender(home: Home, folder: Path, fingerprint: str) -> int:
    new = trained_recommender(folder)
    registry = open_registry(home)
    logged = registry.log(new, fingerprint=fingerprint, data_hash="lake1", comparison=compare(new, None, None))
    return logged.version


def train_churn(home: Home, auc: float) -> None:
    train(context(home), ["churn"], at=AT, trainers={"churn": lambda _, into: trained(into, auc=auc)})


def seen(home: Home) -> list[tuple[int, tuple[str, ...]]]:
    return [(one.version, one.aliases) for one in open_registry(home).versions("churn")]


def test_a_training_goes_to_the_server_and_its_bundle_comes_back_verified(
    shop: Home, mlflow_server: MlflowServer
) -> None:
    train_churn(shop, 0.8)
    registry = open_registry(shop)
    version = registry.resolve("churn")
    assert version is not None
    assert version.bundle.startswith("mlflow-artifacts:")
    assert (registry.fetch(version) / "auc.txt").read_text() == "0.8"
    assert not shop.registry_database.exists()
    assert [path.read_bytes() for path in fetch_pictures(shop, version.run_id)] == [PNG]
    (file,) = mlflow_server.artifacts.rglob("auc.txt")
    file.write_text("0.9")
    shutil.rmtree(shop.models)
    with pytest.raises(RegularsError, match="were changed"):
        registry.fetch(version)
    file.write_text("0.8")


def test_the_console_shows_plots_that_the_server_gave_and_keeps_them_while_it_is_away(
    shop: Home, mlflow_server: MlflowServer, make_runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_MLFLOW_URL", mlflow_server.url)
    train_churn(shop, 0.8)
    newest = open_registry(shop).versions("churn")[0]
    shutil.rmtree(shop.mlflow / "pictures", ignore_errors=True)
    picture = f"/console/models/picture?model=churn&version={newest.version}&name=reliability.png"
    # The shop itself has no keys: others ask it without one.
    runtime = make_runtime(shop, database_url=f"sqlite:///{tmp_path / 'live.db'}")
    _, key = runtime.keys.create(KeyScope.RETENTION, name="team", per_minute=100_000, at=AT)
    runtime.refresh()
    browser = Browser(build_app(runtime))
    browser.log_in(key, name="Ada", to="/console/models")

    def seen_at(path: str) -> str:
        return browser.send("GET", path, headers={"HX-Request": "true"}).text.replace("&amp;", "&")

    mlflow_server.kill()
    try:
        assert 'hx-get="/console/models/versions"' in seen_at("/console/models")
        part = seen_at("/console/models/versions")
        assert NO_PLOTS in part
        assert picture not in part
    finally:
        mlflow_server.start()
    part = seen_at("/console/models/versions")
    assert NO_PLOTS not in part
    assert picture in part
    mlflow_server.kill()
    try:
        assert picture in seen_at("/console/models")
        answer = browser.send("GET", picture)
        assert (answer.headers["content-type"], answer.content) == ("image/png", PNG)
    finally:
        mlflow_server.start()


def train_and_die(home: Home, call: str) -> None:
    """Train, and be killed as the registry's `call` returns."""
    ask = TellingClient.__getattr__

    def asked(client: TellingClient, name: str) -> Any:
        found = ask(client, name)
        if name != call:
            return found

        def called(*given: Any, **named: Any) -> None:
            if name == "log_artifacts":
                found(*given, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        return called

    TellingClient.__getattr__ = asked
    train_churn(home, 0.81)


@pytest.mark.parametrize("call", ["log_artifacts", "set_model_version_tag"])
def test_a_training_killed_while_it_uploads_leaves_nothing_a_reader_sees(
    shop: Home, mlflow_server: MlflowServer, tmp_path: Path, call: str
) -> None:
    train_churn(shop, 0.8)
    before, files = seen(shop), set(mlflow_server.artifacts.rglob("*.txt"))
    write_lake(shop, version=f"lake-{call}")
    process = multiprocessing.get_context("forkserver").Process(target=train_and_die, args=(shop, call))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert seen(shop) == before
    assert set(mlflow_server.artifacts.rglob("*.txt")) > files
    # Another home leaves alone what may be under way; the home itself removes it.
    other = open_registry(Home(tmp_path / "other", mlflow_url=mlflow_server.url))
    sweep(other)
    assert set(mlflow_server.artifacts.rglob("*.txt")) > files
    sweep(open_registry(shop))
    assert set(mlflow_server.artifacts.rglob("*.txt")) == files
    assert seen(shop) == before


def test_who_is_erased_is_taken_out_of_bundles_and_examples_on_the_server(
    shop: Home, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    log_recommender(shop, tmp_path, "erased")
    assert count_in_models(shop, ["ann"]) == 1
    assert forget_in_models(shop, ["ann"]) == 1
    assert count_in_models(shop, ["ann"]) == 0
    assert forget_in_models(shop, ["ann"]) == 0
    registry = open_registry(shop)
    (version,) = registry.versions("recommender")
    lists = load_ranked_lists(registry.fetch(version) / "ranking")
    assert lists.customers["customer_id"].to_pylist() == ["bob"]
    for path in mlflow_server.artifacts.rglob("*"):
        assert not path.is_file() or b"ann" not in re.findall(rb"[a-z]+", path.read_bytes()), path


def test_the_server_killed_and_its_database_too_answers_go_on_and_a_promotion_after_reaches_them(
    shop: Home, mlflow_server: MlflowServer, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_and_score(fingerprint: str) -> int:
        version = log_recommender(shop, tmp_path / fingerprint, fingerprint)
        promote(open_registry(shop), "recommender", version, who="ann", at=AT, force=True, why="a test")
        assert score(context(shop), at=AT, champions=CHAMPIONS).models["recommender"] == version
        return version

    first = log_and_score("first")
    monkeypatch.setenv("REGULARS_MLFLOW_URL", mlflow_server.url)
    port = free_port(HOST, 24750)
    url = f"http://{HOST}:{port}"

    def answered_from() -> int:
        return httpx.post(f"{url}/v1/recommendations", json={"customer_id": "bob", "k": 1}).json()["model_version"]

    def away() -> bool:
        ready = httpx.get(f"{url}/readyz", timeout=5)
        told = 'regulars_away{part="registry"} 1.0' in httpx.get(f"{url}/metrics", timeout=5).text
        assert ready.status_code == 200
        return told and ready.json()["status"] == "degraded"

    with running(host=HOST, port=port, home=shop.root, log=tmp_path / "serve.log"):
        shopper = Shopper(url)
        shopper.start()
        wait_until(lambda: not away())
        assert answered_from() == first
        for kill, start in ((mlflow_server.kill, mlflow_server.start), (postgres.kill, postgres.start)):
            kill()
            try:
                wait_until(away)
                with pytest.raises(RegistryAwayError, match="does not answer"):
                    train_churn(shop, 0.8)
                assert answered_from() == first
            finally:
                start()
            wait_until(lambda: not away())
        second = log_and_score("second")
        wait_until(lambda: answered_from() == second, seconds=10)
        shopper.stopping.set()
        shopper.join(15)
    assert len(shopper.statuses) > 100
    assert set(shopper.statuses) == {200}
