"""How far a distribution has moved: the population stability index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
#: Shares are taken as at least this, so that an empty bin counts much and not infinitely.
LEAST_SHARE = 1e-4
#: The usual readings of the index (Siddiqi 2006, Credit Risk Scorecards): below the first stable, above the last moved.
STABLE, MOVED = 0.1, 0.25


def stability_index(before: pd.Series, now: pd.Series, *, bins: int = BINS) -> float:
    """The population stability index of `now` against `before`: 0 when they are spread alike.

    Sum over bins of (now - before) * ln(now / before), of shares. Numbers are cut at the quantiles of `before`, with
    missing values a bin of their own; of text, each value of `before` is a bin, and all new values are one.
    Raises ValueError when either is empty.
    """
    import pandas as pd  # here, for every load needs this module, and pandas not

    numeric = pd.api.types.is_numeric_dtype(before) and pd.api.types.is_numeric_dtype(now)
    return index_of_counts(*(_numbers(before, now, bins) if numeric else _values(before, now)))


def index_of_counts(before: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """The index from the rows in each bin, before and now. Raises ValueError when there are none on either side."""
    if not before.sum() or not now.sum():
        raise ValueError("a stability index needs values on both sides")
    old, new = (np.maximum(counts / counts.sum(), LEAST_SHARE) for counts in (before, now))
    return float(((new - old) * np.log(new / old)).sum())


def _numbers(before: pd.Series, now: pd.Series, bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    old, new = before.to_numpy(float), now.to_numpy(float)
    known = old[~np.isnan(old)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.empty(0)

    def counts(values: NDArray[np.float64]) -> NDArray[np.float64]:
        missing = np.isnan(values)
        place = np.searchsorted(edges, values[~missing], side="right")
        return np.append(np.bincount(place, minlength=len(edges) + 1), missing.sum()).astype(float)

    return counts(old), counts(new)


def _values(before: pd.Series, now: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    old = before.astype(object).where(before.notna(), "\0missing").value_counts()
    new = now.astype(object).where(now.notna(), "\0missing").value_counts()
    aligned = new.reindex(old.index, fill_value=0)
    unseen = float(new.sum() - aligned.sum())
    return np.append(old.to_numpy(float), 0.0), np.append(aligned.to_numpy(float), unseen)
