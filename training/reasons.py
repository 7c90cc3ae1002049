"""Why a churn probability is what it is: the model's own contributions, by business topic, with the numbers.

The contributions of a topic's features to the log-odds are added up; the topics that weigh most are told. What is said
comes from the features of that very customer, so it is true of them, and its sign is that of the contribution. A reason
is kept as a message and its numbers, and put in words, in any language, when somebody reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from training.reason_messages import DEFAULT, MESSAGES, catalogue, say
from training.reason_topics import NOTHING, TOPICS, Said, Topic, topic_of

#: Topics told of one customer at most, and the least that a topic must move the log-odds to be told.
MOST, LEAST = 3, 0.05
#: Customers explained at a time: contributions take eight bytes for each feature of each.
BATCH = 50_000

#: One reason. `number` and `other` are what the message's places say; `lowers`: it speaks against the outcome.
REASON = pa.struct(
    [
        pa.field("message", pa.string(), nullable=False),  # one of reason_messages.MESSAGES
        pa.field("lowers", pa.bool_(), nullable=False),
        pa.field("number", pa.float64()),
        pa.field("other", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)
REASONS = pa.list_(REASON)

Floats = NDArray[np.float64]


class Explained(Protocol):
    """A model that knows what each feature adds: `features_.names` are the columns of its contributions."""

    features_: Any

    def contributions(self, frame: pd.DataFrame, *, raw: Floats | None = None) -> Floats:
        """(rows, features) log-odds. `raw`: the probabilities before calibration, where at hand."""


@dataclass(frozen=True)
class _Told:
    """Reasons of some customers: (customers, most) each, those told first; message NOTHING where there are fewer."""

    message: NDArray[np.int8]
    lowers: NDArray[np.bool_]
    number: Floats
    other: Floats
    detail: NDArray[np.object_]


def explain(
    model: Explained,
    frame: pd.DataFrame,
    *,
    only: NDArray[np.bool_] | None = None,
    most: int = MOST,
    raw: Floats | None = None,
) -> pa.Array:
    """(rows,) of REASONS: what weighs most in each probability; first what raises it, then what lowers it.

    `only` (rows,) names those explained; the others have no reasons. `raw` (rows,): the model's probabilities before
    calibration, where they are at hand and the model takes long over them.
    """
    asked = np.arange(len(frame)) if only is None else np.flatnonzero(only)
    told = list(_batches(model, frame, asked, most, raw))
    counts = np.zeros(len(frame), dtype=np.int64)
    if told:
        counts[asked] = np.concatenate([(part.message != NOTHING).sum(axis=1) for part in told])
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    parts = [_flat(part) for part in told] or [pa.array([], type=REASON)]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.concat_arrays(parts), type=REASONS)


def reasons(model: Explained, frame: pd.DataFrame, *, most: int = MOST, language: str = DEFAULT) -> list[list[str]]:
    """The reasons of each row in words. Raises ConfigError for a language the catalogue does not have."""
    catalogue(language)
    return [[say(reason, language) for reason in row] for row in explain(model, frame, most=most).to_pylist()]


def topic_weights(model: Explained, frame: pd.DataFrame) -> tuple[list[Topic], Floats]:
    """The topics of the model's features, and (rows, topics) the log-odds that each adds."""
    topics, places = _topics(model)
    return topics, _added_up(model.contributions(frame), places)


def _topics(model: Explained) -> tuple[list[Topic], list[NDArray[np.int64]]]:
    """The topics of the model's features, and the places of each one's features."""
    kinds = [topic_of(name) for name in model.features_.names]
    topics = [topic for topic in TOPICS if topic in kinds]
    return topics, [np.array([place for place, kind in enumerate(kinds) if kind is topic]) for topic in topics]


def _added_up(found: Floats, places: list[NDArray[np.int64]]) -> Floats:
    weights = np.zeros((len(found), len(places)))
    for topic, columns in enumerate(places):
        for column in columns:
            weights[:, topic] += found[:, column]
    return weights


def _batches(
    model: Explained, frame: pd.DataFrame, asked: NDArray[np.int64], most: int, raw: Floats | None
) -> Iterator[_Told]:
    for start in range(0, len(asked), BATCH):
        rows = asked[start : start + BATCH]
        part = frame.iloc[rows].reset_index(drop=True)
        known = {} if raw is None else {"raw": raw[rows]}
        yield _batch(model, part, model.contributions(part, **known), most)


def _batch(model: Explained, frame: pd.DataFrame, found: Floats, most: int) -> _Told:
    topics, places = _topics(model)
    weights = _added_up(found, places)
    names = np.array(model.features_.names, dtype=object)
    strength = np.where(np.abs(weights) >= LEAST, np.abs(weights), 0.0)
    columns = set(frame.columns)
    message = np.full(weights.shape, NOTHING, dtype=np.int8)
    number, other = np.full(weights.shape, np.nan), np.full(weights.shape, np.nan)
    heaviest: dict[int, NDArray[np.object_]] = {}
    for place, topic in enumerate(topics):
        if not set(topic.needs) <= columns:
            continue
        if topic.detail is not None:
            own = places[place]
            heaviest[place] = names[own[np.abs(found[:, own]).argmax(axis=1)]]
        said = _say(topic, frame, heaviest.get(place))
        message[:, place], number[:, place], other[:, place] = said.message, said.number, said.other
        if topic.leans is not None:
            strength[topic.leans(frame) * weights[:, place] < 0, place] = 0.0
    strength[message == NOTHING] = 0.0
    order = np.argsort(-strength, axis=1, kind="stable")[:, :most]
    is_told = np.take_along_axis(strength, order, axis=1) > 0
    lowers = np.take_along_axis(weights, order, axis=1) < 0
    # Told first what raises, then what lowers, each by its weight; places without a reason come last.
    turn = np.argsort(np.where(is_told, lowers, 2), axis=1, kind="stable")
    order, is_told = np.take_along_axis(order, turn, axis=1), np.take_along_axis(is_told, turn, axis=1)
    return _Told(
        message=np.where(is_told, np.take_along_axis(message, order, axis=1), NOTHING).astype(np.int8),
        lowers=np.take_along_axis(lowers, turn, axis=1),
        number=np.take_along_axis(number, order, axis=1),
        other=np.take_along_axis(other, order, axis=1),
        detail=_details(topics, frame, heaviest, np.where(is_told, order, NOTHING)),
    )


def _say(topic: Topic, frame: pd.DataFrame, heaviest: NDArray[np.object_] | None) -> Said:
    if topic.say is not None:
        return topic.say(frame)
    if topic.say_of is None or heaviest is None:
        raise ValueError(f"Topic '{topic.name}' says nothing: give it `say`, or `say_of` and `detail`.")
    return topic.say_of(frame, heaviest)


def _details(
    topics: list[Topic],
    frame: pd.DataFrame,
    heaviest: dict[int, NDArray[np.object_]],
    order: NDArray[np.int64],
) -> NDArray[np.object_]:
    found: NDArray[np.object_] = np.full(order.shape, None, dtype=object)
    for place, columns in heaviest.items():
        rows, at = np.nonzero(order == place)
        detail = topics[place].detail
        if len(rows) and detail is not None:
            found[rows, at] = detail(frame.iloc[rows], columns[rows])
    return found


def _flat(told: _Told) -> pa.Array:
    """The reasons of all customers, one after another."""
    here = told.message != NOTHING
    texts = pa.DictionaryArray.from_arrays(pa.array(told.message[here]), pa.array(MESSAGES)).cast(pa.string())
    columns = [
        texts,
        pa.array(told.lowers[here]),
        pa.array(told.number[here], from_pandas=True),
        pa.array(told.other[here], from_pandas=True),
        pa.array(told.detail[here], type=pa.string()),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(REASON))
