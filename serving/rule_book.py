"""The shop's rules compiled to arrays over the products of a scoring, and read anew when their file changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import ConfigError
from serving.catalogue import FILTERED, NO_VALUE, Catalogue
from serving.rules import NO_RULES, Matching, Rules, When, dated, read_rules


@dataclass(frozen=True)
class InForce:
    """The rules of one placement on one day, over the products of one catalogue.

    `weights` (products,) factors of relevance, None where all are 1; `pins` (place from 0, code), by place;
    `caps` (codes of the groups by product, most).
    """

    pins: tuple[tuple[int, int], ...] = ()
    weights: NDArray[np.float32] | None = None
    caps: tuple[tuple[NDArray[np.int32], int], ...] = ()


NOTHING = InForce()


@dataclass
class RuleBook:
    """Rules over the products of one catalogue; what holds in a placement on a day is compiled once."""

    rules: Rules
    catalogue: Catalogue
    hidden: NDArray[np.bool_] | None = None
    once: NDArray[np.bool_] | None = None  # products not suggested to who bought them
    _compiled: dict[tuple[str | None, date], InForce] = field(default_factory=dict)

    def in_force(self, placement: str | None, moment: datetime) -> InForce:
        """What holds in a placement at a moment (UTC)."""
        rules = self.rules
        if not (rules.pin or rules.boost or rules.bury or rules.cap):
            return NOTHING
        # Placements that no rule names are one: their number is the callers', not ours.
        where = placement if placement in self._named else None
        key = (where, moment.date())
        found = self._compiled.get(key)
        if found is None:
            if len(self._compiled) > 1000:
                self._compiled.clear()
            found = self._compiled[key] = self._compile(*key)
        return found

    def __post_init__(self) -> None:
        self._named = {name for _, rule in dated(self.rules) for name in rule.placements}
        if self.rules.hide:
            self.hidden = _matching(self.catalogue, Matching(product=self.rules.hide))
        once = self.rules.no_repeats
        if once.product or once.category or once.brand or once.department:
            self.once = _matching(self.catalogue, once)

    def _compile(self, placement: str | None, day: date) -> InForce:
        rules, catalogue = self.rules, self.catalogue

        def held(kind: Sequence[When]) -> list[int]:
            return [
                number
                for number, rule in enumerate(kind)
                if (not rule.placements or placement in rule.placements)
                and (rule.since is None or day >= rule.since)
                and (rule.until is None or day < rule.until)
            ]

        weights = np.ones(len(catalogue.ids), dtype=np.float32)
        for kind, up in ((rules.boost, True), (rules.bury, False)):
            for number in held(kind):
                weight = kind[number]
                matched = _matching(
                    catalogue,
                    Matching(
                        product=weight.product,
                        category=weight.category,
                        brand=weight.brand,
                        department=weight.department,
                    ),
                )
                weights[matched] *= weight.factor if up else 1 / weight.factor
        pins: dict[int, int] = {}
        for number in held(rules.pin):
            pin = rules.pin[number]
            if pin.product in catalogue.codes:
                pins.setdefault(pin.position - 1, catalogue.codes[pin.product])
        return InForce(
            pins=tuple(sorted(pins.items())),
            weights=weights if (weights != 1).any() else None,
            caps=tuple(
                (catalogue.attributes[rules.cap[number].per].of_product, rules.cap[number].most)
                for number in held(rules.cap)
            ),
        )


def _matching(catalogue: Catalogue, wanted: Matching) -> NDArray[np.bool_]:
    mask = np.zeros(len(catalogue.ids), dtype=bool)
    mask[[catalogue.codes[product] for product in wanted.product if product in catalogue.codes]] = True
    for name in FILTERED:
        column = catalogue.attributes[name]
        known = [column.codes[value] for value in getattr(wanted, name) if value in column.codes]
        if known:
            mask |= np.isin(column.of_product, known) & (column.of_product != NO_VALUE)
    return mask


class RulesFile:
    """The rules, read anew when the file changes. A file that is wrong leaves those before; `problem` says why."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rules = NO_RULES if path is None else read_rules(path)
        self.problem: str | None = None
        self._seen = self._stamp()
        self._books: dict[int, RuleBook] = {}

    def refresh(self) -> None:
        """Read the file when it is another than the one read last."""
        stamp = self._stamp()
        if self.path is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.rules = read_rules(self.path)
            self._books = {}
            self.problem = None
        except ConfigError as error:
            self.problem = f"{error} The rules before stay in force."

    def book(self, catalogue: Catalogue) -> RuleBook:
        """The rules over one catalogue, made once."""
        found = self._books.get(id(catalogue))
        if found is None or found.catalogue is not catalogue or found.rules is not self.rules:
            found = RuleBook(self.rules, catalogue)
            books = {key: book for key, book in self._books.items() if book.rules is self.rules}
            self._books = dict(list(books.items())[-4:]) | {id(catalogue): found}
        return found

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = None if self.path is None else self.path.stat()
        except OSError:
            return None
        return None if status is None else (status.st_mtime_ns, status.st_size, status.st_ino)
