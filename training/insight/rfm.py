"""Recency, frequency and monetary value: scores from 1 to 5, and segments that have a name."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

SCORES = 5
#: Segments from best to worst.
SEGMENTS = (
    *("champions", "loyal", "potential_loyalists", "recent", "promising"),
    *("need_attention", "about_to_sleep", "cannot_lose", "at_risk", "hibernating"),
)
#: The segment of a recency score (rows, 1 to 5) and of frequency and value together (columns, 1 to 5).
GRID = (
    ("hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"),
    ("about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"),
    ("promising", "potential_loyalists", "potential_loyalists", "loyal", "loyal"),
    ("recent", "potential_loyalists", "potential_loyalists", "champions", "champions"),
)


def quantile_scores(values: NDArray[np.float64], *, scores: int = SCORES) -> NDArray[np.int64]:
    """(customers,) 1 to `scores`, the highest for the largest values. Equal values have equal scores.

    Formula: 1 + floor(scores x (customers with a smaller value + half of those with an equal one) / customers). Where
    all values differ these are quintiles of equal size; where many are equal they stand together in the middle of
    their places, instead of being parted by chance.
    Source: Hughes, Strategic Database Marketing (1994), scores customers by fifths of each measure.
    """
    if not len(values):
        return np.empty(0, dtype=np.int64)
    below_and_half = rankdata(values, method="average") - 0.5
    return np.minimum(1 + (scores * below_and_half / len(values)).astype(np.int64), scores)


def rfm(facts: pd.DataFrame) -> pd.DataFrame:
    """One row per customer: scores `r`, `f` and `m` from 1 to 5, and `segment`, one of SEGMENTS.

    Formula: r is the score of days since the last order (5 = latest), f of days with an order in the last 364 days, m
    of spend in them, net of returns. The segment stands in GRID at row r and column (f + m + 1) // 2; where the
    shop knows no amounts there is no m, and the column is f.
    Source: Hughes (1994) for the scores; the named grid of recency against frequency and value is the one in common
    use, here with each of its 25 places written down.
    """
    r = quantile_scores(-facts["days_since_last_order"].to_numpy(float))
    f = quantile_scores(facts["visits_lately"].to_numpy(float))
    spend = facts["spend_lately"].to_numpy(float)
    known = not np.isnan(spend).any()
    m = quantile_scores(spend) if known else np.zeros(len(facts), dtype=np.int64)
    both = (f + m + 1) // 2 if known else f
    segment = np.array(GRID, dtype=object)[r - 1, both - 1] if len(facts) else np.empty(0, dtype=object)
    scored = pd.DataFrame({"r": r, "f": f, "m": m, "segment": segment}, index=facts.index)
    return scored if known else scored.assign(m=pd.array([pd.NA] * len(scored), dtype="Int64"))


def segment_table(facts: pd.DataFrame, labels: pd.Series | NDArray, order: tuple[str, ...]) -> list[dict[str, object]]:
    """One row per group of customers, in `order`: customers, their share, spend lately, its share, means of each.

    Formula: share = customers of the group / all customers; spend_share = spend lately of the group / of all.
    Source: descriptive.
    """
    spend = facts["spend_lately"].to_numpy(float)
    total, n = float(np.nansum(spend)), len(facts)
    known = not np.isnan(spend).all()
    rows = []
    for name in order:
        here = np.asarray(labels) == name
        count = int(here.sum())
        own = float(np.nansum(spend[here]))
        rows.append(
            {
                "group": name,
                "customers": count,
                "share": count / n if n else 0.0,
                "spend": own if known else None,
                "spend_share": own / total if known and total else None,
                "spend_mean": own / count if known and count else None,
                "orders_mean": float(facts["orders_lately"].to_numpy(float)[here].mean()) if count else None,
                "days_silent_median": float(np.median(facts["days_since_last_order"][here])) if count else None,
            }
        )
    return rows


def rfm_grid(scored: pd.DataFrame) -> list[list[int]]:
    """(5, 5) customers by recency score (rows, 5 first) and by frequency and value together (columns, 1 first).

    Formula: counts over the places of GRID. Source: as `rfm`.
    """
    known = scored["m"].notna().all()
    both = (scored["f"] + scored["m"] + 1) // 2 if known else scored["f"]
    grid = np.zeros((SCORES, SCORES), dtype=int)
    np.add.at(grid, (SCORES - scored["r"].to_numpy(int), both.to_numpy(int) - 1), 1)
    counts: list[list[int]] = grid.tolist()
    return counts
