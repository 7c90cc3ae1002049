"""How much a customer spends, at what discount and price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis

from features.customer_orders import WINDOWS
from features.definitions import Feature
from features.measures import AMOUNT, CATEGORY, COUPON, DISCOUNT, exact_sum, in_last, per, real
from features.schema import C
from features.snapshot import Relation, Snapshot

ORDERS, FEATURES = Relation.ORDERS, Relation.FEATURES


def _spend_since(days: int) -> Callable[[Any, Snapshot], Any]:
    return lambda orders, at: real(orders.amount.sum(where=orders[C.ORDERED_AT] >= at.before(days)))


def spend_features() -> list[Feature]:
    """Spend over windows and of an order, returns, discounts, coupons."""
    features = [
        Feature(
            f"spend_{days}d",
            ORDERS,
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
            ORDERS,
            lambda orders, _: real(orders.amount.sum()),
            "Spend ever, net of returns.",
            "currency",
            0.0,
            needs=(AMOUNT,),
        ),
        Feature(
            "returned_share_life",
            ORDERS,
            lambda orders, _: per(orders.returned.sum(), orders.amount.sum() + orders.returned.sum()),
            "Spend that went back as returns.",
            "share",
            0.0,
            needs=(AMOUNT,),
        ),
        Feature(
            "discount_share_180d",
            ORDERS,
            in_last(
                180,
                lambda orders, recent: per(
                    orders.discount.sum(where=recent),
                    orders.discount.sum(where=recent) + orders.amount.sum(where=recent),
                ),
            ),
            "Discount as a share of the full price over the last 180 days.",
            "share",
            needs=(AMOUNT, DISCOUNT),
            window_days=180,
        ),
        Feature(
            "coupon_order_share_180d",
            ORDERS,
            in_last(180, lambda orders, recent: per((recent & (orders.coupon > 0)).sum(), recent.sum())),
            "Orders of the last 180 days with a coupon.",
            "share",
            needs=(COUPON,),
            window_days=180,
        ),
        Feature(
            "price_level_180d",
            Relation.CATEGORIES,
            lambda bought, _: per(bought.amount_180d.sum(), exact_sum(bought.usual_amount_180d)),
            "Paid in the last 180 days, against all customers' mean price of a unit of the same categories.",
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
