"""What the console's pages say, by language. The English text is the key: it is what a template holds.

Places stand in braces. Reasons for a risk are in training.reason_messages, which the API tells too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from serving.console.chinese import CHINESE

#: Languages by their own names, in the order of the switch.
LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
#: Of English, what is written otherwise in the data than on a page.
_ENGLISH: Mapping[str, str] = {
    "opted_out": "opted out",
    "next_purchase": "next purchase",
    "buy_again": "buy again",
    "new_arrivals": "new arrivals",
    "bought_together": "bought together",
}
_TEXTS: Mapping[str, Mapping[str, str]] = {"en": _ENGLISH, "zh": CHINESE}


@dataclass(frozen=True)
class Words:
    """One language."""

    lang: str

    def say(self, text: str, **places: object) -> str:
        """The text in this language; what no one translated yet stays English."""
        told = _TEXTS.get(self.lang, {}).get(text, text)
        return told.format(**places) if places else told

    def many(self, one: str, several: str, count: int, **places: object) -> str:
        """The text for that count; languages without plural forms translate the second alone."""
        text = one if count == 1 and self.lang == "en" else several
        return self.say(text, n=f"{count:,}", **places)


@lru_cache(maxsize=len(LANGUAGES))
def words(lang: str) -> Words:
    """The words of a language."""
    return Words(lang)


#: How a reason reads in a list of reasons to choose from, where it has no numbers.
REASON_TITLES: Mapping[str, str] = {
    "silent": "Silent for longer than usual",
    "on_time": "Time since the last order",
    "once": "Ordered on one day only",
    "regularity": "Long time between orders",
    "weeks": "Few weeks with orders",
    "orders_down": "Fewer orders",
    "orders_up": "More orders",
    "spend": "Spend of 90 days",
    "spend_down": "Spends less",
    "spend_up": "Spends more",
    "products": "Few different products",
    "lost": "Categories no longer bought",
    "basket": "Size of the orders",
    "tenure": "Time as a customer",
    "discount": "Discounts",
    "returns": "Returns",
    "contacts": "Contacts",
    "weekend": "Orders at the weekend",
    "department": "A department's share",
    "attribute": "An attribute of the customer",
}
