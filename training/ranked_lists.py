"""Ranked product lists for every customer, as the server reads them: memory-mapped arrays and two vocabularies.

Files of one directory (kind "ranking"): customers.parquet and products.parquet (codes are row numbers; both sorted
by id), lists.npy, scores.npy, sources.npy, own_orders.npy (one row per customer), popular.npy,
neighbours.npy, neighbour_lift.npy (one row per product), and those of training.evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from training.bundle import read_manifest, seal
from training.evidence import Evidence, load_evidence, save_evidence
from training.newcomers import Newcomers, load_newcomers, save_newcomers

KIND = "ranking"
#: What put a product on a customer's list, in the order of the codes in `sources`.
SOURCES = ("own_history", "als", "item_item", "popular", "next_order", "similar_customers")
NO_PRODUCT = -1
BECAUSE = "because.npy"
ARRAYS = ("lists", "scores", "sources", "own_orders", "popular", "neighbours", "neighbour_lift")


@dataclass(frozen=True)
class RankedLists:
    """Everybody's ranked lists as of one moment.

    `lists` (customers, depth) int32 product codes, best first, padded with NO_PRODUCT; `scores` float32 (higher is
    better, comparable within a customer only); `sources` uint8 indexes SOURCES; `own_orders` uint16, in how many
    of their own orders the customer bought that product. `popular` (n,) int32 product codes, best first.
    `neighbours` (products, m) int32 codes of products bought in the same orders, padded with NO_PRODUCT,
    strongest first; `neighbour_lift` float32. `because` (customers, depth) int32 is, where the
    source is item_item or next_order, the own product that says most for it, else NO_PRODUCT. `because`, `evidence` and
    `newcomers` are None in lists of an earlier release.
    """

    customers: pa.Table  # customer_id
    products: pa.Table  # product_id, name, department, category, brand, price (float), in_stock; listed_at, …
    lists: NDArray[np.int32]
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]
    own_orders: NDArray[np.uint16]
    popular: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    neighbour_lift: NDArray[np.float32]
    about: Mapping[str, Any]
    evidence: Evidence | None = None
    because: NDArray[np.int32] | None = None
    newcomers: Newcomers | None = None


def save_ranked_lists(ranked: RankedLists, directory: Path) -> None:
    """Write into `directory`, which must exist and be empty. The caller makes it atomic."""
    pq.write_table(ranked.customers, directory / "customers.parquet")
    pq.write_table(ranked.products, directory / "products.parquet")
    for name in ARRAYS:
        np.save(directory / f"{name}.npy", getattr(ranked, name), allow_pickle=False)
    if ranked.because is not None:
        np.save(directory / BECAUSE, ranked.because, allow_pickle=False)
    if ranked.evidence is not None:
        save_evidence(ranked.evidence, directory)
    if ranked.newcomers is not None:
        save_newcomers(ranked.newcomers, directory)
    seal(directory, kind=KIND, about=ranked.about)


def load_ranked_lists(
    directory: Path, *, verify: bool = True, table: Callable[[Path], pa.Table] = pq.read_table
) -> RankedLists:
    """The lists, memory-mapped; `table`: how a table is read. Raises DataError when a file is missing or changed."""
    about = read_manifest(directory, kind=KIND, verify=verify)
    arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
    because = directory / BECAUSE
    return RankedLists(
        customers=table(directory / "customers.parquet"),
        products=table(directory / "products.parquet"),
        about=about,
        evidence=load_evidence(directory),
        because=np.load(because, mmap_mode="r", allow_pickle=False) if because.is_file() else None,
        newcomers=load_newcomers(directory, table=table),
        **arrays,
    )
