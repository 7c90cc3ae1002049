"""The tables of a scoring as files that every worker maps: they lie in memory once, and a new scoring costs no more.

Of many customers a process of its own makes them: a server that made them itself would keep requests waiting
meanwhile, and keep the memory that it took. They are sealed by hash like the scoring they are made from, and lie in the
data home under live/mapped/.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.errors import DataError, RegularsError
from features.home import Home, forget_old, new_directory, remove_directory
from serving.customer_columns import CustomerColumns, make_columns
from serving.fronts import Fronts, write_fronts
from serving.id_index import IdIndex, make_slots
from serving.lean import leave_pandas_out
from training.bundle import MANIFEST, file_hash, read_manifest, seal
from training.newcomers import CUSTOMERS_FILE as NEWCOMERS
from training.ranked_lists import load_ranked_lists

KIND = "mapped"
FOLDER = "mapped"
LOCK = "mapped"
#: Of fewer customers the files are made sooner than a process starts.
MANY = 20_000
_KEPT = 3
_CODE = ("mapped", "customer_columns", "id_index", "fronts")
_WAIT_SECONDS = 120
#: Tables of a scoring that are looked up by customer, relative to it. They have one row per customer.
CUSTOMERS, RANKED = "customers.parquet", "ranking/customers.parquet"
NEW = f"ranking/{NEWCOMERS}"
TABLES = (CUSTOMERS, RANKED, NEW, "ranking/products.parquet")
FRONTS = "ranking/fronts"
_COLUMN_ARRAYS = ("active", "stage_codes")


@dataclass(frozen=True)
class Mapped:
    """The files of one scoring, checked."""

    folder: Path
    about: Mapping[str, Any]

    def holds(self, name: str) -> bool:
        """Whether a table has a file of its own; that of the lists has none where it names the customers again."""
        return (self.folder / f"{name}.arrow").is_file()

    def table(self, name: str) -> pa.Table:
        """A table of the scoring, read where it lies in the file."""
        with pa.memory_map(str(self.folder / f"{name}.arrow")) as file:
            return pa.ipc.open_file(file).read_all()

    def index(self, name: str) -> Mapping[str, int]:
        """The row of each customer of a table; of newcomers, their profile."""
        table = self.table(name)
        if not table.num_rows:
            return {}
        slots = self._array(f"{name}.slots")
        values = None if "profile" not in table.column_names else table["profile"].chunk(0).to_numpy()
        return IdIndex(table["customer_id"].chunk(0), slots, values)

    def columns(self) -> CustomerColumns:
        """The columns to filter by and orders to page through."""
        about: Any = self.about["columns"]
        return CustomerColumns(
            active=self._array("columns/active"),
            numbers={name: self._array(f"columns/number_{name}") for name in about["numbers"]},
            orders={name: self._array(f"columns/order_{name}") for name in about["orders"]},
            known=about["known"],
            stages=about["stages"],
            stage_codes=self._array("columns/stage_codes"),
        )

    def fronts(self) -> Fronts | None:
        """The beginnings of the ranked lists; None where there are no lists."""
        return Fronts(self._array(FRONTS)) if (self.folder / f"{FRONTS}.npy").is_file() else None

    def _array(self, name: str) -> NDArray:
        # As a plain array, of which rows are taken several times faster than of a map.
        found: NDArray = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
        return found


def mapped(home: Home, scoring: Path) -> Mapped:
    """The mapped files of a scoring, made where they are not there yet. Raises RegularsError when they cannot be."""
    target = home.live / FOLDER / f"{scoring.name}-{_origin(scoring)}"
    for is_last in (False, True):
        if not target.is_dir():
            with home.lock(LOCK, wait_seconds=_WAIT_SECONDS):
                if not target.is_dir():
                    many = pq.read_metadata(scoring / CUSTOMERS).num_rows >= MANY
                    (_make_apart if many else make)(scoring, target)
                    forget_old(target.parent, current=target.name, keep=_KEPT)
        try:
            return Mapped(target, read_manifest(target, kind=KIND))
        except DataError:  # changed since it was written: made anew, once
            if is_last:
                raise
            with home.lock(LOCK, wait_seconds=_WAIT_SECONDS):
                if target.is_dir():
                    remove_directory(target)
    raise AssertionError


def _origin(scoring: Path) -> str:
    """Changes with the scoring and with the code that makes files of it: another release makes its own."""
    digest = hashlib.sha256(file_hash(scoring / MANIFEST).encode())
    for name in _CODE:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]


def _make_apart(scoring: Path, target: Path) -> None:
    root = str(Path(__file__).parents[1])
    # Where the packages lie is told, for a Bento's are found through its folder alone.
    code = f"import sys; sys.path.insert(0, {root!r}); from serving.mapped import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(scoring.resolve()), str(target.resolve())], capture_output=True, text=True
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise RegularsError(f"{scoring}: its mapped form could not be made: {said[-1] if said else done.returncode}")


def make(scoring: Path, target: Path) -> None:
    """Write the mapped files of a scoring, whole or not at all."""
    read = cache(pq.read_table)
    with new_directory(target) as aside:
        customers = read(scoring / CUSTOMERS)
        for name in TABLES:
            if not (scoring / name).is_file():
                continue
            table = read(scoring / name)
            if name == RANKED and table["customer_id"].equals(customers["customer_id"]):
                continue  # everybody has a list, as is usual: one index of ids is enough
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            _write(table, aside / f"{name}.arrow")
            if "customer_id" in table.column_names:
                np.save(aside / f"{name}.slots.npy", make_slots(_one(table["customer_id"])), allow_pickle=False)
        if (scoring / RANKED).is_file():
            ranking = load_ranked_lists((scoring / RANKED).parent, verify=False, table=read)
            write_fronts(ranking, aside / f"{FRONTS}.npy")
        columns = make_columns(customers)
        (aside / "columns").mkdir()
        arrays = {name: getattr(columns, name) for name in _COLUMN_ARRAYS}
        arrays |= {f"number_{name}": values for name, values in columns.numbers.items()}
        arrays |= {f"order_{name}": rows for name, rows in columns.orders.items()}
        for name, values in arrays.items():
            np.save(aside / "columns" / f"{name}.npy", values, allow_pickle=False)
        names = {"numbers": list(columns.numbers), "orders": list(columns.orders)}
        about = names | {"known": columns.known, "stages": columns.stages}
        seal(aside, kind=KIND, about={"columns": about})


def _one(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found


def _write(table: pa.Table, path: Path) -> None:
    """One batch, uncompressed, so that a column is one array where it lies."""
    whole = table.combine_chunks()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, whole.schema) as writer:
        writer.write_table(whole, max_chunksize=max(whole.num_rows, 1))


def main() -> None:
    """Make the files of the scoring named first, in the folder named second."""
    leave_pandas_out()
    scoring, target = sys.argv[1:3]
    make(Path(scoring), Path(target))


if __name__ == "__main__":
    main()
