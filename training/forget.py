"""Taking customers out of what was made of their data: scorings, pictures of the shop, bundles with ranked lists.

Each is a sealed directory, written anew without their rows and sealed again under the same name. Servers hear of it by
`features.erased.tell_servers`.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.home import ASIDE, changed_directory, recover_changed, sweep
from features.schema import C
from training.bundle import MANIFEST, manifest_of, seal
from training.evidence import Evidence
from training.insight.files import KIND as INSIGHT
from training.insight.files import SPEND, TRAITS
from training.newcomers import CUSTOMERS_FILE as NEWCOMERS
from training.newcomers import Newcomers
from training.ranked_lists import KIND as RANKING
from training.ranked_lists import RankedLists, load_ranked_lists, save_ranked_lists

#: The tables that a sealed directory may name customers in, one row each.
CUSTOMERS = "customers.parquet"
#: Arrays of lists, and of insight, with a row for each customer.
_BY_CUSTOMER = ("lists", "scores", "sources", "own_orders")


def sealed_directories(root: Path) -> Iterator[Path]:
    """The outermost sealed directories below `root`, whole or not."""
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(ASIDE):
            if (path / MANIFEST).is_file():
                yield path
            else:
                yield from sealed_directories(path)


def count_in(directory: Path, customers: Collection[str]) -> int:
    """How many rows the sealed directory has of these customers."""
    return sum(
        int(_are_theirs(pq.read_table(file, columns=[C.CUSTOMER_ID]), customers).sum()) for file in _files(directory)
    )


def customers_of(directory: Path, customers: Collection[str]) -> set[str]:
    """Those of the customers whom the sealed directory names."""
    found: set[str] = set()
    for file in _files(directory):
        table = pq.read_table(file, columns=[C.CUSTOMER_ID])
        found |= set(table.filter(pa.array(_are_theirs(table, customers)))[C.CUSTOMER_ID].to_pylist())
    return found


def forget_below(root: Path, customers: Collection[str]) -> int:
    """How many sealed directories below `root` were changed. Call it holding the locks of its writers.

    Killed at any moment and called again, it completes.
    """
    recover_changed(root)
    sweep(root)
    return sum(forget_in(directory, customers) for directory in sealed_directories(root))


def forget_in(directory: Path, customers: Collection[str], sealed: Callable[[Path], None] = lambda _: None) -> bool:
    """Whether the sealed directory held any of the customers; now it does not.

    `sealed` is given the new directory before it takes the place of the old one.
    """
    if not count_in(directory, customers):
        return False
    with changed_directory(directory) as new:
        write_without(directory, new, customers)
        sealed(new)
    return True


def write_without(directory: Path, new: Path, customers: Collection[str]) -> None:
    """Fill `new` with the sealed directory less those customers, and seal it."""
    shutil.copytree(directory, new, dirs_exist_ok=True)
    manifest = manifest_of(new)
    about = dict(manifest["about"])
    for ranking in [new, *(path.parent for path in new.rglob(MANIFEST) if path.parent != new)]:
        if manifest_of(ranking)["kind"] == RANKING:
            _lists_without(ranking, customers)
    if manifest["kind"] == RANKING:
        return
    if (new / CUSTOMERS).is_file():
        about["customers"] = _table_without(
            new, customers, aligned=(SPEND, TRAITS) if manifest["kind"] == INSIGHT else ()
        )
    seal(new, kind=manifest["kind"], about=about)


def _files(directory: Path) -> list[Path]:
    return [path for name in (CUSTOMERS, NEWCOMERS) for path in sorted(directory.rglob(name))]


def _are_theirs(table: pa.Table, customers: Collection[str]) -> NDArray[np.bool_]:
    found = pc.is_in(table[C.CUSTOMER_ID], value_set=pa.array(sorted(customers), pa.string()))
    return np.asarray(found.to_numpy(), dtype=bool)


def _table_without(directory: Path, customers: Collection[str], *, aligned: Collection[str]) -> int:
    file = directory / CUSTOMERS
    table = pq.read_table(file)
    stay = ~_are_theirs(table, customers)
    pq.write_table(table.filter(pa.array(stay)), file, compression="zstd")
    for name in aligned:
        rows = np.load(directory / name, allow_pickle=False)
        np.save(directory / name, rows[stay], allow_pickle=False)
    return int(stay.sum())


def _lists_without(directory: Path, customers: Collection[str]) -> None:
    lists = without(load_ranked_lists(directory, verify=False), customers)
    beside = directory.with_name(f"{directory.name}-{uuid.uuid4().hex[:8]}")
    beside.mkdir()
    save_ranked_lists(lists, beside)
    for path in list(beside.iterdir()):
        old = directory / path.name
        if old.is_dir():
            shutil.rmtree(old)
        path.replace(old)
    beside.rmdir()


def without(lists: RankedLists, customers: Collection[str]) -> RankedLists:
    """The lists less those customers'. Counts of products stay: they are of everybody."""
    stay = ~_are_theirs(lists.customers, customers)
    rows: dict[str, Any] = {name: getattr(lists, name)[stay] for name in _BY_CUSTOMER}
    newcomers = lists.newcomers
    if newcomers is not None:
        newcomers = Newcomers(
            newcomers.customers.filter(pa.array(~_are_theirs(newcomers.customers, customers))), newcomers.lists
        )
    return replace(
        lists,
        customers=lists.customers.filter(pa.array(stay)),
        because=None if lists.because is None else lists.because[stay],
        evidence=None if lists.evidence is None else _evidence_without(lists.evidence, stay),
        newcomers=newcomers,
        **rows,
    )


def _evidence_without(evidence: Evidence, stay: NDArray[np.bool_]) -> Evidence:
    own = np.repeat(stay, np.diff(evidence.own_start))
    against = np.repeat(stay, np.diff(evidence.against_start))
    return replace(
        evidence,
        own_start=_starts(evidence.own_start, stay),
        own_products=evidence.own_products[own],
        own_orders=evidence.own_orders[own],
        own_last=evidence.own_last[own],
        own_gap=evidence.own_gap[own],
        against_start=_starts(evidence.against_start, stay),
        against_products=evidence.against_products[against],
        customer_orders=evidence.customer_orders[stay],
    )


def _starts(starts: NDArray[np.int64], stay: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.diff(starts)[stay])]).astype(starts.dtype)
