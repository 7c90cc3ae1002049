"""What a page says to whoever reads or hears it, and which of it is English."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Set
from html.parser import HTMLParser

#: Commands and keys are typed as they are; what a browser runs is not read.
SILENT = frozenset({"script", "style", "code", "kbd"})
TOLD = ("title", "aria-label", "placeholder", "alt", "data-x")
#: Names and units that stand on any page in any language.
NAMES = frozenset({"Regulars", "English", "CSV", "Excel", "MLflow", "PSI", "AUC", "RFM", "UTC"})
#: What is typed into a terminal.
COMMAND = re.compile(r"regulars [a-z][\w &'-]*|--\w+ ?N?")
#: Words in Latin letters; an id has a digit, an underscore or a sign beside them, as c07, p_1 or ndcg@10.
_WORD = re.compile(r"(?<![\w@%.=-])[A-Za-z]{2,}(?![\w@%=-])")


class _Said(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in SILENT
        self.texts += [value or "" for name, value in attrs if name in TOLD]
        for name, value in attrs:
            if name == "data-plot":
                self.texts += _strings(json.loads(value or "null"))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.texts.append(data)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def english_in(page: str, names: Set[str]) -> list[str]:
    """Texts of the page with a word in Latin letters that is no name."""
    said = _Said()
    said.feed(page)
    return [" ".join(text.split()) for text in said.texts if set(_WORD.findall(COMMAND.sub("", text))) - NAMES - names]
