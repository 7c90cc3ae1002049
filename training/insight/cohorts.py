"""Of the customers who came in each month, how many still ordered in the months after."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.insight.shop import Shop

MONTHS = 12
MEASURES = ("retention", "spend")


def cohort_retention(shop: Shop, *, months: int = MONTHS) -> dict[str, Any]:
    """One row per calendar month (UTC) of first orders, the oldest first; one column per month since, 0 to `months`.

    Formula: values[i][k] = customers of cohort i with an order in calendar month i + k / customers of cohort i;
    spend[i][k] = what they spent in that month / customers of cohort i. Only whole months: one that has not ended
    before the moment is None, and its cohort is left out. mean weights the cohorts by their customers; it leaves out
    the first one, where the lake begins, which holds everybody who was a customer already.
    Source: Fader and Hardie, How to project customer retention, Journal of Interactive Marketing 21 (1), 2007, for
    retention by cohort.
    """
    found = shop.frame(
        """
        WITH firsts AS (
            SELECT customer, date_trunc('month', min(ordered_at)) AS cohort FROM trips WHERE bought GROUP BY 1
        )
        SELECT cohort, date_diff('month', cohort, date_trunc('month', ordered_at)) AS later,
               count(DISTINCT customer) FILTER (bought) AS customers, sum(spend) AS spend
        FROM trips JOIN firsts USING (customer) WHERE ordered_at >= cohort GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    # The month in which the moment lies has not ended; one that ends just at it has.
    ended = shop.as_of.year * 12 + shop.as_of.month - 1
    cohorts = [cohort for cohort in sorted(found["cohort"].unique()) if _month(cohort) < ended]
    rows, values, spend, sizes = [], [], [], []
    for cohort in cohorts:
        own = found[found["cohort"] == cohort].set_index("later")
        size = int(own["customers"].get(0, 0))
        known = min(ended - 1 - _month(cohort), months)
        rows.append(f"{cohort:%Y-%m}")
        sizes.append(size)
        counts = own["customers"].reindex(range(months + 1), fill_value=0).to_numpy(float)
        amounts = own["spend"].reindex(range(months + 1)).fillna(0.0).to_numpy(float)
        values.append([float(counts[k] / size) if k <= known else None for k in range(months + 1)])
        spend.append([float(amounts[k] / size) if k <= known and shop.has_spend else None for k in range(months + 1)])
    return {
        "rows": rows,
        "columns": list(range(months + 1)),
        "customers": sizes,
        "values": values,
        "spend": spend if shop.has_spend else None,
        "mean": _mean(values[1:], sizes[1:], months),
    }


def _mean(values: list[list[float | None]], sizes: list[int], months: int) -> list[float | None]:
    """Retention of the cohorts for which a month is known, weighted by their customers."""
    means: list[float | None] = []
    for k in range(months + 1):
        known = [(row[k], size) for row, size in zip(values, sizes, strict=True) if row[k] is not None]
        total = sum(size for _, size in known)
        means.append(
            float(np.sum([value * size for value, size in known if value is not None]) / total) if total else None
        )
    return means


def _month(moment: Any) -> int:
    return int(moment.year) * 12 + int(moment.month) - 1
