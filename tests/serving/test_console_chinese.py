"""No page of the console holds an English sentence in Chinese, wherever the sentence was written."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from features.home import Home
from features.settings import load_settings
from serving import at_risk, campaign_results, contact_plans, outcomes, plan_log, questions, recommend
from serving.app import build_app
from serving.console import handlers_actions, handlers_list, handlers_plan, handlers_shop, registry
from serving.console.chinese_sentences import SENTENCES
from serving.console.retold import places, retold
from serving.runtime import Runtime, open_runtime
from tests.serving.console_browser import Browser
from tests.serving.console_said import COMMAND, english_in
from tests.serving.console_shop import CATEGORIES, HOUSEHOLDS, STORES, open_shop
from training import (
    contact_plan,
    contact_words,
    enough,
    evaluate_customers,
    gates,
    grades,
    model_drift,
    outcome_training,
    promotions,
)
from training import recommender as recommender_training

#: What writes English that a page of the console shows: in an answer, in the registry, in a log, in an error.
WRITERS: tuple[ModuleType | Callable, ...] = (
    *(at_risk.listing, contact_plans.candidates, contact_plans.contact_plan, campaign_results, questions, recommend),
    *(plan_log._same, outcomes.fault, contact_words, contact_plan, gates, grades, promotions, enough),
    *(model_drift.alerts, evaluate_customers.not_beaten, evaluate_customers.told),
    *(recommender_training._not_beaten, outcome_training.rescore, outcome_training._excluded_nothing),
    *(handlers_actions, handlers_list, handlers_plan, handlers_shop.cube, registry),
)
#: Words in Latin letters that stand in Chinese too: names, units, metrics, commands.
ALLOWED = re.compile(rf"{COMMAND.pattern}|\b(?:AUC|PSI|RFM|CSV|scores/CURRENT)\b|{{\w+}}")
#: What is only said with more before or after it, or in English alone; tested as it is said.
FRAGMENTS = {": measured by 7, 95 % interval 7 to 7.", "7 Below 7 the list earns nothing.", "Snoozed for 1 day"}
LATIN = re.compile(r"[A-Za-z]{2,}")


def sentences(writer: ModuleType | Callable) -> Iterator[str]:
    """What a module or a function says in words, with 7 in the place of every value."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(writer)))
    said_elsewhere = set()  # docstrings, and parts of a longer text
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            said_elsewhere.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            said_elsewhere |= {id(part) for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        text = None
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(one.value) if isinstance(one, ast.Constant) else "7" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        if text is not None and id(node) not in said_elsewhere and re.search(r"[a-z]{2,} [a-z]{2,}", text):
            yield text


@pytest.mark.parametrize("writer", WRITERS, ids=lambda one: one.__name__)
def test_every_sentence_that_others_write_is_told_in_chinese(writer: ModuleType | Callable) -> None:
    found = [text for text in sentences(writer) if text not in FRAGMENTS]
    assert found
    assert {text: told for text in found if LATIN.search(ALLOWED.sub("", told := retold(text, "zh")))} == {}
    assert [retold(text, "en") for text in found] == found


@pytest.mark.parametrize("english", SENTENCES)
def test_a_sentence_keeps_what_stands_in_its_places(english: str) -> None:
    assert set(re.findall(r"{(\w+)}", SENTENCES[english])) == places(english)


def test_a_measured_save_rate_is_told_with_its_interval_and_what_it_means() -> None:
    said = (
        "Of contacted customers who would have stopped, 30.0% stay for it: measured by 2 campaigns (80 contacted, 20 "
        "held out), 95 % interval -1.0% to 40.0%. The interval holds 0, so the contacts may have done nothing, or "
        "harm. "
        "Below 3.0% the list earns nothing."
    )
    assert retold(said, "zh") == (
        "被联系且原本会流失的客户中，30.0% 因此留下：由 2 次活动（联系 80 人，对照组 20 人）测得，"
        "95% 区间为 -1.0% 至 40.0%。"
        "区间包含 0，因此联系可能没有作用，甚至有害。低于 3.0% 时，名单没有收益。"
    )


def test_what_nobody_translated_stays_as_it_was_said() -> None:
    assert retold("the list looks odd; worse: auc 0.8100, champion version 3 0.8200 on the same back-test", "zh") == (
        "the list looks odd；差于冠军：auc 0.8100，冠军第 3 版在同一回测中为 0.8200"
    )


#: Names of the made-up shop, and the agent's.
OF_THE_SHOP = {*CATEGORIES, *STORES, *HOUSEHOLDS, "household", "spring", "mail", "Mia", "EUR", "calls"}
PAGES = (
    "/console/at-risk",
    "/console/at-risk?risk=40&reason=spend_down&store=South",
    "/console/at-risk?find=zzz",
    "/console/plan?cost=0.5&budget=20&people=30&offer=1&hold=20",
    "/console/plan?cost=0.5&hold=0&save=10",
    "/console/plan?cost=100000",
    "/console/customer?id=c07",
    "/console/customer?id=c99",
    "/console/customer?find=c1",
    "/console/customer?segment=loyal&category=Cheese",
    "/console/overview",
    *(f"/console/selling?show={one}" for one in ("values", "lift", "open")),
    "/console/customer?category=Cheese&without_category=Bread&lately=true",
    *(f"/console/products?customer=c07&question={one}" for one in ("next_purchase", "buy_again", "trending")),
    *(f"/console/products?product=p01&question={one}" for one in ("similar", "bought_together")),
    "/console/products?customer=c99&cart=p01,q1,q2,q3,q4,q5,q6,q7",
    "/console/products?category=Shoes",
    "/console/cube",
    "/console/cube?rows=weekday&columns=daypart",
    "/console/models",
    "/console/nowhere",
)
#: What is answered as a problem, and why.
WRONG = (
    "at-risk?risk=101",
    "at-risk?page=0",
    "at-risk?stage=asleep",
    "at-risk?reason=moon",
    "plan?hold=91",
    "cube?rows=moon",
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, write_scores) -> Home:
    return open_shop(tmp_path_factory.mktemp("console-chinese"), write_scores)


@pytest.fixture
def runtime(shop: Home, tmp_path: Path) -> Iterator[Runtime]:
    made = open_runtime(load_settings(home=shop.root, database_url=f"sqlite:///{tmp_path / 'live.db'}"))
    made.start()
    yield made
    made.database.close()


def test_no_page_of_the_shop_holds_an_english_word(runtime: Runtime) -> None:
    browser = Browser(build_app(runtime), lang="zh-CN", base="http://127.0.0.1")
    found = {path: english_in(browser.get(path).text, OF_THE_SHOP) for path in ("/console/login", "/console/models")}
    browser.log_in()
    token = browser.csrf
    sent = {"id": "c07", "outcome": "saved", "channel": "phone", "outcome_id": "o1", "campaign_id": "spring"}
    for path, fields in (
        ("outcomes", sent),
        ("snooze", {"id": "c07", "days": 3}),
        ("assign", {"id": "c07", "to": "Mia"}),
        ("plan/record", {"campaign": "spring-2", "cost": 0.5, "people": 5, "hold": 20}),
        ("plan/record", {"campaign": "spring-2", "cost": 0.7, "people": 5, "hold": 20}),
        ("plan/record", {"cost": 0.7}),
    ):
        answer = browser.post(f"/console/{path}", fields | {"csrf": token})
        found[path] = english_in(answer.text, OF_THE_SHOP | {"campaign", "cost_per_contact"})
    for path in PAGES:
        found[path] = english_in(browser.get(path).text, OF_THE_SHOP)
    for path in WRONG:
        # Which part of an address was wrong is told by its name, and what there is by the names of addresses.
        answer = browser.get(f"/console/{path}")
        named = {
            path.split("?")[1].split("=")[0],
            path.split("=")[1],
            *re.findall(r"[a-z]+", answer.text.split("现有")[-1]),
        }
        found[path] = english_in(answer.text, OF_THE_SHOP | named)
        assert answer.status_code == 422
    assert {path: texts for path, texts in found.items() if texts} == {}


def test_pages_of_a_shop_without_anything_hold_no_english_word(make_runtime, tmp_path: Path) -> None:
    browser = Browser(build_app(make_runtime(Home(tmp_path / "empty"))), lang="zh-CN", base="http://127.0.0.1")
    browser.log_in()
    found = {path: english_in(browser.get(path).text, OF_THE_SHOP) for path in PAGES}
    assert {path: texts for path, texts in found.items() if texts} == {}
