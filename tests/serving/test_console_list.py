"""The list an agent works is the API's list, narrowed and sorted as asked, exported as shown, heeding what is noted."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from features.home import Home
from features.settings import load_settings
from serving.app import build_app
from serving.at_risk import at_risk
from serving.console.history import lake_file, monthly_spend
from serving.keys import now_utc
from serving.runtime import Runtime, open_runtime
from serving.schemas_customers import AtRiskQuery
from tests.serving.console_browser import Browser
from tests.serving.console_shop import CUSTOMERS, PRODUCTS, STORES, name_of, open_shop, orders

LIST = "/console/at-risk"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, write_scores) -> Home:
    return open_shop(tmp_path_factory.mktemp("console"), write_scores)


@pytest.fixture
def runtime(shop: Home, tmp_path: Path):
    """Each test has a database of its own beside the shop that all share."""
    made = open_runtime(
        load_settings(home=shop.root, database_url=f"sqlite:///{tmp_path / 'live.db'}", answer_ms=10_000)
    )
    made.start()
    yield made
    made.database.close()


@pytest.fixture
def browser(runtime: Runtime) -> Browser:
    made = Browser(build_app(runtime), base="http://127.0.0.1")
    made.log_in(name="Mia")
    return made


def every_customer(browser: Browser, query: str = "") -> list[str]:
    """Ids on all pages of the list."""
    found, page = [], 1
    while True:
        browser.get(f"{LIST}?{query}&page={page}&size=25")
        found += browser.customers()
        if 'rel="next"' not in browser.page.text:
            return found
        page += 1


def of_the_api(runtime: Runtime, **query: object) -> list[str]:
    asked = AtRiskQuery(limit=1000, **query)
    page = at_risk(runtime.holder.state, asked, runtime.contacts, now=now_utc(), rest_days=14)
    return [item.customer_id for item in page.items]


@pytest.mark.parametrize(
    ("query", "api"),
    [
        ("", {}),
        ("sort=churn_probability", {"sort": "churn_probability"}),
        ("risk=50&value=20", {"min_probability": 0.5, "min_value_at_risk": 20.0}),
        ("stage=slipping&sort=spend", {"stage": "slipping", "sort": "spend"}),
    ],
)
def test_the_pages_together_are_the_list_of_the_api(browser: Browser, runtime: Runtime, query: str, api: dict) -> None:
    found = every_customer(browser, query)
    assert found == of_the_api(runtime, **api)
    assert len(set(found)) == len(found) > 0


def test_a_column_asked_for_again_stands_the_other_way_round(browser: Browser) -> None:
    down = every_customer(browser, "sort=churn_probability")
    assert every_customer(browser, "sort=churn_probability&up=true") == down[::-1]


def test_filters_of_the_console_narrow_the_list_to_whom_they_name(browser: Browser, runtime: Runtime) -> None:
    everybody = of_the_api(runtime)
    numbers = {name_of(number): number for number in range(CUSTOMERS)}
    overdue = [one for one in everybody if numbers[one] % 20 + 1 > 5]
    spends_less = [one for one in everybody if numbers[one] % 3 == 0]
    assert every_customer(browser, "overdue=true") == overdue
    assert every_customer(browser, "reason=spend_down") == spends_less
    assert every_customer(browser, "find=C1") == [one for one in everybody if "c1" in one]
    assert every_customer(browser, "overdue=true&reason=spend_down") == [one for one in overdue if one in spends_less]
    families = [one for one in everybody if numbers[one] % 3 == 2]
    assert every_customer(browser, "attribute=household%3Dfamily") == families
    assert every_customer(browser, "attribute=household%3Dcastle") == []
    in_the_south = [one for one in everybody if STORES[numbers[one] % 4] == "South"]
    assert every_customer(browser, "store=South") == in_the_south
    assert every_customer(browser, "store=South&overdue=true") == [one for one in in_the_south if one in overdue]
    assert every_customer(browser, "store=Atlantis") == []
    # What lowers the risk is no reason for it.
    assert every_customer(browser, "reason=weeks") == []
    assert "Nobody matches" in browser.page.text


@pytest.mark.parametrize("query", ["risk=101", "stage=asleep", "sort=name", "page=0", "size=7", "reason=moon"])
def test_a_wrong_address_is_a_page_that_names_the_field(browser: Browser, query: str) -> None:
    answer = browser.get(f"{LIST}?{query}")
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.text


def test_above_the_list_stands_what_it_can_be_relied_on(browser: Browser) -> None:
    text = browser.get(LIST).text
    for told in ("1 Jun 2024", "version 2", "good", "62% stopped in the back-test"):
        assert told in text


def test_the_list_sums_up_whom_it_names(browser: Browser, runtime: Runtime) -> None:
    text = browser.get(f"{LIST}?risk=50").text
    page = at_risk(runtime.holder.state, AtRiskQuery(limit=1000, min_probability=0.5))
    facts = re.findall(r"<dd>([\d,.]+)", text)
    stops = sum(item.churn_probability for item in page.items)
    assert facts == [f"{page.total}", f"{stops:,.0f}", f"{sum(item.value_at_risk for item in page.items):,.0f}"]


def test_each_row_offers_what_the_recommender_puts_first(browser: Browser, runtime: Runtime) -> None:
    text = browser.get(f"{LIST}?find=c07").text
    state, _ = runtime.answer_from()
    ranking = state.ranking
    first = ranking.lists[state.ranked_rows["c07"]][0]
    assert PRODUCTS[int(ranking.products["product_id"][int(first)].as_py()[1:])]["name"] in text


def test_the_spend_beside_a_customer_is_that_of_their_orders_by_month(shop: Home, runtime: Runtime) -> None:
    price = {product["product_id"]: product["price"] for product in PRODUCTS}
    # Every 12 days back from 24 May 2024: 24 and 12 May, 30, 18 and 6 April, 25, 13 and 1 March, and so on.
    months = [5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 1, 1]
    by_month = [0.0] * 12
    for (_, basket), month in zip(orders()["c07"], months, strict=True):
        by_month[month - 5 + 11] += sum(price[product] for product in basket)
    file = lake_file(runtime.holder.state, shop)
    found = monthly_spend(file, ["nobody", "c07"], until=datetime(2024, 5, 31))
    assert found["nobody"] == [0.0] * 12
    assert found["c07"] == pytest.approx(by_month)


def shown_table(browser: Browser, query: str) -> list[dict[str, str]]:
    """What the page shows of each customer, cell by cell."""
    text = browser.get(f"{LIST}?{query}&size=100").text
    rows = []
    for row in re.findall(r"<tr role=\"row\" id=\"row-.*?</tr>", text, re.DOTALL):
        cells = [html.unescape(re.sub(r"<[^>]+>", " ", cell)) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        rows.append([" ".join(cell.split()) for cell in cells])
    return rows


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("query", ["risk=30&sort=churn_probability&up=true", "reason=spend_down&store=South"])
def test_an_export_is_exactly_what_is_shown_in_either_form(browser: Browser, lang: str, query: str) -> None:
    browser.headers["Accept-Language"] = lang
    shown = shown_table(browser, query)
    text = browser.get(f"{LIST}/export?{query}&format=csv").content.decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text))
    assert [row[0].lstrip("'") for row in rows] == [row[0].split()[0] for row in shown]
    for cells, row in zip(shown, rows, strict=True):
        assert row[1] in cells[0]
        assert f"{float(row[2]):.0%}" in cells[1]
        assert [part.strip() for part in row[4].split(";")] == [one for one in row[4].split("; ") if one in cells[3]]
        assert row[6] in cells[4]
        assert row[9] in cells[6]
    book = openpyxl.load_workbook(io.BytesIO(browser.get(f"{LIST}/export?{query}&format=xlsx").content))
    sheet, about = book.worksheets
    table = [["" if value is None else value for value in row] for row in sheet.iter_rows(values_only=True)]
    assert table[0] == header[:13]
    assert [[str(value) for value in row] for row in table[1:]] == [
        [cell.lstrip("'") for cell in row[:13]] for row in rows
    ]
    assert [str(value) for _, value in about.iter_rows(values_only=True) if value] == [
        value for value in rows[0][13:] if value
    ]
    assert header[0] == ("Customer" if lang == "en" else "客户")


def test_no_exported_cell_runs_as_a_formula(browser: Browser) -> None:
    text = browser.get(f"{LIST}/export?find==c00&format=csv").text
    assert "\n'=c00," in text.replace("\r", "")
    book = openpyxl.load_workbook(io.BytesIO(browser.get(f"{LIST}/export?find==c00&format=xlsx").content))
    cell = book.worksheets[0]["A2"]
    assert (cell.value, cell.data_type) == ("=c00", "s")


def fields_of(browser: Browser, customer: str) -> dict[str, str]:
    """The hidden fields of the form that records what came of a contact."""
    part = browser.send("GET", f"/console/customer/panel?part=row&id={customer}", headers={"HX-Request": "true"})
    form = part.text.split("</form>")[1]
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


def test_what_came_of_a_contact_is_kept_once_with_who_said_it_and_the_customer_rests(
    browser: Browser, runtime: Runtime
) -> None:
    fields = fields_of(browser, "c07") | {"outcome": "saved", "channel": "phone", "note": "二月再打\nwith a line"}
    for _ in range(2):
        answer = browser.send("POST", "/console/outcomes", data=fields, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        assert answer.headers["hx-trigger"] == "recorded"
        assert "Recorded: saved" in answer.text
    with runtime.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT customer_id, outcome, who, channel, note FROM outcomes").fetchall()
    assert [tuple(row) for row in rows] == [("c07", "saved", "Mia", "phone", "二月再打\nwith a line")]
    assert "c07" not in every_customer(browser)
    assert "c07" not in of_the_api(runtime)
    assert "c07" in every_customer(browser, "all=true")
    page = browser.get("/console/customer?id=c07").text
    assert "二月再打" in page


def test_whoever_opted_out_is_on_no_list_ever(browser: Browser, runtime: Runtime) -> None:
    browser.post("/console/outcomes", fields_of(browser, "c08") | {"outcome": "opted_out", "part": "page"})
    assert "c08" not in every_customer(browser, "all=true")
    plan = browser.get("/console/plan?cost=0").text
    assert ">c08<" not in plan


def test_a_customer_snoozed_is_off_every_list_until_then(browser: Browser, runtime: Runtime) -> None:
    token = fields_of(browser, "c09")["csrf"]
    browser.send("POST", "/console/snooze", data={"id": "c09", "days": 3, "csrf": token})
    assert "c09" not in every_customer(browser)
    assert "c09" not in of_the_api(runtime)
    assert "c09" in every_customer(browser, "all=true")
    assert ">c09<" not in browser.get("/console/plan?cost=0").text
    browser.send("POST", "/console/snooze", data={"id": "c09", "days": 0, "csrf": token})
    assert "c09" in every_customer(browser)


def test_customers_are_assigned_to_one_agent_and_found_as_mine(browser: Browser) -> None:
    token = fields_of(browser, "c10")["csrf"]
    for customer, to in (("c10", "Mia"), ("c12", "Ben"), ("c13", "Mia"), ("c13", "")):
        browser.send("POST", "/console/assign", data={"id": customer, "to": to, "csrf": token})
    assert every_customer(browser, "agent=-me") == ["c10"]
    assert every_customer(browser, "agent=Ben") == ["c12"]
    assert {"c10", "c12"}.isdisjoint(every_customer(browser, "agent=-nobody"))
    assert "c13" in every_customer(browser, "agent=-nobody")


def test_stores_are_chosen_by_name_numbers_by_their_size(browser: Browser) -> None:
    chosen = re.search(r'<select id="f-store".*?</select>', browser.get(f"{LIST}?store=3").text, re.DOTALL).group()
    assert re.findall(r'<option value="([^"]*)"', chosen) == ["", "3", "12", "North", "South"]
    assert re.search(r'<option value="(\w+)" selected>', chosen).group(1) == "3"


def test_a_saved_view_is_the_list_as_it_stood_for_the_whole_team(browser: Browser) -> None:
    query = "risk=40&store=South&sort=churn_probability"
    wanted = every_customer(browser, query)
    browser.get(f"{LIST}?{query}")
    asked = html.unescape(re.search(r'name="query" value="([^"]*)"', browser.page.text).group(1))
    browser.post("/console/views", {"name": "Southerners", "query": asked})
    colleague = Browser(browser.app, base="http://127.0.0.1")
    colleague.log_in(name="Ben")
    href = html.unescape(re.search(r'href="([^"]+)"[^>]*>Southerners<', colleague.get(LIST).text).group(1))
    colleague.get(href + "&size=100")
    assert colleague.customers() == wanted
    view = re.search(r'name="view_id" value="(\w+)"', colleague.page.text).group(1)
    colleague.post("/console/views/forget", {"view_id": view})
    assert "Southerners" not in browser.get(LIST).text


def test_a_plan_of_the_console_is_that_of_the_api_and_recorded_once(browser: Browser, runtime: Runtime) -> None:
    asked = {"campaign_id": "june", "cost_per_contact": 0.5, "margin": 0.3, "head_count": 8, "holdout_share": 0.1}
    api = browser.send("POST", "/v1/contact-plans", json=asked | {"dry_run": True}).json()
    page = browser.get("/console/plan?campaign=june&cost=0.5&margin=30&people=8&hold=10").text
    listed = re.findall(r'customer\?id=[^"]+">([^<]+)</a></td>', page)
    assert listed == [item["customer_id"] for item in api["items"]]
    assert f"{api['summary']['expected_profit']:,.2f}" in page
    fields = {"campaign": "june", "cost": 0.5, "margin": 30, "people": 8, "hold": 10}
    assert "is recorded" in browser.post("/console/plan/record", fields).text
    assert set(listed).isdisjoint(every_customer(browser))
    other = browser.post("/console/plan/record", fields | {"cost": 0.6})
    assert other.status_code == 409
    csv_text = browser.get("/console/plan/list?campaign=june&cost=0.5&margin=30&people=8&hold=10").text
    assert [row[2] for row in csv.reader(io.StringIO(csv_text))][1:] == listed


def test_an_id_that_nobody_has_is_searched_for_and_said_not_to_be_there(browser: Browser) -> None:
    answer = browser.get("/console/customer?find=zzz")
    assert answer.status_code == 200
    assert "No customer has such an id" in answer.text


def test_with_nothing_scored_the_page_says_what_to_do(make_runtime, tmp_path: Path) -> None:
    empty = make_runtime(Home(tmp_path / "empty"))
    browser = Browser(build_app(empty), base="http://127.0.0.1")
    browser.log_in()
    assert "Nothing is scored yet" in browser.page.text
    assert "regulars train" in browser.page.text
    for path in ("/console/plan", "/console/customer?id=x", "/console/customer?find=x"):
        assert browser.get(path).status_code in (200, 404), path


def test_a_database_that_is_away_is_said_and_nothing_is_pretended(browser: Browser, runtime: Runtime, tmp_path) -> None:
    fields = fields_of(browser, "c07") | {"outcome": "saved"}
    runtime.database.close()
    (tmp_path / "live.db").chmod(0o400)
    for file in tmp_path.glob("live.db*"):
        file.unlink()
    (tmp_path / "live.db").mkdir()
    answer = browser.send("POST", "/console/outcomes", data=fields, headers={"HX-Request": "true"})
    assert answer.status_code == 503
    assert "Nothing you sent was kept" in answer.text
    assert runtime.contacts.by_customer == {}
