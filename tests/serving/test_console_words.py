"""What the console says in English it says in Chinese too, and in the same places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serving import candidates, console
from serving.console.chinese import CHINESE
from serving.console.handlers_actions import CHANNELS, OUTCOMES
from serving.console.told import SOURCES, why
from serving.console.words import LANGUAGES, REASON_TITLES, words
from serving.schemas import Grounds, Item
from training.customer_scores import STAGES
from training.grades import GRADES
from training.reason_messages import LANGUAGES as REASON_LANGUAGES
from training.reason_messages import MESSAGES

FOLDER = Path(console.__file__).parent
TEXTS = "\n".join(path.read_text() for path in [*FOLDER.rglob("*.html"), *FOLDER.glob("*.py")])
SAID = {
    *re.findall(r'(?<!\w)(?:_|say)\(\s*"([^"]+)"', TEXTS),
    *re.findall(r"(?<!\w)_\('([^']+)'", TEXTS),
    *re.findall(r'many\(\s*"[^"]+",\s*"([^"]+)"', TEXTS),
}


def test_every_text_of_a_page_is_translated_with_its_places() -> None:
    assert len(SAID) > 150
    assert {text for text in SAID if text not in CHINESE} == set()
    for text, told in CHINESE.items():
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", told)), text
        assert re.search(r"[\u4e00-\u9fff]", told), text


def test_whatever_the_data_says_of_a_customer_is_translated() -> None:
    said = [*STAGES, *GRADES, *OUTCOMES, *CHANNELS, *REASON_TITLES.values(), "assigned", "snoozed", "held out"]
    assert {text for text in said if text not in CHINESE} == set()
    assert set(REASON_TITLES) == set(MESSAGES)
    assert set(LANGUAGES) == set(REASON_LANGUAGES)


def test_one_and_many_are_told_apart_where_the_language_does() -> None:
    assert words("en").many("1 day", "{n} days", 1) == "1 day"
    assert words("en").many("1 day", "{n} days", 1200) == "1,200 days"
    assert words("zh").many("1 day", "{n} days", 1) == "1 天"


@pytest.mark.parametrize(
    ("grounds", "told"),
    [
        (Grounds(orders=4, every_days=10.2, days_ago=11), "大约每 10 天购买一次，上次在 11 天前"),
        (Grounds(orders=1, days_ago=3), "在 1 个订单中买过，上次在 3 天前"),
        (Grounds(product_id="p1", support=7, confidence=0.2, lift=2.5), "与 p1 一起出现在 7 个订单中，为偶然的 2.5 倍"),
        (Grounds(lately=9, before=2, window_days=28), "最近 28 天 9 个订单，之前同期 2 个"),
    ],
)
def test_a_suggestion_is_reasoned_in_chinese_by_its_own_numbers(grounds: Grounds, told: str) -> None:
    item = Item(1, "p2", "Bread", 0.5, "own_history", "as the API says it", grounds=grounds)
    assert why(item, "zh") == told
    assert why(item, "en") == "as the API says it"


def test_every_source_of_a_suggestion_has_its_words() -> None:
    names = ("CART", "SESSION", "TOGETHER", "DUE", "CATEGORY", "TRENDING", "NEW", "PROFILE", "SEGMENT")
    ours = {getattr(candidates, name) for name in names}
    assert set(SOURCES) == {*ours, candidates.CATALOGUE, candidates.PINNED, *candidates.SOURCES}
