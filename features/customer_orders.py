"""How often and how lately a customer orders, and when and where."""

from __future__ import annotations

from features.definitions import Feature
from features.measures import CHANNEL, STORE, in_last, per
from features.schema import C
from features.snapshot import Relation

ORDERS = Relation.ORDERS
WINDOWS = (7, 14, 30, 60, 90, 180, 365)


def order_features() -> list[Feature]:
    """Counts over windows, recency, size of orders, habits of time and place."""
    features = [
        Feature("orders_life", ORDERS, lambda orders, _: orders.bought.sum(), "Orders ever.", "orders", 0.0),
        Feature(
            "days_since_last_order",
            ORDERS,
            lambda orders, at: at.days_since(orders[C.ORDERED_AT].max(where=orders.bought)),
            "Time since the last order.",
            "days",
        ),
        Feature(
            "days_since_first_order",
            ORDERS,
            lambda orders, at: at.days_since(orders[C.ORDERED_AT].min(where=orders.bought)),
            "Time since the first order.",
            "days",
        ),
        Feature(
            "lines_per_order_life",
            ORDERS,
            lambda orders, _: per(orders.lines.sum(), orders.bought.sum()),
            "Order lines of an order, on average ever.",
            "lines",
        ),
        Feature(
            "lines_per_order_90d",
            ORDERS,
            in_last(90, lambda orders, recent: per(orders.lines.sum(where=recent), recent.sum())),
            "Order lines of an order, on average over the last 90 days.",
            "lines",
            window_days=90,
        ),
        Feature(
            "weekend_share_180d",
            ORDERS,
            in_last(
                180,
                lambda orders, recent: per(
                    (recent & (orders[C.ORDERED_AT].day_of_week.index() >= 5)).sum(), recent.sum()
                ),
            ),
            "Orders of the last 180 days placed on a Saturday or Sunday (UTC).",
            "share",
            window_days=180,
        ),
        Feature(
            "evening_share_180d",
            ORDERS,
            in_last(
                180, lambda orders, recent: per((recent & (orders[C.ORDERED_AT].hour() >= 17)).sum(), recent.sum())
            ),
            "Orders of the last 180 days placed from 17:00 on (UTC).",
            "share",
            window_days=180,
        ),
        Feature(
            "morning_share_180d",
            ORDERS,
            in_last(180, lambda orders, recent: per((recent & (orders[C.ORDERED_AT].hour() < 12)).sum(), recent.sum())),
            "Orders of the last 180 days placed before noon (UTC).",
            "share",
            window_days=180,
        ),
        Feature(
            "stores_180d",
            ORDERS,
            in_last(180, lambda orders, recent: orders[C.STORE_ID].nunique(where=recent)),
            "Stores bought in over the last 180 days.",
            "stores",
            0.0,
            needs=(STORE,),
            window_days=180,
        ),
        Feature(
            "channels_180d",
            ORDERS,
            in_last(180, lambda orders, recent: orders[C.CHANNEL].nunique(where=recent)),
            "Channels bought through over the last 180 days.",
            "channels",
            0.0,
            needs=(CHANNEL,),
            window_days=180,
        ),
    ]
    features += [
        Feature(
            f"orders_{days}d",
            ORDERS,
            in_last(days, lambda _, recent: recent.sum()),
            f"Orders of the last {days} days.",
            "orders",
            0.0,
            window_days=days,
        )
        for days in WINDOWS
    ]
    return features
