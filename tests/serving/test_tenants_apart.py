"""Whoever holds the keys of one of two shops tries every route for something of the other, at a real server."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from difflib import unified_diff

import httpx
import pytest

from serving.app import EVERY_ROUTE
from serving.console.sessions import COOKIE
from serving.doorbell import Doorbell
from serving.keys import DOORBELL
from serving.route_table import PUBLIC, ApiRoute
from tests.serving.route_questions import ANSWERED_SO, LAST, ask, questions, told
from tests.serving.two_shops import (
    MARK,
    ONLY_THEIRS,
    OURS,
    PAGES,
    THEIRS,
    Servers,
    alike,
    rows,
    two_shops,
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, write_scores: object) -> Iterator[Servers]:
    with two_shops(tmp_path_factory.mktemp("two"), write_scores) as found:
        yield found


@pytest.fixture(scope="module")
def planted(servers: Servers) -> dict[str, list[tuple[object, ...]]]:
    """The second shop's database as it was before anybody tried."""
    return rows(servers.home(THEIRS))


def when(route: ApiRoute) -> int:
    return LAST.index(route.path) + 1 if route.path in LAST else 0


def name_of(route: ApiRoute) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", sorted(EVERY_ROUTE, key=when), ids=name_of)
def test_a_shop_is_answered_as_if_it_were_alone_and_hears_nothing_of_the_other(
    route: ApiRoute, servers: Servers, planted: dict[str, list[tuple[object, ...]]]
) -> None:
    statuses = set()
    [(view_id, *_)] = planted["saved_views"]
    for question in questions(route, view_id):
        # Of outcomes that another worker wrote, a worker knows within a second or so.
        for is_last in (False, False, False, False, True) if route.method == "GET" else (True,):
            with ThreadPoolExecutor(2) as pool:
                both, alone = pool.map(lambda who, q=question: ask(who, route, q), (servers.ours, servers.alone))
            statuses.add(both.status_code)
            said = told(both)
            for own in question.sent:  # what was asked for may be said back
                said = said.replace(own, "")
            assert MARK not in said, question
            assert THEIRS not in said, question
            if route.path == "/metrics":
                break
            heard, expected = alike(told(both), servers.root), alike(told(alone), servers.root)
            if heard == expected:
                break
            assert not is_last, (question, list(unified_diff(expected.splitlines(), heard.splitlines(), n=0)))
            time.sleep(0.5)
    # A route that answers none of this was not tried: say in FIELDS, or in the description, what it takes.
    assert any(status < 400 for status in statuses) or ANSWERED_SO.get(route.path) in statuses, statuses


def test_the_other_shop_tells_its_own_people_what_was_planted(servers: Servers) -> None:
    """Else the search above would find nothing wherever it looked."""
    theirs = servers.theirs
    for path in ("/v1/customers/c07", "/v1/feedback", "/metrics", f"/v1/contact-plans/{ONLY_THEIRS['campaign_id']}"):
        assert MARK in theirs.api("GET", path).text, path
    assert MARK in theirs.api("POST", "/v1/recommendations", json={"customer_id": "c07"}).text
    for page in PAGES:
        assert MARK in theirs.page("GET", f"/console/{page}").text, page
    assert f'<small class="shop">{THEIRS}</small>' in theirs.page("GET", "/console/at-risk").text


def test_nothing_that_one_shop_asked_or_sent_changed_a_row_of_the_other(
    servers: Servers, planted: dict[str, list[tuple[object, ...]]]
) -> None:
    event = {"event_id": "ours-alone", "product_id": "p03", "kind": "view", "occurred_at": "2026-01-01T00:00:00Z"}
    answer = servers.ours.api("POST", "/v1/events", json={**event, "customer_id": ONLY_THEIRS["customer_id"]})
    assert answer.json()["accepted"] == 1
    assert any("ours-alone" in row for row in rows(servers.home(OURS))["events"])
    assert rows(servers.home(THEIRS)) == planted


@pytest.fixture
def forged(servers: Servers) -> Mapping[str, str]:
    """Texts that open nothing, by how they were made of a key that opens the first shop."""
    key = servers.ours.keys["admin"]
    taken, secret = re.search("admin_([0-9a-f]{12})_(.*)", key).groups()
    return {
        "named after the other": key.replace(f"rg_{OURS}_", f"rg_{THEIRS}_"),
        "named after nobody": key.replace(f"rg_{OURS}_", "rg_nobody_"),
        "without a name": key.replace(f"rg_{OURS}_", "rg_"),
        "of another scope": servers.ours.keys["site"].replace("_site_", "_admin_"),
        "named twice": key.replace(f"rg_{OURS}_", f"rg_{THEIRS}_{OURS}_"),
        "made up": f"rg_{THEIRS}_admin_{taken}_{secret[::-1]}",
    }


def copy_rows(servers: Servers, table: str) -> None:
    """Whoever could write the other shop's database puts our rows there; its server has noticed when this returns."""
    found = rows(servers.home(OURS))[table]
    live = servers.home(THEIRS).live
    with closing(sqlite3.connect(live / "live.db", timeout=10)) as con, con:
        con.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(found[0]))})", found)
    Doorbell(live / DOORBELL).ring()
    time.sleep(2.5)  # both workers look once a second


def test_a_key_opens_its_own_shop_alone_whatever_is_changed_in_it_or_copied(
    servers: Servers, forged: Mapping[str, str]
) -> None:
    copy_rows(servers, "api_keys")
    door = httpx.get(f"{servers.ours.url}/readyz").json()
    assert door == {"status": "ok", "scores_version": None, "problems": {}, "tenants": {OURS: "ok", THEIRS: "ok"}}
    for how, text in forged.items():
        for route in EVERY_ROUTE:
            if route.path.startswith("/console"):
                continue
            path = re.sub(r"\{\w+\}", "c07", route.path)
            answer = servers.ours.with_key(text, route.method, path)
            assert (answer.status_code == 401) == (route.scopes != PUBLIC), (how, route.path)
            assert MARK not in answer.text
        # Whoever holds no key hears no more of a shop than whoever names none.
        assert servers.ours.with_key(text, "GET", "/readyz").json() == door, how
        login = {"name": "Mia", "key": text}
        refused = servers.ours.with_key(text, "POST", "/console/session", data=login)
        assert refused.status_code in (401, 429), how
        assert COOKIE not in refused.cookies
    assert servers.ours.api("GET", "/v1/customers/c07").status_code == 200
    # The second shop's own keys go on opening the second shop.
    assert MARK in servers.theirs.api("GET", "/v1/customers/c07").text


def test_a_session_is_of_its_own_shop_alone_whatever_is_changed_in_it_or_copied(servers: Servers) -> None:
    servers.ours.look()
    copy_rows(servers, "console_sessions")
    ours, theirs = servers.ours.client.cookies[COOKIE], servers.theirs.client.cookies[COOKIE]
    assert ours.startswith(f"{OURS}.")
    made = (ours.replace(OURS, THEIRS), ours.partition(".")[2], f".{ours}", ours.replace(OURS, "nobody"), f"{theirs}x")
    for token in made:
        page = httpx.get(f"{servers.ours.url}/console/at-risk", cookies={COOKIE: token})
        assert page.status_code == 303, token
        assert page.headers["location"].startswith("/console/login")
    # A key beside a session changes nothing for a page, nor a session beside a key for the rest.
    both = {"cookies": {COOKIE: ours}, "headers": {"Authorization": f"Bearer {servers.theirs.keys['admin']}"}}
    assert MARK not in httpx.get(f"{servers.ours.url}/console/customer?id=c07", **both).text
    both = {"cookies": {COOKIE: theirs}, "headers": {"Authorization": f"Bearer {servers.ours.keys['admin']}"}}
    assert MARK not in httpx.get(f"{servers.ours.url}/v1/customers/c07", **both).text
    # A form made by a page of one shop is no form of the other's.
    answer = servers.ours.page("POST", "/console/assign", data={"id": "c07", "to": "Mia", "csrf": servers.theirs.csrf})
    assert answer.status_code == 403


def test_an_answer_kept_of_one_shop_is_not_taken_for_the_others(servers: Servers) -> None:
    nobody = "/v1/customers/at-risk?min_probability=1"
    assert servers.theirs.api("GET", nobody).content == servers.ours.api("GET", nobody).content
    for path in ("/v1/customers/at-risk?limit=5", nobody):
        theirs = servers.theirs.api("GET", path)
        ours = servers.ours.api("GET", path, headers={"If-None-Match": theirs.headers["etag"]})
        assert ours.status_code == 200, path
        again = servers.ours.api("GET", path, headers={"If-None-Match": ours.headers["etag"]})
        assert again.status_code == 304
    static = {servers.ours.page("GET", "/console/static/console.css").headers["etag"] for _ in range(2)}
    assert static == {servers.theirs.page("GET", "/console/static/console.css").headers["etag"]}


def test_each_shops_metrics_carry_its_name_and_tell_of_it_alone_with_several_workers(servers: Servers) -> None:
    for who, name in ((servers.ours, OURS), (servers.theirs, THEIRS)):
        for _ in range(4):  # each worker answers some
            samples = [line for line in who.api("GET", "/metrics").text.splitlines() if not line.startswith("#")]
            assert len(samples) > 100
            assert all(f'tenant="{name}"' in line for line in samples)
    alone = servers.alone.api("GET", "/metrics").text
    assert "tenant=" not in alone
    assert "regulars_customers 60.0" in alone


def test_the_log_names_shops_and_nobody_else(servers: Servers) -> None:
    lines = [json.loads(line) for line in servers.log.read_text().splitlines() if line.startswith("{")]
    of = {line.get("tenant") for line in lines if line.get("route", "").startswith("/v1")}
    assert of == {OURS, THEIRS, None}
    assert any(line.get("tenant") == THEIRS and "loaded" in line["message"] for line in lines)
    assert MARK not in servers.log.read_text()


def until(met: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait for it. Several times in a row, for several workers answer."""
    last, in_a_row = time.monotonic() + seconds, 0
    while in_a_row < 8:
        assert time.monotonic() < last
        in_a_row = in_a_row + 1 if met() else 0
        time.sleep(0.05)


def what_we_hear(servers: Servers) -> list[str]:
    """Answers to the first shop that do not depend on the moment."""
    asked = [("POST", "/v1/recommendations", {"json": {"customer_id": "c09"}})]
    asked += [("GET", path, {}) for path in ("/v1/models", "/v1/customers/at-risk", "/v1/customers/c09", "/readyz")]
    return [alike(told(servers.ours.api(method, path, **what)), servers.root) for method, path, what in asked]


def test_new_scores_of_one_shop_leave_the_answers_of_the_other(
    servers: Servers, write_scores: Callable[..., object], ranked_lists: object
) -> None:
    before = what_we_hear(servers)
    write_scores(servers.home(THEIRS), "v2", ranking=ranked_lists)
    until(lambda: servers.theirs.api("GET", "/v1/models").json()["scores_version"] == "v2")
    assert what_we_hear(servers) == before
    assert servers.ours.api("GET", "/v1/models").json()["scores_version"] == "v1"


def test_a_shop_that_breaks_takes_no_other_down(servers: Servers) -> None:
    before = what_we_hear(servers)
    home = servers.home(THEIRS)
    (home.scores / "CURRENT").write_text("gone")
    (home.root / "regulars.toml").write_text("this is no setting")
    until(lambda: httpx.get(f"{servers.ours.url}/readyz").json()["tenants"][THEIRS] == "degraded")
    assert what_we_hear(servers) == before
    assert httpx.get(f"{servers.ours.url}/readyz").json()["tenants"][OURS] == "ok"
    # As a server of one shop does, it answers from what it has, and says what is wrong to whoever holds its key.
    assert "gone" in servers.theirs.api("GET", "/readyz").json()["problems"]["scores"]
    assert servers.theirs.api("POST", "/v1/recommendations", json={}).status_code == 200
    shutil.rmtree(home.root)
    time.sleep(2.5)
    assert what_we_hear(servers) == before
    event = {"event_id": "after", "product_id": "p03", "kind": "view", "occurred_at": "2026-01-01T00:00:00Z"}
    assert servers.ours.api("POST", "/v1/events", json=event | {"session_id": "s"}).json()["accepted"] == 1
