"""Lists for customers with a profile and no order: what customers who share their attributes buy.

Files beside the lists: newcomers.parquet (customer_id, profile), profile_lists.npy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

CUSTOMERS_FILE, LISTS_FILE = "newcomers.parquet", "profile_lists.npy"


@dataclass(frozen=True)
class Newcomers:
    """`customers` (customer_id, profile): who never ordered, and the row of `lists` (profiles, depth) of their profile.

    Codes of products, best first, padded with -1.
    """

    customers: pa.Table
    lists: NDArray[np.int32]


def save_newcomers(found: Newcomers, directory: Path) -> None:
    """Write into `directory`, which must exist."""
    pq.write_table(found.customers, directory / CUSTOMERS_FILE)
    np.save(directory / LISTS_FILE, found.lists, allow_pickle=False)


def load_newcomers(directory: Path, *, table: Callable[[Path], pa.Table] = pq.read_table) -> Newcomers | None:
    """The lists of newcomers; None where there are none. `table`: how a table's file is read."""
    if not (directory / LISTS_FILE).is_file():
        return None
    lists = np.load(directory / LISTS_FILE, mmap_mode="r", allow_pickle=False)
    return Newcomers(table(directory / CUSTOMERS_FILE), lists)
