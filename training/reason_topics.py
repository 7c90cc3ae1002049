"""The topics that reasons speak of: which features belong together, and what can be said of a customer from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.build import ATTRIBUTE
from training.reason_messages import MESSAGES

DEPARTMENT = "department_share_"
#: Where there is nothing true and plain to say.
NOTHING = -1
_CODE = {message: code for code, message in enumerate(MESSAGES)}

Floats = NDArray[np.float64]
Columns = Callable[[pd.DataFrame], Floats]


@dataclass(frozen=True)
class Said:
    """What is said of each of some customers: the place of a message in MESSAGES, or NOTHING, and its numbers."""

    message: NDArray[np.int8]
    number: Floats
    other: Floats


#: Of some customers, from their features.
Say = Callable[[pd.DataFrame], Said]
#: Likewise, from their features and, for each, the column of the topic that weighs most.
SayOf = Callable[[pd.DataFrame, NDArray[np.object_]], Said]
Detail = Callable[[pd.DataFrame, NDArray[np.object_]], NDArray[np.object_]]


@dataclass(frozen=True)
class Topic:
    """Features that a person would speak of together. `needs` are the columns its phrases read.

    Where what is said is about one of them, `say_of` and `detail` are told which; else `say` speaks. `leans` gives, for
    each customer, +1 where what is said would be understood as bad news, -1 as good, 0 as neither: a topic whose weight
    has the opposite sign is not told, since nobody would see the sense of it.
    """

    name: str
    prefixes: tuple[str, ...]
    needs: tuple[str, ...]
    say: Say | None = None
    leans: Columns | None = None
    say_of: SayOf | None = None
    detail: Detail | None = None

    def holds(self, feature: str) -> bool:
        """Whether the feature is of this topic."""
        return feature.startswith(self.prefixes)


def topic_of(feature: str) -> Topic | None:
    """The topic a feature is of: the first that holds it."""
    return next((topic for topic in TOPICS if topic.holds(feature)), None)


def picked(frame: pd.DataFrame, columns: NDArray[np.object_]) -> NDArray[np.object_]:
    """(rows,) for each row the value of the column named for it."""
    found: NDArray[np.object_] = np.empty(len(frame), dtype=object)
    codes, names = pd.factorize(columns)
    for code, name in enumerate(names):
        here = codes == code
        found[here] = frame[name].to_numpy()[here]
    return found


def plain(column: str, prefix: str) -> str:
    """The name of a column as a shop would say it."""
    return column.removeprefix(prefix).replace("_", " ")


def _values(frame: pd.DataFrame, column: str) -> Floats:
    return frame[column].to_numpy(float)


def _one(message: str, number: Floats, *, where: NDArray[np.bool_] | None = None) -> Said:
    known = ~np.isnan(number) if where is None else ~np.isnan(number) & where
    return Said(np.where(known, _CODE[message], NOTHING).astype(np.int8), number, np.full(len(number), np.nan))


def _silence(frame: pd.DataFrame) -> Said:
    gap, silence = _values(frame, "gap_mean_days"), _values(frame, "days_since_last_order")
    every = np.maximum(np.round(gap), 1.0)
    repeated = np.where(silence > every, _CODE["silent"], _CODE["on_time"])
    message = np.where(np.isnan(gap), _CODE["once"], repeated)
    return Said(np.where(np.isnan(silence), NOTHING, message).astype(np.int8), every, silence)


def _overdue(frame: pd.DataFrame) -> Floats:
    """+1 where the silence is longer than the mean gap."""
    gap = np.maximum(frame["gap_mean_days"].round().to_numpy(float), 1.0)
    return np.where(frame["days_since_last_order"].to_numpy(float) > gap, 1.0, 0.0)


def _count(column: str, message: str) -> Say:
    def say(frame: pd.DataFrame) -> Said:
        values = _values(frame, column)
        return _one(message, values, where=values >= 0)

    return say


def _share(column: str, message: str) -> Say:
    return lambda frame: _one(message, 100.0 * _values(frame, column))


def _amount(column: str, message: str) -> Say:
    return lambda frame: _one(message, _values(frame, column))


def _change(now: str, both: str) -> Columns:
    """Percent by which the last window differs from the one before; NaN where it had nothing, or was not lived whole.

    `both` is the count over both windows.
    """

    def change(frame: pd.DataFrame) -> Floats:
        recent = frame[now].to_numpy(float)
        before = frame[both].to_numpy(float) - recent
        lived = (frame["days_since_first_order"].to_numpy(float) >= 180) & (before > 0) & (recent >= 0)
        changed: Floats = 100.0 * (np.divide(recent, before, out=np.full(len(frame), np.nan), where=lived) - 1.0)
        return np.round(changed)

    return change


def _changed(change: Columns, message: str) -> Say:
    def say(frame: pd.DataFrame) -> Said:
        percent = change(frame)
        moved = np.where(percent > 0, _CODE[f"{message}_up"], _CODE[f"{message}_down"])
        known = ~np.isnan(percent) & (percent != 0)
        return Said(np.where(known, moved, NOTHING).astype(np.int8), np.abs(percent), np.full(len(frame), np.nan))

    return say


def _worse(change: Columns) -> Columns:
    return lambda frame: -np.sign(np.nan_to_num(change(frame)))


def _department(frame: pd.DataFrame, heaviest: NDArray[np.object_]) -> Said:
    return _one("department", 100.0 * picked(frame, heaviest).astype(float))


def _department_name(_: pd.DataFrame, heaviest: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.array([plain(column, DEPARTMENT) for column in heaviest.tolist()], dtype=object)


def _attribute(frame: pd.DataFrame, heaviest: NDArray[np.object_]) -> Said:
    known = pd.notna(picked(frame, heaviest))
    nothing = np.full(len(frame), np.nan)
    return Said(np.where(known, _CODE["attribute"], NOTHING).astype(np.int8), nothing, nothing)


def _attribute_value(frame: pd.DataFrame, heaviest: NDArray[np.object_]) -> NDArray[np.object_]:
    pairs = zip(heaviest.tolist(), picked(frame, heaviest).tolist(), strict=True)
    return np.array([f"{plain(column, ATTRIBUTE)} {value}" for column, value in pairs], dtype=object)


_ORDERS_CHANGE = _change("orders_90d", "orders_180d")
_SPEND_CHANGE = _change("spend_90d", "spend_180d")
_CHANGED_SINCE = ("days_since_first_order",)

TOPICS: Sequence[Topic] = (
    Topic(
        "silence",
        (
            "days_since_last_order",
            "silence_",
            "days_to_expected",
            "lifecycle_stage",
            "gap_mean",
            "gap_median",
            "gap_recent",
            "gap_last",
        ),
        ("days_since_last_order", "gap_mean_days"),
        _silence,
        _overdue,
    ),
    Topic(
        "regularity",
        ("gap_spread", "gap_longest"),
        ("gap_longest_days",),
        _amount("gap_longest_days", "regularity"),
    ),
    Topic(
        "order trend",
        ("orders_trend", "visits_slope"),
        ("orders_90d", "orders_180d", *_CHANGED_SINCE),
        _changed(_ORDERS_CHANGE, "orders"),
        _worse(_ORDERS_CHANGE),
    ),
    Topic(
        "frequency", ("visits_", "weeks_active", "orders_"), ("weeks_active_12w",), _count("weeks_active_12w", "weeks")
    ),
    Topic(
        "spend trend",
        ("spend_trend",),
        ("spend_90d", "spend_180d", *_CHANGED_SINCE),
        _changed(_SPEND_CHANGE, "spend"),
        _worse(_SPEND_CHANGE),
    ),
    Topic("spend", ("spend_", "price_level"), ("spend_90d",), _amount("spend_90d", "spend")),
    Topic("lost categories", ("categories_lost",), ("categories_lost_90d",), _count("categories_lost_90d", "lost")),
    Topic(
        "breadth",
        ("products_", "new_products", "repeated_product", "categories_", "category_", "brand"),
        ("products_90d",),
        _count("products_90d", "products"),
    ),
    Topic("basket", ("lines_per_order",), ("lines_per_order_90d",), _count("lines_per_order_90d", "basket")),
    Topic(
        "tenure",
        ("days_since_first_order",),
        ("days_since_first_order",),
        _amount("days_since_first_order", "tenure"),
    ),
    Topic("offers", ("discount_", "coupon_"), ("discount_share_180d",), _share("discount_share_180d", "discount")),
    Topic("returns", ("returned_",), ("returned_share_life",), _share("returned_share_life", "returns")),
    Topic(
        "contacts",
        ("contacts_", "days_since_last_contact", "responses_"),
        ("contacts_90d",),
        _count("contacts_90d", "contacts"),
    ),
    Topic(
        "habits",
        ("weekend_", "evening_", "morning_", "stores_", "channels_"),
        ("weekend_share_180d",),
        _share("weekend_share_180d", "weekend"),
    ),
    Topic("departments", (DEPARTMENT,), (), say_of=_department, detail=_department_name),
    Topic("attributes", (ATTRIBUTE,), (), say_of=_attribute, detail=_attribute_value),
)
