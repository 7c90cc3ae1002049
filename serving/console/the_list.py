"""The list of customers at risk as the console shows it: the API's list, narrowed further, a page of it at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.at_risk import Listing, listing, scored
from serving.console.attributes import Attribute, who_has
from serving.console.list_query import ME, NOBODY, ListQuery
from serving.console.per_state import PerState
from serving.console.picture import in_scores
from serving.desk import DeskNote
from serving.outcomes import Contacts
from serving.schemas import Item
from serving.schemas_customers import ScoredCustomer
from serving.state import State
from training.insight.files import Insight

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """Rows of the score table in the order of the list, and what they come to together."""

    listing: Listing
    rows: NDArray[np.int32]
    value_at_risk: float
    expected_to_stop: float


@dataclass(frozen=True)
class Line:
    """One customer of the list as it is shown."""

    scored: ScoredCustomer
    note: DeskNote
    next_purchase: Item | None


def find(
    state: State,
    asked: ListQuery,
    contacts: Contacts,
    *,
    who: str,
    now: datetime,
    rest_days: float,
    lang: str,
    insight: Insight | None = None,
    known: Mapping[str, Attribute] | None = None,
) -> Found:
    """Whom the list shows, on all of its pages. `who` is the agent that asks, `now` in UTC.

    Without the shop's picture nobody is in any of its groups, nor has anybody an attribute that is not `known`.
    """
    found = listing(state, asked.of_the_api(lang), contacts, now=now, rest_days=rest_days)
    columns, rows = state.columns, found.rows
    if columns is None:
        return Found(found, rows, 0.0, 0.0)
    kept = _narrowed(state, asked, contacts, who=who, insight=insight, known=known or {})
    if kept is not None:
        rows = rows[kept[rows]]
    if asked.up:
        counted = np.isfinite(columns.numbers[found.sorted_by][rows])
        rows = np.concatenate([rows[counted][::-1], rows[~counted]])
    numbers = columns.numbers
    return Found(
        found,
        rows,
        value_at_risk=float(np.nansum(numbers["value_at_risk"][rows])),
        expected_to_stop=float(np.nansum(numbers["churn_probability"][rows])),
    )


def _narrowed(
    state: State,
    asked: ListQuery,
    contacts: Contacts,
    *,
    who: str,
    insight: Insight | None,
    known: Mapping[str, Attribute],
) -> Mask | None:
    """Which customers pass the filters that the API's list has not; None where none is set."""
    table = state.customers
    if table is None:
        return None
    masks: list[Mask] = []
    if asked.find:
        masks.append(_mask(pc.match_substring(table["customer_id"], asked.find, ignore_case=True)))
    if asked.overdue and "days_overdue" in table.column_names:
        masks.append(_mask(pc.greater(table["days_overdue"], 0)))
    if asked.reason is not None:
        masks.append(reason_masks(state).get(asked.reason, np.zeros(table.num_rows, dtype=bool)))
    if asked.groups:
        nobody = np.zeros(table.num_rows, dtype=bool)
        masks.append(nobody if insight is None else in_scores(state, insight, asked.groups))
    if asked.attribute is not None:
        have = who_has(known, asked.attribute)
        masks.append(np.zeros(table.num_rows, dtype=bool) if have is None else have)
    if asked.agent is not None:
        masks.append(_of_agent(state, contacts, who if asked.agent == ME else asked.agent))
    if not masks:
        return None
    return np.asarray(np.logical_and.reduce(masks))


def _mask(found: pa.ChunkedArray) -> Mask:
    return np.asarray(found.fill_null(False).to_numpy(), dtype=bool)


def _of_agent(state: State, contacts: Contacts, agent: str) -> Mask:
    wanted = np.zeros(len(state.rows), dtype=bool)
    for customer, note in contacts.desk.items():
        row = state.rows.get(customer)
        if row is not None and note.assigned_to is not None:
            wanted[row] = agent in (NOBODY, note.assigned_to)
    return ~wanted if agent == NOBODY else wanted


def agents(contacts: Contacts) -> Sequence[str]:
    """Everybody to whom a customer is assigned now, by name."""
    return sorted({note.assigned_to for note in contacts.desk.values() if note.assigned_to is not None})


def _reason_masks(state: State) -> Mapping[str, Mask]:
    if state.customers is None:
        return {}
    told = state.customers["reasons"].combine_chunks()
    if not pa.types.is_struct(told.type.value_type):  # text, of an earlier release
        return {}
    parents = pc.list_parent_indices(told).to_numpy()
    flat = told.flatten()
    raises = ~np.asarray(flat.field("lowers").to_numpy(zero_copy_only=False), dtype=bool)
    messages = flat.field("message").dictionary_encode()
    codes = messages.indices.to_numpy(zero_copy_only=False)
    masks: dict[str, Mask] = {}
    for code, message in enumerate(messages.dictionary.to_pylist()):
        mask = np.zeros(state.customers.num_rows, dtype=bool)
        mask[parents[(codes == code) & raises]] = True
        if mask.any():
            masks[message] = mask
    return masks


#: By message, for whom it raises the risk; made once per scoring.
reason_masks = PerState(_reason_masks)


def lines(
    state: State,
    rows: NDArray[np.int32],
    contacts: Contacts,
    *,
    lang: str,
    next_purchases: Mapping[str, Item | None],
) -> list[Line]:
    """The customers of those rows, in their order."""
    return [
        Line(one, contacts.note(one.customer_id), next_purchases.get(one.customer_id))
        for one in scored(state, rows, contacts, lang)
    ]


def ids_of(state: State, rows: NDArray[np.int32]) -> list[str]:
    """The ids of those rows."""
    if state.customers is None or not len(rows):
        return []
    found: list[str] = state.customers["customer_id"].take(pa.array(rows)).to_pylist()
    return found
