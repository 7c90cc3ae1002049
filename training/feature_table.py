"""The numbers a model is given: which columns of a frame of features, in which order, and codes for its texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import DataError

#: The file of a feature table in a bundle.
FEATURES = "features.json"
#: A text column keeps its most frequent values; the others are unknown, as those never seen are.
MOST_CATEGORIES = 50


@dataclass(frozen=True)
class FeatureTable:
    """The columns a model learned from. `categories` has the values of each text column, in the order of their codes.

    Unknown (NaN) stays NaN: LightGBM has a branch for it. A text never seen in training is unknown.
    """

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def learn(cls, frame: pd.DataFrame, names: Sequence[str]) -> FeatureTable:
        """The table for these columns of a training frame; text columns are those of type object."""
        if not names:
            raise DataError("The frame has no feature columns, so there is nothing to learn from.")
        categories = {}
        for name in names:
            if not pd.api.types.is_numeric_dtype(frame[name]):
                counts = frame[name].dropna().astype(str).value_counts()
                # Equal counts by name, so that the order of the rows does not matter.
                ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
                categories[name] = tuple(sorted(str(value) for value, _ in ranked[:MOST_CATEGORIES]))
        return cls(tuple(names), categories)

    def encode(self, frame: pd.DataFrame) -> pd.DataFrame:
        """(rows, names) float64, in the model's order. Raises DataError naming columns missing or not numbers."""
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise DataError(
                f"The features lack {len(missing)} of the {len(self.names)} columns the model learned from: "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}. Train again on this shop's data:  "
                "regulars train"
            )
        # Column by column, as they come and as they are read.
        encoded = np.empty((len(frame), len(self.names)), order="F")
        for place, name in enumerate(self.names):
            column = frame[name]
            if name in self.categories:
                encoded[:, place] = _codes(column, self.categories[name])
            elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
                encoded[:, place] = column.to_numpy()
            elif pd.api.types.is_numeric_dtype(column):
                encoded[:, place] = column.to_numpy(dtype=float, na_value=np.nan)
            else:
                found = column.dropna()
                example = f", for instance {found.iloc[0]!r}" if len(found) else ""
                raise DataError(
                    f"Feature '{name}' was a number in training and is {column.dtype} now{example}. "
                    "Build the features anew:  regulars features"
                )
        return pd.DataFrame(encoded, columns=list(self.names), index=frame.index)

    @property
    def category_places(self) -> list[int]:
        """Positions of the text columns."""
        return [place for place, name in enumerate(self.names) if name in self.categories]

    def as_json(self) -> dict[str, Any]:
        """Names and categories as lists."""
        return {"names": list(self.names), "categories": {name: list(c) for name, c in self.categories.items()}}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> FeatureTable:
        """The inverse of `as_json`."""
        return cls(tuple(found["names"]), {name: tuple(c) for name, c in found["categories"].items()})


def _codes(column: pd.Series, categories: Sequence[str]) -> NDArray[np.float64]:
    """(rows,) the place of each value among the categories; NaN where it is not known or not among them."""
    places = {value: float(place) for place, value in enumerate(categories)}
    found, values = pd.factorize(column)
    of_value = np.array([*(places.get(str(value), np.nan) for value in values), np.nan])
    codes: NDArray[np.float64] = of_value[found]  # what is not known is -1: the last
    return codes
