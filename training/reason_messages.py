"""The catalogue of what reasons say, by language: whole phrases with named places, so that a language can be added.

A reason is kept as a message and its numbers, so that one table of scores speaks every language. Places: {count},
{percent} and {amount} are the reason's number; {days} and {every} are it as a time; {ago} is its other number as a
time; {name} is its detail. A key ending in _one is taken where the number is 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from features.errors import ConfigError

ENGLISH: Mapping[str, str] = {
    # How the sign is told: what raises the risk stands plainly, what lowers it says so.
    "raises": "{phrase}",
    "lowers": "in favour: {phrase}",
    "time": "{number} days",
    "time_one": "1 day",
    "time_none": "less than a day",
    "interval": "{number} days",
    "interval_one": "day",
    "silent": "orders every {every}, silent for {ago}",
    "on_time": "orders every {every}, the last time {ago} ago",
    "once": "ordered on one day so far, {ago} ago",
    "regularity": "the longest time between orders was {days}",
    "weeks": "ordered in {count} of the last 12 weeks",
    "orders_down": "orders down {percent}% on the 90 days before",
    "orders_up": "orders up {percent}% on the 90 days before",
    "spend": "spent {amount} in the last 90 days",
    "spend_down": "spend down {percent}% on the 90 days before",
    "spend_up": "spend up {percent}% on the 90 days before",
    "products": "{count} different products in the last 90 days",
    "products_one": "1 product in the last 90 days",
    "lost": "nothing for 90 days from {count} categories bought before",
    "lost_one": "nothing for 90 days from 1 category bought before",
    "basket": "{count} products an order on average",
    "basket_one": "1 product an order on average",
    "tenure": "first ordered {days} ago",
    "discount": "{percent}% off the full price in the last 180 days",
    "returns": "{percent}% of spend returned",
    "contacts": "contacted {count} times in the last 90 days",
    "contacts_one": "contacted once in the last 90 days",
    "weekend": "{percent}% of orders at the weekend",
    "department": "{percent}% of purchases in {name}",
    "attribute": "{name}",
}

CHINESE: Mapping[str, str] = {
    "raises": "{phrase}",
    "lowers": "有利因素：{phrase}",
    "time": " {number} 天",
    "time_none": "不到一天",
    "interval": " {number} 天",
    "interval_one": "天",
    "silent": "平均每{every}下单一次，已{ago}没有下单",
    "on_time": "平均每{every}下单一次，上次下单在{ago}前",
    "once": "迄今只有一天下过单，在{ago}前",
    "regularity": "两次下单之间最长相隔{days}",
    "weeks": "最近 12 周中有 {count} 周下过单",
    "orders_down": "近 90 天的订单比之前 90 天减少 {percent}%",
    "orders_up": "近 90 天的订单比之前 90 天增加 {percent}%",
    "spend": "近 90 天消费 {amount}",
    "spend_down": "近 90 天的消费比之前 90 天减少 {percent}%",
    "spend_up": "近 90 天的消费比之前 90 天增加 {percent}%",
    "products": "近 90 天买过 {count} 种商品",
    "lost": "以前买过的 {count} 个品类已有 90 天没有再买",
    "basket": "平均每单 {count} 种商品",
    "tenure": "首次下单在{days}前",
    "discount": "近 180 天享受的折扣占原价的 {percent}%",
    "returns": "退货占消费的 {percent}%",
    "contacts": "近 90 天被联系过 {count} 次",
    "weekend": "{percent}% 的订单在周末",
    "department": "{percent}% 的购买属于 {name}",
    "attribute": "客户属性：{name}",
}

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "zh": CHINESE}
DEFAULT = "en"
#: Keys that are parts of phrases and no message.
PARTS = frozenset({"raises", "lowers", "time", "interval"})
#: What reasons may say, in a fixed order.
MESSAGES = tuple(key for key in ENGLISH if key not in PARTS and not key.endswith(("_one", "_none")))


def catalogue(language: str) -> Mapping[str, str]:
    """The messages of a language. Raises ConfigError naming the languages there are."""
    if language not in LANGUAGES:
        raise ConfigError(f"Reasons are not written in '{language}'. Languages: {', '.join(LANGUAGES)}.")
    return LANGUAGES[language]


def say(reason: Mapping[str, Any] | str, language: str = DEFAULT) -> str:
    """One reason of a table of scores in words; one that an earlier release wrote as text stays as it is.

    `reason` has message, lowers, number, other and detail; see training.reasons.REASON.
    """
    if isinstance(reason, str):
        return reason
    return _said(
        reason["message"], reason["lowers"], reason["number"], reason["other"], reason["detail"], language=language
    )


@lru_cache(maxsize=4096)
def _said(
    message: str, lowers: bool, number: float | None, other: float | None, detail: str | None, *, language: str
) -> str:
    texts = catalogue(language)
    places = {"name": detail or ""}
    text = texts[message]
    if number is not None:
        whole = round(number)
        text = texts.get(f"{message}_one", text) if whole == 1 else text
        places |= dict.fromkeys(("count", "percent", "amount"), f"{whole:,}")
        places |= {"days": _time(int(number), texts, "time"), "every": _time(max(whole, 1), texts, "interval")}
    if other is not None:
        places["ago"] = _time(int(other), texts, "time")
    phrase = text.format(**places).strip()
    return texts["lowers" if lowers else "raises"].format(phrase=phrase)


def _time(days: int, texts: Mapping[str, str], key: str) -> str:
    if days == 0:
        return texts[f"{key}_none"]
    one = texts.get(f"{key}_one") if days == 1 else None
    return one or texts[key].format(number=f"{days:,}")
