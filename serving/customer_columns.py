"""The scores of all customers as columns to filter by and orders to page through, made once per scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: What the list may be sorted by.
RESPONSE = "response_probability"
SORTS = ("value_at_risk", "churn_probability", "expected_spend", "spend", "days_since_last_order", RESPONSE)
#: What a contact changes.
UPLIFT = "uplift"


@dataclass(frozen=True)
class CustomerColumns:
    """One entry per row of the score table; NaN where a score is not known."""

    active: NDArray[np.bool_]
    numbers: Mapping[str, NDArray[np.float64]]  # of SORTS, and UPLIFT
    orders: Mapping[str, NDArray[np.int32]]  # active rows by each of SORTS, highest first, ties by row
    known: Mapping[str, bool]  # whether any active customer has that score
    stages: Sequence[str]
    stage_codes: NDArray[np.int8]

    def stage(self, row: int) -> str:
        """The stage of life of one customer."""
        return str(self.stages[self.stage_codes[row]])

    def of_stage(self, stage: str) -> NDArray[np.bool_]:
        """Whether each customer is in that stage."""
        if stage not in self.stages:
            return np.zeros(len(self.active), dtype=bool)
        return np.asarray(self.stage_codes == self.stages.index(stage))


def make_columns(table: pa.Table) -> CustomerColumns:
    """From the table of a scoring, whose rows lie by customer_id."""
    active = np.asarray(table["active"].to_numpy(), dtype=bool)
    # Scores of an earlier release lack some.
    numbers = {
        name: (
            np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=float)
            if name in table.column_names
            else np.full(len(active), np.nan)
        )
        for name in (*SORTS, UPLIFT)
    }
    rows = np.flatnonzero(active).astype(np.int32)
    orders = {}
    for name in SORTS:
        keys = -np.nan_to_num(numbers[name][rows], nan=-np.inf)
        # The sort is stable: equal keys stand by id, the same on every page.
        orders[name] = rows[np.argsort(keys, kind="stable")]
    stages = table["stage"].combine_chunks().dictionary_encode()
    return CustomerColumns(
        active=active,
        numbers=numbers,
        orders=orders,
        known={name: bool(np.isfinite(values[active]).any()) for name, values in numbers.items()},
        stages=stages.dictionary.to_pylist(),
        stage_codes=stages.indices.to_numpy(zero_copy_only=False).astype(np.int8),
    )
