"""Model versions are shown with what they were measured at, and changed by administrators alone, through the gate."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from features.home import Home
from serving.app import build_app
from serving.keys import now_utc
from serving.runtime import Runtime
from serving.scopes import KeyScope
from tests.serving.console_browser import Browser
from tests.serving.console_said import english_in
from tests.training.registry.fakes import PNG, train_churn
from training.promotion_log import FILE, PromotionLog
from training.version_listing import kept_listing


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two versions of churn, the second of which is champion."""
    home = Home(tmp_path_factory.mktemp("trained") / "home")
    train_churn(home, auc=0.80)
    train_churn(home, auc=0.82, lake="lake2")
    return home.root


@pytest.fixture
def runtime(trained: Path, make_runtime) -> Runtime:
    made = make_runtime(Home(trained))
    for scope in (KeyScope.RETENTION, KeyScope.ADMIN):
        made.keys.create(scope, name=scope.value, per_minute=100_000, at=now_utc())
    return made


def logged_in(runtime: Runtime, scope: KeyScope) -> Browser:
    _, key = runtime.keys.create(scope, name=scope.value, per_minute=100_000, at=now_utc())
    runtime.refresh()
    browser = Browser(build_app(runtime))
    browser.log_in(key, name="Ada", to="/console/models")
    return browser


def test_an_agent_sees_the_versions_and_may_change_none(runtime: Runtime) -> None:
    browser = logged_in(runtime, KeyScope.RETENTION)
    assert "Who changed what" in browser.page.text
    assert '<b>2</b> <span class="chip good">champion</span>' in browser.page.text
    token = browser.csrf
    for path, fields in (("promote", {"version": 1}), ("rollback", {})):
        sent = {"model": "churn", "why": "because", "csrf": token, **fields}
        answer = browser.send("POST", f"/console/models/{path}", data=sent)
        assert answer.status_code == 403
        assert "You may not do this" in answer.text
    champions = [row.to_version for row in PromotionLog(runtime.holder.home.root / FILE).rows("churn")]
    assert champions == [1, 2]


def test_an_administrator_meets_the_gate_and_rolls_back_and_the_log_names_them(runtime: Runtime) -> None:
    browser = logged_in(runtime, KeyScope.ADMIN)
    token = browser.csrf
    part = browser.send("GET", "/console/models/versions", headers={"HX-Request": "true"}).text
    assert '<b>2</b> <span class="chip good">champion</span>' in part
    assert '<b>1</b> <span class="chip good">' not in part
    assert "0.820" in part
    assert "recency rank" in part
    assert "0.700" in part
    picture = html_picture(part)
    answer = browser.send("GET", picture)
    assert (answer.headers["content-type"], answer.content) == ("image/png", PNG)
    assert browser.send("GET", picture.replace("reliability", "..%2F..%2Fsecret")).status_code == 404
    sent = {"model": "churn", "version": 1, "why": "--force", "csrf": token}
    refused = browser.send("POST", "/console/models/promote", data=sent)
    assert refused.status_code == 409
    assert "was not promoted" in refused.text
    browser.headers["Accept-Language"] = "zh"
    part = browser.send("GET", "/console/models/versions", headers={"HX-Request": "true"}).text
    page = browser.get("/console/models").text
    assert "差于冠军：auc 0.8000，冠军第 2 版在同一回测中为 0.8200" in page
    names = {"Ada", "ann", "auc", "ece", "lift", "precision", "ndcg", "recall", "mae", "correlation"}
    assert [english_in(text, names) for text in (part, page)] == [[], []]
    browser.headers["Accept-Language"] = "en"
    browser.post("/console/models/rollback", {"model": "churn", "why": "the list looks odd", "csrf": token})
    assert "churn: version 1 is champion" in browser.page.text
    last = PromotionLog(runtime.holder.home.root / FILE).rows("churn")[-1]
    assert (last.action.value, last.to_version, last.who) == ("rolled back", 1, "Ada")
    assert "the list looks odd" in last.why


def test_the_versions_stand_on_the_page_at_once_unless_another_wrote_to_the_registry(runtime: Runtime) -> None:
    home = runtime.holder.home
    kept = kept_listing(home)
    assert kept is not None
    assert [(row["model"], row["version"], row["grade"]["grade"]) for row in kept] == [
        ("churn", 2, "unusable"),
        ("churn", 1, "unusable"),
    ]
    database = home.mlflow / "mlflow.db"
    before = database.stat()
    os.utime(database, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert kept_listing(home) is None
    page = logged_in(runtime, KeyScope.RETENTION).page.text
    os.utime(database, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "Asking the registry" in page
    assert 'hx-get="/console/models/versions"' in page
    assert "Asking the registry" not in logged_in(runtime, KeyScope.RETENTION).page.text


def html_picture(part: str) -> str:
    """Where the first plot is."""
    return re.search(r'<img [^>]*src="([^"]+)"', part).group(1).replace("&amp;", "&")


def test_how_past_scores_stood_is_on_the_page(runtime: Runtime) -> None:
    folder = runtime.holder.home.lookback
    assert "No horizon has passed yet." in logged_in(runtime, KeyScope.RETENTION).page.text
    folder.mkdir()
    came, promised = {"auc": 0.781, "auc_low": 0.752, "auc_high": 0.81}, {"auc": 0.866}
    one = {"model": "churn", "version": 2, "customers": 1234, "metric": "auc", "promised": promised, "came": came}
    one |= {"verdict": "worse than promised", "why": "", "ratio": 0.912, "ratio_low": 0.85, "ratio_high": 0.98}
    found = {"as_of": "2024-05-05T00:00:00", "judged_at": "2024-06-03T00:00:00", "models": [one]}
    (folder / "2024-05-05.json").write_text(json.dumps(found))
    browser = logged_in(runtime, KeyScope.RETENTION)
    for told in ("1,234", "0.866", "0.781", "0.752", "0.810", "0.91", "worse than promised", "5 May 2024"):
        assert told in browser.page.text
    browser.headers["Accept-Language"] = "zh"
    assert "差于承诺" in browser.get("/console/models").text


def test_the_drift_found_last_stands_on_the_page_with_its_alerts(runtime: Runtime) -> None:
    folder = runtime.holder.home.root / "drift"
    folder.mkdir(exist_ok=True)
    weeks = [{"as_of": "2024-06-02T00:00:00", "customers": 9, "scores": 0.31, "features": {"orders": 0.4}, "mean": 0.2}]
    found = {"version": 2, "lake": "lake2", "weeks": weeks, "level": None, "alerts": ["the scores have moved"]}
    (folder / "churn.json").write_text(json.dumps(found))
    text = logged_in(runtime, KeyScope.RETENTION).page.text
    for told in ("0.31", "orders", "0.40", "the scores have moved", "2 Jun 2024"):
        assert told in text
