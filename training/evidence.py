"""What the orders say behind the lists: who bought what how often, in which rhythm; what sells now and before.

The server's reasons, its buy-again and trending lists and its audiences are computed from these numbers alone.
Files of one folder beside the lists, evidence/: one npy for each array, and numbers.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER, ABOUT = "evidence", "numbers.json"


@dataclass(frozen=True)
class Evidence:
    """Purchases in compressed rows, and counts of products. Days are since 1970 (UTC), with fractions.

    Products that customer c ever bought are `own_products[own_start[c]:own_start[c + 1]]`, by code. For each of them:
    in how many orders, the day of the last, the median days between them (NaN for one order). `against_products` holds
    likewise what a customer sent back in full or disliked. For each product: orders that held it, those of the last
    `window_days`, those of as many days before, the day of the first. For each pair of `neighbours` of the lists:
    orders with both, their share of the orders with the product, and the strength by which neighbours stand.
    """

    own_start: NDArray[np.int64]
    own_products: NDArray[np.int32]
    own_orders: NDArray[np.uint16]
    own_last: NDArray[np.float64]
    own_gap: NDArray[np.float32]
    against_start: NDArray[np.int64]
    against_products: NDArray[np.int32]
    customer_orders: NDArray[np.int32]
    sold_orders: NDArray[np.int32]
    sold_lately: NDArray[np.int32]
    sold_before: NDArray[np.int32]
    first_sold: NDArray[np.float64]
    neighbour_support: NDArray[np.int32]
    neighbour_confidence: NDArray[np.float32]
    neighbour_strength: NDArray[np.float32]
    orders: int = 0
    days: float = 0.0
    window_days: float = 0.0

    def own(self, row: int) -> slice:
        """Where the products of one customer stand."""
        return slice(int(self.own_start[row]), int(self.own_start[row + 1]))

    def against(self, row: int) -> NDArray[np.int32]:
        """Codes of what one customer sent back or disliked."""
        return self.against_products[int(self.against_start[row]) : int(self.against_start[row + 1])]


_NUMBERS = ("orders", "days", "window_days")
ARRAYS = tuple(each.name for each in fields(Evidence) if each.name not in _NUMBERS)


def save_evidence(evidence: Evidence, directory: Path) -> None:
    """Write into a folder of `directory`, which must exist."""
    directory = directory / FOLDER
    directory.mkdir()
    for name in ARRAYS:
        np.save(directory / f"{name}.npy", getattr(evidence, name), allow_pickle=False)
    numbers = {name: getattr(evidence, name) for name in _NUMBERS}
    (directory / ABOUT).write_text(json.dumps(numbers), encoding="utf-8")


def load_evidence(directory: Path) -> Evidence | None:
    """The evidence, memory-mapped; None where lists of an earlier release have none."""
    directory = directory / FOLDER
    files = {name: directory / f"{name}.npy" for name in ARRAYS}
    if not all(file.is_file() for file in (directory / ABOUT, *files.values())):
        return None
    arrays = {name: np.load(file, mmap_mode="r", allow_pickle=False) for name, file in files.items()}
    return Evidence(**arrays, **json.loads((directory / ABOUT).read_text(encoding="utf-8")))
