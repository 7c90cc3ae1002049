"""What is known of each customer before a moment: the columns every other picture is drawn from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.customer_scores import stages
from training.insight.shop import PERIOD_DAYS, WINDOW_DAYS, Shop

#: Hours of the evening; of an order, by the shop's clock in UTC.
EVENING = (18, 24)

_LIFE = """
SELECT customer, count(*) AS orders, count(DISTINCT ordered_at::DATE) AS visits,
       epoch_us(min(ordered_at)) AS first_us, epoch_us(max(ordered_at)) AS last_us,
       sum(units) AS units, sum(lines) AS lines,
       count(*) FILTER (ordered_at >= $since) AS orders_lately,
       count(DISTINCT ordered_at::DATE) FILTER (ordered_at >= $since) AS visits_lately,
       count(DISTINCT $period) FILTER (ordered_at >= $since) AS periods_active,
       avg((isodow(ordered_at) >= 6)::INTEGER) AS weekend_share,
       avg((hour(ordered_at) >= $evening)::INTEGER) AS evening_share
FROM trips WHERE bought GROUP BY customer
"""
_MONEY = """
SELECT customer, sum(spend) AS spend, sum(margin) AS margin, sum(spend) FILTER (ordered_at >= $since) AS spend_lately,
       sum(margin) FILTER (ordered_at >= $since) AS margin_lately,
       sum(discount) FILTER (quantity > 0) / nullif(sum(spend + discount) FILTER (quantity > 0), 0) AS discount_share,
       -sum(spend) FILTER (quantity < 0) / nullif(sum(spend) FILTER (quantity > 0), 0) AS returned_share
FROM lines GROUP BY customer
"""
_BREADTH = """
SELECT customer, count(DISTINCT product) AS products, count(DISTINCT {group}) AS categories,
       count(DISTINCT {group}) FILTER (ordered_at >= $since) AS categories_lately
FROM lines JOIN goods USING (product) WHERE quantity > 0 GROUP BY customer
"""
_COUNTS = (
    *("orders", "visits", "units", "lines", "products", "categories"),
    *("orders_lately", "visits_lately", "categories_lately", "periods_active"),
)


def customer_facts(shop: Shop) -> pd.DataFrame:
    """One row per customer who bought before the moment, in the order of customer_id.

    Counts are of purchases; orders are those with something bought, visits the days with one; spend and margin are net
    of returns and empty where not known. Columns ending in _lately are of the WINDOW_DAYS before the moment.
    `periods_known` is how many whole periods of PERIOD_DAYS the customer has been one, WINDOW_DAYS at most, and
    `periods_active` in how many of them they bought. `usual_gap_days` is the mean between visits, empty for one visit.
    `discount_share` is of the full price, `returned_share` of what was bought. `stage` is that of the scores.
    """
    since = pd.Timestamp(shop.as_of) - pd.Timedelta(days=WINDOW_DAYS)
    values = {
        "since": f"TIMESTAMP '{since}'",
        "period": shop.ago(PERIOD_DAYS),
        "evening": str(EVENING[0]),
    }
    found = {"customer_id": shop.customer_ids.to_pandas()}
    group = shop.grouping or "NULL"
    for query in (_LIFE, _MONEY, _BREADTH.format(group=group)):
        for name, value in values.items():
            query = query.replace(f"${name}", value)
        found |= shop.per_customer(query, missing=np.nan)
    facts = pd.DataFrame(found)
    facts[list(_COUNTS)] = facts[list(_COUNTS)].fillna(0).astype("int64")
    if not shop.has_spend:
        facts[["spend", "spend_lately"]] = np.nan
    if not shop.has_margin:
        facts[["margin", "margin_lately"]] = np.nan
    lately = ["spend_lately"] * shop.has_spend + ["margin_lately"] * shop.has_margin
    facts[[*lately, "discount_share", "returned_share"]] = facts[[*lately, "discount_share", "returned_share"]].fillna(
        0.0
    )
    for name in ("first", "last"):
        facts[f"{name}_order_at"] = pd.to_datetime(facts.pop(f"{name}_us").astype("int64"), unit="us")
    silent, tenure = (pd.Timestamp(shop.as_of) - facts[f"{name}_order_at"] for name in ("last", "first"))
    known = -(-tenure.dt.total_seconds().to_numpy() // (86_400 * PERIOD_DAYS))
    facts["periods_known"] = np.clip(known, 1, WINDOW_DAYS // PERIOD_DAYS).astype(int)
    facts["usual_gap_days"] = ((tenure - silent).dt.total_seconds() / 86_400) / (facts["visits"] - 1).where(
        facts["visits"] > 1
    )
    facts["days_since_last_order"] = silent.dt.days
    facts["days_since_first_order"] = tenure.dt.days
    facts["active"] = silent <= pd.Timedelta(days=shop.horizon_days)
    facts["stage"] = stages(facts, horizon_days=shop.horizon_days)
    return facts


def spend_by_period(shop: Shop) -> tuple[list[str], np.ndarray]:
    """The days on which the last periods began, the oldest first, and (customers, periods) spend in each."""
    periods = WINDOW_DAYS // PERIOD_DAYS
    measure = "spend" if shop.has_spend else "bought::INTEGER"
    found = shop.frame(
        f"""
        SELECT customer, {shop.ago(PERIOD_DAYS)} AS ago, sum({measure})::DOUBLE AS spend
        FROM trips WHERE ago < {periods} GROUP BY 1, 2
        """
    )
    spend = np.zeros((shop.customers, periods), dtype=np.float32)
    spend[found["customer"], periods - 1 - found["ago"].to_numpy(np.int64)] = found["spend"]
    begun = [pd.Timestamp(shop.as_of) - pd.Timedelta(days=PERIOD_DAYS * ago) for ago in range(periods, 0, -1)]
    return [f"{day:%Y-%m-%d}" for day in begun], spend
