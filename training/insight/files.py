"""The shop's picture as it is kept, and the only way it is read: without pandas, for the server too.

`insight/CURRENT` names a folder of `insight/versions/`, sealed by its manifest:

    tables.json        every table of the picture by name (see docs/insights.md)
    customers.parquet  one row per customer, CUSTOMER_FIELDS, in the order of customer_id
    cube.parquet       one row per place of the cube that is not empty (training.insight.faces.SCHEMA)
    dimensions.json    the cube's dimensions: name, kind, values in order
    spend.npy          (customers, periods) float32, what each spent in each period, the oldest first
    traits.npy         (customers, traits) float32, how each shops, in standard deviations
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.home import Home
from training.bundle import read_manifest
from training.insight.faces import Cube, Dimension

KIND = "insight"
CURRENT = "CURRENT"
TABLES, CUSTOMERS, CUBE, DIMENSIONS = "tables.json", "customers.parquet", "cube.parquet", "dimensions.json"
SPEND, TRAITS = "spend.npy", "traits.npy"

_TEXT = pa.dictionary(pa.int16(), pa.string())
CUSTOMER_FIELDS = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("segment", _TEXT, nullable=False),  # of rfm.SEGMENTS
        pa.field("r", pa.int8(), nullable=False),
        pa.field("f", pa.int8(), nullable=False),
        pa.field("m", pa.int8()),  # null where the shop has no amounts
        pa.field("grade", _TEXT, nullable=False),  # A to D
        pa.field("stage", _TEXT, nullable=False),  # of customer_scores.STAGES
        pa.field("behaviour", pa.int8()),  # number of the segment in tables["behaviour"]; null in a small shop
        pa.field("decile", pa.int8(), nullable=False),  # 1 = the tenth of the customers that spent most lately
        pa.field("sales_decile", pa.int8(), nullable=False),  # 1 = the first tenth of the sales; 0 = brought nothing
        pa.field("best", pa.bool_(), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("historic_value", pa.float64()),
        pa.field("predicted_value", pa.float64()),
        pa.field("orders", pa.int64(), nullable=False),
        pa.field("spend_lately", pa.float64()),
        pa.field("categories_lately", pa.int64(), nullable=False),
        pa.field("visits_lately", pa.int64(), nullable=False),
        pa.field("usual_gap_days", pa.float64()),
        pa.field("top_category", pa.string()),
        pa.field("usual_store", pa.dictionary(pa.int32(), pa.string())),  # null where the shop names no stores
    ]
)


@dataclass(frozen=True)
class Insight:
    """A picture read back. `tables` are as in tables.json; rows of `customers`, `spend` and `traits` are aligned."""

    version: str
    about: Mapping[str, Any]
    tables: Mapping[str, Any]
    customers: pa.Table
    cube: Cube
    spend: NDArray[np.float32]
    traits: NDArray[np.float32]

    def row_of(self, customer_id: str) -> int | None:
        """Where a customer stands; None where they had not bought."""
        place = pc.index(self.customers["customer_id"], customer_id).as_py()
        return None if place < 0 else int(place)

    def alike(self, row: int, *, k: int = 5) -> list[str]:
        """The ids of the `k` other customers who shop most like one, nearest first.

        Formula: Euclidean distance of `traits`. Source: as behaviour_traits.
        """
        if not self.traits.shape[1]:
            return []
        distance = ((self.traits - self.traits[row]) ** 2).sum(axis=1)
        distance[row] = np.inf
        near = np.argpartition(distance, min(k, len(distance) - 1))[:k]
        ordered = near[np.argsort(distance[near], kind="stable")]
        return [self.customers["customer_id"][int(place)].as_py() for place in ordered if place != row]


def current_version(home: Home) -> str | None:
    """The version CURRENT names; None where no picture was kept yet. Cheap: to see whether there is a newer one."""
    pointer = home.insight / CURRENT
    return pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else None


def read_insight(home: Home) -> Insight | None:
    """The current picture; None where none was kept yet. Raises DataError as `read_version` does."""
    version = current_version(home)
    return None if version is None else read_version(home, version)


def read_version(home: Home, version: str) -> Insight:
    """A picture by version. Raises DataError naming the file that is missing, changed or from a newer release."""
    folder = home.insight / "versions" / version
    about = read_manifest(folder, kind=KIND)
    dimensions = [Dimension(one["name"], one["kind"], tuple(one["values"])) for one in _json(folder / DIMENSIONS)]
    return Insight(
        version=version,
        about=about,
        tables=_json(folder / TABLES),
        customers=pq.read_table(folder / CUSTOMERS).combine_chunks(),
        cube=Cube(dimensions, pq.read_table(folder / CUBE).combine_chunks()),
        spend=np.load(folder / SPEND, mmap_mode="r", allow_pickle=False),
        traits=np.load(folder / TRAITS, mmap_mode="r", allow_pickle=False),
    )


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
