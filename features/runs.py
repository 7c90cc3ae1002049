"""Runs of equal keys in sorted arrays: sums, neighbours and running totals within each, without a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def in_order(keys: Ints) -> Ints:
    """The rows by key, those of equal keys as they stand."""
    rows = len(keys)
    bits = max(rows - 1, 0).bit_length()
    least = int(keys.min(initial=0))
    if int(keys.max(initial=0)) - least >= 1 << (63 - bits):
        return np.argsort(keys, kind="stable")
    # Numbers alone sort several times as fast as rows by number, so the row is made the end of its key.
    packed = np.sort(((keys - least) << bits) | np.arange(rows))
    return packed & ((1 << bits) - 1)


class Runs:
    """The runs of rows over which all of the given arrays (same length) stay equal."""

    def __init__(self, *keys: NDArray[Any]) -> None:
        self.rows = len(keys[0])
        changed = np.ones(self.rows, bool)
        if self.rows:
            changed[1:] = keys[0][1:] != keys[0][:-1]
            for key in keys[1:]:
                changed[1:] |= key[1:] != key[:-1]
        self.starts: Ints = np.flatnonzero(changed)
        self.lengths: Ints = np.diff(self.starts, append=self.rows)

    @property
    def ids(self) -> Ints:
        """The number of its run for each row."""
        return np.repeat(np.arange(len(self.starts)), self.lengths)

    @property
    def places(self) -> Ints:
        """The place in its run for each row, from 0 on."""
        return np.arange(self.rows) - np.repeat(self.starts, self.lengths)

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """One sum per run."""
        return np.add.reduceat(values, self.starts) if self.rows else values[:0]

    def least(self, values: NDArray[Any]) -> NDArray[Any]:
        """The least value of each run."""
        return np.minimum.reduceat(values, self.starts) if self.rows else values[:0]

    def most(self, values: NDArray[Any]) -> NDArray[Any]:
        """The greatest value of each run."""
        return np.maximum.reduceat(values, self.starts) if self.rows else values[:0]

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """The value of each run for all of its rows."""
        return np.repeat(values, self.lengths)

    def so_far(self, values: NDArray[Any]) -> NDArray[Any]:
        """The sum of the run up to and with each row, of whole numbers."""
        # Over all runs it may wrap around; the difference of two comes right again.
        total = np.cumsum(values, dtype=np.int64)
        sums: Ints = total - self.spread(total[self.starts] - values[self.starts])
        return sums

    def greatest_so_far(self, values: Ints) -> Ints:
        """The greatest of the run up to and with each row, of whole numbers from 0 on."""
        step = int(values.max(initial=0)) + 1
        floor = self.ids * step
        return np.maximum.accumulate(values + floor) - floor

    def before(self, values: NDArray[Any], none: Any) -> NDArray[Any]:
        """The value of the row before in the run; `none` for the first."""
        shifted = np.empty_like(values)
        shifted[1:] = values[:-1]
        shifted[self.starts] = none
        return shifted

    def after(self, values: NDArray[Any], none: Any) -> NDArray[Any]:
        """The value of the row after in the run; `none` for the last."""
        shifted = np.empty_like(values)
        shifted[:-1] = values[1:]
        shifted[self.starts + self.lengths - 1] = none
        return shifted

    def latest_true(self, flags: NDArray[np.bool_]) -> Ints:
        """The row of the run's latest true flag up to and with each row; -1 without one."""
        rows = np.maximum.accumulate(np.where(flags, np.arange(self.rows), -1))
        return np.where(rows >= self.spread(self.starts), rows, -1)
