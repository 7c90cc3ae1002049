"""How many customers were active, new, cooling, lost and back at each of the last moments; and where they moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.customer_scores import LONG_HORIZONS
from training.insight.shop import PERIOD_DAYS, Shop

NEW, ACTIVE, RETURNED, COOLING, LOST = "new", "active", "returned", "cooling", "lost"
STATES = (NEW, ACTIVE, RETURNED, COOLING, LOST)
MOMENTS = 26
NOT_YET = "not_yet"


def states_over_time(shop: Shop, *, moments: int = MOMENTS) -> list[dict[str, Any]]:
    """One row per moment, the oldest first, PERIOD_DAYS apart up to that of the shop: customers in each of STATES.

    Formula: with horizon H (days) and silence s = whole days from the last order to the moment. s > 3 H: lost.
    H < s <= 3 H: cooling. Else new where the first order is at most H days old, returned where some order of the last H
    days came more than H days after the one before it, active otherwise. Every customer with an order before the moment
    is in one state.
    Source: the stages of the scores (new; regular and slipping are active or returned; lapsed is cooling; lost).
    """
    horizon = shop.horizon_days
    found = shop.frame(
        f"""
        WITH visits AS (
            -- Whole days of silence, and the day it lies on: an order at a moment itself is not before it.
            SELECT customer, {shop.ago(1)}::INTEGER AS day,
                   ((epoch_us(TIMESTAMP '{shop.as_of}') - epoch_us(ordered_at)) // 86400000000)::INTEGER AS ago
            FROM trips WHERE bought GROUP BY ALL
        ), stays AS (
            SELECT customer, day, ago, max(ago) OVER (PARTITION BY customer) AS first, lag(ago) OVER w AS before,
                   coalesce(lead(day) OVER w, -1) AS next_day
            FROM visits WINDOW w AS (PARTITION BY customer ORDER BY ago DESC, day DESC)
        ), back AS (
            -- The latest visit up to this one that came after a silence longer than the horizon.
            SELECT customer, day, ago, first, next_day, min(CASE WHEN before - ago > {horizon} THEN ago END)
                   OVER (PARTITION BY customer ORDER BY ago DESC, day DESC ROWS UNBOUNDED PRECEDING) AS came_back
            FROM stays
        )
        SELECT moment, CASE
                 WHEN ago - {PERIOD_DAYS} * moment > {LONG_HORIZONS * horizon} THEN '{LOST}'
                 WHEN ago - {PERIOD_DAYS} * moment > {horizon} THEN '{COOLING}'
                 WHEN first - {PERIOD_DAYS} * moment <= {horizon} THEN '{NEW}'
                 WHEN came_back - {PERIOD_DAYS} * moment <= {horizon} THEN '{RETURNED}'
                 ELSE '{ACTIVE}' END AS state, count(*) AS customers
        FROM range({moments}) moments(moment)
        JOIN back ON day >= {PERIOD_DAYS} * moment AND next_day < {PERIOD_DAYS} * moment
        GROUP BY ALL
        """
    )
    table = (
        found.pivot(index="moment", columns="state", values="customers")
        .reindex(columns=list(STATES))
        .fillna(0)
        .sort_index()
    )
    rows = []
    for ago, counts in zip(table.index.to_numpy(int)[::-1], table.to_numpy(int)[::-1], strict=True):
        moment = pd.Timestamp(shop.as_of) - pd.Timedelta(days=PERIOD_DAYS * int(ago))
        rows.append({"moment": f"{moment:%Y-%m-%d}", **dict(zip(STATES, counts.tolist(), strict=True))})
    return rows


def movement(
    before_ids: pd.Series, before: NDArray[Any], now_ids: pd.Series, now: NDArray[Any], *, groups: Sequence[str]
) -> dict[str, Any]:
    """How many customers of each group before (rows) are in each group now (columns); newcomers come from NOT_YET.

    Formula: values[i][j] = customers in group i at the earlier moment and in group j at the later one.
    Source: transition counts of a Markov chain of segments (Pfeifer and Carraway, Journal of Interactive Marketing 14
    (2), 2000).
    """
    was = pd.Series(np.asarray(before, dtype=object), index=pd.Index(before_ids)).reindex(now_ids).fillna(NOT_YET)
    counts = pd.crosstab(was.to_numpy(), np.asarray(now, dtype=object))
    rows, columns = [*groups, NOT_YET], list(groups)
    values = counts.reindex(index=rows, columns=columns, fill_value=0).to_numpy(int).tolist()
    return {"rows": rows, "columns": columns, "values": values}
