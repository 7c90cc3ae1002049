"""What a load looks like, against the load before: counts, nulls, ranges, values, days without orders, drift.

Made with a few scans by DuckDB, so that every load can afford it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq

from features.drift import MOVED
from features.lake import Lake
from features.quality_drift import line_drift
from features.schema import ORDER_LINES, PRODUCTS, TABLES, C, Kind
from features.settings import Settings
from features.sql import quote, text

#: Columns of which each value has a meaning of its own, so that a new or vanished one is worth a word.
VALUED = (
    (ORDER_LINES.name, C.CHANNEL),
    (ORDER_LINES.name, C.STORE_ID),
    (PRODUCTS.name, C.DEPARTMENT),
    (PRODUCTS.name, C.CATEGORY),
    (PRODUCTS.name, C.BRAND),
)
#: What the lake's manifest counts by itself: the ids that a large shop has millions of.
_DISTINCT = {
    (ORDER_LINES.name, C.ORDER_ID): "orders",
    (ORDER_LINES.name, C.CUSTOMER_ID): "customers",
    (ORDER_LINES.name, C.PRODUCT_ID): "products",
}
NAMED = 20  # new and vanished values are named up to so many
#: A column is worth a word when its share of rows without a value has risen by this since the load before.
MORE_NULLS = 0.05


@dataclass(frozen=True)
class ColumnQuality:
    """One column: rows without a value, now and in the load before; distinct values of text, or the range."""

    nulls: int
    nulls_before: int | None
    distinct: int | None
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
    """The report on one version of the lake.

    `drift` is the stability index of columns of order lines of the last `drift_days` against as many days before.
    """

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


def quality(lake: Lake, settings: Settings, *, before: Lake | None = None) -> Quality:
    """The report on a lake version, against another version of it where there is one."""
    quarantined: Mapping[str, Mapping[str, int]] = lake.manifest["quarantined"]
    with duckdb.connect() as con:
        con.execute(f"SET threads={settings.threads}; SET memory_limit={text(settings.memory_limit)}")
        tables = {
            name: TableQuality(
                rows=rows,
                rows_before=None if before is None else before.rows.get(name, 0),
                quarantined=quarantined.get(name, {}),
                columns=_columns(con, lake, before, name),
            )
            for name, rows in lake.rows.items()
        }
        values = {} if before is None else _values(con, lake, before)
        days = _orders_by_day(con, lake)
        drift, drift_days = line_drift(con, lake, before)
    silent = [day for day, orders in days.items() if orders == 0]
    return Quality(
        lake=lake.version,
        before=None if before is None else before.version,
        tables=tables,
        values=values,
        orders_by_day=days,
        days_without_orders=silent,
        drift=drift,
        drift_days=drift_days,
        findings=_findings(tables, values, days, silent, drift, drift_days),
    )


def _columns(con: duckdb.DuckDBPyConnection, lake: Lake, before: Lake | None, table: str) -> dict[str, ColumnQuality]:
    now, then = _statistics(lake, table), _statistics(before, table) if before and table in before.rows else {}
    kinds = {column.name: column.kind for column in TABLES[table].columns}
    # The least and the most of ids and names would say something of persons, and nothing of quality.
    ranged = {name for name, kind in kinds.items() if kind not in (Kind.TEXT, Kind.FLAG)}
    known = {name: lake.manifest[_DISTINCT[table, name]] for name in now if (table, name) in _DISTINCT}
    counted = [name for name in now if name not in ranged and name not in known]
    asked = ", ".join(f"count(DISTINCT {quote(name)})" for name in counted) or "NULL"
    found = con.execute(f"SELECT {asked} FROM read_parquet({text(str(lake.file(table)))})").fetchone() or ()
    distinct = {**known, **dict(zip(counted, found, strict=False))}
    return {
        name: ColumnQuality(
            nulls=column.nulls,
            nulls_before=then[name].nulls if name in then else None,
            distinct=distinct.get(name),
            least=str(min(column.bounds)) if name in ranged and column.bounds else None,
            most=str(max(column.bounds)) if name in ranged and column.bounds else None,
        )
        for name, column in now.items()
    }


@dataclass
class _Statistics:
    """Of a column of a file: rows without a value, and the least and the most of each row group."""

    nulls: int = 0
    bounds: list[Any] = field(default_factory=list)


def _statistics(lake: Lake, table: str) -> dict[str, _Statistics]:
    """What the file itself says of each column, so that no row is read for it."""
    metadata = pq.read_metadata(lake.file(table))
    found = {name: _Statistics() for name in metadata.schema.to_arrow_schema().names}
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for column in (group.column(j) for j in range(metadata.num_columns)):
            said = column.statistics
            if said is None:
                continue
            found[column.path_in_schema].nulls += said.null_count or 0
            if said.has_min_max:
                found[column.path_in_schema].bounds += [said.min, said.max]
    return found


def _values(con: duckdb.DuckDBPyConnection, lake: Lake, before: Lake) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for table, column in VALUED:
        if table not in lake.rows or table not in before.rows:
            continue
        now, then = (
            {
                str(row[0])
                for row in con.execute(
                    f"SELECT DISTINCT {column} FROM read_parquet({text(str(version.file(table)))}) "
                    f"WHERE {column} IS NOT NULL"
                ).fetchall()
            }
            for version in (lake, before)
        )
        new, vanished = sorted(now - then), sorted(then - now)
        if new or vanished:
            found[f"{table}.{column}"] = Values(new[:NAMED], vanished[:NAMED], len(new), len(vanished))
    return found


def _orders_by_day(con: duckdb.DuckDBPyConnection, lake: Lake) -> dict[str, int]:
    """Orders of every calendar day (UTC) between the first and the last, those without any too.

    An order counts once on each day on which a line of it was bought: nearly always one.
    """
    rows = con.execute(
        f"""
        SELECT day, count(*) FROM (
            SELECT DISTINCT customer_id, order_id, ordered_at::DATE AS day
            FROM read_parquet({text(str(lake.file(ORDER_LINES.name)))}) WHERE quantity > 0
        ) GROUP BY day
        """
    ).fetchall()
    counted: dict[date, int] = dict(rows)
    if not counted:
        return {}
    first, last = min(counted), max(counted)
    whole = [first + timedelta(days=days) for days in range((last - first).days + 1)]
    return {day.isoformat(): counted.get(day, 0) for day in whole}


def _findings(
    tables: Mapping[str, TableQuality],
    values: Mapping[str, Values],
    days: Mapping[str, int],
    silent: list[str],
    drift: Mapping[str, float],
    drift_days: int,
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
        for column, found in table.columns.items():
            if found.nulls_before is not None and table.rows_before and table.rows:
                now, then = found.nulls / table.rows, found.nulls_before / table.rows_before
                if now - then >= MORE_NULLS:
                    said.append(f"{name}.{column}: {now:.0%} of rows have no value, {then:.0%} in the load before.")
    for valued, changed in values.items():
        for what, count, named in (
            ("new", changed.new_count, changed.new),
            ("vanished", changed.vanished_count, changed.vanished),
        ):
            if count:
                said.append(f"{valued}: {count:,} {what}: {first_of(named, count)}.")
    # A shop closed every Sunday is no gap: days are missed against the same weekday around them.
    missed = [day for day in silent if _usually_open(days, day)]
    if missed:
        said.append(f"No order on {first_of(missed[:5], len(missed))}, days on which the shop usually sells.")
    moved = [f"{name} ({index:.2f})" for name, index in drift.items() if index >= MOVED]
    if moved:
        said.append(
            f"Order lines of the last {drift_days} days against the {drift_days} before moved by {MOVED} or more on "
            f"the stability index in {first_of(moved[:8], len(moved))}."
        )
    return said


def first_of(named: list[str], count: int) -> str:
    """These of so many, in words."""
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    return ", ".join(named) + more


def _usually_open(days: Mapping[str, int], day: str) -> bool:
    around = [days.get(str(date.fromisoformat(day) + timedelta(weeks=week)), 0) for week in (-2, -1, 1, 2)]
    return float(np.mean([orders > 0 for orders in around])) > 0.5
