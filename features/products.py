"""The features of products, and of customers with a product or a category: how it sells, to whom it is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from features.definitions import CUSTOMER_CATEGORY, CUSTOMER_PRODUCT, PRODUCT, Entity, Feature
from features.measures import AMOUNT, CATEGORY, DISCOUNT, in_gaps, per
from features.schema import C
from features.snapshot import Relation, Snapshot

WINDOWS = (7, 30, 90, 365)
LINES, PAIRS, CATEGORIES, FEATURES = Relation.LINES, Relation.PRODUCTS, Relation.CATEGORIES, Relation.FEATURES


def _sold(days: int, count: Callable[[Any, Any], Any]) -> Callable[[Any, Snapshot], Any]:
    return lambda lines, at: count(lines, (lines[C.QUANTITY] > 0) & (lines[C.ORDERED_AT] >= at.before(days)))


def _days_between(first: Any, last: Any) -> Any:
    return (last.epoch_seconds() - first.epoch_seconds()) / 86_400.0


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
            LINES,
            _sold(days, lambda _, recent: recent.sum()),
            f"Order lines of the last {days} days.",
            "lines",
            0.0,
            window_days=days,
        )
        for days in WINDOWS
    ),
    _product("lines_life", PAIRS, lambda pairs, _: pairs.lines.sum(), "Order lines ever.", "lines", 0.0),
    _product(
        "buyers_life", PAIRS, lambda pairs, _: pairs.lines.count(), "Customers who ever bought it.", "customers", 0.0
    ),
    _product(
        "buyers_90d",
        PAIRS,
        lambda pairs, _: (pairs.lines_90d > 0).sum(),
        "Customers who bought it in the last 90 days.",
        "customers",
        0.0,
        window_days=90,
    ),
    _product(
        "repeat_rate_life",
        PAIRS,
        lambda pairs, _: per((pairs.lines > 1).sum(), pairs.lines.count()),
        "Of its buyers, those who bought it more than once.",
        "share",
    ),
    _product(
        "reorder_gap_days",
        PAIRS,
        lambda pairs, _: per(
            (pairs.last_at.epoch_seconds() - pairs.first_at.epoch_seconds()).sum() / 86_400.0, (pairs.lines - 1).sum()
        ),
        "Time between a buyer's purchases of it, mean.",
        "days",
    ),
    _product(
        "days_since_first_sold",
        PAIRS,
        lambda pairs, at: at.days_since(pairs.first_at.min()),
        "Time since it was first sold.",
        "days",
    ),
    _product(
        "days_since_last_sold",
        PAIRS,
        lambda pairs, at: at.days_since(pairs.last_at.max()),
        "Time since it was last sold.",
        "days",
    ),
    _product(
        "returned_share_life",
        LINES,
        lambda lines, _: per(
            lines[C.QUANTITY].sum(where=lines[C.QUANTITY] < 0).fill_null(0.0).abs(),
            lines[C.QUANTITY].sum(where=lines[C.QUANTITY] > 0),
        ),
        "Units that came back, of those sold.",
        "share",
        0.0,
    ),
    _product(
        "price_90d",
        LINES,
        _sold(90, lambda lines, recent: per(lines[C.AMOUNT].sum(where=recent), lines[C.QUANTITY].sum(where=recent))),
        "Paid for a unit, on average over the last 90 days.",
        "currency",
        needs=(AMOUNT,),
        window_days=90,
    ),
    _product(
        "discounted_share_90d",
        LINES,
        _sold(90, lambda lines, recent: per((recent & (lines[C.DISCOUNT] > 0)).sum(), recent.sum())),
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
            "lines_90d", relation, lambda pair, _: pair.lines_90d, f"Order lines of the {what} in the last 90 days.",
            "lines", needs=needs, window_days=90, entity=entity,
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
            "customer_orders", Relation.ORDERS, lambda orders, _: orders.bought.sum(), "Orders of the customer ever.",
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
    )  # fmt: skip


CUSTOMER_PRODUCT_FEATURES: tuple[Feature, ...] = (
    *_of_pair(CUSTOMER_PRODUCT, PAIRS, "product"),
    Feature(
        "orders_life",
        Relation.BASKETS,
        lambda baskets, _: baskets.back.count(),
        "Orders of the customer that hold the product.",
        "orders",
        entity=CUSTOMER_PRODUCT,
    ),
    Feature(
        "orders_since_last",
        Relation.BASKETS,
        lambda baskets, _: baskets.back.min(),
        "Orders of the customer since the last with the product: 0 when the latest order holds it.",
        "orders",
        entity=CUSTOMER_PRODUCT,
    ),
    Feature(
        "streak",
        Relation.BASKETS,
        lambda baskets, _: (baskets.back == baskets.nth).sum(),
        "The customer's latest orders in a row that all hold the product.",
        "orders",
        entity=CUSTOMER_PRODUCT,
    ),
)
CUSTOMER_CATEGORY_FEATURES: tuple[Feature, ...] = _of_pair(CUSTOMER_CATEGORY, CATEGORIES, "category", needs=(CATEGORY,))
