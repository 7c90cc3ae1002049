"""Numbers, dates and small drawings as a page shows them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

NOT_KNOWN = "—"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def number(value: float | None, digits: int = 0) -> str:
    """With thousands apart."""
    return NOT_KNOWN if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def money(value: float | None) -> str:
    """Without cents from a hundred on, where they only make a column harder to read."""
    if value is None or not math.isfinite(value):
        return NOT_KNOWN
    return number(value, 0 if abs(value) >= 100 else 2)


def percent(value: float | None, digits: int = 0) -> str:
    """A share as percent."""
    return NOT_KNOWN if value is None or not math.isfinite(value) else f"{value:.{digits}%}"


def day(moment: str | date | None, lang: str) -> str:
    """The day of a moment; what is text begins as ISO 8601 does."""
    if not moment:
        return NOT_KNOWN
    found = date.fromisoformat(moment[:10]) if isinstance(moment, str) else moment
    if lang == "zh":
        return f"{found.year}年{found.month}月{found.day}日"
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"


def time(moment: str | datetime | None, lang: str) -> str:
    """The day and the minute, in UTC."""
    if not moment:
        return NOT_KNOWN
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{day(found, lang)} {found:%H:%M}"


def row_id(customer_id: str) -> str:
    """A name for the customer's row that is fit to be an id of the page, whatever the customer's id holds."""
    return f"row-{hashlib.blake2b(customer_id.encode(), digest_size=8).hexdigest()}"


def as_json(value: object) -> str:
    """For an attribute that the page's script reads."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def breakable(name: str) -> str:
    """A name that a narrow column may break behind a stroke."""
    return name.replace("/", "/\N{ZERO WIDTH SPACE}")


def heat(value: float | None, most: float) -> str:
    """The class of one of five shades, the darkest for the most; the first for nothing."""
    if value is None or not math.isfinite(value) or value <= 0 or most <= 0:
        return "h0"
    return f"h{min(4, 1 + int(value / most * 4))}"


class Spark(NamedTuple):
    """A small line: its points, the area below it, and where it ends, in a box of 96 by 24."""

    line: str
    area: str
    end: tuple[float, float]


SPARK_WIDTH, SPARK_HEIGHT, _EDGE = 96, 24, 2


def spark(values: Sequence[float]) -> Spark:
    """The line of the values, the highest at the top and nothing at the bottom."""
    most = max([*values, 0.0]) or 1.0
    wide = (SPARK_WIDTH - 2 * _EDGE) / max(len(values) - 1, 1)
    high = SPARK_HEIGHT - 2 * _EDGE
    points = [
        (round(_EDGE + at * wide, 1), round(SPARK_HEIGHT - _EDGE - max(value, 0.0) / most * high, 1))
        for at, value in enumerate(values)
    ]
    line = " ".join(f"{x},{y}" for x, y in points)
    bottom = SPARK_HEIGHT - _EDGE
    first, last = points[0], points[-1]
    return Spark(line, f"{first[0]},{bottom} {line} {last[0]},{bottom}", last)
