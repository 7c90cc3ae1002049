"""What campaigns brought: contacted, responded, and what changed against those held out, in customers and money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from training.contact_effect import Arms, difference
from training.insight.shop import Shop
from training.intervals import wilson

#: Campaigns told of, the newest first.
MOST_CAMPAIGNS = 30
Z95 = 1.959963984540054


def campaign_report(
    shop: Shop, *, margin: float | None = None, cost_per_contact: float | None = None
) -> list[dict[str, Any]]:
    """One row per campaign, the newest first. Money is in the shop's currency; `margin` is a share of spend.

    Formula: a customer counts once a campaign. What came of it is counted in [t, t + H) with t the first moment of the
    campaign, the same for both arms, as those held out are noted when drawn and the others when reached, which may be
    later. Until the horizon H has passed before the moment all are `not_yet` and counted nowhere else. responded = any
    response to the campaign at or after the customer's first contact; response_rate with Wilson's 95 % interval. bought
    = an order in [t, t + H). lift = share of the contacted who
    bought less that of the held out, with Newcombe's interval; spend_lift = mean spend in [t, t + H) of the contacted
    less that of the held out, with Welch's interval (normal, 95 %). profit = contacted x (margin x spend_lift -
    cost_per_contact), with the ends of spend_lift; null without a hold-out, amounts, a margin and a cost: responses
    alone do not say what would have been bought anyway. break_even_spend = cost_per_contact / margin: the spend a
    contact must add.
    Source: Newcombe, Statistics in Medicine 17 (1998), method 10; Welch, Biometrika 34 (1947); as assigned, see
    training.contact_effect.
    """
    if not shop.has("contacts.contacted_at"):
        return []
    arms = _arms(shop)
    rows = []
    for campaign in dict.fromkeys(row["campaign_id"] for row in arms):
        own = {row["treated"]: row for row in arms if row["campaign_id"] == campaign}
        rows.append(_row(campaign, own.get(True), own.get(False), margin, cost_per_contact))
    return rows


def _arms(shop: Shop) -> list[dict[str, Any]]:
    horizon = f"INTERVAL {shop.horizon_days} DAY"
    responses = (
        "SELECT campaign_id, customer_id, max(responded_at) AS latest FROM responses GROUP BY 1, 2"
        if shop.has("responses.responded_at")
        else "SELECT NULL::VARCHAR AS campaign_id, NULL::VARCHAR AS customer_id, NULL::TIMESTAMP AS latest WHERE false"
    )
    # A customer without a line in the time spent nothing; without amounts, what anybody spent is not known.
    spend = "coalesce(spend, 0)" if shop.has_spend else "NULL::DOUBLE"
    found = shop.frame(
        f"""
        WITH chosen AS (
            SELECT campaign_id, min(contacted_at) AS began, min(contacted_at) + {horizon} AS ended
            FROM contacts GROUP BY 1 ORDER BY began DESC, 1 LIMIT {MOST_CAMPAIGNS}
        ), known AS (
            SELECT campaign_id, customer_id, any_value(began) AS began, min(contacted_at) AS contacted_at,
                   min(channel) AS channel, bool_or(coalesce(treated, true)) AS treated,
                   any_value(ended) <= TIMESTAMP '{shop.as_of}' AS passed
            FROM contacts JOIN chosen USING (campaign_id) GROUP BY 1, 2
        ), after AS (
            -- Each line meets the few campaigns of its time, not all that its customer was ever on.
            SELECT campaign_id, customer, coalesce(bool_or(quantity > 0), false) AS bought, sum(spend) AS spend
            FROM lines JOIN chosen ON ordered_at >= began AND ordered_at < ended
            WHERE ordered_at >= (SELECT min(began) FROM chosen) GROUP BY 1, 2
        ), answered AS ({responses})
        SELECT campaign_id, treated, min(channel) AS channel, any_value(began) AS first_contact_at,
               count(*) FILTER (passed) AS customers, count(*) FILTER (NOT passed) AS not_yet,
               count(*) FILTER (passed AND bought) AS bought,
               count(*) FILTER (passed AND latest >= contacted_at) AS responded,
               avg({spend}) FILTER (passed) AS spend_mean, var_samp({spend}) FILTER (passed) AS spread
        FROM known LEFT JOIN who USING (customer_id) LEFT JOIN after USING (campaign_id, customer)
             LEFT JOIN answered USING (campaign_id, customer_id)
        GROUP BY 1, 2 ORDER BY first_contact_at DESC, campaign_id, treated DESC
        """
    )
    return [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]


def _row(
    campaign: str,
    contacted: Mapping[str, Any] | None,
    held_out: Mapping[str, Any] | None,
    margin: float | None,
    cost: float | None,
) -> dict[str, Any]:
    both = [arm for arm in (contacted, held_out) if arm is not None]
    n, m = (0 if arm is None else int(arm["customers"]) for arm in (contacted, held_out))
    row: dict[str, Any] = {
        "campaign_id": campaign,
        "channel": next((arm["channel"] for arm in both if isinstance(arm["channel"], str)), None),
        "first_contact_at": f"{min(arm['first_contact_at'] for arm in both):%Y-%m-%d}",
        "contacted": n,
        "held_out": m,
        "not_yet": sum(int(arm["not_yet"]) for arm in both),
        "responded": 0 if contacted is None else int(contacted["responded"]),
        **dict.fromkeys(_OPEN),
    }
    if contacted is not None and n:
        row["response_rate"] = row["responded"] / n
        row["response_low"], row["response_high"] = wilson(row["responded"], n)
        row["bought_share"] = int(contacted["bought"]) / n
        row["spend_mean"] = _number(contacted["spend_mean"])
    if margin and cost is not None:
        row["break_even_spend"] = cost / margin
    if contacted is None or held_out is None or not n or not m:
        return row
    found = difference(Arms(n, int(contacted["bought"]), m, int(held_out["bought"])))
    row |= {"lift": found.value, "lift_low": found.low, "lift_high": found.high}
    row["held_out_bought_share"] = int(held_out["bought"]) / m
    row["held_out_spend_mean"] = _number(held_out["spend_mean"])
    if n > 1 and m > 1 and row["spend_mean"] is not None:
        lift = row["spend_mean"] - row["held_out_spend_mean"]
        half = Z95 * math.sqrt(float(contacted["spread"]) / n + float(held_out["spread"]) / m)
        row |= {"spend_lift": lift, "spend_lift_low": lift - half, "spend_lift_high": lift + half}
        if margin is not None and cost is not None:
            for name, value in (("", lift), ("_low", lift - half), ("_high", lift + half)):
                row[f"profit{name}"] = n * (margin * value - cost)
    return row


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


#: What is null until it is known.
_OPEN = (
    *("response_rate", "response_low", "response_high", "bought_share", "held_out_bought_share"),
    *("lift", "lift_low", "lift_high", "spend_mean", "held_out_spend_mean"),
    *("spend_lift", "spend_lift_low", "spend_lift_high"),
    *("profit", "profit_low", "profit_high", "break_even_spend"),
)
