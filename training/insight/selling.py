"""What else to sell: who buys one category and not yet another, and who moves to dearer products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.insight.shop import WINDOW_DAYS, Shop

#: Categories in a matrix, those with the largest sales.
MOST_CATEGORIES = 15
TIERS = ("low", "middle", "high")
#: Groups with fewer expected buyers are too small to say that they like a category more than others do.
LEAST_EXPECTED = 5.0
SURE = 3.0
MOST_PRODUCTS = 30


def top_categories(shop: Shop, *, most: int = MOST_CATEGORIES) -> list[str]:
    """The categories with the largest sales of the last 364 days, largest first; none where the shop gave none."""
    if shop.grouping is None:
        return []
    rows = shop.con.execute(
        f"""
        SELECT {shop.grouping} FROM lines JOIN goods USING (product)
        WHERE {shop.grouping} IS NOT NULL AND ordered_at >= TIMESTAMP '{shop.as_of}' - INTERVAL {WINDOW_DAYS} DAY
        GROUP BY 1 ORDER BY sum(spend) DESC NULLS LAST, count(*) DESC, 1 LIMIT {most}
        """
    ).fetchall()
    return [str(row[0]) for row in rows]


def cross_sell(bought: NDArray[np.bool_], categories: Sequence[str]) -> dict[str, Any]:
    """Of the customers who buy a category (rows), the share who also buy another (columns), and who might.

    `bought` (customers, categories) is of customers with any order lately.
    Formula: values[i][j] = customers of i and j / customers of i; lift[i][j] = values[i][j] / (customers of j / all);
    open[i][j] = customers of i without j: those to whom j can be offered. The diagonal is null.
    Source: the customer-level counterpart of confidence and lift (Brin et al. 1997).
    """
    ones = bought.astype(np.float64)
    both = ones.T @ ones
    own = np.diag(both).copy()
    share = np.divide(both, own[:, None], out=np.zeros_like(both), where=own[:, None] > 0)
    base = own / max(len(bought), 1)
    lift = np.divide(share, base[None, :], out=np.zeros_like(share), where=base[None, :] > 0)
    values, lifts = (_without_diagonal(matrix) for matrix in (share, lift))
    names = list(categories)
    waiting = (own[:, None] - both).astype(int).tolist()
    return {
        "rows": names,
        "columns": names,
        "values": values,
        "lift": lifts,
        "open": waiting,
        "customers": own.astype(int).tolist(),
    }


def bought_categories(shop: Shop, categories: Sequence[str]) -> NDArray[np.bool_]:
    """(customers with any order lately, categories) whether each bought each in the last 364 days."""
    since = f"TIMESTAMP '{shop.as_of}' - INTERVAL {WINDOW_DAYS} DAY"
    found = shop.frame(
        f"""
        SELECT DISTINCT customer, {shop.grouping or "NULL"} AS category FROM lines JOIN goods USING (product)
        WHERE quantity > 0 AND ordered_at >= {since}
        """
    )
    _, row = np.unique(found["customer"].to_numpy(np.int64), return_inverse=True)
    column = found["category"].map({name: place for place, name in enumerate(categories)})
    known = column.notna().to_numpy()
    bought = np.zeros((int(row.max(initial=-1)) + 1, len(categories)), dtype=bool)
    bought[row[known], column[known].to_numpy(int)] = True
    return bought


def up_sell(shop: Shop, categories: Sequence[str]) -> dict[str, Any]:
    """From which price tier of a category customers came (rows) to which they went (columns), and by category.

    Formula: products of a category sorted by the price paid (spend / quantity of purchases); a product is in the low,
    middle or high tier by the third of the category's lines in which the middle of its own lies. A customer's tier in
    a category is the mean tier of their lines, rounded (halves up). values[i][j] = pairs of customer and category with
    tier i in the first half of the last 364 days and j in the second. up = share of pairs not in the high tier before
    that are higher now; down likewise.
    Source: descriptive; a transition matrix as in `movement`.
    """
    if not categories or not shop.has_spend:
        return {"rows": list(TIERS), "columns": list(TIERS), "values": [[0] * 3 for _ in TIERS], "by_category": []}
    start, half = (f"TIMESTAMP '{shop.as_of}' - INTERVAL {days} DAY" for days in (WINDOW_DAYS, WINDOW_DAYS // 2))
    known = shop.frame(
        f"""
        WITH sold AS (
            SELECT customer, product, {shop.grouping} AS category, ordered_at >= {half} AS later, quantity, spend
            FROM lines JOIN goods USING (product)
            WHERE quantity > 0 AND spend > 0 AND ordered_at >= {start}
              AND list_contains($categories, {shop.grouping})
        ), priced AS (
            SELECT category, product, sum(spend) / sum(quantity) AS price, count(*) AS lines FROM sold GROUP BY 1, 2
        ), placed AS (
            SELECT category, product,
                   (sum(lines) OVER w - lines / 2) / sum(lines) OVER (PARTITION BY category) AS middle
            FROM priced WINDOW w AS (PARTITION BY category ORDER BY price, product)
        ), tiers AS (
            SELECT category, customer, later, floor(avg(least(floor(3 * middle), 2)) + 0.5)::INTEGER AS tier
            FROM sold JOIN placed USING (category, product) GROUP BY 1, 2, 3
        )
        SELECT category, before.tier AS before, now.tier AS now, count(*) AS n
        FROM (SELECT * FROM tiers WHERE NOT later) before
        JOIN (SELECT * FROM tiers WHERE later) now USING (category, customer) GROUP BY 1, 2, 3
        """,
        {"categories": list(categories)},
    )
    values = np.zeros((3, 3), dtype=int)
    np.add.at(values, (known["before"], known["now"]), known["n"])
    rows = []
    for name in categories:
        own = known[known["category"] == name]
        before, now, n = (own[column].to_numpy(int) for column in ("before", "now", "n"))
        rows.append(
            {
                "category": name,
                "customers": int(n.sum()),
                "up": _share(n, (now > before) & (before < 2), before < 2),
                "down": _share(n, (now < before) & (before > 0), before > 0),
            }
        )
    return {"rows": list(TIERS), "columns": list(TIERS), "values": values.tolist(), "by_category": rows}


def affinity(
    buyers: NDArray[np.float64], customers: NDArray[np.float64], *, groups: Sequence[str], categories: Sequence[str]
) -> dict[str, Any]:
    """For whom each category sells: 100 where a group (rows) buys a category (columns) as often as all customers do.

    `buyers` (groups, categories) counts customers who bought, `customers` (groups,) all of each group.
    Formula: values[g][c] = 100 x (buyers[g][c] / customers[g]) / (sum of buyers of c / sum of customers); sure[g][c]
    is true where the share differs from that of all other customers by at least 3 standard errors (pooled). Null where
    fewer than 5 buyers would be expected.
    Source: the index of market research; the test of two proportions (Fleiss, Levin and Paik 2003).
    """
    counts = np.nan_to_num(buyers)
    total, n = counts.sum(axis=0), customers.sum()
    base = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
    expected = customers[:, None] * base[None, :]
    index = np.divide(100 * counts, expected, out=np.full_like(counts, np.nan), where=expected >= LEAST_EXPECTED)
    others = np.maximum(n - customers, 1)[:, None]
    own = np.divide(counts, customers[:, None], out=np.zeros_like(counts), where=customers[:, None] > 0)
    rest = (total[None, :] - counts) / others
    spread = np.sqrt(base * (1 - base)) * np.sqrt(1 / np.maximum(customers[:, None], 1) + 1 / others)
    sure = np.abs(own - rest) >= SURE * np.maximum(spread, 1e-12)
    values = [[None if np.isnan(value) else float(value) for value in row] for row in index]
    return {
        "rows": list(groups),
        "columns": list(categories),
        "values": values,
        "sure": (sure & ~np.isnan(index)).tolist(),
    }


def product_rhythm(shop: Shop, *, most: int = MOST_PRODUCTS) -> list[dict[str, Any]]:
    """One row per product with most buyers in the last 364 days: buyers, orders, spend, who came back for it, and when.

    Formula: repeat_share = buyers with at least two orders of it / buyers; reorder_gap_days = median of days between
    two orders of it by the same customer, in a row.
    Source: descriptive.
    """
    since = f"TIMESTAMP '{shop.as_of}' - INTERVAL {WINDOW_DAYS} DAY"
    found = shop.frame(
        f"""
        WITH own AS (
            SELECT product, customer, trip, min(ordered_at) AS bought_at, sum(spend) AS spend
            FROM lines WHERE quantity > 0 AND ordered_at >= {since} GROUP BY 1, 2, 3
        ), chosen AS (
            SELECT product, count(DISTINCT customer) AS buyers, count(*) AS orders, sum(spend) AS spend
            FROM own GROUP BY 1 ORDER BY buyers DESC, orders DESC, product LIMIT {most}
        ), times AS (
            SELECT product, avg((n > 1)::INTEGER) AS repeat_share
            FROM (SELECT product, customer, count(*) AS n FROM own SEMI JOIN chosen USING (product) GROUP BY 1, 2)
            GROUP BY 1
        ), gaps AS (
            SELECT product, median(gap) AS reorder_gap_days
            FROM (SELECT product, (epoch(bought_at) - lag(epoch(bought_at)) OVER w) / 86400 AS gap
                  FROM own SEMI JOIN chosen USING (product)
                  WINDOW w AS (PARTITION BY product, customer ORDER BY bought_at, trip))
            GROUP BY 1
        )
        SELECT product_id, name, category, buyers, orders, spend, repeat_share, reorder_gap_days
        FROM chosen JOIN goods USING (product) JOIN times USING (product) JOIN gaps USING (product)
        ORDER BY buyers DESC, orders DESC, product
        """
    )
    return [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]


def _share(n: NDArray[np.int64], part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float | None:
    return float(n[part].sum() / n[whole].sum()) if n[whole].sum() else None


def _without_diagonal(matrix: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if i == j else float(value) for j, value in enumerate(row)] for i, row in enumerate(matrix)]
