"""The beginnings of everybody's ranked lists, each customer's in one place: most answers need no more.

The lists' own files keep products, scores and the rest apart, so that one answer would look in five places of a memory
too large for any cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from training.ranked_lists import NO_PRODUCT, RankedLists

LENGTH = 24
#: Product code, score, the product that says most for it, own orders, source.
Entry = tuple[int, float, int, int, int]
_RECORD = Struct("<ifiHBx")
_DTYPE = np.dtype(
    {
        "names": ["lists", "scores", "because", "own_orders", "sources"],
        "formats": ["<i4", "<f4", "<i4", "<u2", "u1"],
        "offsets": [0, 4, 8, 12, 14],
        "itemsize": _RECORD.size,
    }
)
_AT_ONCE = 50_000


def write_fronts(ranking: RankedLists, path: Path) -> None:
    """Write a .npy file of (customers, LENGTH) records; shorter lists are filled up with NO_PRODUCT."""
    n, depth = ranking.lists.shape
    most = min(LENGTH, depth)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=_DTYPE, shape=(n, LENGTH))
    for first in range(0, n, _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        records = np.zeros((len(ranking.lists[rows]), LENGTH), dtype=_DTYPE)
        records["lists"] = records["because"] = NO_PRODUCT
        for name in _DTYPE.names or ():
            values = getattr(ranking, name)
            if values is not None:  # lists of an earlier release do not say because of what
                records[name][:, :most] = values[rows, :most]
        file[rows] = records
    file.flush()


class Fronts:
    """Reads what `write_fronts` wrote."""

    def __init__(self, records: NDArray[np.void]) -> None:
        self._bytes = memoryview(records.view(np.uint8).reshape(-1).data)
        self._each = records.shape[1] * _RECORD.size

    def of(self, row: int) -> Iterator[Entry]:
        """The first LENGTH entries of one customer's list, best first."""
        first = row * self._each
        return _RECORD.iter_unpack(self._bytes[first : first + self._each])
