"""How features measure: growth over recent days, ratios that stay null where there is nothing to divide by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis

from features.ledger import MONEY
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


def per(part: Any, whole: Any) -> Any:
    """Part for each of the whole (of a share: in it), null where the whole is not above 0."""
    return ibis.cases((whole > 0, real(part) / real(whole)), else_=None)


def in_gaps(days: Any, gap: Any) -> Any:
    """Days in gaps of at least one day; null without a gap (GREATEST would skip the null)."""
    return days / ibis.cases((gap < 1.0, 1.0), else_=gap)


def since(days: int, name: str) -> Callable[[Any, Snapshot], Any]:
    """What a total has grown by in the last days."""
    return lambda rows, _: rows[name] - rows[f"{name}_before_{days}d"]


def share_since(days: int, part: str, whole: str) -> Callable[[Any, Snapshot], Any]:
    """Of what one total has grown by in the last days (of each of it), the growth of another."""
    return lambda rows, at: per(since(days, part)(rows, at), since(days, whole)(rows, at))


def money(total: Any) -> Any:
    """A total of money in the shop's currency."""
    return real(total) / float(MONEY)


def against_before(more: str, less: str) -> Callable[[Any, Snapshot], Any]:
    """(recent + 1) / (the same time before + 1), so that few orders move it little."""
    return lambda made, _: (made[more] + 1.0) / (made[less] - made[more] + 1.0)


def spread(n: Any, total: Any, squares: Any) -> Any:
    """Sample standard deviation of n whole numbers, from their sum and that of their squares."""
    variance = (real(squares) - real(total) * real(total) / real(n)) / (n - 1)
    return ibis.cases((n > 1, ibis.greatest(variance, 0.0).sqrt()), else_=None)
