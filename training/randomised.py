"""Whether those contacted and those left alone were drawn by lot: their features must be alike but for chance.

The difference of the arms in several features at once, on ranks and freed of what the features have in common, is set
beside that of many lots drawn anew from the same customers (the statistic of Hansen and Bowers 2008, "Covariate balance
in simple, stratified and clustered comparative studies"; the test is Fisher's, so it holds at any size). A lottery
fails it as seldom as the level says; a list of the riskiest with the rest as its "hold-out" fails it at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

#: What nearly every rule of choosing whom to contact goes by, in the order in which differences are told.
COVARIATES = (
    "days_since_last_order",
    "gap_mean_days",
    "weeks_active_12w",
    "orders_90d",
    "orders_180d",
    "spend_90d",
    "spend_180d",
    "products_90d",
    "days_since_first_order",
    "days_since_last_contact",
    "contacts_90d",
)
#: Lots drawn anew, and the share of them at or below which nobody believes in a lottery.
LOTS, UNBELIEVABLE = 1_999, 0.001
#: Customers looked at, at most: so many show any difference that matters.
MOST_ROWS = 10_000
#: Features told of where a lottery is not believed.
TOLD = 3

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Balance:
    """`p`: share of lots that part the customers at least as much as they were; None where nothing could be compared.
    `apart`: what differs most, by how many standard deviations of its ranks.
    """

    p: float | None
    apart: tuple[tuple[str, float], ...]

    @property
    def is_plausible(self) -> bool:
        """Whether a lottery may have parted them: never of one that could not be looked at."""
        return self.p is not None and self.p > UNBELIEVABLE

    def told(self) -> str:
        """What differs most, in words."""
        if self.p is None:
            return "nothing known of its customers could be compared"
        parts = [f"{name.replace('_', ' ')} by {far:+.2f} standard deviations" for name, far in self.apart[:TOLD]]
        return "; ".join(parts)


def balance(frame: pd.DataFrame, treated: Bools, *, rng: np.random.Generator) -> Balance:
    """Of the COVARIATES that the frame has, those known of somebody and not the same for all."""
    names = [name for name in COVARIATES if name in frame.columns]
    rows = _looked_at(treated, rng)
    arm = treated[rows]
    if not names or not 0 < arm.sum() < len(arm):
        return Balance(None, ())
    ranks = np.column_stack([_ranks(frame[name].to_numpy(float)[rows]) for name in names])
    spread = ranks.std(axis=0)
    kept = spread > 0
    ranks, names = ranks[:, kept] / spread[kept], [name for name, here in zip(names, kept, strict=True) if here]
    if not names:
        return Balance(None, ())
    free, sizes, _ = np.linalg.svd(ranks - ranks.mean(axis=0), full_matrices=False)
    free = free[:, sizes > 1e-9 * sizes[0]]
    seen = _apart(free, arm)
    as_far = sum(_apart(free, rng.permutation(arm)) >= seen * (1 - 1e-12) for _ in range(LOTS))
    far = ranks[arm].mean(axis=0) - ranks[~arm].mean(axis=0)
    order = np.argsort(-np.abs(far), kind="stable")
    return Balance((1 + as_far) / (1 + LOTS), tuple((names[place], float(far[place])) for place in order))


def _looked_at(treated: Bools, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows, MOST_ROWS at most: the whole of the smaller arm up to half of them, for it says most, and of the other.

    Drawn within each arm, so a lottery's arms stay as alike as they were.
    """
    smaller, larger = sorted((np.flatnonzero(treated), np.flatnonzero(~treated)), key=len)
    kept = [_some(smaller, MOST_ROWS // 2, rng)]
    kept.append(_some(larger, MOST_ROWS - len(kept[0]), rng))
    return np.sort(np.concatenate(kept))


def _some(rows: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= most else rng.choice(rows, most, replace=False)


def _apart(free: Floats, arm: Bools) -> float:
    """How far the arms' means lie apart, squared."""
    return float(((free[arm].mean(axis=0) - free[~arm].mean(axis=0)) ** 2).sum())


def _ranks(values: Floats) -> Floats:
    """Ranks from 0 to 1; what is not known stands in the middle."""
    known = ~np.isnan(values)
    found = np.full(len(values), 0.5)
    if known.any():
        found[known] = rankdata(values[known]) / known.sum()
    return found
