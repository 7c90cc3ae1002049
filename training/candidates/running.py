"""Sums of what was sold of each product, or of each of any codes, up to any moment and in the days before it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class Running:
    """Running sums of sales in time, code by code: what happens at a moment or after it is in no sum of that moment."""

    def __init__(
        self, codes: NDArray[np.int64], day: NDArray[np.float64], values: Mapping[str, NDArray[np.floating]]
    ) -> None:
        self.first_ = float(day.min()) if len(day) else 0.0
        # One number sorts by code, then by day: each code's days lie in a span of its own.
        self.span_ = float(day.max()) - self.first_ + 1.0 if len(day) else 1.0
        number = codes * self.span_ + (day - self.first_)
        order = np.argsort(number, kind="stable")
        self.numbers_ = number[order]
        self.sums_ = {
            name: np.concatenate(([0.0], np.cumsum(np.asarray(of, dtype=np.float64)[order])))
            for name, of in values.items()
        }

    def before(
        self, codes: NDArray[np.int64], moment: NDArray[np.float64], *windows: float
    ) -> list[dict[str, NDArray[np.float64]]]:
        """By window in days, (codes,) sum of each value over the sales of each code in [moment - days, moment)."""
        start = codes * self.span_
        now = np.clip(moment - self.first_, 0.0, self.span_)
        end = np.searchsorted(self.numbers_, start + now, side="left")
        found = []
        for days in windows:
            begin = np.searchsorted(self.numbers_, start + np.maximum(now - days, 0.0), side="left")
            found.append({name: sums[end] - sums[begin] for name, sums in self.sums_.items()})
        return found
