"""Who of a campaign is left alone for comparison: drawn by lot from names alone, so the same on every call.

The lot of a customer is a hash of the campaign's name and the customer's id, spread evenly over [0, 1). It hangs on
nothing the shop knows of them, so those held out are like those contacted but for the contact; and no state is needed
for two calls, two processes or two releases to draw the same.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_OFFSET, _PRIME = 0xCBF29CE484222325, np.uint64(0x100000001B3)
_AFTER_CAMPAIGN = b"\n"  # names of campaigns hold none, so no two pairs of campaign and customer run together


def lots(customer_ids: pa.Array | pa.ChunkedArray, campaign: str) -> NDArray[np.float64]:
    """(customers,) the lot of each in this campaign, in [0, 1)."""
    mixed = _mixed(fnv1a(customer_ids, begin=campaign.encode() + _AFTER_CAMPAIGN))
    lot: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return lot


def fnv1a(texts: pa.Array | pa.ChunkedArray, *, begin: bytes = b"") -> NDArray[np.uint64]:
    """(texts,) the 64-bit FNV-1a hash (Fowler, Noll and Vo) of `begin` followed by each text in UTF-8."""
    state = _OFFSET
    for byte in begin:
        state = ((state ^ byte) * int(_PRIME)) % 2**64
    held = pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts
    held = held.cast(pa.large_binary())
    starts = np.frombuffer(held.buffers()[1], dtype=np.int64, count=held.offset + len(held) + 1)[held.offset :]
    letters = np.frombuffer(held.buffers()[2] or b"", dtype=np.uint8)
    lengths = np.diff(starts)
    hashed = np.full(len(held), state, dtype=np.uint64)
    # One step for each place in the longest text: rows whose text has ended by then keep what they have.
    for place in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > place)
        hashed[rows] = (hashed[rows] ^ letters[starts[rows] + place]) * _PRIME
    return hashed


def _mixed(hashed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of MurmurHash3 (Appleby): FNV's high bits hang little on the last letters, and lots need them."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        hashed = (hashed ^ (hashed >> np.uint64(33))) * np.uint64(factor)
    return hashed ^ (hashed >> np.uint64(33))
