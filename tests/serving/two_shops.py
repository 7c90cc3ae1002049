"""Two shops behind one real server, the second full of a mark that stands nowhere else; and a server of the first."""

from __future__ import annotations

import html
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.home import Home
from features.settings import load_settings
from features.tenants import shop_settings
from serving.database import open_database
from serving.keys import Keys, now_utc
from serving.scopes import KeyScope
from serving.server import running
from tests.serving.console_shop import open_shop
from tests.serving.small_scores import AS_OF
from training.promotion_log import FILE, Action, PromotionLog, State
from training.protocols import Gate
from training.version_listing import keep_listing
from training.versions import Comparison, ModelVersion

HOST = "127.0.0.1"
#: In every name, note, placement and id of the second shop, and in nothing of the first.
MARK = "Zyzzogeton"
OURS, THEIRS = "north", "south-2"
#: Ids that only the second shop knows.
ONLY_THEIRS = {
    "customer_id": f"only{MARK}",
    "session_id": f"visit-{MARK}",
    "event_id": f"event-{MARK}",
    "outcome_id": f"outcome-{MARK}",
    "campaign_id": f"june-{MARK}",
    "category": f"Bread{MARK}",
    "placement": f"home-{MARK}",
}
#: Ids that both shops have, each with something else behind it.
SHARED = {
    "customer_id": "c07",
    "product_id": "p03",
    "session_id": "visit",
    "event_id": "event",
    "outcome_id": "outcome",
    "campaign_id": "june",
    "category": "Bread",
    "placement": "home",
}
PAGES = ("at-risk", "customer?id=c07", "overview", "selling", "cube", "models", "models/versions", "products", "plan")
PLAN = {"cost_per_contact": 1.0, "margin": 0.3, "rest_days": 0, "holdout_share": 0}


@dataclass
class Shopper:
    """Somebody who holds keys of one shop, at one server."""

    url: str
    keys: Mapping[str, str]
    client: httpx.Client = field(init=False)
    csrf: str = ""

    def __post_init__(self) -> None:
        # A connection a request: one that is kept is one worker's, and each of them shall be asked.
        once = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=self.url, timeout=60, limits=once)
        self._without_cookies = httpx.Client(base_url=self.url, timeout=60, limits=once)

    def close(self) -> None:
        """Hang up."""
        self.client.close()
        self._without_cookies.close()

    def api(self, method: str, path: str, *, scope: str = "admin", **what: Any) -> httpx.Response:
        """One request with a key, and without a cookie."""
        return self.with_key(self.keys[scope], method, path, **what)

    def with_key(self, key: str, method: str, path: str, **what: Any) -> httpx.Response:
        """One request with any key, and without a cookie."""
        headers = {"Authorization": f"Bearer {key}", **what.pop("headers", {})}
        return self._without_cookies.request(method, path, headers=headers, **what)

    def log_in(self, *, name: str) -> httpx.Response:
        """A session of the console."""
        fields = {"name": name, "key": self.keys["admin"]}
        answer = self.client.post("/console/session", data=fields, headers={"Origin": self.url})
        self.look()
        return answer

    def look(self) -> None:
        """Take the session's token from a page."""
        page = self.client.get("/console/at-risk").text
        self.csrf = html.unescape(re.search(r'name="csrf" value="([^"]+)"', page)[1])

    def page(self, method: str, path: str, **what: Any) -> httpx.Response:
        """One request to the console; a form carries the session's token."""
        if method == "POST":
            what["data"] = {"csrf": self.csrf, **what.get("data", {})}
            what["headers"] = {"Origin": self.url, **what.get("headers", {})}
        return self.client.request(method, path, **what)


@dataclass
class Servers:
    """A server of both shops, with `ours` and `theirs` at it; and one of ours alone."""

    root: Path
    ours: Shopper
    theirs: Shopper
    alone: Shopper
    log: Path

    def home(self, name: str) -> Home:
        """A shop's home at the server of both."""
        return Home(self.root / "shops" / name)


@contextmanager
def two_shops(root: Path, write_scores: Any) -> Iterator[Servers]:
    """Both servers, the second shop planted with the mark wherever one may write something."""
    shops = root / "shops"
    for name, mark in ((OURS, ""), (THEIRS, MARK)):
        open_shop(root / f"made-{name}", write_scores, mark=mark)
        shutil.move(root / f"made-{name}" / "home", shops / name)
        register(Home(shops / name), said=f"first{mark}")
        (shops / name / "regulars.toml").write_text(f'answer_ms = 10000\nseed = 1\ncurrency = "{mark or "EUR"}"\n')
    homes = "".join(f'{name} = "{shops / name}"\n' for name in (OURS, THEIRS))
    (root / "regulars.toml").write_text(f'log_format = "json"\nlog_requests = true\nthreads = 1\n[tenants]\n{homes}')
    (root / "alone.toml").write_text(f'threads = 1\n[tenants]\n{OURS} = "{root / "alone" / OURS}"\n')
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv("REGULARS_THREADS", raising=False)
        patch.setenv("REGULARS_CONFIG", str(root / "regulars.toml"))
        keys = {name: make_keys(name) for name in (OURS, THEIRS)}
        shutil.copytree(shops / OURS, root / "alone" / OURS)
        patch.setenv("REGULARS_WORKERS", "2")
        both = stack.enter_context(serving(root / "server", root / "both.log"))
        patch.setenv("REGULARS_CONFIG", str(root / "alone.toml"))
        patch.setenv("REGULARS_TENANT", OURS)
        patch.setenv("REGULARS_WORKERS", "1")
        alone = stack.enter_context(serving(root / "server-alone", root / "alone.log"))
        found = Servers(
            root,
            Shopper(both, keys[OURS]),
            Shopper(both, keys[THEIRS]),
            Shopper(alone, keys[OURS]),
            root / "both.log",
        )
        for shopper, name in ((found.ours, "Mia"), (found.alone, "Mia"), (found.theirs, f"Agent-{MARK}")):
            assert shopper.log_in(name=name).status_code == 303
            stack.callback(shopper.close)
        plant(found.theirs)
        yield found


def register(home: Home, *, said: str) -> None:
    """A registry that holds one version and how it became champion, listed as `regulars models` leaves it."""
    home.mlflow.mkdir()
    with closing(sqlite3.connect(home.registry_database)) as con:
        con.execute("PRAGMA user_version = 1")
    version = ModelVersion(
        model="churn",
        version=1,
        run_id=said,
        created=AS_OF,
        fingerprint=said,
        data_hash=said,
        test_as_of=AS_OF,
        horizon_days=28,
        gate=Gate("auc"),
        comparison=Comparison("auc", True, 0.8, None),
        bundle=said,
        bundle_hash=said,
        metrics={"auc": 0.8},
        aliases=("champion",),
        notes=(said,),
    )
    keep_listing(home, lambda: [version])
    log = PromotionLog(home.root / FILE)
    log.write(
        model="churn",
        action=Action.PROMOTED,
        from_version=None,
        to_version=1,
        who=said,
        at=AS_OF,
        why=said,
        metrics={"auc": 0.8},
        state=State.DONE,
    )


def make_keys(name: str) -> dict[str, str]:
    """A key of each scope in the shop's database."""
    settings = shop_settings(load_settings(), name)
    database = open_database(settings)
    keys = Keys(database, tenant=name)
    made = {s.value: keys.create(s, name=f"{name} {s}", per_minute=10**7, at=now_utc())[1] for s in KeyScope}
    database.close()
    return made


@contextmanager
def serving(home: Path, log: Path) -> Iterator[str]:
    """The address of a real server with the settings of the environment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    with running(host=HOST, port=port, home=home, log=log):
        yield f"http://{HOST}:{port}"


def plant(them: Shopper) -> None:
    """What the second shop's customers and agents did: all of it holds the mark, under ids of both kinds."""
    at = datetime.now(UTC).isoformat()
    for ids in (SHARED, ONLY_THEIRS):
        place = {"customer_id": ids["customer_id"], "placement": ONLY_THEIRS["placement"]}
        event = {
            "request_id": them.api("POST", "/v1/recommendations", json=place).json()["request_id"],
            "event_id": ids["event_id"],
            "product_id": "p03",
            "kind": "click",
            "occurred_at": at,
            "session_id": ids["session_id"],
            "placement": ONLY_THEIRS["placement"],
        }
        outcome = {
            "outcome_id": ids["outcome_id"],
            "customer_id": ids["customer_id"],
            "outcome": "reached",
            "occurred_at": at,
            "note": f"said {MARK}",
            "who": f"Agent-{MARK}",
        }
        customer = {"customer_id": ids["customer_id"]}
        for path, sent in (
            ("/v1/events", event),
            (f"/v1/sessions/{ids['session_id']}/customer", customer),
            ("/v1/outcomes", outcome),
            ("/v1/contact-plans", PLAN | {"campaign_id": ids["campaign_id"], "head_count": 7}),
        ):
            answer = them.api("POST", path, json=sent)
            assert answer.status_code == 200, answer.text
        for path, form in (
            ("/console/assign", {"id": ids["customer_id"], "to": f"Agent-{MARK}"}),
            ("/console/views", {"name": f"View {MARK}", "query": f"category={ids['category']}"}),
        ):
            answer = them.page("POST", path, data=form)
            assert answer.status_code in (200, 303), answer.text
    # What a worker keeps of a page it has made is of them when the first shop asks.
    for page in (
        *PAGES,
        f"at-risk?attribute=household=single{MARK}",
        f"at-risk?store=North{MARK}",
        "at-risk?reason=silent",
    ):
        for _ in range(6):
            assert them.page("GET", f"/console/{page}").status_code == 200, page


def rows(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the shop's database by table."""
    with closing(sqlite3.connect(f"file:{home.live / 'live.db'}?mode=ro", uri=True)) as con:
        tables = [name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(con.execute(f'SELECT * FROM "{name}"').fetchall(), key=str) for name in sorted(tables)}


#: What differs between two answers to one question: ids, tokens, moments, and where a server's files and door are.
_VARIES = (
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "ID"),
    (re.compile(r"[A-Za-z0-9_-]{43}"), "TOKEN"),
    (re.compile(r"\b20[2-9]\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)?"), "MOMENT"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "TIME"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "SERVER"),
)


def alike(text: str, root: Path) -> str:
    """An answer without what differs between two answers to one question."""
    for place in (root / "shops", root / "alone"):
        text = text.replace(str(place), "HOME")
    for what, name in _VARIES:
        text = what.sub(name, text)
    return text
