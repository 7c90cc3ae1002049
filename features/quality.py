"""What a load looks like, against the load before: counts, nulls, ranges, values, days without orders, drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.build import entity_features, features_of
from features.definitions import CUSTOMER
from features.drift import MOVED, stability_index
from features.engine import connect
from features.horizon import midnight_after
from features.lake import Lake
from features.schema import ORDER_LINES, PRODUCTS, TABLES, C, Kind
from features.settings import Settings
from features.snapshot import take_snapshot

#: Columns of which each value has a meaning of its own, so that a new or vanished one is worth a word.
VALUED = (
    (ORDER_LINES.name, C.CHANNEL),
    (ORDER_LINES.name, C.STORE_ID),
    (PRODUCTS.name, C.DEPARTMENT),
    (PRODUCTS.name, C.CATEGORY),
    (PRODUCTS.name, C.BRAND),
)
NAMED = 20  # new and vanished values are named up to so many


@dataclass(frozen=True)
class ColumnQuality:
    """One column: how many rows have no value, how many distinct values there are (about), and their range."""

    nulls: int
    distinct: int
    least: str | None
    most: str | None


@dataclass(frozen=True)
class TableQuality:
    """One table: rows now and in the load before, rows set aside by reason, and its columns."""

    rows: int
    rows_before: int | None
    quarantined: Mapping[str, int]
    columns: Mapping[str, ColumnQuality]


@dataclass(frozen=True)
class Values:
    """Values of one column that the load before did not have, or had and this one has not."""

    new: list[str]
    vanished: list[str]
    new_count: int
    vanished_count: int


@dataclass(frozen=True)
class Quality:
    """The report. `drift` is the stability index of each feature now against a horizon ago; see features.drift."""

    lake: str
    before: str | None
    tables: Mapping[str, TableQuality]
    values: Mapping[str, Values]
    orders_by_day: Mapping[str, int]
    days_without_orders: list[str]
    drift: Mapping[str, float]
    drift_days: int
    findings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def quality(lake: Lake, settings: Settings, *, before: Lake | None = None, horizon_days: int = 28) -> Quality:
    """The report on a lake version, against another version of it where there is one."""
    backend = connect(settings)
    quarantined: Mapping[str, Mapping[str, int]] = lake.manifest["quarantined"]
    tables = {
        name: TableQuality(
            rows=rows,
            rows_before=None if before is None else before.rows.get(name, 0),
            quarantined=quarantined.get(name, {}),
            columns=_columns(backend, lake, name),
        )
        for name, rows in lake.rows.items()
    }
    values = {} if before is None else _values(backend, lake, before)
    days = _orders_by_day(backend, lake)
    silent = [day for day, orders in days.items() if orders == 0]
    drift = _drift(lake, settings, horizon_days)
    return Quality(
        lake=lake.version,
        before=None if before is None else before.version,
        tables=tables,
        values=values,
        orders_by_day=days,
        days_without_orders=silent,
        drift=drift,
        drift_days=horizon_days,
        findings=_findings(tables, values, days, silent, drift, horizon_days),
    )


def _columns(backend: Any, lake: Lake, table: str) -> dict[str, ColumnQuality]:
    source = lake.tables(backend)[table]
    kinds = {column.name: column.kind for column in TABLES[table].columns}
    asked: dict[str, Any] = {}
    for name in source.columns:
        column = source[name]
        asked |= {f"{name}|nulls": column.isnull().sum(), f"{name}|distinct": column.approx_nunique()}
        asked |= {f"{name}|least": column.min().cast("string"), f"{name}|most": column.max().cast("string")}
    [found] = source.aggregate(**asked).to_pyarrow().to_pylist()
    # The least and the most of ids and names would say something of persons, and nothing of quality.
    ranged = {name for name, kind in kinds.items() if kind not in (Kind.TEXT, Kind.FLAG)}
    return {
        name: ColumnQuality(
            nulls=int(found[f"{name}|nulls"] or 0),
            distinct=int(found[f"{name}|distinct"]),
            least=found[f"{name}|least"] if name in ranged else None,
            most=found[f"{name}|most"] if name in ranged else None,
        )
        for name in source.columns
    }


def _values(backend: Any, lake: Lake, before: Lake) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for table, column in VALUED:
        if table not in lake.rows or table not in before.rows:
            continue
        now, then = (_distinct(backend, version, table, column) for version in (lake, before))
        new, vanished = sorted(now - then), sorted(then - now)
        if new or vanished:
            found[f"{table}.{column}"] = Values(new[:NAMED], vanished[:NAMED], len(new), len(vanished))
    return found


def _distinct(backend: Any, lake: Lake, table: str, column: str) -> set[str]:
    source = lake.tables(backend)[table]
    values = source.filter(source[column].notnull()).select(column).distinct().to_pyarrow()[column]
    return set(values.to_pylist())


def _orders_by_day(backend: Any, lake: Lake) -> dict[str, int]:
    """Orders of every calendar day (UTC) between the first and the last, those without any too."""
    lines = lake.tables(backend)[ORDER_LINES.name]
    lines = lines.filter(lines[C.QUANTITY] > 0)
    orders = lines.group_by([C.CUSTOMER_ID, C.ORDER_ID]).aggregate(day=lines[C.ORDERED_AT].min().truncate("D"))
    counted = orders.group_by("day").aggregate(orders=orders.count()).to_pandas().set_index("day")["orders"]
    if counted.empty:
        return {}
    whole = pd.date_range(counted.index.min(), counted.index.max(), freq="D")
    return {f"{day:%Y-%m-%d}": int(orders) for day, orders in counted.reindex(whole, fill_value=0).items()}


def _drift(lake: Lake, settings: Settings, horizon_days: int) -> dict[str, float]:
    """Of every customer feature as of now against a horizon ago; of those active at either moment alone."""
    now = midnight_after(datetime.fromisoformat(lake.manifest["last_order_at"]))
    backend = connect(settings)
    frames = []
    for moment in (now - timedelta(days=horizon_days), now):
        snapshot = take_snapshot(lake, backend, moment)
        features = features_of(snapshot)
        frame = entity_features(snapshot, CUSTOMER, features).to_pandas()
        frames.append(frame[frame["days_since_last_order"] <= horizon_days].drop(columns=C.CUSTOMER_ID))
    old, new = frames
    if old.empty or new.empty:
        return {}
    found = {str(name): stability_index(old[name], new[name]) for name in old.columns}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _findings(
    tables: Mapping[str, TableQuality],
    values: Mapping[str, Values],
    days: Mapping[str, int],
    silent: list[str],
    drift: Mapping[str, float],
    horizon_days: int,
) -> list[str]:
    """What a person should look at, in sentences."""
    said = []
    for name, table in tables.items():
        aside = sum(table.quarantined.values())
        if aside:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in table.quarantined.items())
            said.append(f"{name}: {aside:,} rows were set aside ({reasons}); they lie in quarantine/{name}.parquet.")
        if table.rows_before is not None and table.rows < table.rows_before:
            said.append(f"{name}: {table.rows_before - table.rows:,} rows fewer than in the load before.")
    for column, changed in values.items():
        for what, count, named in (
            ("new", changed.new_count, changed.new),
            ("vanished", changed.vanished_count, changed.vanished),
        ):
            if count:
                more = f" and {count - len(named)} more" if count > len(named) else ""
                said.append(f"{column}: {count:,} {what}: {', '.join(named)}{more}.")
    # A shop closed every Sunday is no gap: days are missed against the same weekday around them.
    missed = [day for day in silent if _usually_open(days, day)]
    if missed:
        more = f" and {len(missed) - 5} more" if len(missed) > 5 else ""
        said.append(f"No order on {', '.join(missed[:5])}{more}, days on which the shop usually sells.")
    moved = [f"{name} ({index:.2f})" for name, index in drift.items() if index >= MOVED]
    if moved:
        more = f" and {len(moved) - 8} more" if len(moved) > 8 else ""
        said.append(
            f"Moved by {MOVED} or more on the stability index in {horizon_days} days: {', '.join(moved[:8])}{more}. "
            "Models trained before may fit less."
        )
    return said


def _usually_open(days: Mapping[str, int], day: str) -> bool:
    around = [days.get(str(date.fromisoformat(day) + timedelta(weeks=week)), 0) for week in (-2, -1, 1, 2)]
    return float(np.mean([orders > 0 for orders in around])) > 0.5
