"""What a model learned from looked like: each feature and the model's scores as counts in bins, kept in its bundle.

They are of the customers of the last moment learned from, so that what grows with the calendar, as tenure does, has
moved little when the model is new.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.drift import BINS, index_of_counts
from features.errors import DataError
from features.home import write_text

FILE = "reference.json"
#: Values of a text feature told apart; the rest are one.
MOST_VALUES = 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Rows of one column in bins: between `edges` for numbers, of each of `values` for texts.

    `counts` has what is not known last and, for texts, all other values before it.
    """

    edges: tuple[float, ...] | None
    values: tuple[str, ...] | None
    counts: tuple[float, ...]

    @classmethod
    def of(cls, column: pd.Series) -> Bins:
        """The bins of a column: cut at its own quantiles, or its most frequent values."""
        if pd.api.types.is_numeric_dtype(column):
            known = column.dropna().to_numpy(float)
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)
            empty = cls(tuple(edges.tolist()), None, ())
        else:
            empty = cls(None, tuple(column.dropna().astype(str).value_counts().index[:MOST_VALUES]), ())
        return cls(empty.edges, empty.values, tuple(empty.count(column).tolist()))

    def count(self, column: pd.Series) -> Floats:
        """Rows of another column in these bins. A number where there were texts, or the other way, is not known."""
        if self.edges is not None:
            numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
            missing = np.isnan(numbers)
            place = np.searchsorted(np.array(self.edges), numbers[~missing], side="right")
            return np.append(np.bincount(place, minlength=len(self.edges) + 1), missing.sum()).astype(float)
        known = column.dropna().astype(str).value_counts()
        named = [float(known.get(value, 0)) for value in self.values or ()]
        return np.array([*named, float(known.sum()) - sum(named), float(column.isna().sum())])

    def index(self, column: pd.Series) -> float:
        """The population stability index of a column against this one. Raises ValueError where either is empty."""
        return index_of_counts(np.array(self.counts), self.count(column))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"edges": self.edges, "values": self.values, "counts": self.counts}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Bins:
        """The inverse of `as_json`."""
        edges, values = (None if found[name] is None else tuple(found[name]) for name in ("edges", "values"))
        return cls(edges, values, tuple(found["counts"]))


@dataclass(frozen=True)
class Reference:
    """The customers of one moment (`as_of`, ISO): their features by name, and the scores given them."""

    as_of: str
    customers: int
    features: Mapping[str, Bins]
    scores: Bins

    @classmethod
    def of(cls, frame: pd.DataFrame, names: Sequence[str], scores: Floats, *, as_of: str) -> Reference:
        """Of these columns of a frame and the scores (rows,) of its customers."""
        return cls(as_of, len(frame), {name: Bins.of(frame[name]) for name in names}, Bins.of(pd.Series(scores)))

    def indices(self, frame: pd.DataFrame) -> dict[str, float]:
        """The index of each feature, the most moved first. A feature the frame lacks counts as not known."""
        absent = pd.Series(np.full(len(frame), np.nan), dtype=object)
        found = {name: bins.index(frame.get(name, absent)) for name, bins in self.features.items()}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def keep(self, bundle: Path) -> None:
        """Write it into a bundle that is not sealed yet."""
        found = {
            "as_of": self.as_of,
            "customers": self.customers,
            "features": {name: bins.as_json() for name, bins in self.features.items()},
            "scores": self.scores.as_json(),
        }
        write_text(bundle / FILE, json.dumps(found))

    @classmethod
    def kept(cls, bundle: Path, *, model: str) -> Reference:
        """What a bundle has. Raises DataError where an earlier release made it."""
        path = bundle / FILE
        if not path.is_file():
            raise DataError(
                f"{model}: this version was trained without keeping what it learned from, so drift cannot be measured. "
                f"Train again:  regulars train {model}"
            )
        found = json.loads(path.read_text(encoding="utf-8"))
        features = {name: Bins.from_json(bins) for name, bins in found["features"].items()}
        return cls(found["as_of"], found["customers"], features, Bins.from_json(found["scores"]))
