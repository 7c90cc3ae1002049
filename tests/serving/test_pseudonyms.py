"""Under pseudonyms nothing in a data home names a customer, who is answered as they would be by their id."""

from __future__ import annotations

import csv
import json
import re
import shutil
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from features.erased import record
from features.errors import ConfigError, DataError
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.pseudonyms import KEY, Pseudonyms, pseudonyms_of
from features.settings import Settings, current_settings, load_settings
from serving.app import build_app
from serving.cli import app as command_line
from serving.doctor import Status, examine
from serving.keys import now_utc
from serving.privacy import erase
from serving.privacy_export import export
from serving.runtime import Runtime, open_runtime
from serving.scopes import KeyScope
from tests.features.loading import GOOD, Shop
from tests.serving.conftest import Asked
from tests.serving.console_browser import Browser
from tests.serving.planted import NEW, OTHERS, WHO, holding, open_home

NOW = datetime(2024, 8, 1, 9)
#: Made by an implementation of HMAC that is not ours: printf %s ann | openssl dgst -sha256 -hmac key
ANN_UNDER_KEY = "anon-9d77c3180ff81edfbc099a7e91843e41"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, write_scores) -> Settings:
    """A home with everything in it, which was told every customer by their id. Copy it before writing."""
    return open_home(tmp_path_factory.mktemp("planted"), write_scores, pseudonyms=True)


@pytest.fixture
def settings(whole: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(whole.home.parent, tmp_path / "copy")
    home = tmp_path / "copy" / "home"
    return load_settings(home=home, threads=1, seed=1, answer_ms=10_000, privacy={"pseudonyms": True})


@pytest.fixture
def runtime(settings: Settings):
    made = open_runtime(settings)
    made.start()
    yield made
    made.close()


def held(settings: Settings, customer: str = WHO) -> str:
    return pseudonyms_of(settings).of(customer)


def test_a_pseudonym_is_the_keyed_hash_of_the_id() -> None:
    assert Pseudonyms(b"key").of("ann") == ANN_UNDER_KEY


@given(st.text(min_size=1), st.text(min_size=1), st.binary(min_size=1), st.binary(min_size=1))
def test_a_pseudonym_is_its_own_and_differs_by_id_and_by_key(one: str, other: str, key: bytes, another: bytes) -> None:
    pseudonym = Pseudonyms(key).of(one)
    assert Pseudonyms(key).of(pseudonym) == pseudonym
    assert (Pseudonyms(key).of(other) == pseudonym) == (one == other or other == pseudonym)
    if key.rstrip(b"\0") != another.rstrip(b"\0") and len(key) <= 64 >= len(another):
        assert Pseudonyms(another).of(one) != pseudonym


def test_no_file_of_a_whole_home_holds_an_id(whole: Settings) -> None:
    for customer in (WHO, NEW):
        assert holding(whole.home, customer) == []
    places = {path.split("/")[0] for path in holding(whole.home, held(whole))}
    assert places == {"feast", "features", "insight", "lake", "ledgers", "live", "mlflow", "said", "scores", "spark"}


def test_the_lake_is_as_it_would_be_with_ids_but_for_the_names(whole: Settings, tmp_path: Path) -> None:
    plain = load_settings(home=tmp_path / "plain", threads=1)
    ingest("files", plain, mapping=whole.home.parent / "files" / "shop.toml", now=NOW)
    lines, named = (
        pq.read_table(read_lake(Home(home)).file("order_lines")).to_pylist() for home in (whole.home, plain.home)
    )
    renamed = [row | {"customer_id": held(whole, row["customer_id"])} for row in named]
    in_order = [sorted(map(repr, rows)) for rows in (lines, renamed)]
    assert in_order[0] == in_order[1]


def test_a_customer_is_answered_by_their_id_and_by_their_pseudonym_alike(runtime: Runtime) -> None:
    client = Asked(build_app(runtime))

    def answered(customer: str) -> tuple[object, ...]:
        listed = client.post("/v1/recommendations", json={"customer_id": customer}).json()
        (batch,) = client.post("/v1/recommendations/batch", json={"customer_ids": [customer]}).json()["answers"]
        page = {"customer_id": customer, "placements": [{"placement": "home"}]}
        (placed,) = client.post("/v1/recommendations/page", json=page).json()["answers"]
        beside = client.get(f"/v1/products/p1/similar?customer_id={customer}").json()
        one = client.get(f"/v1/customers/{customer}").json()
        return (
            *(answer["customer_id"] for answer in (listed, batch, placed, beside, one)),
            *([item["product_id"] for item in answer["items"]] for answer in (listed, batch, placed)),
            one["scores"]["churn_probability"],
        )

    me = held(runtime.settings)
    assert answered(WHO) == answered(me)
    assert answered(WHO)[:5] == (me,) * 5
    # The last thing they did was to look at p1, so a visit answers; with nothing done it would be their own list.
    assert client.post("/v1/recommendations", json={"customer_id": WHO}).json()["strategy"] == "session"
    assert client.post("/v1/recommendations", json={"customer_id": OTHERS[5]}).json()["strategy"] == "personal"
    assert client.post("/v1/recommendations", json={"customer_id": "stranger"}).json()["strategy"] != "personal"


def test_what_a_customer_does_is_kept_under_the_pseudonym_and_changes_their_answers(runtime: Runtime) -> None:
    client, me = Asked(build_app(runtime)), held(runtime.settings)
    bought = client.post("/v1/recommendations", json={"customer_id": WHO, "k": 1}).json()["items"][0]["product_id"]
    event = {"event_id": "now", "product_id": bought, "kind": "purchase", "occurred_at": f"{now_utc().isoformat()}Z"}
    assert client.post("/v1/events", json=event | {"customer_id": WHO}).json()["accepted"] == 1
    again = client.post("/v1/recommendations", json={"customer_id": me}).json()["items"]
    assert bought not in [item["product_id"] for item in again]
    signed_in = client.post("/v1/sessions/tonight/customer", json={"customer_id": WHO}).json()
    assert signed_in == {"session_id": "tonight", "customer_id": me}
    outcome = {"outcome_id": "gone", "customer_id": WHO, "outcome": "opted_out", "occurred_at": event["occurred_at"]}
    assert client.post("/v1/outcomes", json=outcome).json()["accepted"] == 1
    assert (me, "opted_out") in list(runtime.contacts.left_out(now=None))
    assert holding(runtime.settings.home, WHO) == []


def test_who_was_erased_by_their_id_before_stays_away(runtime: Runtime) -> None:
    home = runtime.holder.home
    record(home, ["gone-4711"], at=NOW, may_return=False)
    client, at = Asked(build_app(runtime)), f"{now_utc().isoformat()}Z"
    event = {"event_id": "late", "product_id": "p1", "kind": "view", "occurred_at": at, "customer_id": "gone-4711"}
    assert client.post("/v1/events", json=event).json()["accepted"] == 0
    client.post("/v1/sessions/late/customer", json={"customer_id": "gone-4711"})
    files = home.root.parent / "files"
    with (files / "orders.csv").open("a") as file:
        csv.writer(file).writerow(["back", "gone-4711", "p1", "2024-05-01 10:00:00", 1, 2])
    ingest("files", runtime.settings, mapping=files / "shop.toml", now=NOW)
    assert holding(home.root, held(runtime.settings, "gone-4711")) == []


def test_the_console_finds_a_customer_by_their_id(runtime: Runtime) -> None:
    _, key = runtime.keys.create(KeyScope.RETENTION, name="team", per_minute=100_000, at=now_utc())
    runtime.refresh()
    browser, me = Browser(build_app(runtime)), held(runtime.settings)
    browser.log_in(key, name="Ada", to="/console/at-risk")
    for path in (f"/console/customer?find={WHO}", f"/console/customer?id={WHO}", f"/console/customer?find={me[:12]}"):
        assert f"<h1>{me}" in browser.get(path).text, path
    by_id, by_pseudonym = (
        re.findall(r'class="under">(p\d)', browser.get(f"/console/products?customer={who}").text) for who in (WHO, me)
    )
    assert by_id == by_pseudonym
    assert by_id


def test_export_and_erasure_take_the_id(settings: Settings) -> None:
    found = export(settings, WHO, now=NOW)
    assert set(found) >= {"lake", "scores", "live"}
    assert found["lake"]["set_aside"]
    assert erase(settings, [WHO], now=NOW).counts["order_lines"] > 0
    assert holding(settings.home, held(settings)) == []
    with pytest.raises(DataError, match="'nobody-1'"):
        erase(settings, ["nobody-1"], now=NOW)
    ingest("files", settings, mapping=settings.home.parent / "files" / "shop.toml", now=NOW)
    assert holding(settings.home, held(settings)) == []


@pytest.fixture
def regulars(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("REGULARS_HOME", str(settings.home))
    monkeypatch.setenv("REGULARS_PRIVACY", '{"pseudonyms": true}')
    current_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(command_line, arguments)
    current_settings.cache_clear()


def test_the_commands_take_ids_and_tell_pseudonyms(regulars, settings: Settings, tmp_path: Path) -> None:
    me = held(settings)
    answer = json.loads(regulars("recommend", WHO, "--json").stdout)
    assert (answer["customer_id"], answer["strategy"]) == (me, "personal")
    assert json.loads(regulars("privacy", "pseudonyms", WHO, "--json").stdout) == {WHO: me}
    (tmp_path / "ids.txt").write_text("\n".join([*OTHERS, WHO]))
    told = regulars("privacy", "pseudonyms", "--from-file", str(tmp_path / "ids.txt"), "--out", str(tmp_path / "p.csv"))
    assert told.exit_code == 0
    rows = dict(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows == {"customer_id": "pseudonym", **{who: held(settings, who) for who in [*OTHERS, WHO]}}
    assert stat.S_IMODE((tmp_path / "p.csv").stat().st_mode) == 0o600


def test_the_key_is_for_its_owner_alone_and_its_loss_is_told(settings: Settings) -> None:
    key = Home(settings.home).privacy / KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(DataError, match=r"pseudonym\.key is gone"):
        open_runtime(settings)
    mapping = settings.home.parent / "files" / "shop.toml"
    with pytest.raises(DataError, match=r"pseudonym\.key is gone"):
        ingest("files", settings, mapping=mapping, now=NOW)
    key.write_bytes(kept[::-1])
    with pytest.raises(DataError, match="another key"):
        ingest("files", settings, mapping=mapping, now=NOW)
    key.write_bytes(kept)
    assert ingest("files", settings, mapping=mapping, now=NOW).version == read_lake(Home(settings.home)).version


def test_a_lake_is_not_added_to_under_the_other_kind_of_names(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.load_lines(GOOD)
    on = shop.settings.model_copy(update={"privacy": shop.settings.privacy.model_copy(update={"pseudonyms": True})})
    mapping = tmp_path / "shop.toml"
    with pytest.raises(DataError, match="by the shop's own ids, and"):
        ingest("files", on, mapping=mapping, now=NOW)
    told = {found.name: found.status for found in examine(on) if found.area == "privacy"}
    assert told == {"privacy": Status.BROKEN}
    ingest("files", on, mapping=mapping, replace=True, now=NOW)
    with pytest.raises(DataError, match="pseudonyms is off"):
        shop.load()
    told = {found.name: found.status for found in examine(on) if found.area == "privacy"}
    assert told == {"pseudonyms": Status.OK}
    (customer,) = pq.read_table(read_lake(shop.home).file("order_lines"))["customer_id"].to_pylist()
    assert customer == pseudonyms_of(on).of("ann")


def test_a_column_that_would_keep_the_id_is_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.orders(GOOD)
    mapping = (tmp_path / "shop.toml").read_text().replace('"order"', '{expression = "customer || at"}')
    (tmp_path / "shop.toml").write_text(mapping)
    on = shop.settings.model_copy(update={"privacy": shop.settings.privacy.model_copy(update={"pseudonyms": True})})
    with pytest.raises(ConfigError, match="'order_id' is read from 'customer'"):
        ingest("files", on, mapping=tmp_path / "shop.toml", now=NOW)
