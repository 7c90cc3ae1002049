"""Pairs of customer and product as sorted keys, the form in which sources propose and ranking joins."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

#: Scores that RowScores spreads out at a time: as many as a processor's cache holds.
CELLS = 2_000_000


def find(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(wanted,) where each stands in sorted `keys`, and whether it does; where it does not, the place says nothing."""
    if len(keys) == 0:
        return np.zeros(wanted.shape, dtype=np.int64), np.zeros(wanted.shape, dtype=bool)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


@dataclass(frozen=True)
class Scored:
    """Scores of pairs: sorted `keys` = row * n_products + product, where row numbers the customers asked about."""

    keys: NDArray[np.int64]
    scores: NDArray[np.float32]

    def at(self, wanted: NDArray[np.int64], *, missing: float) -> NDArray[np.float32]:
        """(wanted,) score of each wanted key; `missing` where there is none."""
        if len(self.keys) == 0:
            return np.full(len(wanted), missing, dtype=np.float32)
        place, there = find(self.keys, wanted)
        return np.where(there, self.scores[place], missing).astype(np.float32)


class RowScores:
    """Scores of (rows, products) as a product of sparse matrices gives them: a row's in any order, which sorting costs.

    Keys are row * n_products + product; what is in no row scores 0.
    """

    def __init__(self, product: sparse.csr_matrix) -> None:
        product = product.tocsr()
        self.n_rows, self.n_products = product.shape
        self.starts = product.indptr.astype(np.int64)
        self.products = product.indices
        self.scores = product.data.astype(np.float32)

    def best(self, depth: int) -> NDArray[np.int64]:
        """Sorted keys of each row's `depth` best scores above 0; of equal ones, those of the lower product."""
        kept = self.scores > 0
        # Only scores no worse than the row's `depth`th are sorted, which most rows have few of.
        for start, end in pairwise(self.starts.tolist()):
            if 0 < depth < end - start:
                part = self.scores[start:end]
                kept[start:end] &= part >= np.partition(part, len(part) - depth)[len(part) - depth]
        place = np.flatnonzero(kept)
        rows = np.searchsorted(self.starts[1:], place, side="right")
        keys = rows * self.n_products + self.products[place]
        order = np.argsort(keys)
        found: NDArray[np.int64] = keys[order][rank_within(rows[order], self.scores[place][order]) < depth]
        return found

    def at(self, wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """(wanted,) score of each of the sorted keys wanted."""
        found = np.empty(len(wanted), dtype=np.float32)
        at_once = max(CELLS // max(self.n_products, 1), 1)
        room = np.zeros(min(at_once, self.n_rows) * self.n_products, dtype=np.float32)
        for first in range(0, self.n_rows, at_once):
            last, base = min(first + at_once, self.n_rows), first * self.n_products
            low, high = np.searchsorted(wanted, (base, last * self.n_products))
            within = slice(self.starts[first], self.starts[last])
            sizes = np.diff(self.starts[first : last + 1])
            cells = np.repeat(np.arange(last - first) * self.n_products, sizes) + self.products[within]
            room[cells] = self.scores[within]
            found[low:high] = room[wanted[low:high] - base]
            room[cells] = 0.0
        return found


def distinct(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different ones of `keys`, sorted. Sorting beats the hashing of numpy.unique by far for millions of keys."""
    keys = np.sort(keys)
    found: NDArray[np.int64] = keys[np.diff(keys, prepend=-1) != 0]
    return found


def in_order(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of whole numbers from 0 upwards in rising order, equal ones as they come: what a stable argsort gives.

    Sorting numbers that hold their place in their last bits is several times as fast as sorting places by them.
    """
    bits = len(numbers).bit_length()
    if int(numbers.max(initial=0)) >> (63 - bits):  # too large to hold a place as well
        return np.argsort(numbers, kind="stable")
    packed = numbers << bits
    packed |= np.arange(len(numbers))
    packed.sort()
    packed &= (1 << bits) - 1
    return packed


def _by_row(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Numbers that sort by row, then by falling score: one sort of whole numbers instead of two of pairs."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0, as equal scores must stay equal
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (rows << 32) | ~rising


def rank_within(rows: NDArray[np.int64], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """(pairs,) place of each pair in its row by falling score, from 0; equal scores keep their order."""
    order = in_order(_by_row(rows, scores)) if scores.dtype == np.float32 else np.lexsort((-scores, rows))
    sorted_rows = rows[order]
    first = np.flatnonzero(np.diff(sorted_rows, prepend=-1))
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    return place


def top_lists(
    keys: NDArray[np.int64], scores: NDArray[np.floating], *, n_rows: int, n_products: int, depth: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(rows, depth) product codes, best first, padded with -1; and where each stands in `keys` (-1 for padding)."""
    rows = keys // n_products
    place = rank_within(rows, scores)
    kept = np.flatnonzero(place < depth)
    lists = np.full((n_rows, depth), -1, dtype=np.int32)
    position = np.full((n_rows, depth), -1, dtype=np.int64)
    lists[rows[kept], place[kept]] = (keys[kept] % n_products).astype(np.int32)
    position[rows[kept], place[kept]] = kept
    return lists, position
