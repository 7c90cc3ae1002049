"""Fitted candidate sources as files: an outline in JSON and arrays in npy, which a reader maps instead of loading.

Only the classes named here are read, and only plain values of theirs: no file of these can run code.
"""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from training.candidates.als import AlsCandidates
from training.candidates.attributes import Attributes
from training.candidates.item_item import ItemItemCandidates
from training.candidates.kinds import NextKinds
from training.candidates.neighbours import Neighbours
from training.candidates.next_order import NextOrder
from training.candidates.pairs import Scored
from training.candidates.popularity import Popularity, RecentPopularity
from training.candidates.prices import Prices
from training.candidates.reorder import ReorderRates
from training.candidates.running import SalesAt
from training.candidates.stores import Stores
from training.candidates.transitions import Transitions
from training.pair_table import CandidateConfig, CandidateSources

OUTLINE = "outline.json"
_CLASSES = {
    kind.__name__: kind
    for kind in (
        *(CandidateSources, CandidateConfig, AlsCandidates, Attributes, ItemItemCandidates, Neighbours, NextKinds),
        *(NextOrder, Popularity, Prices, RecentPopularity, ReorderRates, SalesAt, Scored, Stores, Transitions),
    )
}
#: What sources know of the customers they were last asked about: whoever asks again tells them.
_OF_ASKED = {
    CandidateSources: ("history_", "taste_", "recent_", "last_", "best_"),
    NextOrder: ("baskets_",),
    NextKinds: ("history_",),
    Prices: ("of_customer_", "pairs_", "of_pair_"),
    Stores: ("last_", "shares_"),
}


def save_sources(sources: CandidateSources, folder: Path, *, moment: float) -> None:
    """Write what `sources.about` needs at one moment (days since 1970) into `folder`, which must exist and be empty."""
    outline = _Writer(folder).value(sources.at(moment))
    (folder / OUTLINE).write_text(json.dumps(outline), encoding="utf-8")


def load_sources(folder: Path) -> CandidateSources:
    """The sources of a folder, to be asked `about` a history; arrays are mapped, read-only."""
    found: CandidateSources = _read(json.loads((folder / OUTLINE).read_text(encoding="utf-8")), folder)
    return found


class _Writer:
    """Values as an outline; arrays go into files numbered as they come, one array met twice into one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[int, str] = {}
        self.kept: list[Any] = []  # so that no number of an object is used again

    def value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return {"array": self._array(value)}
        if isinstance(value, sparse.csr_matrix):
            parts = [self._array(part) for part in (value.data, value.indices, value.indptr)]
            return {"csr": parts, "shape": [int(n) for n in value.shape]}
        if isinstance(value, dict):
            return {"mapping": {name: self.value(of) for name, of in value.items()}}
        left_out = _OF_ASKED.get(type(value), ())
        fields = {name: self.value(of) for name, of in vars(value).items() if name not in left_out}
        return {"of": _CLASSES[type(value).__name__].__name__, "fields": fields}

    def _array(self, array: np.ndarray[Any, Any]) -> str:
        if id(array) not in self.files:
            name = f"{len(self.files):03}.npy"
            np.save(self.folder / name, array, allow_pickle=False)
            self.files[id(array)] = name
            self.kept.append(array)
        return self.files[id(array)]


def _read(value: Any, folder: Path) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _mapped(folder / value["array"])
    if "csr" in value:
        data, indices, indptr = (_mapped(folder / name) for name in value["csr"])
        return sparse.csr_matrix((data, indices, indptr), shape=value["shape"], copy=False)
    if "mapping" in value:
        return {name: _read(of, folder) for name, of in value["mapping"].items()}
    kind = _CLASSES[value["of"]]
    found = object.__new__(kind)
    fields = {name: _read(of, folder) for name, of in value["fields"].items()}
    if is_dataclass(kind):
        return kind(**fields)
    vars(found).update(fields)
    return found


def _mapped(file: Path) -> Any:
    # An empty file cannot be mapped.
    array = np.load(file, mmap_mode="r", allow_pickle=False) if _holds_rows(file) else np.load(file, allow_pickle=False)
    return np.asarray(array)


def _holds_rows(file: Path) -> bool:
    with file.open("rb") as opened:
        version = np.lib.format.read_magic(opened)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, _ = reader(opened)
    return bool(np.prod(shape))
