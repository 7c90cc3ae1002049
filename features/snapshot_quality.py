"""What a snapshot of features looks like, against the snapshot before: rows, nulls, ranges, values, days, drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from features.build import ATTRIBUTE
from features.definitions import CUSTOMER, Entity
from features.drift import MOVED, stability_index
from features.lake import Lake
from features.quality import MORE_NULLS, NAMED, Values, first_of
from features.schema import ORDER_LINES
from features.settings import Settings
from features.snapshot import naive_utc
from features.sql import quote, text

#: Quartiles and drift are taken of about so many rows at most, by a hash of their keys: the same in both snapshots.
SAMPLED = 200_000
#: Days before the moment in which days without an order are looked for.
LOOKED_BACK = 28
_SPREAD = ("least", "p25", "median", "p75", "most")


@dataclass(frozen=True)
class FeatureQuality:
    """One feature: share missing now and before, its range and quartiles, and how far it moved."""

    missing: float
    missing_before: float | None
    least: float | None
    p25: float | None
    median: float | None
    p75: float | None
    most: float | None
    drift: float | None


@dataclass(frozen=True)
class SnapshotQuality:
    """The report on one snapshot of an entity. `quarantined` is what loads set aside, by table and reason.

    `days_without_orders` are those of the LOOKED_BACK days before the moment; `values` those of attributes.
    """

    entity: str
    as_of: str
    lake: str
    before: str | None
    days_between: int | None
    rows: int
    rows_before: int | None
    quarantined: Mapping[str, Mapping[str, int]]
    days_since_last_order: int | None
    days_without_orders: list[str]
    features: Mapping[str, FeatureQuality]
    new_features: list[str]
    vanished_features: list[str]
    values: Mapping[str, Values]
    drift_of: str
    findings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class SnapshotFile:
    """A snapshot on disk."""

    as_of: datetime
    path: Path


def snapshot_quality(
    lake: Lake,
    settings: Settings,
    entity: Entity,
    snapshot: SnapshotFile,
    before: SnapshotFile | None,
    *,
    horizon_days: int,
) -> SnapshotQuality:
    """The report on a snapshot, against an earlier one where there is one.

    Drift of customers is of those with an order within the horizon before either moment: features of the others move
    by a day each day.
    """
    with duckdb.connect() as con:
        con.execute(f"SET threads={settings.threads}; SET memory_limit={text(settings.memory_limit)}")
        kinds, kinds_before = _columns(con, entity, snapshot), _columns(con, entity, before) if before else {}
        rows = pq.read_metadata(snapshot.path).num_rows
        rows_before = pq.read_metadata(before.path).num_rows if before else None
        sampled = f"hash({', '.join(entity.keys)}) % {max(rows, rows_before or 0) // SAMPLED + 1} = 0"
        spreads = _spreads(con, snapshot, [name for name, kind in kinds.items() if kind == "DOUBLE"], sampled)
        shared = [name for name in spreads if kinds_before.get(name) == "DOUBLE"]
        missing_before: dict[str, float] = {}
        drift: dict[str, float] = {}
        values: dict[str, Values] = {}
        if before is not None:
            missing_before = {name: spread[0] for name, spread in _spreads(con, before, shared, sampled).items()}
            if entity is CUSTOMER and "days_since_last_order" in shared:
                sampled += f" AND days_since_last_order <= {horizon_days}"
            drift = _drift(con, snapshot, before, shared, sampled)
            texts = [name for name in kinds if name.startswith(ATTRIBUTE) and name in kinds_before]
            values = _values(con, snapshot, before, [name for name in texts if kinds[name] == "VARCHAR"])
        newest, silent = _days(con, lake, snapshot.as_of)
    features = {
        name: FeatureQuality(
            missing=spread[0],
            missing_before=missing_before.get(name),
            drift=drift.get(name),
            **dict(zip(_SPREAD, spread[1:], strict=True)),
        )
        for name, spread in spreads.items()
    }
    new = sorted(set(kinds) - set(kinds_before)) if before else []
    vanished = sorted(set(kinds_before) - set(kinds))
    whose = f" with an order within {horizon_days} days before either moment" if entity is CUSTOMER else ""
    return SnapshotQuality(
        entity=entity.name,
        as_of=snapshot.as_of.isoformat(),
        lake=lake.version,
        before=before.as_of.isoformat() if before else None,
        days_between=(snapshot.as_of - before.as_of).days if before else None,
        rows=rows,
        rows_before=rows_before,
        quarantined=lake.manifest["quarantined"],
        days_since_last_order=None if newest is None else (snapshot.as_of - newest).days,
        days_without_orders=silent,
        features=features,
        new_features=new,
        vanished_features=vanished,
        values=values,
        drift_of=f"Rows of {entity.name.replace('_', ' and ')}{whose}, against the snapshot before.",
        findings=_findings(rows, rows_before, features, new, vanished, values, silent),
    )


def _source(snapshot: SnapshotFile) -> str:
    return f"read_parquet({text(str(snapshot.path))})"


def _columns(con: duckdb.DuckDBPyConnection, entity: Entity, snapshot: SnapshotFile) -> dict[str, str]:
    described = con.execute(f"DESCRIBE SELECT * FROM {_source(snapshot)}").fetchall()
    return {row[0]: row[1] for row in described if row[0] not in entity.keys and row[1] in ("DOUBLE", "VARCHAR")}


def _spreads(
    con: duckdb.DuckDBPyConnection, snapshot: SnapshotFile, names: list[str], sampled: str
) -> dict[str, tuple[float, ...]]:
    """By feature the share missing, the least, the quartiles (of the sample) and the most."""
    if not names:
        return {}
    asked = []
    for name in names:
        column = quote(name)
        asked += [f"1 - count({column}) / greatest(count(*), 1)", f"min({column})"]
        asked += [f"quantile_disc({column}, {share}) FILTER ({sampled})" for share in (0.25, 0.5, 0.75)]
        asked.append(f"max({column})")
    found = con.execute(f"SELECT {', '.join(asked)} FROM {_source(snapshot)}").fetchone() or ()
    each = len(_SPREAD) + 1
    return {name: tuple(found[each * i : each * (i + 1)]) for i, name in enumerate(names)}


def _drift(
    con: duckdb.DuckDBPyConnection, snapshot: SnapshotFile, before: SnapshotFile, names: list[str], sampled: str
) -> dict[str, float]:
    columns = ", ".join(map(quote, names))
    if not columns:
        return {}
    now, then = (con.execute(f"SELECT {columns} FROM {_source(s)} WHERE {sampled}").df() for s in (snapshot, before))
    if now.empty or then.empty:
        return {}
    return {name: stability_index(then[name], now[name]) for name in names}


def _values(
    con: duckdb.DuckDBPyConnection, snapshot: SnapshotFile, before: SnapshotFile, names: list[str]
) -> dict[str, Values]:
    found = {}
    for name in names:
        now, then = (
            {row[0] for row in con.execute(f"SELECT DISTINCT {quote(name)} FROM {_source(s)}").fetchall()} - {None}
            for s in (snapshot, before)
        )
        new, vanished = sorted(now - then), sorted(then - now)
        if new or vanished:
            found[name] = Values(new[:NAMED], vanished[:NAMED], len(new), len(vanished))
    return found


def _days(con: duckdb.DuckDBPyConnection, lake: Lake, as_of: datetime) -> tuple[datetime | None, list[str]]:
    """The newest order before the moment, and the whole days of late on which there was none."""
    moment = naive_utc(as_of)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=LOOKED_BACK)
    lines = f"read_parquet({text(str(lake.file(ORDER_LINES.name)))})"
    newest = con.execute(
        f"SELECT max(ordered_at) FROM {lines} WHERE quantity > 0 AND ordered_at < {text(str(moment))}::TIMESTAMP"
    ).fetchone()
    days = con.execute(
        f"SELECT DISTINCT ordered_at::DATE FROM {lines} WHERE quantity > 0 "
        f"AND ordered_at >= {text(str(start))}::TIMESTAMP AND ordered_at < {text(str(moment))}::TIMESTAMP"
    ).fetchall()
    sold = {row[0] for row in days}
    first = max(start, datetime.fromisoformat(lake.manifest["first_order_at"]))
    whole = [(start + timedelta(days=day)).date() for day in range(LOOKED_BACK)]
    silent = [day.isoformat() for day in whole if day >= first.date() and day not in sold]
    return newest[0] if newest else None, silent


def _findings(
    rows: int,
    rows_before: int | None,
    features: Mapping[str, FeatureQuality],
    new: list[str],
    vanished: list[str],
    values: Mapping[str, Values],
    silent: list[str],
) -> list[str]:
    """What a person should look at, in sentences."""
    said = []
    if rows_before is not None and rows < rows_before:
        said.append(f"{rows_before - rows:,} rows fewer than in the snapshot before.")
    said += [
        f"{first_of(names[:8], len(names))}: {what}." for names, what in ((new, "new"), (vanished, "gone")) if names
    ]
    for name, feature in features.items():
        if feature.missing_before is not None and feature.missing - feature.missing_before >= MORE_NULLS:
            said.append(f"{name}: {feature.missing:.0%} of rows have no value, {feature.missing_before:.0%} before.")
    for name, changed in values.items():
        for what, count, named in (
            ("new", changed.new_count, changed.new),
            ("vanished", changed.vanished_count, changed.vanished),
        ):
            if count:
                said.append(f"{name}: {count:,} {what}: {first_of(named, count)}.")
    if silent:
        said.append(f"No order on {first_of(silent[:5], len(silent))}, of the {LOOKED_BACK} days before the moment.")
    by_drift = sorted(features.items(), key=lambda item: -(item[1].drift or 0.0))
    moved = [f"{name} ({f.drift:.2f})" for name, f in by_drift if f.drift is not None and f.drift >= MOVED]
    if moved:
        said.append(
            f"Moved by {MOVED} or more on the stability index since the snapshot before: "
            f"{first_of(moved[:8], len(moved))}. Models trained before may fit less."
        )
    return said
