"""Sums of what was sold of each product, or of each of any codes, up to any moment and in the days before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.candidates.pairs import find, in_order

Sums = dict[str, NDArray[np.float64]]
#: Of each sale, as it is or made when it is summed; None counts 1.
Values = NDArray[Any] | Callable[[], NDArray[Any]] | None


class Sales(Protocol):
    """What was sold of codes before moments."""

    def before(self, codes: NDArray[np.int64], moment: NDArray[np.float64], *windows: float) -> list[Sums]:
        """By window in days, (codes,) sum of each value over the sales of each code in [moment - days, moment)."""

    def at(self, moment: float, *windows: float) -> SalesAt:
        """The same sums of all codes for one moment and these windows: as small as there are codes, not sales."""


def _put(values: NDArray[Any], places: NDArray[np.intp]) -> NDArray[np.float64]:
    """(values,) each at its place."""
    found = np.empty(len(values))
    found[places] = values
    return found


def _sums(values: NDArray[Any] | Callable[[], NDArray[Any]], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """(values + 1,) sums of the values before each place of the order."""
    found = np.zeros(len(order) + 1)
    np.cumsum((values() if callable(values) else values)[order], dtype=np.float64, out=found[1:])
    return found


class Running:
    """Running sums of sales in time, code by code: what happens at a moment or after it is in no sum of that moment.

    A value may be a function that makes it, so that not all are in memory at once; None counts the sales.
    """

    def __init__(self, codes: NDArray[np.integer], day: NDArray[np.float64], values: Mapping[str, Values]) -> None:
        self.first_ = float(day.min()) if len(day) else 0.0
        # One number sorts by code, then by day: each code's days lie in a span of its own.
        self.span_ = float(day.max()) - self.first_ + 1.0 if len(day) else 1.0
        number = codes * self.span_
        number += day - self.first_
        order = np.argsort(number, kind="stable")
        self.numbers_ = number[order]
        del number
        self.sums_ = {name: None if of is None else _sums(of, order) for name, of in values.items()}

    def before(self, codes: NDArray[np.int64], moment: NDArray[np.float64], *windows: float) -> list[Sums]:
        """See Sales."""
        # Codes in order are looked up near one another, and so several times as fast.
        order = in_order(codes)
        start = codes[order] * self.span_
        now = np.clip(moment[order] - self.first_, 0.0, self.span_)
        end = np.searchsorted(self.numbers_, start + now, side="left")
        found = []
        for days in windows:
            begin = self._begins(start, now, end, days)
            found.append(
                {
                    name: _put(end - begin if sums is None else sums[end] - sums[begin], order)
                    for name, sums in self.sums_.items()
                }
            )
        return found

    def _begins(
        self, start: NDArray[np.floating], now: NDArray[np.floating], end: NDArray[np.intp], days: float
    ) -> NDArray[np.intp]:
        """Where the sales of each code begin in the `days` before `now`; `end` is where they end. Codes are sorted."""
        if days == np.inf:  # all of a code's sales, whatever the moment: looked up once for each code
            once = np.flatnonzero(np.diff(start, prepend=-1.0))
            return np.repeat(np.searchsorted(self.numbers_, start[once]), np.diff(once, append=len(start)))
        begin, since = end.copy(), start + np.maximum(now - days, 0.0)
        latest = np.where(end > 0, self.numbers_[end - 1], -1.0) if len(self.numbers_) else np.full(len(end), -1.0)
        some = np.flatnonzero(latest >= since)  # of many codes nothing was sold so lately
        begin[some] = np.searchsorted(self.numbers_, since[some])
        return begin

    def at(self, moment: float, *windows: float) -> SalesAt:
        """See Sales."""
        # Half a day from the ends of its code's span, a number tells its code whatever was rounded.
        codes = np.floor((self.numbers_ + 0.5) / self.span_).astype(np.int64)
        codes = codes[np.diff(codes, prepend=-1) != 0]
        sums = self.before(codes, np.full(len(codes), moment), *windows)
        return SalesAt(moment, codes, dict(zip(map(str, windows), sums, strict=True)))


@dataclass(frozen=True)
class SalesAt:
    """Sums of sales before one moment: by window, (codes,) of each value. Codes are sorted; of others nothing was sold.

    Raises ValueError when asked about another moment.
    """

    moment: float
    codes: NDArray[np.int64]
    sums: dict[str, Sums]

    def before(self, codes: NDArray[np.int64], moment: NDArray[np.float64], *windows: float) -> list[Sums]:
        """See Sales."""
        if (moment != self.moment).any():
            raise ValueError(f"These sums are of day {self.moment}, and another was asked about")
        place, there = find(self.codes, codes)

        def of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(there, sums[place], 0.0) if len(sums) else np.zeros(len(codes))

        return [{name: of(sums) for name, sums in self.sums[str(days)].items()} for days in windows]

    def at(self, moment: float, *windows: float) -> SalesAt:
        """See Sales; these windows at most."""
        if moment != self.moment:
            raise ValueError(f"These sums are of day {self.moment}, and another was asked about")
        return SalesAt(moment, self.codes, {str(days): self.sums[str(days)] for days in windows})
