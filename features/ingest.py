"""Loading: stage each table, merge it with what the lake holds, write a new version of the lake, then point at it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.errors import ConfigError, DataError, NotReadyError
from features.home import Home, new_directory, sweep, write_text
from features.lake import CURRENT, MANIFEST, Lake, read_lake
from features.mapping import TableSource, read_mapping
from features.schema import TABLES
from features.settings import Settings
from features.sources import complete_journey
from features.staging import quote, stage, text

SOURCES = (complete_journey.NAME, "files")
KEEP_VERSIONS = 3
CONTRACT = 1  # raise when staging gives other rows for the same file
_SORT = "customer_id, ordered_at, order_id, product_id"


@dataclass(frozen=True)
class TableReport:
    """What one table's load did, in rows."""

    table: str
    read: int
    added: int  # new in the lake
    held: int  # in the lake now
    quarantined: dict[str, int]  # by reason


@dataclass(frozen=True)
class IngestReport:
    """What a load did. `changed` is false when the lake was left as it was."""

    source: str
    version: str
    version_before: str | None
    tables: list[TableReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the lake holds other rows than before."""
        return self.version != self.version_before

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "changed": self.changed}


def _sources(source: str, mapping: Path | None) -> list[TableSource]:
    if source == complete_journey.NAME:
        return complete_journey.tables()
    if source == "files":
        if mapping is None:
            raise ConfigError("Source 'files' needs a mapping:  regulars ingest --source files --mapping shop.toml")
        return read_mapping(mapping)
    raise ConfigError(f"Unknown source '{source}'. Sources: {', '.join(SOURCES)}.")


def _fingerprint(sources: Sequence[TableSource]) -> str:
    digest = hashlib.sha256(str(CONTRACT).encode())
    for source in sources:
        digest.update(repr((source.table, source.fields, source.delimiter, source.encoding, source.decimal)).encode())
        digest.update(repr((source.timezone, source.duplicates)).encode())
        with source.path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@contextmanager
def _connection(settings: Settings) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """A scratch database that spills to disk, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="regulars-ingest-") as folder:
        con = duckdb.connect(str(Path(folder) / "scratch.db"))
        try:
            con.execute(f"SET threads={settings.threads}; SET memory_limit='{settings.memory_limit}'")
            con.execute(f"SET temp_directory={text(folder)}; SET enable_progress_bar=false")
            yield con, Path(folder)
        finally:
            con.close()


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = con.execute(sql).fetchone()
    return row[0] if row else None


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]


def _merge(con: duckdb.DuckDBPyConnection, table: str, old: Path | None) -> int:
    """How many rows of `merged_<table>` are new: facts add up once each, keyed rows are replaced by the newer."""
    staged = f"staged_{table}"
    if old is None:
        con.execute(f"CREATE OR REPLACE TEMP TABLE merged_{table} AS FROM {staged}")
        return int(_one(con, f"SELECT count(*) FROM {staged}"))
    before = f"read_parquet({text(str(old))})"
    contract = TABLES[table]
    if contract.key:
        key = ", ".join(quote(name) for name in contract.key)
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE merged_{table} AS FROM {staged} UNION ALL BY NAME "
            f"SELECT * FROM {before} WHERE ({key}) NOT IN (SELECT ({key}) FROM {staged})"
        )
    else:
        names = ", ".join(quote(name) for name in _columns(con, staged))
        numbered = f"SELECT {names}, row_number() OVER (PARTITION BY {names}) AS occurrence FROM"
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE merged_{table} AS SELECT {names} FROM "
            f"({numbered} {before} UNION {numbered} {staged})"
        )
    return int(_one(con, f"SELECT (SELECT count(*) FROM merged_{table}) - (SELECT count(*) FROM {before})"))


def _content_hash(con: duckdb.DuckDBPyConnection, relation: str) -> str:
    """The same for the same rows in any order."""
    names = sorted(_columns(con, relation))
    row = ", '\x1f', ".join(f"coalesce({quote(name)}::VARCHAR, '\x1e')" for name in names)
    total = _one(con, f"SELECT count(*) || ':' || sum(md5_number_lower(concat({row}))::HUGEINT) FROM {relation}")
    return f"{','.join(names)}={total}"


def _warnings(con: duckdb.DuckDBPyConnection, tables: Sequence[str], reports: Sequence[TableReport]) -> list[str]:
    found = []
    if not _one(con, "SELECT count(amount) FROM lake_order_lines"):
        found.append("No amounts: spend features and the value model are off. Map order_lines.amount to have them.")
    zero = _one(con, "SELECT count(*) FROM lake_order_lines WHERE quantity = 0")
    if zero:
        found.append(f"{zero:,} order lines have quantity 0: kept, counted as spend and not as a purchase.")
    if "products" in tables:
        missing = "SELECT count(DISTINCT product_id) FROM lake_order_lines ANTI JOIN lake_products USING (product_id)"
        unknown = _one(con, missing)
        if unknown:
            found.append(
                f"{unknown:,} products in order_lines are unknown to products: kept, without name, category or stock. "
                "Add them to the products file."
            )
    for report in reports:
        copies = report.quarantined.get("duplicate_line", 0)
        if copies:
            found.append(
                f"{report.table}: {copies:,} lines are exact copies of another and were set aside. If your export "
                f'writes one line per unit, set duplicates = "keep" in [{report.table}].'
            )
        bad = sum(report.quarantined.values()) - copies
        if bad:
            found.append(f"{report.table}: {bad:,} rows break the contract and are in quarantine, with the reason.")
    return found


def _describe(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    row = con.execute(
        "SELECT count(DISTINCT (customer_id, order_id)), count(DISTINCT customer_id), count(DISTINCT product_id), "
        "min(ordered_at)::VARCHAR, max(ordered_at)::VARCHAR, count(amount) > 0 FROM lake_order_lines"
    ).fetchone()
    names = ("orders", "customers", "products", "first_order_at", "last_order_at", "has_amounts")
    return dict(zip(names, row or (), strict=True))


def _write(con: duckdb.DuckDBPyConnection, aside: Path, table: str, old: Lake | None, *, new: bool) -> None:
    """One table's rows and quarantine into the version being made."""
    if new:
        order = f" ORDER BY {_SORT}" if table == "order_lines" else " ORDER BY ALL"
        con.execute(
            f"COPY (FROM lake_{table}{order}) TO {text(str(aside / f'{table}.parquet'))} (FORMAT parquet, "
            "COMPRESSION zstd)"
        )
    elif old is not None:
        shutil.copyfile(old.file(table), aside / f"{table}.parquet")
    kept = old.path / "quarantine" / f"{table}.parquet" if old else None
    parts = [f"FROM set_aside_{table}"] if new else []
    if kept and kept.is_file():
        parts.append(f"FROM read_parquet({text(str(kept))})")
    if parts:
        (aside / "quarantine").mkdir(exist_ok=True)
        # Rows of equal text are told apart by how many there were, so that loading a file again adds none.
        target = text(str(aside / "quarantine" / f"{table}.parquet"))
        numbered = " UNION ".join(
            f"SELECT *, row_number() OVER (PARTITION BY reason, source, row) AS n FROM ({part})" for part in parts
        )
        con.execute(f"COPY (SELECT * EXCLUDE n FROM ({numbered}) ORDER BY ALL) TO {target} (FORMAT parquet)")


def _prune(home: Home, keep: str) -> None:
    versions = sorted((home.lake / "versions").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in versions[KEEP_VERSIONS:]:
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True)


def ingest(
    source: str, settings: Settings, *, mapping: Path | None = None, replace: bool = False, now: datetime
) -> IngestReport:
    """Load a source into the lake; loading the same again changes nothing, and a failed load loses nothing.

    `replace` begins a new lake from this source alone. `now` (naive UTC) bounds plausible times. Raises ConfigError
    for a wrong mapping and DataError for a file that cannot be used.
    """
    home = Home(settings.home)
    sources = _sources(source, mapping)
    with home.lock("ingest"):
        sweep(home.lake)
        try:
            old: Lake | None = read_lake(home)
        except NotReadyError:
            old = None
        fingerprint = _fingerprint(sources)
        if old is not None and not replace and old.manifest["loads"][-1:] == [fingerprint]:
            return _unchanged(source, old)
        base = None if replace else old
        if base is None and "order_lines" not in {s.table for s in sources}:
            raise ConfigError("The first load needs [order_lines]: everything else is added to it.")
        with _connection(settings) as (con, scratch):
            return _load(con, scratch, home, source, sources, base, old, fingerprint, now)


def _unchanged(source: str, lake: Lake) -> IngestReport:
    tables = [TableReport(name, 0, 0, rows, {}) for name, rows in lake.rows.items()]
    return IngestReport(source, lake.version, lake.version, tables, list(lake.manifest["warnings"]))


def _load(
    con: duckdb.DuckDBPyConnection,
    scratch: Path,
    home: Home,
    source: str,
    sources: Sequence[TableSource],
    base: Lake | None,
    old: Lake | None,
    fingerprint: str,
    now: datetime,
) -> IngestReport:
    reports = []
    for table in sources:
        read = stage(con, table, scratch, now=now)
        before = base.file(table.table) if base and table.table in base.rows else None
        added = _merge(con, table.table, before)
        reasons = con.execute(f"SELECT reason, count(*) FROM set_aside_{table.table} GROUP BY 1 ORDER BY 1").fetchall()
        con.execute(f"CREATE TEMP VIEW lake_{table.table} AS FROM merged_{table.table}")
        held = int(_one(con, f"SELECT count(*) FROM lake_{table.table}"))
        reports.append(TableReport(table.table, read, added, held, dict(reasons)))
    loaded = [report.table for report in reports]
    tables = [name for name in TABLES if name in loaded or (base and name in base.rows)]
    for name in tables:
        if name not in loaded and base:
            con.execute(f"CREATE TEMP VIEW lake_{name} AS FROM read_parquet({text(str(base.file(name)))})")
    rows = {name: int(_one(con, f"SELECT count(*) FROM lake_{name}")) for name in tables}
    if rows["order_lines"] == 0:
        reasons_seen = ", ".join(f"{n} {reason}" for reason, n in reports[0].quarantined.items())
        raise DataError(f"No order line could be used ({reasons_seen}). Nothing was loaded; correct the mapping.")
    warnings = _warnings(con, tables, reports)
    content = [_content_hash(con, f"lake_{name}") for name in tables]
    version = hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
    manifest = {
        "version": version,
        "rows": rows,
        **_describe(con),
        "loads": [*(base.manifest["loads"] if base else []), fingerprint],
        "sources": sorted({*(base.manifest["sources"] if base else []), source}),
        "quarantined": {
            **(base.manifest["quarantined"] if base else {}),
            **{report.table: report.quarantined for report in reports},
        },
        "warnings": warnings,
        "created_at": now.isoformat(timespec="seconds"),
    }
    target = home.lake / "versions" / version
    with new_directory(target) as aside:
        for name in tables:
            _write(con, aside, name, base, new=name in loaded)
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    if old is not None and old.version == version:
        write_text(target / MANIFEST, json.dumps(manifest, indent=2))
    write_text(home.lake / CURRENT, version)
    _prune(home, version)
    return IngestReport(source, version, old.version if old else None, reports, warnings)
