"""Ids looked up in mapped memory: what a dictionary of a million ids would keep for each worker lies there once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

EMPTY = -1


def make_slots(ids: pa.StringArray) -> NDArray[np.int32]:
    """(a power of two,) the row of each id, in the first free slot from that of its hash on; EMPTY elsewhere.

    Half of them stay empty, so that an id is found, or known to be missing, within a few.
    """
    n = len(ids)
    size = 1 << max(1, (2 * n - 1).bit_length())
    slots = np.full(size, EMPTY, dtype=np.int32)
    at = np.fromiter((crc32(one) for one in ids.cast(pa.binary()).to_pylist()), dtype=np.int64, count=n) & (size - 1)
    rows = np.arange(n, dtype=np.int32)
    while len(rows):
        free = slots[at] == EMPTY
        slots[at[free]] = rows[free]  # of several that want the same slot the last gets it
        left = slots[at] != rows
        rows, at = rows[left], (at[left] + 1) & (size - 1)
    return slots


class IdIndex(Mapping[str, int]):
    """The row of each id; with `values`, what stands there in that row. Reads `ids` and `slots` where they lie."""

    def __init__(self, ids: pa.StringArray, slots: NDArray[np.int32], values: NDArray[np.int32] | None = None) -> None:
        _, offsets, data = ids.buffers()
        self.ids = ids
        self._n = len(ids)
        self._last = len(slots) - 1
        # Views give plain numbers and bytes, several times as fast as arrays do.
        self._slots = memoryview(slots.data)
        self._offsets = memoryview(offsets).cast("B").cast("i")[ids.offset :]
        self._data = memoryview(data or b"").cast("B")
        self._values = None if values is None else memoryview(values.data)

    def _row(self, wanted: object) -> int:
        if not isinstance(wanted, str):
            return EMPTY
        try:
            key = wanted.encode()
        except UnicodeEncodeError:  # half a character: no id has one
            return EMPTY
        slots, offsets, data = self._slots, self._offsets, self._data
        at = crc32(key) & self._last
        while (row := slots[at]) != EMPTY:
            if data[offsets[row] : offsets[row + 1]] == key:
                return row
            at = (at + 1) & self._last
        return EMPTY

    def __getitem__(self, wanted: str) -> int:
        row = self._row(wanted)
        if row == EMPTY:
            raise KeyError(wanted)
        return row if self._values is None else self._values[row]

    def get(self, wanted: str, default: int | None = None) -> int | None:  # type: ignore[override]
        """The row of an id, or `default`."""
        row = self._row(wanted)
        if row == EMPTY:
            return default
        return row if self._values is None else self._values[row]

    def __contains__(self, wanted: object) -> bool:
        return self._row(wanted) != EMPTY

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        for one in self.ids:
            yield one.as_py()
