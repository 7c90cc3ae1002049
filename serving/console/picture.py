"""The shop's picture of its customers as the pages read it: the current one, and where each customer stands in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.erased import served_mark
from features.errors import DataError
from features.home import Home
from serving.console.per_state import PerState
from serving.state import State
from training.insight.files import Insight, current_version, read_version
from training.insight.words import segment_name, word

#: What customers may be filtered by, one column of the picture each.
GROUPS = ("segment", "grade", "stage", "decile", "behaviour", "usual_store")


class Pictures:
    """The current picture of one data home, read anew when there is a newer one."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._reading = threading.Lock()
        self._last: Insight | None = None
        self._served: str | None = None  # the mark of erasures under which it was read
        self.problem: str | None = None

    def current(self) -> Insight | None:
        """The picture; None where none was kept yet. Where a newer one is damaged the one before stays, and `problem`
        says so.
        """
        version, mark = current_version(self.home), served_mark(self.home)
        if version is None or (self._last is not None and (self._last.version, self._served) == (version, mark)):
            return self._last
        with self._reading:
            try:
                self._last, self.problem = read_version(self.home, version), None
                self._served = mark
            except DataError as error:
                self.problem = str(error)
        return self._last


_pictures: dict[Home, Pictures] = {}


def pictures_of(home: Home) -> Pictures:
    """The pictures of a data home, read once in each process."""
    return _pictures.setdefault(home, Pictures(home))


def codes_of(insight: Insight, group: str) -> tuple[NDArray[Any], list[str]]:
    """Of each customer of the picture, the number of their group, -1 where it has none; and the groups by number."""
    if group not in insight.customers.column_names:  # a picture taken by an earlier release
        return np.full(insight.customers.num_rows, -1), []
    column = insight.customers[group].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = pc.cast(column, pa.string()).dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, column.dictionary.to_pylist()


def members(insight: Insight, wanted: Mapping[str, str]) -> NDArray[np.bool_]:
    """(customers of the picture,) who is in all of those groups; `tag` names one of the tags."""
    found = np.ones(insight.customers.num_rows, dtype=bool)
    for group, value in wanted.items():
        if group == "tag":
            tags = insight.customers["tags"].combine_chunks()
            have = np.zeros(len(found), dtype=bool)
            has = np.asarray(pc.equal(tags.flatten(), value).to_numpy(zero_copy_only=False), dtype=bool)
            have[pc.list_parent_indices(tags).to_numpy()[has]] = True
            found &= have
        else:
            codes, names = codes_of(insight, group)
            found &= codes == (names.index(value) if value in names else len(names))
    return found


def in_scores(state: State, insight: Insight, wanted: Mapping[str, str]) -> NDArray[np.bool_]:
    """(customers of the scores,) who is in all of those groups."""
    place = _places((state, insight))
    within = np.append(members(insight, wanted), False)
    return np.asarray(within[place])


def _make_places(both: tuple[State, Insight]) -> NDArray[np.int64]:
    state, insight = both
    if state.customers is None:
        return np.empty(0, dtype=np.int64)
    ids = insight.customers["customer_id"].combine_chunks()
    place = pc.index_in(state.customers["customer_id"], value_set=ids)
    return np.asarray(place.combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


#: Of each row of the scores, its row in the picture; -1 (the last) where it has none.
_places = PerState(_make_places)


def name_of(insight: Insight, group: str, value: object, lang: str) -> str:
    """What a value of a group, of a dimension or a tag is called."""
    if group == "behaviour" and insight.tables.get("behaviour"):
        segments = insight.tables["behaviour"]["segments"]
        number = int(str(value))
        return segment_name(segments[number]["named_by"], lang) if number < len(segments) else str(value)
    return word(str(value), lang)


def _by_number(value: str) -> tuple[bool, int, str]:
    """Numbers by their size, before all other names."""
    return (False, int(value), value) if value.isdecimal() else (True, 0, value)


def choices(insight: Insight, group: str, lang: str) -> list[tuple[str, str]]:
    """The values of a group that somebody has, each with what it is called."""
    if group == "tag":
        rows = insight.tables["tags"]
        return [(row["tag"], word(row["tag"], lang)) for row in rows if row["customers"]]
    dimension = next((one for one in insight.cube.dimensions if one.name == group), None)
    codes, names = codes_of(insight, group)
    there = {names[code] for code in np.flatnonzero(np.bincount(codes + 1, minlength=len(names) + 1)[1:])}
    order = dimension.values if dimension is not None else sorted(there, key=_by_number)
    return [(value, name_of(insight, group, value, lang)) for value in order if value in there]
