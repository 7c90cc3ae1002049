"""The customer features: how often, how lately, how much, how broadly, and how that has been changing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ibis

from features.definitions import Feature
from features.schema import CONTACTS, ORDER_LINES, PRODUCTS, RESPONSES, C
from features.snapshot import Relation, Snapshot

WINDOWS = (7, 14, 30, 60, 90, 180, 365)
#: Half-lives in days of decayed counts of visits.
HALF_LIVES = (14, 45)
#: Weeks over which the slope of weekly visits is taken.
SLOPE_WEEKS = 12

AMOUNT = f"{ORDER_LINES.name}.{C.AMOUNT}"
DISCOUNT = f"{ORDER_LINES.name}.{C.DISCOUNT}"
COUPON = f"{ORDER_LINES.name}.{C.COUPON}"
STORE = f"{ORDER_LINES.name}.{C.STORE_ID}"
CHANNEL = f"{ORDER_LINES.name}.{C.CHANNEL}"
CATEGORY = f"{PRODUCTS.name}.{C.CATEGORY}"
CONTACTED = f"{CONTACTS.name}.{C.CONTACTED_AT}"
RESPONDED = f"{RESPONSES.name}.{C.RESPONDED_AT}"

ORDERS, VISITS, GAPS, FEATURES = Relation.ORDERS, Relation.VISITS, Relation.GAPS, Relation.FEATURES


def _real(value: Any) -> Any:
    return value.cast("float64")


def _exact_sum(value: Any, **where: Any) -> Any:
    """The sum of floating numbers as decimals: the same whatever the order in which threads add them."""
    return _real(value.cast("decimal(38, 9)").sum(**where))


def per(part: Any, whole: Any) -> Any:
    """Part for each of the whole (of a share: in it), null where the whole is not above 0."""
    return ibis.cases((whole > 0, _real(part) / _real(whole)), else_=None)


def _over(days: int, count: Callable[[Any, Any], Any]) -> Callable[[Any, Snapshot], Any]:
    return lambda orders, at: count(orders, orders.bought & (orders[C.ORDERED_AT] >= at.before(days)))


def _orders() -> list[Feature]:
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
            _over(90, lambda orders, recent: per(orders.lines.sum(where=recent), recent.sum())),
            "Order lines of an order, on average over the last 90 days.",
            "lines",
            window_days=90,
        ),
        Feature(
            "weekend_share_180d",
            ORDERS,
            _over(
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
            _over(180, lambda orders, recent: per((recent & (orders[C.ORDERED_AT].hour() >= 17)).sum(), recent.sum())),
            "Orders of the last 180 days placed from 17:00 on (UTC).",
            "share",
            window_days=180,
        ),
        Feature(
            "stores_180d",
            ORDERS,
            _over(180, lambda orders, recent: orders[C.STORE_ID].nunique(where=recent)),
            "Stores bought in over the last 180 days.",
            "stores",
            0.0,
            needs=(STORE,),
            window_days=180,
        ),
        Feature(
            "channels_180d",
            ORDERS,
            _over(180, lambda orders, recent: orders[C.CHANNEL].nunique(where=recent)),
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
            _over(days, lambda _, recent: recent.sum()),
            f"Orders of the last {days} days.",
            "orders",
            0.0,
            window_days=days,
        )
        for days in WINDOWS
    ]
    return features


def _spend_since(days: int) -> Callable[[Any, Snapshot], Any]:
    return lambda orders, at: _real(orders.amount.sum(where=orders[C.ORDERED_AT] >= at.before(days)))


def _spend() -> list[Feature]:
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
            lambda orders, _: _real(orders.amount.sum()),
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
            _over(
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
            _over(180, lambda orders, recent: per((recent & (orders.coupon > 0)).sum(), recent.sum())),
            "Orders of the last 180 days with a coupon.",
            "share",
            needs=(COUPON,),
            window_days=180,
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


def _decayed(half_life: int) -> Callable[[Any, Snapshot], Any]:
    return lambda visits, _: _exact_sum((visits.days_ago * (-math.log(2) / half_life)).exp())


def _weekly_slope(visits: Any, _: Snapshot) -> Any:
    """Least-squares slope of visits a week over the last SLOPE_WEEKS, in which weeks without any count as 0."""
    n = SLOPE_WEEKS
    within = visits.days_ago < 7 * n
    week = (n - 1) - visits.days_ago // 7  # 0 for the oldest week
    mean = (n - 1) / 2
    spread = sum((index - mean) ** 2 for index in range(n))
    total = _real(week.sum(where=within).fill_null(0)) - mean * _real(within.sum())
    return total / spread


def _rhythm() -> list[Feature]:
    features = [
        Feature(
            f"visits_decayed_{half_life}d",
            VISITS,
            _decayed(half_life),
            f"Days with an order, each counting half as much for every {half_life} days since.",
            "visits",
            0.0,
        )
        for half_life in HALF_LIVES
    ]
    features += [
        Feature("visits_life", VISITS, lambda visits, _: visits.count(), "Days with an order, ever.", "visits", 0.0),
        Feature(
            "weeks_active_12w",
            VISITS,
            lambda visits, _: (visits.days_ago // 7).nunique(where=visits.days_ago < 84),
            "Of the last 12 weeks, those with an order.",
            "weeks",
            0.0,
            window_days=84,
        ),
        Feature(
            "visits_slope_12w",
            VISITS,
            _weekly_slope,
            "By how many visits a week the customer comes more often each week, over the last 12.",
            "visits per week squared",
            0.0,
            window_days=84,
        ),
        Feature("gap_mean_days", GAPS, lambda gaps, _: gaps.gap_days.mean(), "Time between visits, mean.", "days"),
        Feature(
            "gap_median_days",
            GAPS,
            lambda gaps, _: _real(gaps.gap_days.median()),
            "Time between visits, median.",
            "days",
        ),
        Feature(
            "gap_spread_days",
            GAPS,
            lambda gaps, _: _spread(gaps.gap_days),
            "Time between visits, standard deviation (of three visits or more).",
            "days",
        ),
        Feature(
            "gap_longest_days", GAPS, lambda gaps, _: _real(gaps.gap_days.max()), "Longest time between visits.", "days"
        ),
        Feature(
            "gap_last_days",
            GAPS,
            lambda gaps, _: _real(gaps.gap_days.max(where=gaps.back == 0)),
            "Time between the last two visits.",
            "days",
        ),
        Feature(
            "gap_recent_days",
            GAPS,
            lambda gaps, _: gaps.gap_days.mean(where=gaps.back < 5),
            "Time between visits, mean of the last five.",
            "days",
        ),
    ]
    return features


def _spread(days: Any) -> Any:
    """Sample standard deviation from whole numbers, whose sums are exact in any order."""
    n, total, squares = _real(days.count()), _real(days.sum()), _real((days * days).sum())
    variance = (squares - total * total / n) / (n - 1)
    return ibis.cases((days.count() > 1, ibis.greatest(variance, 0.0).sqrt()), else_=None)


def _ratio(more: str, less: str) -> Callable[[Any, Snapshot], Any]:
    """(recent + 1) / (the same time before + 1), so that few orders move it little."""
    return lambda made, _: (made[more] + 1.0) / (made[less] - made[more] + 1.0)


def in_gaps(days: Any, gap: Any) -> Any:
    """Days in gaps of at least one day; null without a gap (GREATEST would skip the null)."""
    return days / ibis.cases((gap < 1.0, 1.0), else_=gap)


def _change() -> list[Feature]:
    return [
        Feature(
            "silence_to_gap_mean",
            FEATURES,
            lambda made, _: in_gaps(made.days_since_last_order, made.gap_mean_days),
            "Time since the last order, in the customer's mean gaps.",
            "gaps",
        ),
        Feature(
            "silence_to_gap_recent",
            FEATURES,
            lambda made, _: in_gaps(made.days_since_last_order, made.gap_recent_days),
            "Time since the last order, in the mean of the customer's last five gaps.",
            "gaps",
        ),
        Feature(
            "silence_to_gap_longest",
            FEATURES,
            lambda made, _: in_gaps(made.days_since_last_order, made.gap_longest_days),
            "Time since the last order, in the customer's longest gaps.",
            "gaps",
        ),
        Feature(
            "silence_deviations",
            FEATURES,
            lambda made, _: (made.days_since_last_order - made.gap_mean_days) / (made.gap_spread_days + 1.0),
            "By how many standard deviations of their gaps (plus a day) the customer is later than their mean.",
            "deviations",
        ),
        Feature(
            "days_to_expected_order",
            FEATURES,
            lambda made, _: made.gap_median_days - made.days_since_last_order,
            "Time until the next order is due by the median gap; negative when overdue.",
            "days",
        ),
        *(
            Feature(
                f"orders_trend_{days}d",
                FEATURES,
                _ratio(f"orders_{days}d", f"orders_{2 * days}d"),
                f"Orders of the last {days} days against the {days} before, one added to each.",
                "ratio",
                window_days=2 * days,
            )
            for days in (7, 30, 90)
        ),
        *(
            Feature(
                f"spend_trend_{days}d",
                FEATURES,
                _ratio(f"spend_{days}d", f"spend_{2 * days}d"),
                f"Spend of the last {days} days against the {days} before, one added to each.",
                "ratio",
                needs=(AMOUNT,),
                window_days=2 * days,
            )
            for days in (30, 90)
        ),
    ]


def _lost(bought: Any, at: Snapshot) -> Any:
    return (bought.lines_90d == 0).sum(where=bought.last_at >= at.before(180))


def _breadth() -> list[Feature]:
    products, categories = Relation.PRODUCTS, Relation.CATEGORIES
    return [
        Feature("products_life", products, lambda p, _: p.count(), "Different products ever bought.", "products", 0.0),
        Feature(
            "products_90d",
            products,
            lambda p, _: (p.lines_90d > 0).sum(),
            "Different products bought in the last 90 days.",
            "products",
            0.0,
            window_days=90,
        ),
        Feature(
            "new_products_30d",
            products,
            lambda p, at: (p.first_at >= at.before(30)).sum(),
            "Products bought for the first time in the last 30 days.",
            "products",
            0.0,
            window_days=30,
        ),
        Feature(
            "repeated_product_share_life",
            products,
            lambda p, _: _real((p.lines > 1).mean()),
            "Of the products ever bought, those bought more than once.",
            "share",
        ),
        Feature(
            "categories_life",
            categories,
            lambda c, _: c.count(),
            "Different categories ever bought.",
            "categories",
            0.0,
            needs=(CATEGORY,),
        ),
        Feature(
            "categories_90d",
            categories,
            lambda c, _: (c.lines_90d > 0).sum(),
            "Different categories bought in the last 90 days.",
            "categories",
            0.0,
            needs=(CATEGORY,),
            window_days=90,
        ),
        Feature(
            "categories_lost_90d",
            categories,
            _lost,
            "Categories bought in the 90 days before the last 90, and not since.",
            "categories",
            0.0,
            needs=(CATEGORY,),
            window_days=180,
        ),
        Feature(
            "category_entropy_life",
            categories,
            _entropy,
            "How evenly purchases spread over categories (Shannon entropy of order lines, natural logarithm).",
            "nats",
            needs=(CATEGORY,),
        ),
    ]


def _entropy(bought: Any, _: Snapshot) -> Any:
    total = _real(bought.lines.sum())
    return total.ln() - _exact_sum(_real(bought.lines) * _real(bought.lines).ln()) / total


def _campaigns() -> list[Feature]:
    return [
        Feature(
            "contacts_90d",
            Relation.CONTACTS,
            lambda contacts, at: (contacts[C.CONTACTED_AT] >= at.before(90)).sum(),
            "Contacts by campaigns in the last 90 days.",
            "contacts",
            0.0,
            needs=(CONTACTED,),
            window_days=90,
        ),
        Feature(
            "days_since_last_contact",
            Relation.CONTACTS,
            lambda contacts, at: at.days_since(contacts[C.CONTACTED_AT].max()),
            "Time since a campaign last contacted the customer.",
            "days",
            needs=(CONTACTED,),
        ),
        Feature(
            "responses_365d",
            Relation.RESPONSES,
            lambda responses, at: (responses[C.RESPONDED_AT] >= at.before(365)).sum(),
            "Responses to campaigns in the last 365 days.",
            "responses",
            0.0,
            needs=(RESPONDED,),
            window_days=365,
        ),
    ]


CUSTOMER_FEATURES: tuple[Feature, ...] = (*_orders(), *_spend(), *_rhythm(), *_change(), *_breadth(), *_campaigns())


def department_features(departments: list[str]) -> list[Feature]:
    """The category mix: of the order lines of the last 180 days, the share of each of these departments."""
    return [
        Feature(
            f"department_share_{slug(name)}",
            Relation.DEPARTMENTS,
            _department_share(name),
            f"Of the order lines of the last 180 days, those of department {name}.",
            "share",
            needs=(f"{PRODUCTS.name}.{C.DEPARTMENT}",),
            window_days=180,
        )
        for name in departments
    ]


def _department_share(name: str) -> Callable[[Any, Snapshot], Any]:
    return lambda bought, _: per(
        bought.lines_180d.sum(where=bought[C.DEPARTMENT] == name).fill_null(0), bought.lines_180d.sum()
    )


def slug(name: str) -> str:
    """A name as a part of a column's name: lower case, anything but letters and digits as one underscore."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "_".join(words) or "unnamed"
