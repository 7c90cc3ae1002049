"""The pages about the whole shop show its picture, follow changed thresholds, and lead to the customers they count."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest

from features.home import Home
from features.settings import load_settings
from serving.app import build_app
from serving.console import handlers_selling
from serving.console.cube_members import who
from serving.runtime import Runtime, open_runtime
from tests.serving.console_browser import Browser
from tests.serving.console_shop import open_shop
from training.insight.files import Insight, read_insight
from training.insight.words import word


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, write_scores) -> Home:
    return open_shop(tmp_path_factory.mktemp("console-picture"), write_scores)


@pytest.fixture(scope="module")
def insight(shop: Home) -> Insight:
    found = read_insight(shop)
    assert found is not None
    return found


@pytest.fixture
def runtime(shop: Home, tmp_path: Path):
    made = open_runtime(load_settings(home=shop.root, database_url=f"sqlite:///{tmp_path / 'live.db'}"))
    made.start()
    yield made
    made.database.close()


@pytest.fixture
def browser(runtime: Runtime) -> Browser:
    made = Browser(build_app(runtime), base="http://127.0.0.1")
    made.log_in()
    return made


def of_group(browser: Browser, query: str) -> list[str]:
    """Customers on all pages of a group."""
    found, page = [], 1
    while True:
        text = browser.get(f"/console/customer?{query}&page={page}").text
        found += [html.unescape(one) for one in re.findall(r'<td><a href="/console/customer\?id=[^"]+">([^<]+)<', text)]
        if 'rel="next"' not in text:
            return found
        page += 1


def column(insight: Insight, name: str) -> np.ndarray:
    return np.array(insight.customers[name].to_pylist(), dtype=object)


def test_the_best_customers_follow_the_thresholds_on_the_page(browser: Browser, insight: Insight) -> None:
    spend, visits = column(insight, "spend_lately").astype(float), column(insight, "visits_lately").astype(int)
    least = float(np.median(spend))
    text = browser.get(f"/console/overview?spend={least}&categories=0&visits=12").text
    best = (spend >= least) & (visits >= 12)
    facts = [one.split()[0] for one in re.findall(r"<dd>(\d[^<]*)", text[text.index('id="best-part"') :])]
    share = f"{spend[best].sum() / spend.sum():.0%}"
    assert facts[:5] == [f"{best.sum()}", share, f"{(spend >= least).sum()}", "60", f"{(visits >= 12).sum()}"]


def test_the_overview_shows_every_group_of_the_picture_and_leads_to_its_customers(
    browser: Browser, insight: Insight
) -> None:
    text = browser.get("/console/overview").text
    for table, name in (("segments", "segment"), ("stages", "stage")):
        for row in insight.tables[table]:
            if row["customers"]:
                assert table == "stages" or word(row["group"]) in text
                there = insight.customers["customer_id"].to_pylist()
                wanted = {one for one, group in zip(there, column(insight, name), strict=True) if group == row["group"]}
                found = of_group(browser, f"{name}={row['group']}")
                assert set(found) == wanted
                assert len(found) == row["customers"]


@pytest.mark.parametrize("group", ["segment", "grade", "tag"])
def test_the_list_at_risk_is_narrowed_to_a_group_of_the_picture(browser: Browser, insight: Insight, group: str) -> None:
    browser.get("/console/at-risk?size=100")
    everybody = browser.customers()
    ids = insight.customers["customer_id"].to_pylist()
    if group == "tag":
        of = dict(zip(ids, insight.customers["tags"].to_pylist(), strict=True))
        value = max({tag for tags in of.values() for tag in tags}, key=lambda tag: sum(tag in t for t in of.values()))
        wanted = [one for one in everybody if value in of[one]]
    else:
        of = dict(zip(ids, column(insight, group), strict=True))
        value = of[everybody[0]]
        wanted = [one for one in everybody if of[one] == value]
    browser.get(f"/console/at-risk?size=100&{group}={value}")
    assert browser.customers() == wanted
    browser.get(f"/console/at-risk?{group}=nothing-of-that-name")
    assert browser.customers() == []


@pytest.mark.parametrize(("rows", "columns"), [("segment", "category"), ("category", "weekday"), ("decile", "all")])
def test_a_place_of_the_cube_leads_to_the_customers_it_counts(
    browser: Browser, insight: Insight, rows: str, columns: str
) -> None:
    text = browser.get(f"/console/cube?rows={rows}&columns={columns}&measure=customers").text
    links = re.findall(r'<td class="h[1-4]"><a href="/console/customer\?([^"]+)" [^>]*>([\d,]+)</a>', text)
    assert len(links) > 4
    for query, count in links[:: len(links) // 5]:
        assert len(of_group(browser, html.unescape(query))) == int(count.replace(",", "")), query
    assert "Of orders of the last 364 days" in browser.page.text


def test_every_pair_of_dimensions_is_counted_and_found_alike(runtime: Runtime, insight: Insight) -> None:
    home, settings = runtime.holder.home, runtime.settings
    kinds = {one.kind for one in insight.cube.dimensions}
    assert kinds == {"customer", "product", "behaviour"}
    for first, second in combinations(insight.cube.dimensions, 2):
        face = np.nan_to_num(insight.cube.face(first.name, second.name, "customers"))
        places = [np.unravel_index(at, face.shape) for at in (face.argmax(), face.argmin(), face.size // 2)]
        for row, column in places:
            wanted = {first.name: first.values[row], second.name: second.values[column]}
            found = who(insight, home, settings, wanted, lately=True)
            assert found is not None
            assert found.sum() == face[row, column], wanted


def numbers_of(text: str, between: str) -> list[str]:
    """What the links of a part of a page are called: where, and the number."""
    part = text[text.index(between) :]
    return [html.unescape(one) for one in re.findall(r'aria-label="([^"]+: [^"]+)"', part[: part.index("</section>")])]


def test_what_sells_across_categories_is_the_picture_s_and_leads_to_whom_it_can_be_offered(
    browser: Browser, insight: Insight
) -> None:
    cross = insight.tables["cross_sell"]
    names = cross["rows"]
    for show, told in (("values", "{:.0%}"), ("lift", "{:,.2f}"), ("open", "{:,.0f}")):
        shown = numbers_of(browser.get(f"/console/selling?show={show}").text, 'id="cross"')
        assert shown == [
            f"{names[row]}, {names[column]}: {told.format(cross[show][row][column])}"
            for row in range(len(names))
            for column in range(len(names))
            if row != column
        ]
    assert max(max(row) for row in cross["open"]) > 0
    offers = re.findall(r'<a href="/console/customer\?([^"]*without_[^"]*)">([\d,]+)</a>', browser.page.text)
    for query, count in offers:
        assert len(of_group(browser, html.unescape(query))) == int(count.replace(",", "")), query
        assert "without Category" in browser.page.text
    both = html.unescape(re.search(r"/console/customer\?([^\"]*and_[^\"]*)\"", browser.get("/console/selling").text)[1])
    given = dict(parse_qsl(both))
    row, column = names.index(given["category"]), names.index(given["and_category"])
    assert len(of_group(browser, both)) == cross["customers"][row] - cross["open"][row][column]


def test_tiers_stores_and_campaigns_are_those_of_the_picture(browser: Browser, insight: Insight) -> None:
    text = browser.get("/console/selling").text
    tables = insight.tables
    tiers = text[text.index("Who moves to dearer") :]
    cells = re.findall(r'<td class="h\d">([\d,]+)</td>', tiers[: tiers.index("</table>")])
    assert cells == [f"{value:,}" for row in tables["up_sell"]["values"] for value in row]
    store = tables["places"]["store"]
    for row in store["places"]:
        assert re.search(rf'store={row["place"]}&amp;lately=true">{row["place"]}</a></td><td class="num">', text)
        assert f'<td class="num">{row["spend"]:,.0f}</td><td class="num">{row["share"]:.1%}</td>' in text
    chart = json.loads(html.unescape(re.search(r'data-plot="([^"]+)"', text[text.index("<h2>Stores") :])[1]))
    assert chart["bars"] == [round(row["spend"], 4) for row in store["places"]]
    assert chart["labels"] == [row["place"] for row in store["places"]]
    shares = numbers_of(text, "<h2>Stores")
    assert shares == [
        f"{word(segment)}, {place}: {share:.0%}"
        for segment, row in zip(store["rows"], store["values"], strict=True)
        for place, share in zip(store["columns"], row, strict=True)
        if share
    ]
    (campaign,) = tables["campaigns"]
    assert (campaign["campaign_id"], campaign["contacted"], campaign["responded"]) == ("spring", 1, 0)
    row = text[text.index("<h2>Campaigns") :].split("<tbody>")[1]
    assert re.findall(r'class="num">(\d+)\b', row)[:2] == ["1", "0"]
    assert "Nobody was held out" in text


def test_where_the_shop_s_data_do_not_tell_the_page_says_what_is_missing(
    browser: Browser, insight: Insight, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = dict.fromkeys(("cross_sell", "up_sell", "places")) | {"campaigns": []}

    async def poor(visit: object) -> Insight:
        return replace(insight, tables={**insight.tables, **nothing})

    monkeypatch.setattr(handlers_selling, "insight_of", poor)
    text = browser.get("/console/selling").text
    for told in ("no categories to sell across", "need amounts and categories", "neither a channel nor a store"):
        assert told in text
    assert "hold no contacts" in text


def test_what_needs_the_orders_says_so_where_they_are_away(browser: Browser, shop: Home, insight: Insight) -> None:
    lines = shop.lake / "versions" / insight.about["lake_version"] / "order_lines.parquet"
    aside = lines.with_name("away")
    lines.rename(aside)
    try:
        text = browser.get("/console/customer?store=North&weekday=monday&daypart=morning").text
    finally:
        aside.rename(lines)
    assert "The orders are not on this machine" in text


@pytest.mark.parametrize(
    ("query", "field"), [("rows=moon", "rows"), ("measure=joy", "measure"), ("columns=moon", "columns")]
)
def test_a_face_that_there_is_not_names_those_there_are(browser: Browser, query: str, field: str) -> None:
    answer = browser.get(f"/console/cube?{query}")
    assert answer.status_code == 422
    assert field in answer.text
    assert "segment" in answer.text or "spend" in answer.text


def test_a_customer_stands_in_the_picture_beside_those_who_shop_alike(browser: Browser, insight: Insight) -> None:
    row = insight.row_of("c07")
    one = insight.customers.slice(row, 1).to_pylist()[0]
    text = browser.get("/console/customer?id=c07").text
    for told in (word(one["segment"]), word(one["grade"]), f"{one['r']} · {one['f']} · {one['m']}"):
        assert told in text
    for tag in one["tags"]:
        assert word(tag) in text
    listed = text[text.index("Customers who buy alike") :]
    assert re.findall(r"id=([^\"]+)\">", listed)[:6] == insight.alike(row, k=6)


def test_products_that_sell_together_are_those_of_the_picture(browser: Browser, insight: Insight) -> None:
    text = browser.get("/console/products").text
    rules, shown = insight.tables["baskets"]["products"], text[text.index("What sells together") :]
    pairs = {frozenset((rule["item"], rule["other"])) for rule in rules}
    found = re.findall(r"product=[^\"]+\">([^<]+)</a></td><td>([^<]+)</td>", shown)
    assert found
    assert {frozenset(pair) for pair in found} <= pairs
    assert len(found) == min(25, len(pairs))


def test_a_preview_answers_as_the_api_does_for_anybody(browser: Browser) -> None:
    api = browser.send("POST", "/v1/recommendations", json={"customer_id": "c07", "cart": ["p01"], "k": 10}).json()
    text = browser.get("/console/products?customer=c07&cart=p01").text
    shown = re.findall(r"question=bought_together&amp;product=([^\"]+)\"><b>", text)
    assert shown == [item["product_id"] for item in api["items"]]
    for query in ("question=trending", "question=similar&product=p01", "question=similar", "customer=nobody", ""):
        assert browser.get(f"/console/products?{query}").status_code == 200, query


def test_without_a_picture_the_pages_say_how_to_take_one(scored_home: Home, make_runtime) -> None:
    browser = Browser(build_app(make_runtime(scored_home)), base="http://127.0.0.1")
    browser.log_in()
    for path in ("/console/overview", "/console/cube", "/console/customer?segment=loyal"):
        assert "regulars insight" in browser.get(path).text or "Nobody matches" in browser.page.text
    assert browser.get("/console/at-risk?segment=loyal").status_code == 200
    assert browser.customers() == []
