"""Why a churn probability is what it is: the model's own contributions, by business topic, in words with the numbers.

The contributions of a topic's features to the log-odds are added up; the topics that weigh most are told. What is said
comes from the features of that very customer, so it is true of them, and its sign is that of the contribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.build import ATTRIBUTE
from features.errors import ConfigError
from training.reason_messages import LANGUAGES

#: Topics told of one customer at most, and the least that a topic must move the log-odds to be told.
MOST, LEAST = 3, 0.05
#: Customers explained at a time: contributions take eight bytes for each feature of each.
BATCH = 50_000
DEPARTMENT = "department_share_"

Floats = NDArray[np.float64]
Messages = Mapping[str, str]
#: From the features of some customers, the column of the topic that weighs most for each, and the catalogue: a phrase
#: for each, None where there is nothing true and plain to say.
Say = Callable[[pd.DataFrame, NDArray[Any], Messages], list[str | None]]


class Explained(Protocol):
    """A model that knows what each feature adds: `features_.names` are the columns of its contributions."""

    features_: Any

    def contributions(self, frame: pd.DataFrame) -> Floats:
        """(rows, features) log-odds."""


@dataclass(frozen=True)
class Topic:
    """Features that a person would speak of together. `needs` are the columns its phrases read.

    `leans` gives, for each customer, +1 where what is said would be understood as bad news, -1 as good, 0 as neither:
    a topic whose weight has the opposite sign is not told, since nobody would see the sense of it.
    """

    name: str
    prefixes: tuple[str, ...]
    needs: tuple[str, ...]
    say: Say
    leans: Callable[[pd.DataFrame], Floats] | None = None

    def holds(self, feature: str) -> bool:
        """Whether the feature is of this topic."""
        return feature.startswith(self.prefixes)


def topic_of(feature: str) -> Topic | None:
    """The topic a feature is of: the first that holds it."""
    return next((topic for topic in TOPICS if topic.holds(feature)), None)


def reasons(model: Explained, frame: pd.DataFrame, *, most: int = MOST, language: str = "en") -> list[list[str]]:
    """For each row what weighs most in its probability, in words: first what raises it, then what lowers it.

    Raises ConfigError for a language the catalogue does not have.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"Reasons are not written in '{language}'. Languages: {', '.join(LANGUAGES)}.")
    told: list[list[str]] = []
    for start in range(0, len(frame), BATCH):
        part = frame.iloc[start : start + BATCH].reset_index(drop=True)
        told += _batch(model, part, most=most, messages=LANGUAGES[language])
    return told


def topic_weights(model: Explained, frame: pd.DataFrame) -> tuple[list[Topic], Floats, NDArray[np.int64]]:
    """The topics, (rows, topics) log-odds each adds, and (rows, topics) position of the feature that weighs most."""
    names = list(model.features_.names)
    found = model.contributions(frame)
    kinds = [topic_of(name) for name in names]
    topics = [topic for topic in TOPICS if topic in kinds]
    weights, heaviest = np.zeros((len(frame), len(topics))), np.zeros((len(frame), len(topics)), dtype=np.int64)
    for place, topic in enumerate(topics):
        columns = np.array([index for index, kind in enumerate(kinds) if kind is topic])
        weights[:, place] = found[:, columns].sum(axis=1)
        heaviest[:, place] = columns[np.abs(found[:, columns]).argmax(axis=1)]
    return topics, weights, heaviest


def _batch(model: Explained, frame: pd.DataFrame, *, most: int, messages: Messages) -> list[list[str]]:
    topics, weights, heaviest = topic_weights(model, frame)
    names = np.array(model.features_.names, dtype=object)
    phrases = np.full(weights.shape, None, dtype=object)
    strength = np.where(np.abs(weights) >= LEAST, np.abs(weights), 0.0)
    for place, topic in enumerate(topics):
        if not set(topic.needs) <= set(frame.columns):
            strength[:, place] = 0.0
        elif topic.leans is not None:
            strength[topic.leans(frame) * weights[:, place] < 0, place] = 0.0
    # One more than is told is made ready, in case one has nothing true to say.
    ready = np.argsort(-strength, axis=1, kind="stable")[:, : most + 1]
    for place, topic in enumerate(topics):
        rows = np.flatnonzero((ready == place).any(axis=1) & (strength[:, place] > 0))
        if len(rows):
            read = list(topic.needs) or [name for name in frame.columns if topic.holds(str(name))]
            phrases[rows, place] = topic.say(frame[read].iloc[rows], names[heaviest[rows, place]], messages)
    return [
        _told(said, up, order, most=most, messages=messages)
        for said, up, order in zip(phrases.tolist(), (weights > 0).tolist(), ready.tolist(), strict=True)
    ]


def _told(
    said: Sequence[str | None], raises: Sequence[bool], order: Sequence[int], *, most: int, messages: Messages
) -> list[str]:
    chosen = [place for place in order if said[place] is not None][:most]
    raising = [messages["raises"].format(phrase=said[place]) for place in chosen if raises[place]]
    return raising + [messages["lowers"].format(phrase=said[place]) for place in chosen if not raises[place]]


def _numbers(frame: pd.DataFrame, column: str) -> list[float]:
    return frame[column].to_numpy(float).tolist()


def _days(days: float, messages: Messages, key: str = "days") -> str:
    whole = int(days)
    if whole == 0:
        return messages["days_none"]
    return messages[f"{key}_one"] if whole == 1 else messages[key].format(number=f"{whole:,}")


def _silence(frame: pd.DataFrame, _: NDArray[Any], messages: Messages) -> list[str | None]:
    said: list[str | None] = []
    for gap, silence in zip(_numbers(frame, "gap_mean_days"), _numbers(frame, "days_since_last_order"), strict=True):
        ago = _days(silence, messages)
        if np.isnan(gap):
            said.append(messages["once"].format(silence=ago))
        else:
            every = _days(max(round(gap), 1), messages, "every")
            key = "silent" if silence > max(round(gap), 1) else "on_time"
            said.append(messages[key].format(gap=every, silence=ago))
    return said


def _overdue(frame: pd.DataFrame) -> Floats:
    """+1 where the silence is longer than the mean gap."""
    gap = np.maximum(frame["gap_mean_days"].round().to_numpy(float), 1.0)
    return np.where(frame["days_since_last_order"].to_numpy(float) > gap, 1.0, 0.0)


def _count(column: str, key: str) -> Say:
    def say(frame: pd.DataFrame, _: NDArray[Any], messages: Messages) -> list[str | None]:
        said: list[str | None] = []
        for value in _numbers(frame, column):
            number = -1 if np.isnan(value) else round(value)
            one = messages.get(f"{key}_one") if number == 1 else None
            text = one or messages[key].format(number=f"{number:,}")
            said.append(None if number < 0 else text)
        return said

    return say


def _share(column: str, key: str) -> Say:
    def say(frame: pd.DataFrame, _: NDArray[Any], messages: Messages) -> list[str | None]:
        values = _numbers(frame, column)
        return [None if np.isnan(v) else messages[key].format(percent=round(100 * v)) for v in values]

    return say


def _change(now: str, both: str) -> Callable[[pd.DataFrame], Floats]:
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


def _changed(change: Callable[[pd.DataFrame], Floats], key: str) -> Say:
    def say(frame: pd.DataFrame, _: NDArray[Any], messages: Messages) -> list[str | None]:
        return [
            None
            if np.isnan(percent) or percent == 0
            else messages[f"{key}_{'up' if percent > 0 else 'down'}"].format(percent=f"{abs(percent):,.0f}")
            for percent in change(frame).tolist()
        ]

    return say


def _worse(change: Callable[[pd.DataFrame], Floats]) -> Callable[[pd.DataFrame], Floats]:
    return lambda frame: -np.sign(np.nan_to_num(change(frame)))


def _spend(frame: pd.DataFrame, _: NDArray[Any], messages: Messages) -> list[str | None]:
    values = _numbers(frame, "spend_90d")
    return [None if np.isnan(v) else messages["spend"].format(amount=f"{v:,.0f}") for v in values]


def _duration(column: str, key: str, place: str) -> Say:
    def say(frame: pd.DataFrame, _: NDArray[Any], messages: Messages) -> list[str | None]:
        values = _numbers(frame, column)
        return [None if np.isnan(v) else messages[key].format(**{place: _days(v, messages)}) for v in values]

    return say


def _department(frame: pd.DataFrame, heaviest: NDArray[Any], messages: Messages) -> list[str | None]:
    shares = _picked(frame, heaviest)
    return [
        None
        if np.isnan(share)
        else messages["department"].format(percent=round(100 * share), name=_plain(column, DEPARTMENT))
        for share, column in zip(shares, heaviest.tolist(), strict=True)
    ]


def _attribute(frame: pd.DataFrame, heaviest: NDArray[Any], messages: Messages) -> list[str | None]:
    values = _picked(frame, heaviest)
    return [
        None if pd.isna(value) else messages["attribute"].format(name=_plain(column, ATTRIBUTE), value=value)
        for value, column in zip(values, heaviest.tolist(), strict=True)
    ]


def _picked(frame: pd.DataFrame, columns: NDArray[Any]) -> list[Any]:
    """For each row the value of the column named for it."""
    picked: NDArray[Any] = np.empty(len(frame), dtype=object)
    for name in set(columns.tolist()):
        here = columns == name
        picked[here] = frame[name].to_numpy()[here]
    found: list[Any] = picked.tolist()
    return found


def _plain(column: str, prefix: str) -> str:
    return column.removeprefix(prefix).replace("_", " ")


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
        _duration("gap_longest_days", "regularity", "longest"),
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
    Topic("spend", ("spend_", "price_level"), ("spend_90d",), _spend),
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
        _duration("days_since_first_order", "tenure", "days"),
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
    Topic("departments", (DEPARTMENT,), (), _department),
    Topic("attributes", (ATTRIBUTE,), (), _attribute),
)
