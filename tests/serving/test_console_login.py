"""Nobody sees a page of the console without a session whose key may, and no other site can write through one."""

from __future__ import annotations

import re

import pytest

from serving.app import build_app
from serving.console.routes import CONSOLE_ROUTES
from serving.console.sessions import COOKIE
from serving.keys import now_utc
from serving.runtime import Runtime
from serving.scopes import KeyScope
from tests.serving.console_browser import Browser

OPEN = {
    "/console",
    "/console/login",
    "/console/session",
    "/console/looks",
    "/console/static/{name:path}",
}


def make_key(runtime: Runtime, scope: str, *, per_minute: int = 100_000) -> str:
    _, text = runtime.keys.create(KeyScope(scope), name="desk", per_minute=per_minute, at=now_utc())
    runtime.refresh()
    return text


@pytest.fixture
def key(runtime: Runtime) -> str:
    return make_key(runtime, "retention")


@pytest.fixture
def browser(runtime: Runtime, key: str) -> Browser:
    return Browser(build_app(runtime))


def test_every_page_but_the_door_leads_to_the_login_and_shows_nothing(browser: Browser) -> None:
    guarded = [route for route in CONSOLE_ROUTES if route.path not in OPEN]
    assert len(guarded) > 10
    for route in guarded:
        path = re.sub(r"\{[^}]+\}", "x", route.path)
        answer = browser.send(route.method, path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/console/login"), path
        assert "ann" not in answer.text
        part = browser.send(route.method, path, headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, "/console/login")


def test_a_key_of_retention_opens_the_console_and_the_cookie_is_for_the_browser_alone(
    browser: Browser, key: str
) -> None:
    browser.get("/console/customer?id=ann")
    door = browser.send(
        "POST", "/console/session", data={"name": "Mia", "key": key, "next": "/console/customer?id=ann"}
    )
    assert door.headers["location"] == "/console/customer?id=ann"
    cookie = door.headers["set-cookie"]
    assert all(flag in cookie for flag in ("HttpOnly", "SameSite=strict", "Path=/console"))
    assert "Secure" not in cookie
    assert key not in cookie
    assert "Mia" in browser.get("/console/customer?id=ann").text


def test_behind_tls_the_cookie_never_travels_without_it(runtime: Runtime, key: str) -> None:
    browser = Browser(build_app(runtime), base="https://shop.example")
    door = browser.send("POST", "/console/session", data={"name": "Mia", "key": key})
    assert "Secure" in door.headers["set-cookie"]


@pytest.mark.parametrize(
    ("scope", "status", "said"), [("site", 403, "for the shop&#39;s site"), ("wrong", 401, "not known")]
)
def test_other_keys_do_not_open_it_and_hear_why(
    browser: Browser, runtime: Runtime, scope: str, status: int, said: str
) -> None:
    shown = make_key(runtime, "site") if scope == "site" else "rg_admin_000000000000_" + "A" * 43
    answer = browser.log_in(shown)
    assert answer.status_code == status
    assert said in answer.text
    assert COOKIE not in browser.cookies
    assert shown not in answer.text


def test_logging_out_ends_the_session_for_whoever_kept_the_cookie(browser: Browser, key: str) -> None:
    browser.log_in(key)
    kept = browser.cookies[COOKIE]
    browser.post("/console/logout")
    browser.cookies.set(COOKIE, kept, path="/console")
    assert browser.send("GET", "/console/at-risk").status_code == 303


def test_revoking_the_key_ends_its_sessions(browser: Browser, runtime: Runtime, key: str) -> None:
    assert browser.log_in(key).status_code == 200
    runtime.keys.revoke(runtime.keys.all()[0].key_id, at=now_utc())
    runtime.refresh()
    assert browser.send("GET", "/console/at-risk").status_code == 303


def test_a_session_is_found_by_its_hash_and_the_token_is_kept_nowhere(
    browser: Browser, runtime: Runtime, key: str
) -> None:
    browser.log_in(key)
    token = browser.cookies[COOKIE].encode()
    for file in runtime.holder.home.root.rglob("*"):
        if file.is_file():
            assert token not in file.read_bytes(), file


FORMS = [
    ("/console/outcomes", {"id": "ann", "outcome_id": "o1", "outcome": "saved"}),
    ("/console/assign", {"id": "ann", "to": "Mia"}),
    ("/console/snooze", {"id": "ann", "days": 3}),
    ("/console/views", {"name": "mine", "query": ""}),
    ("/console/plan/record", {"campaign": "c1", "cost": 0}),
    ("/console/logout", {}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_a_form_without_the_token_of_the_session_changes_nothing(
    browser: Browser, runtime: Runtime, key: str, path: str, fields: dict
) -> None:
    browser.log_in(key)
    other = Browser(browser.app)
    other.log_in(key)
    for token in ({}, {"csrf": ""}, {"csrf": other.csrf}):
        assert browser.send("POST", path, data={**fields, **token}).status_code == 403
    runtime.refresh()
    assert not runtime.contacts.by_customer
    assert not runtime.contacts.desk
    assert not runtime.contacts.planned
    assert browser.get("/console/at-risk").status_code == 200


def test_a_form_of_another_origin_is_refused_before_it_is_read(browser: Browser, key: str) -> None:
    browser.log_in(key)
    fields = {**FORMS[0][1], "csrf": browser.csrf}
    for origin in ("https://evil.example", "null"):
        answer = browser.send("POST", "/console/outcomes", data=fields, headers={"Origin": origin})
        assert answer.status_code == 403


def test_the_door_leads_to_pages_of_the_console_alone(browser: Browser, key: str) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example", "/docs", "/console/\\evil.example", ""):
        fields = {"name": "Mia", "key": key, "next": elsewhere}
        assert browser.send("POST", "/console/session", data=fields).headers["location"] == "/console/at-risk"


def test_pages_run_no_script_but_their_own_and_are_kept_nowhere(browser: Browser, key: str) -> None:
    page = browser.log_in(key)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "private, no-store"
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=|javascript:", page.text)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    assert all(one.startswith(("/console", "#")) for one in addresses)


def test_what_the_shop_wrote_is_shown_as_text(browser: Browser, runtime: Runtime, key: str) -> None:
    browser.log_in(key, name="<script>x</script>")
    assert "<script>x" not in browser.page.text
    browser.post("/console/views", {"name": "<b>mine</b>", "query": "risk=10"})
    assert "&lt;b&gt;mine" in browser.page.text
    assert "<b>mine" not in browser.page.text


def test_who_asks_too_fast_waits(runtime: Runtime) -> None:
    slow = make_key(runtime, "retention", per_minute=6)
    browser = Browser(build_app(runtime))
    browser.log_in(slow)
    answer = browser.send("GET", "/console/at-risk")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


def test_without_any_key_this_machine_enters_and_no_other(runtime: Runtime) -> None:
    here = Browser(build_app(runtime), base="http://127.0.0.1")
    assert here.log_in("").status_code == 200
    elsewhere = Browser(build_app(runtime), base="http://shop.example")
    assert elsewhere.log_in("").status_code == 401
    assert "regulars keys create" in elsewhere.page.text
    make_key(runtime, "retention")
    assert here.send("GET", "/console/at-risk").status_code == 303


def test_what_is_not_there_is_a_page_and_says_so(browser: Browser, key: str) -> None:
    browser.log_in(key)
    for path in ("/console/nothing", "/console/static/nothing.js", "/console/static/../keys.py"):
        assert browser.get(path).status_code == 404, path
    assert "There is nothing here" in browser.page.text
