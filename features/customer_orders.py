"""How often and how lately a customer orders, and when and where."""

from __future__ import annotations

from features.definitions import Feature
from features.measures import CHANNEL, STORE, per, share_since, since
from features.snapshot import WINDOWS, Relation

CUSTOMERS = Relation.CUSTOMERS


def order_features() -> list[Feature]:
    """Counts over windows, recency, size of orders, habits of time and place."""
    features = [
        Feature(
            "orders_life",
            CUSTOMERS,
            lambda totals, _: totals.orders,
            "Orders ever.",
            "orders",
            0.0,
        ),
        Feature(
            "days_since_last_order",
            CUSTOMERS,
            lambda totals, at: at.days_since(totals.last_order_at),
            "Time since the last order.",
            "days",
        ),
        Feature(
            "days_since_first_order",
            CUSTOMERS,
            lambda totals, at: at.days_since(totals.first_order_at),
            "Time since the first order.",
            "days",
        ),
        Feature(
            "lines_per_order_life",
            CUSTOMERS,
            lambda totals, _: per(totals.lines, totals.orders),
            "Order lines of an order, on average ever.",
            "lines",
        ),
        Feature(
            "lines_per_order_90d",
            CUSTOMERS,
            share_since(90, "lines", "orders"),
            "Order lines of an order, on average over the last 90 days.",
            "lines",
            window_days=90,
        ),
        Feature(
            "weekend_share_180d",
            CUSTOMERS,
            share_since(180, "weekend_orders", "orders"),
            "Orders of the last 180 days placed on a Saturday or Sunday (UTC).",
            "share",
            window_days=180,
        ),
        Feature(
            "evening_share_180d",
            CUSTOMERS,
            share_since(180, "evening_orders", "orders"),
            "Orders of the last 180 days placed from 17:00 on (UTC).",
            "share",
            window_days=180,
        ),
        Feature(
            "morning_share_180d",
            CUSTOMERS,
            share_since(180, "morning_orders", "orders"),
            "Orders of the last 180 days placed before noon (UTC).",
            "share",
            window_days=180,
        ),
        Feature(
            "stores_180d",
            CUSTOMERS,
            lambda totals, _: totals.stores_180d,
            "Stores bought in over the last 180 days.",
            "stores",
            0.0,
            needs=(STORE,),
            window_days=180,
        ),
        Feature(
            "channels_180d",
            CUSTOMERS,
            lambda totals, _: totals.channels_180d,
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
            CUSTOMERS,
            since(days, "orders"),
            f"Orders of the last {days} days.",
            "orders",
            0.0,
            window_days=days,
        )
        for days in WINDOWS
    ]
    return features
