"""Proof that features do not see the future: change it in every way, and no feature may move by a bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from features.build import entity_features
from features.definitions import CUSTOMER, Entity, Feature
from features.schema import ORDER_LINES, C
from features.snapshot import TIMES, Snapshot, naive_utc

DELETED, SHUFFLED, ADDED = "deleted", "shuffled", "added"


def other_futures(tables: Mapping[str, Any], as_of: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same past with other rows at and after `as_of`: none; each with its neighbour's customer; the past's again.

    The added rows copy the past to `as_of` itself and to later days, so the boundary is tried too. Without any row
    after `as_of` the three still differ from each other by what is added.
    """
    moment = naive_utc(as_of)
    yield DELETED, {name: _past(table, name, moment) for name, table in tables.items()}
    yield SHUFFLED, {name: _shuffled(table, name, moment) for name, table in tables.items()}
    yield ADDED, {name: _added(table, name, moment) for name, table in tables.items()}


def moved_features(
    tables: Mapping[str, Any],
    given: frozenset[str],
    as_of: datetime,
    features: Sequence[Feature],
    *,
    entity: Entity = CUSTOMER,
) -> dict[str, list[str]]:
    """The features that see the future: name -> which changes to it moved them. Empty when all are safe.

    Compares bit by bit (NaN equals NaN). A customer (product …) who appears or vanishes is reported by the key.
    """
    real = Snapshot(tables, naive_utc(as_of), given)
    return moved_between(real, with_other_futures(real), features, entity=entity)


def with_other_futures(real: Snapshot) -> dict[str, Snapshot]:
    """The same past with other futures, by what is changed. Their ledgers serve every entity."""
    futures = other_futures(real.tables, real.as_of)
    return {change: Snapshot(altered, real.as_of, real.given) for change, altered in futures}


def moved_between(
    real: Snapshot, others: Mapping[str, Snapshot], features: Sequence[Feature], *, entity: Entity = CUSTOMER
) -> dict[str, list[str]]:
    """As `moved_features`, of the snapshots `with_other_futures`."""
    truth = _computed(real, entity, features)
    moved: dict[str, list[str]] = {}
    for change, snapshot in others.items():
        found = _computed(snapshot, entity, features)
        keys = list(entity.keys)
        names = truth.column_names if truth.select(keys).equals(found.select(keys)) else keys
        for name in names:
            if not _bits(truth[name]).equals(_bits(found[name])):
                moved.setdefault(name, []).append(change)
    return moved


def _computed(snapshot: Snapshot, entity: Entity, features: Sequence[Feature]) -> pa.Table:
    return entity_features(snapshot, entity, features).order_by(list(entity.keys)).to_pyarrow()


def _bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as the integers of the same bits, so that equality is exact and NaN equals itself."""
    if not pa.types.is_float64(column.type):
        return column
    return pa.chunked_array([chunk.view(pa.int64()) for chunk in column.chunks], pa.int64())


def _past(table: Any, name: str, moment: datetime) -> Any:
    return table.filter(table[TIMES[name]] < ibis.literal(moment)) if name in TIMES else table


def _future(table: Any, name: str, moment: datetime) -> Any:
    return table.filter(table[TIMES[name]] >= ibis.literal(moment))


def _shuffled(table: Any, name: str, moment: datetime) -> Any:
    """Every row at or after the moment is said of another row's customer, and order lines count threefold."""
    if name not in TIMES or C.CUSTOMER_ID not in table.columns:
        return table
    future = _future(table, name, moment)
    others = ibis.window(order_by=[future[TIMES[name]], future[C.CUSTOMER_ID]])
    changed = {C.CUSTOMER_ID: future[C.CUSTOMER_ID].lag().over(others).coalesce(future[C.CUSTOMER_ID])}
    if name == ORDER_LINES.name:
        changed |= {C.QUANTITY: future[C.QUANTITY] * 3, C.AMOUNT: (future[C.AMOUNT] * 3).cast(table[C.AMOUNT].type())}
    return _past(table, name, moment).union(future.mutate(**changed))


def _added(table: Any, name: str, moment: datetime) -> Any:
    """The past's rows once more: at the moment itself, and forty days later under the same order ids."""
    if name not in TIMES:
        return table
    past = _past(table, name, moment)
    time = TIMES[name]
    kind = table[time].type()
    at_once = past.mutate(**{time: ibis.literal(moment).cast(kind)})
    later = past.mutate(**{time: ibis.literal(moment + timedelta(days=40)).cast(kind)})
    return table.union(at_once, later)
