"""How much a customer spends, at what discount and price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis

from features.definitions import Feature
from features.measures import AMOUNT, CATEGORY, COUPON, DISCOUNT, money, per, share_since, since
from features.schema import C
from features.snapshot import WINDOWS, Relation, Snapshot

CUSTOMERS, FEATURES = Relation.CUSTOMERS, Relation.FEATURES


def _spend_since(days: int) -> Callable[[Any, Snapshot], Any]:
    return lambda totals, at: money(since(days, "amount")(totals, at))


def _discount_share(totals: Any, at: Snapshot) -> Any:
    discount, paid = since(180, "discount")(totals, at), since(180, "amount")(totals, at)
    return per(discount, discount + paid)


def spend_features() -> list[Feature]:
    """Spend over windows and of an order, returns, discounts, coupons."""
    features = [
        Feature(
            f"spend_{days}d",
            CUSTOMERS,
            _spend_since(days),
            f"Spend of the last {days} days, net of returns.",
            "currency",
            0.0,
            needs=(AMOUNT,),
            window_days=days,
        )
        for days in WINDOWS
    ]
    return [
        *features,
        Feature(
            "spend_life",
            CUSTOMERS,
            lambda totals, _: money(totals.amount),
            "Spend ever, net of returns.",
            "currency",
            0.0,
            needs=(AMOUNT,),
        ),
        Feature(
            "returned_share_life",
            CUSTOMERS,
            lambda totals, _: per(totals.returned, totals.amount + totals.returned),
            "Spend that went back as returns.",
            "share",
            0.0,
            needs=(AMOUNT,),
        ),
        Feature(
            "discount_share_180d",
            CUSTOMERS,
            _discount_share,
            "Discount as a share of the full price over the last 180 days.",
            "share",
            needs=(AMOUNT, DISCOUNT),
            window_days=180,
        ),
        Feature(
            "coupon_order_share_180d",
            CUSTOMERS,
            share_since(180, "coupon_orders", "orders"),
            "Orders of the last 180 days with a coupon.",
            "share",
            needs=(COUPON,),
            window_days=180,
        ),
        Feature(
            "price_level_180d",
            CUSTOMERS,
            share_since(180, "priced_amount", "usual_amount"),
            "Paid in the last 180 days, against what as much of the same categories cost everybody in the days before.",
            "ratio",
            needs=(AMOUNT, CATEGORY),
            window_days=180,
        ),
        Feature(
            "spend_decile_365d",
            FEATURES,
            lambda made, _: 10 - ibis.ntile(10).over(order_by=[made.spend_365d.desc(), made[C.CUSTOMER_ID]]),
            "Tenth of customers by spend of the last 365 days: 10 for those who spend most.",
            "decile",
            needs=(AMOUNT,),
            window_days=365,
        ),
        Feature(
            "spend_per_order_90d",
            FEATURES,
            lambda made, _: per(made.spend_90d, made.orders_90d),
            "Spend of an order, on average over the last 90 days.",
            "currency",
            needs=(AMOUNT,),
            window_days=90,
        ),
        Feature(
            "spend_per_order_life",
            FEATURES,
            lambda made, _: per(made.spend_life, made.orders_life),
            "Spend of an order, on average ever.",
            "currency",
            needs=(AMOUNT,),
        ),
    ]
