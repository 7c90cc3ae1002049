"""Sentences that the models, the gate and the plan write in English, told in the reader's language.

They are kept as they were written (in the registry, in the promotion log, in the answers of the API), so a page cannot
ask for them in another language: it knows each by its form and takes the numbers and names out of it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from serving.console.chinese import CHINESE
from serving.console.chinese_sentences import NAMES, SENTENCES

_LANGUAGE = "zh"
_PLACE = re.compile(r"{(\w+)([#*]?)}")
#: What stands in a place: by its mark, something without a space, anything, or anything within the sentence.
_HELD = {"#": r"\S+?", "*": r".+", "": r"(?:(?!\. [A-Z]|; ).)*?"}
_SENTENCES = re.compile(r"(?<=[.]) (?=[A-Z])")


def retold(text: str, lang: str) -> str:
    """The text in that language; parts that are no sentence known here, as an agent's own words, stay as they are."""
    if lang != _LANGUAGE:
        return text
    return _told(" ".join(text.split()))


def _told(text: str) -> str:
    found = _known(text)
    if found is not None:
        return found
    sentences = _SENTENCES.split(text)
    if len(sentences) > 1:
        return "".join(_ended(_told(one)) for one in sentences)
    for apart, joined in (("; ", "；"), (", ", "、")):
        parts = text.split(apart)
        # A list of names is retold whole or not at all: half of it would be neither language.
        if len(parts) > 1 and (apart == "; " or all(_known(part) is not None for part in parts)):
            return joined.join(_told(part) for part in parts)
    return text


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(("。", ".")) else f"{sentence}。"


def _known(text: str) -> str | None:
    """One sentence or name retold; None where it is not one of those known."""
    plain = text.removesuffix(".")
    for name in (text, plain):
        told = NAMES.get(name) or CHINESE.get(name)
        if told is not None:
            return told
    for form, sentence in _forms():
        match = form.fullmatch(plain)
        if match is not None:
            return sentence.format(**{name: _told(held.strip("; ")) for name, held in match.groupdict("").items()})
    return None


@lru_cache(maxsize=1)
def _forms() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((_form(english), told) for english, told in SENTENCES.items())


def _form(english: str) -> re.Pattern[str]:
    parts, at = [], 0
    plain = " ".join(english.split()).removesuffix(".")
    for place in _PLACE.finditer(plain):
        parts.append(re.escape(plain[at : place.start()]) + f"(?P<{place[1]}>{_HELD[place[2]]})")
        at = place.end()
    return re.compile("".join(parts) + re.escape(plain[at:]), re.DOTALL)


def places(english: str) -> set[str]:
    """The names of the places of a sentence."""
    return {place[1] for place in _PLACE.finditer(english)}
