"""What the shop's own file of customers says of them, to filter the list by: age band, household, whatever it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.home import Home
from features.schema import CUSTOMERS
from serving.console.history import lake_file
from serving.console.per_state import PerState
from serving.state import State

#: An attribute with more values than this is no group of customers.
MOST_VALUES = 40


@dataclass(frozen=True)
class Attribute:
    """One attribute: its values, and of each customer of the scores the number of theirs; -1 where it is not known."""

    values: Sequence[str]
    codes: NDArray[np.int32]


def _read(of: tuple[State, Home]) -> Mapping[str, Attribute]:
    state, home = of
    file = lake_file(state, home, CUSTOMERS.name)
    if file is None or state.customers is None:
        return {}
    known = {column.name for column in CUSTOMERS.columns}
    table = pq.read_table(file)
    place = pc.index_in(state.customers["customer_id"], value_set=table["customer_id"].combine_chunks())
    found = {}
    for name in table.column_names:
        if name not in known and pc.count_distinct(table[name]).as_py() <= MOST_VALUES:
            column = table[name].take(place).cast(pa.string()).combine_chunks().dictionary_encode()
            codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            found[name] = Attribute(column.dictionary.to_pylist(), np.asarray(codes, dtype=np.int32))
    return found


#: The attributes of a scoring's customers by name; read once a scoring.
attributes = PerState(_read)


def who_has(known: Mapping[str, Attribute], asked: str) -> NDArray[np.bool_] | None:
    """(customers of the scores,) who has the value of `name=value`; None where there is no such attribute or value."""
    name, _, value = asked.partition("=")
    attribute = known.get(name)
    if attribute is None or value not in attribute.values:
        return None
    return np.asarray(attribute.codes == attribute.values.index(value))
