"""How features measure: exact sums, ratios that stay null where there is nothing to divide by, recent windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis

from features.schema import CONTACTS, ORDER_LINES, PRODUCTS, RESPONSES, C
from features.snapshot import Snapshot

#: Columns that features need, as a snapshot knows them.
AMOUNT = f"{ORDER_LINES.name}.{C.AMOUNT}"
DISCOUNT = f"{ORDER_LINES.name}.{C.DISCOUNT}"
COUPON = f"{ORDER_LINES.name}.{C.COUPON}"
STORE = f"{ORDER_LINES.name}.{C.STORE_ID}"
CHANNEL = f"{ORDER_LINES.name}.{C.CHANNEL}"
CATEGORY = f"{PRODUCTS.name}.{C.CATEGORY}"
CONTACTED = f"{CONTACTS.name}.{C.CONTACTED_AT}"
RESPONDED = f"{RESPONSES.name}.{C.RESPONDED_AT}"

DEPARTMENT = f"{PRODUCTS.name}.{C.DEPARTMENT}"
BRAND = f"{PRODUCTS.name}.{C.BRAND}"


def real(value: Any) -> Any:
    """As a floating number."""
    return value.cast("float64")


def exact_sum(value: Any, **where: Any) -> Any:
    """The sum of floating numbers as decimals: the same whatever the order in which threads add them."""
    return real(value.cast("decimal(38, 9)").sum(**where))


def per(part: Any, whole: Any) -> Any:
    """Part for each of the whole (of a share: in it), null where the whole is not above 0."""
    return ibis.cases((whole > 0, real(part) / real(whole)), else_=None)


def in_gaps(days: Any, gap: Any) -> Any:
    """Days in gaps of at least one day; null without a gap (GREATEST would skip the null)."""
    return days / ibis.cases((gap < 1.0, 1.0), else_=gap)


def in_last(days: int, count: Callable[[Any, Any], Any]) -> Callable[[Any, Snapshot], Any]:
    """An expression over orders: `count` of them and of which are purchases of the last `days`."""
    return lambda orders, at: count(orders, orders.bought & (orders[C.ORDERED_AT] >= at.before(days)))


def against_before(more: str, less: str) -> Callable[[Any, Snapshot], Any]:
    """(recent + 1) / (the same time before + 1), so that few orders move it little."""
    return lambda made, _: (made[more] + 1.0) / (made[less] - made[more] + 1.0)


def spread(days: Any) -> Any:
    """Sample standard deviation from whole numbers, whose sums are exact in any order."""
    n, total, squares = real(days.count()), real(days.sum()), real((days * days).sum())
    variance = (squares - total * total / n) / (n - 1)
    return ibis.cases((days.count() > 1, ibis.greatest(variance, 0.0).sqrt()), else_=None)
