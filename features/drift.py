"""How far a distribution has moved: the population stability index."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    if len(before) == 0 or len(now) == 0:
        raise ValueError("a stability index needs values on both sides")
    numeric = pd.api.types.is_numeric_dtype(before) and pd.api.types.is_numeric_dtype(now)
    old, new = _numbers(before, now, bins) if numeric else _values(before, now)
    old, new = (np.maximum(counts / counts.sum(), LEAST_SHARE) for counts in (old, new))
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
