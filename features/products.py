"""The features of products, and of customers with a product or a category: how it sells, to whom it is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis

from features.definitions import CUSTOMER_CATEGORY, CUSTOMER_PRODUCT, PRODUCT, Entity, Feature
from features.ledger import UNITS
from features.measures import AMOUNT, CATEGORY, DISCOUNT, in_gaps, money, per, share_since, since
from features.snapshot import SALES_WINDOWS, Relation, Snapshot

SALES, PAIRS, CATEGORIES, FEATURES = Relation.SALES, Relation.PRODUCTS, Relation.CATEGORIES, Relation.FEATURES


def _days_between(first: Any, last: Any) -> Any:
    return (last.epoch_seconds() - first.epoch_seconds()) / 86_400.0


def _price_90d(sales: Any, at: Snapshot) -> Any:
    return per(money(since(90, "paid")(sales, at)), since(90, "units")(sales, at) / float(UNITS))


def _product(
    name: str,
    relation: Relation,
    expression: Callable[[Any, Snapshot], Any],
    description: str,
    unit: str,
    default: float | None = None,
    *,
    needs: tuple[str, ...] = (),
    window_days: int | None = None,
) -> Feature:
    return Feature(name, relation, expression, description, unit, default, needs, window_days, entity=PRODUCT)


PRODUCT_FEATURES: tuple[Feature, ...] = (
    *(
        _product(
            f"lines_{days}d",
            SALES,
            since(days, "lines"),
            f"Order lines of the last {days} days.",
            "lines",
            0.0,
            window_days=days,
        )
        for days in SALES_WINDOWS
    ),
    _product(
        "lines_life",
        SALES,
        lambda sales, _: sales.lines,
        "Order lines ever.",
        "lines",
        0.0,
    ),
    _product(
        "buyers_life",
        SALES,
        lambda sales, _: sales.buyers,
        "Customers who ever bought it.",
        "customers",
        0.0,
    ),
    _product(
        "buyers_90d",
        SALES,
        lambda sales, _: sales.buyers_90d,
        "Customers who bought it in the last 90 days.",
        "customers",
        0.0,
        window_days=90,
    ),
    _product(
        "repeat_rate_life",
        SALES,
        lambda sales, _: per(sales.repeat_buyers, sales.buyers),
        "Of its buyers, those who bought it more than once.",
        "share",
    ),
    _product(
        "reorder_gap_days",
        SALES,
        lambda sales, _: per(sales.gap_seconds / 86_400.0, sales.lines - sales.buyers),
        "Time between a buyer's purchases of it, mean.",
        "days",
    ),
    _product(
        "days_since_first_sold",
        SALES,
        lambda sales, at: at.days_since(sales.first_at),
        "Time since it was first sold.",
        "days",
    ),
    _product(
        "days_since_last_sold",
        SALES,
        lambda sales, at: at.days_since(sales.last_at),
        "Time since it was last sold.",
        "days",
    ),
    _product(
        "returned_share_life",
        SALES,
        lambda sales, _: per(sales.returned_units, sales.units),
        "Units that came back, of those sold.",
        "share",
        0.0,
    ),
    _product(
        "price_90d",
        SALES,
        _price_90d,
        "Paid for a unit, on average over the last 90 days.",
        "currency",
        needs=(AMOUNT,),
        window_days=90,
    ),
    _product(
        "discounted_share_90d",
        SALES,
        share_since(90, "discounted", "lines"),
        "Of its order lines of the last 90 days, those at a discount.",
        "share",
        needs=(DISCOUNT,),
        window_days=90,
    ),
    _product(
        "lines_trend_30d",
        FEATURES,
        # 30 of the last 90 days against the 60 before them, as if those were 30.
        lambda made, _: (made.lines_30d + 1.0) / ((made.lines_90d - made.lines_30d) / 2.0 + 1.0),
        "Order lines of the last 30 days against those of the 60 before, per 30 days, one added to each.",
        "ratio",
        window_days=90,
    ),
    _product(
        "category_share_90d",
        FEATURES,
        lambda made, _: per(made.lines_90d, made.lines_90d.cast("int64").sum().over(group_by=made.attribute_category)),
        "Of the order lines of its category in the last 90 days, its own.",
        "share",
        needs=(CATEGORY,),
        window_days=90,
    ),
)


def _of_pair(entity: Entity, relation: Relation, what: str, *, needs: tuple[str, ...] = ()) -> tuple[Feature, ...]:
    """How often, how lately and how regularly a customer buys one thing."""
    return (
        Feature(
            "lines_life", relation, lambda pair, _: pair.lines, f"Order lines of the {what} ever.", "lines",
            needs=needs, entity=entity,
        ),
        Feature(
            "lines_90d_to_last", relation, lambda pair, _: pair.lines_90d,
            f"Order lines of the {what} in the 90 days up to the last of them.", "lines",
            needs=needs, window_days=90, entity=entity,
        ),
        Feature(
            "days_since_last_bought", relation, lambda pair, at: at.days_since(pair.last_at),
            f"Time since the customer last bought the {what}.", "days", needs=needs, entity=entity,
        ),
        Feature(
            "days_since_first_bought", relation, lambda pair, at: at.days_since(pair.first_at),
            f"Time since the customer first bought the {what}.", "days", needs=needs, entity=entity,
        ),
        Feature(
            "gap_mean_days", relation,
            lambda pair, _: per(_days_between(pair.first_at, pair.last_at), pair.lines - 1),
            f"Time between the customer's order lines of the {what}, mean.", "days", needs=needs, entity=entity,
        ),
        Feature(
            "customer_orders", relation, lambda pair, _: pair.customer_orders, "Orders of the customer ever.",
            "orders", needs=needs, entity=entity,
        ),
        Feature(
            "lines_per_order", FEATURES, lambda made, _: per(made.lines_life, made.customer_orders),
            f"Order lines of the {what} for each order of the customer.", "lines", needs=needs, entity=entity,
        ),
        Feature(
            "dueness", FEATURES, lambda made, _: in_gaps(made.days_since_last_bought, made.gap_mean_days),
            f"Time since the customer last bought the {what}, in their mean gaps (of a day or more): due above 1.",
            "gaps",
            needs=needs, entity=entity,
        ),
        Feature(
            "orders_life", relation, lambda pair, _: pair.orders, f"Orders of the customer that hold the {what}.",
            "orders", needs=needs, entity=entity,
        ),
        Feature(
            "order_share", relation, lambda pair, _: per(pair.orders, pair.customer_orders),
            f"Of the customer's orders, those that hold the {what}.", "share", needs=needs, entity=entity,
        ),
        Feature(
            "orders_since_last", relation, lambda pair, _: pair.customer_orders - pair.last_order,
            f"Orders of the customer since the last with the {what}: 0 when the latest order holds it.", "orders",
            needs=needs, entity=entity,
        ),
        Feature(
            "streak", relation,
            lambda pair, _: ibis.cases((pair.last_order == pair.customer_orders, pair.streak), else_=0),
            f"The customer's latest orders in a row that all hold the {what}.", "orders", needs=needs, entity=entity,
        ),
    )  # fmt: skip


CUSTOMER_PRODUCT_FEATURES: tuple[Feature, ...] = _of_pair(CUSTOMER_PRODUCT, PAIRS, "product")
CUSTOMER_CATEGORY_FEATURES: tuple[Feature, ...] = _of_pair(CUSTOMER_CATEGORY, CATEGORIES, "category", needs=(CATEGORY,))
