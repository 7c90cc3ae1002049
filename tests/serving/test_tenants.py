"""Several shops in one process: who is let in where, what is answered for one that is not open, and the commands."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.home import Home
from features.settings import load_settings, server_settings
from features.tenants import shop_settings
from serving import logs, starting
from serving.app import EVERY_ROUTE, build_app
from serving.console.sessions import COOKIE
from serving.database import open_database
from serving.exposure import safe_host
from serving.keys import Keys, now_utc
from serving.route_table import PUBLIC
from serving.runtime import open_runtime
from serving.scopes import KeyScope
from serving.shops import Shops
from tests.serving.console_browser import Browser

NAMES = ("north", "south")


@pytest.fixture
def opened(two_homes: Path) -> Iterator[Callable[[], Shops]]:
    """Opens all shops, as a worker does."""
    made: list[Shops] = []

    def open_all() -> Shops:
        made.append(Shops(server_settings()))
        made[-1].asked = made[-1].app()
        made[-1].start()
        return made[-1]

    yield open_all
    for shops in made:
        shops.close()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def again(shops: Shops) -> None:
    """Refresh every shop, those that were tried a moment ago too."""
    for shop in shops.by_name.values():
        shop._not_before = float("-inf")
        shop.refresh()


def test_each_key_asks_its_own_shop_and_without_one_nobody_is_let_in_from_this_machine_either(
    opened, key_of, asked
) -> None:
    keys = {name: key_of(name) for name in NAMES}
    client = asked(opened().asked)
    for name in NAMES:
        answer = client.get("/v1/models", headers=bearer(keys[name])).json()
        assert answer["scores_version"] == f"of-{name}"
    assert client.get("/v1/models").status_code == 401
    assert client.get("/healthz").json() == {"status": "ok", "scores_version": None}
    page = client.get("/console/at-risk").text
    assert "regulars keys create" not in page
    assert 'name="key"' in page


def test_at_the_door_nothing_is_told_whatever_is_asked(opened, key_of, asked) -> None:
    key_of("north")
    client = asked(opened().asked)
    for route in EVERY_ROUTE:
        path = route.path.replace("{name:path}", "console.css").replace("{rest:path}", "x")
        answer = client.request(
            route.method, path.format(product_id="p1", customer_id="ann", session_id="s", campaign_id="c")
        )
        assert "Orchard" not in answer.text, path
        assert "of-north" not in answer.text, path
        if route.scopes != PUBLIC:
            assert answer.status_code == 401, path


def test_a_shop_that_is_not_there_is_answered_with_503_until_it_is_and_leaves_the_others(
    opened, two_homes: Path, key_of, asked, caplog
) -> None:
    north, south = key_of("north"), key_of("south")
    (two_homes / "south").rename(two_homes / "away")
    shops = opened()
    client, browser = asked(shops.asked), Browser(shops.asked)
    assert client.get("/v1/models", headers=bearer(north)).status_code == 200
    for route in EVERY_ROUTE:
        if route.scopes != PUBLIC:
            answer = client.request(route.method, route.path, headers=bearer(south))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), route.path
    assert browser.log_in(south).status_code == 503
    browser.cookies.set(COOKIE, "south.whatever", path="/console")
    assert browser.send("GET", "/console/at-risk").status_code == 503
    assert browser.send("GET", "/console/login").status_code == 200
    assert client.get("/readyz").json()["tenants"] == {"north": "ok", "south": "away"}
    assert client.get("/readyz").json()["status"] == "degraded"
    again(shops)
    [said] = [record.message for record in caplog.records if "not ready" in record.message]
    assert f"Shop 'south': its home {two_homes / 'south'} does not exist" in said
    (two_homes / "away").rename(two_homes / "south")
    again(shops)
    assert client.get("/v1/models", headers=bearer(south)).json()["scores_version"] == "of-south"
    assert client.get("/readyz").json()["tenants"] == {"north": "ok", "south": "ok"}


def test_a_database_that_does_not_answer_keeps_no_other_shop_from_opening(
    opened, two_homes: Path, key_of, asked, monkeypatch
) -> None:
    north = key_of("north")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/shop"
        (two_homes / "south" / "regulars.toml").write_text(f'database_url = "{url}"')
        monkeypatch.setattr("serving.shops.START_SECONDS", 1.0)
        began = time.monotonic()
        shops = opened()
        assert time.monotonic() - began < 3
        assert asked(shops.asked).get("/v1/models", headers=bearer(north)).status_code == 200
        assert asked(shops.asked).get("/readyz").json()["tenants"] == {"north": "ok", "south": "away"}
    until = time.monotonic() + 30
    while shops.by_name["south"].status != "degraded" and time.monotonic() < until:
        time.sleep(0.1)
    assert "events" in shops.by_name["south"].runtime.problems


@pytest.mark.parametrize(
    "broken",
    [
        "threads = ",
        "port = 3000\n",
        'rules_file = "nowhere.toml"',
        'experiments_file = "nowhere.toml"',
        'fallback_file = "nowhere.txt"',
        'database_url = "postgres//x"',
    ],
)
def test_wrong_settings_of_one_shop_take_no_other_down(opened, two_homes: Path, key_of, asked, broken: str) -> None:
    north, south = key_of("north"), key_of("south")
    (two_homes / "south" / "regulars.toml").write_text(broken)
    assert next(starting.not_ready(server_settings())).startswith("Shop 'south': ")
    starting.check(server_settings())
    client = asked(opened().asked)
    assert client.get("/v1/models", headers=bearer(north)).status_code == 200
    assert client.get("/v1/models", headers=bearer(south)).status_code == 503


def test_a_list_of_erased_customers_that_cannot_be_read_takes_down_its_own_shop_alone(
    opened, two_homes: Path, key_of, asked
) -> None:
    north, south = key_of("north"), key_of("south")
    (two_homes / "south" / "privacy").mkdir()
    (two_homes / "south" / "privacy" / "erased.json").write_text("{}")
    (two_homes / "south" / "privacy" / "served").write_text("1")
    client = asked(opened().asked)
    assert client.get("/v1/models", headers=bearer(north)).status_code == 200
    assert client.get("/v1/models", headers=bearer(south)).status_code == 503


def test_scores_that_break_in_one_shop_leave_it_those_before_and_the_others_alone(
    opened, two_homes: Path, key_of, asked, write_scores
) -> None:
    keys = {name: key_of(name) for name in NAMES}
    shops = opened()
    client = asked(shops.asked)
    broken = write_scores(Home(two_homes / "south"), "v2")
    (broken / "customers.parquet").write_bytes(b"not what was sealed")
    again(shops)
    assert client.get("/readyz", headers=bearer(keys["south"])).json()["status"] == "degraded"
    assert client.get("/readyz", headers=bearer(keys["north"])).json()["status"] == "ok"
    assert client.get("/v1/models", headers=bearer(keys["south"])).json()["scores_version"] == "of-south"


def test_a_shops_own_server_takes_its_keys_and_no_others(two_homes: Path, key_of, asked, monkeypatch) -> None:
    north, south = key_of("north"), key_of("south")
    monkeypatch.setenv("REGULARS_TENANT", "north")
    runtime = open_runtime(server_settings())
    runtime.start()
    client = asked(build_app(runtime))
    assert client.get("/v1/models", headers=bearer(north)).status_code == 200
    for text in (south, north.replace("rg_north_", "rg_"), south.replace("south", "north")):
        assert client.get("/v1/models", headers=bearer(text)).status_code == 401
    runtime.close()


def test_a_key_without_a_name_opens_the_server_of_one_shop_and_none_of_several(two_homes: Path, opened, asked) -> None:
    alone = load_settings(home=two_homes / "north", tenants={})
    runtime = open_runtime(alone)
    _, text = runtime.keys.create(KeyScope.ADMIN, name="old", per_minute=1000, at=now_utc())
    assert text.startswith("rg_admin_")
    runtime.start()
    assert asked(build_app(runtime)).get("/v1/models", headers=bearer(text)).status_code == 200
    runtime.close()
    client = asked(opened().asked)
    for given in (text, text.replace("rg_", "rg_north_")):
        assert client.get("/v1/models", headers=bearer(given)).status_code == 401


def test_how_often_a_key_of_one_shop_asks_slows_no_other(two_homes: Path, opened, asked, key_of) -> None:
    south = key_of("south")
    database = open_database(shop_settings(load_settings(), "north"))
    _, north = Keys(database, tenant="north").create(KeyScope.SITE, name="k", per_minute=6, at=now_utc())
    database.close()
    client = asked(opened().asked)
    assert [client.get("/v1/models", headers=bearer(north)).status_code for _ in range(2)] == [200, 429]
    assert client.get("/v1/models", headers=bearer(south)).status_code == 200


def test_a_page_of_one_shops_site_may_call_that_shop_alone(two_homes: Path, opened, asked, key_of) -> None:
    origin = "https://south.example"
    (two_homes / "south" / "regulars.toml").write_text(f'cors_origins = ["{origin}"]\nanswer_ms = 10000\n')
    north, south = key_of("north", "site"), key_of("south", "site")
    client = asked(opened().asked)
    first = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    allowed = client.request("OPTIONS", "/v1/recommendations", headers=first)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
    foreign = client.request("OPTIONS", "/v1/recommendations", headers=first | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    page = {"Origin": origin}
    assert client.post("/v1/recommendations", json={}, headers=page | bearer(south)).status_code == 200
    refused = client.post("/v1/recommendations", json={}, headers=page | bearer(north))
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("body", [b"", b"key=%ff", b"&" * 300, b"key=" + b"x" * 300_000, b"name=Mia"])
def test_a_form_at_the_door_that_names_no_shop_opens_nothing(opened, key_of, asked, body: bytes) -> None:
    key_of("north")
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = asked(opened().asked).post("/console/session", content=body, headers=kind)
    assert answer.status_code in (400, 401, 413)
    assert "set-cookie" not in answer.headers


def test_the_console_shows_whose_it_is_and_one_browser_is_at_one_shop(opened, key_of) -> None:
    keys = {name: key_of(name) for name in NAMES}
    browser = Browser(opened().asked)
    for name in NAMES:
        page = browser.log_in(keys[name])
        assert f'<small class="shop">{name}</small>' in page.text
        assert browser.cookies[COOKIE].startswith(f"{name}.")


def test_a_server_of_one_shop_shows_no_name(client) -> None:
    assert 'class="shop"' not in client.get("/console/at-risk").text
    assert "tenants" not in client.get("/readyz").json()


def test_lines_of_the_log_say_which_shop_they_are_of(caplog, opened, key_of, asked) -> None:
    key_of("north")
    caplog.handler.setFormatter(logs.JsonLines())
    with caplog.at_level(logging.INFO, logger="regulars.serving"):
        opened()
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert sorted(line["tenant"] for line in lines if line["message"] == "the shop is open") == ["north", "south"]
    assert logs.TENANT.get() is None


def test_a_server_of_several_shops_may_listen_anywhere_for_it_answers_nobody_without_a_key(two_homes: Path) -> None:
    assert safe_host("0.0.0.0", server_settings()) == "0.0.0.0"
