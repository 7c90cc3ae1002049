"""A shop that gave nothing but who ordered what and when: no amounts, no products, no contacts. Every page stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import load_settings
from serving.app import build_app
from serving.console.routes import CONSOLE_ROUTES
from serving.keys import now_utc
from serving.scopes import KeyScope
from tests.serving.console_browser import Browser
from training.insight.files import read_insight
from training.insight.keep import keep_insight
from training.insight.page import report_page
from training.protocols import Context

AT = datetime(2024, 6, 1, tzinfo=UTC)
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, write_scores) -> Home:
    folder = tmp_path_factory.mktemp("bare")
    lines = [
        f"{who}-{back},{who},p{(who + back + n) % 9},{(AT - timedelta(days=3 * back + who % 7 + 1)):%Y-%m-%d}"
        for who in range(60)
        for back in range(2 + who % 9)
        for n in range(3)
    ]
    (folder / "orders.csv").write_text("\n".join(["order,customer,product,at", *lines]))
    (folder / "shop.toml").write_text(MAPPING)
    settings = load_settings(home=folder / "home", threads=1)
    home = Home(settings.home)
    ingest("files", settings, mapping=folder / "shop.toml", now=AT.replace(tzinfo=None))
    lake = read_lake(home)
    keep_insight(Context(settings=settings, home=home, lake=lake), at=AT)
    write_scores(home, about={"lake_version": lake.version})
    return home


PAGES = [route.path for route in CONSOLE_ROUTES if route.method == "GET" and "{" not in route.path]
#: What has to be said to be answered; a picture there is none of, and versions have nothing to do with orders.
NEEDS = {
    "/console/customer/panel": "?id=ann",
    "/console/customer": "?id=ann",
    "/console/models/picture": None,
    "/console/models/versions": None,
}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("path", [path for path in PAGES if NEEDS.get(path, "") is not None])
def test_every_page_stands(make_runtime, bare: Home, path: str, lang: str) -> None:
    runtime = make_runtime(bare)
    _, key = runtime.keys.create(KeyScope.ADMIN, name=f"{path}{lang}", per_minute=100_000, at=now_utc())
    runtime.refresh()
    browser = Browser(build_app(runtime), lang=lang)
    browser.log_in(key, name="Ada", to="/console/overview")
    assert browser.get(f"{path}{NEEDS.get(path, '')}").status_code == 200


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_stands_and_shows_no_figure_that_is_none(bare: Home, language: str) -> None:
    insight = read_insight(bare)
    assert insight is not None
    shown = re.findall(r">([^<]*)<", report_page(insight, language=language))
    assert not [text for text in shown if re.search(r"\b(nan|None|inf)\b", text)]
