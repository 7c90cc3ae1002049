"""Staging, one-to-one with a source file: rename, cast, and set apart the rows that break the contract.

Leaves two tables in the connection: `staged_<table>` (typed contract columns) and `set_aside_<table>`
(reason, source, row as JSON text).
"""

from __future__ import annotations

import codecs
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import ConfigError, DataError
from features.expressions import scalar_sql
from features.mapping import Field, TableSource
from features.schema import SQL, Column, Columns, Kind

PARQUET = (".parquet", ".pq")
_OFFSET = r"(:[0-9.]+) ?([+-])([0-9]{2}):?([0-9]{2})?$"
EARLIEST = datetime(1970, 1, 1)
_FLAGS = (
    "CASE WHEN lower({0}) IN ('true','t','yes','y','1') THEN true "
    "WHEN lower({0}) IN ('false','f','no','n','0') THEN false END"
)


def quote(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A value as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def _as_utf8(source: TableSource, scratch: Path) -> Path:
    """The CSV in UTF-8: itself, or a copy. Raises DataError when the named encoding does not fit."""
    try:
        name = codecs.lookup(source.encoding).name
    except LookupError:
        raise ConfigError(f"{source.where}: encoding '{source.encoding}' is not known. Try utf-8, latin-1.") from None
    copy = source.path if name == "utf-8" else scratch / f"{source.table}.utf8.csv"
    try:
        with source.path.open(encoding=name, newline="") as original:
            if copy == source.path:
                while original.read(1 << 22):
                    pass
            else:
                with copy.open("w", encoding="utf-8", newline="") as out:
                    while chunk := original.read(1 << 22):
                        out.write(chunk)
    except UnicodeError as error:
        raise DataError(
            f"{source.path}: not written in {source.encoding} ({error}). Nothing was loaded. "
            f'Name its encoding in {source.where}, for instance encoding = "latin-1" or "utf-16".'
        ) from None
    return copy


def _open(con: duckdb.DuckDBPyConnection, source: TableSource, scratch: Path) -> list[tuple[str, str]]:
    """(name, SQL type) of the source's columns, with the rows in table `raw` and unreadable lines in `rejects`."""
    con.execute("CREATE OR REPLACE TEMP TABLE rejects (line BIGINT, message VARCHAR, row_text VARCHAR)")
    con.execute("DROP VIEW IF EXISTS raw; DROP TABLE IF EXISTS raw_lines")
    if source.path.stat().st_size == 0:
        raise DataError(f"{source.path}: the file is empty (0 bytes). Export it again; nothing was loaded.")
    try:
        if source.path.suffix.lower() in PARQUET:
            beside = f" NATURAL JOIN read_parquet({text(str(source.beside))}) AS beside" if source.beside else ""
            con.execute(f"CREATE TEMP VIEW raw AS SELECT * FROM read_parquet({text(str(source.path))}) AS main{beside}")
        else:
            delimiter = f", delim={text(source.delimiter)}" if source.delimiter else ""
            path = _as_utf8(source, scratch)
            con.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE raw_lines AS SELECT * FROM read_csv({text(str(path))}, header=true, "
                f"all_varchar=true, store_rejects=true, rejects_limit=100000, parallel=false{delimiter})"
            )
            con.execute("CREATE TEMP VIEW raw AS SELECT * FROM raw_lines")
            con.execute("INSERT INTO rejects SELECT line, error_message, csv_line FROM reject_errors")
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{source.path}: cannot be read: {first}. Check the file and its delimiter.") from None
    found = [(row[0], row[1]) for row in con.execute("DESCRIBE raw").fetchall()]
    if con.execute("SELECT count(*) FROM (SELECT 1 FROM raw LIMIT 1)").fetchone() == (0,):
        raise DataError(
            f"{source.path}: holds no rows (columns: {', '.join(name for name, _ in found)}). Nothing was loaded."
        )
    return found


def _raw_sql(source: TableSource, name: str, field: Field, found: dict[str, str]) -> tuple[str, str]:
    """SQL of a field before casting, and its SQL type where known."""
    where = f"{source.where}: '{name}'"
    if field.value is not None:
        return text(field.value), "VARCHAR"
    if field.expression is not None:
        csv = source.path.suffix.lower() not in PARQUET
        return scalar_sql(field.expression, list(found), where=where, text_columns=csv), ""
    column = field.column or ""
    if column not in found:
        raise DataError(
            f"{source.path.name}: column '{column}' named for {name} is missing (found: {', '.join(found)}). "
            f"Correct {source.where}."
        )
    return quote(column), found[column]


def _typed_sql(source: TableSource, column: Column, field: Field, raw: str, sql_type: str) -> str:
    """SQL that casts `raw` (text, trimmed, never empty) to the column's kind; NULL where it does not fit."""
    if column.kind is Kind.TEXT:
        # Numbers kept as DOUBLE (a CSV once read with gaps) would carry ".0" into ids.
        return f"regexp_replace({raw}, '\\.0$', '')" if sql_type in ("DOUBLE", "FLOAT", "") else raw
    if column.kind is Kind.TIME:
        if field.format:
            return f"try_strptime({raw}, {text(field.format)})::TIMESTAMP"
        # DuckDB reads "+02:00" in a TIMESTAMP and ignores it.
        bare = f"regexp_replace({raw}, '{_OFFSET}', '\\1')"
        ahead = f"try_cast(regexp_extract({raw}, '{_OFFSET}', 2) || '1' AS INTEGER)"
        hours = f"coalesce(try_cast(regexp_extract({raw}, '{_OFFSET}', 3) AS INTEGER), 0)"
        minutes = f"coalesce(try_cast(regexp_extract({raw}, '{_OFFSET}', 4) AS INTEGER), 0)"
        offset = f"coalesce({ahead}, 0) * (60 * {hours} + {minutes})"
        return f"try_cast({bare} AS TIMESTAMP) - to_minutes({offset})"
    if column.kind is Kind.FLAG:
        return _FLAGS.format(raw)
    number = f"replace({raw}, {text(source.decimal)}, '.')" if source.decimal != "." else raw
    value = f"try_cast({number} AS {SQL[column.kind]})"
    return f"CASE WHEN isfinite(try_cast({number} AS DOUBLE)) THEN {value} END"


def _reasons(source: TableSource, columns: list[Column], now: datetime) -> str:
    required = source.contract.required
    cases = [f"WHEN raw_{c.name} IS NULL THEN 'missing_{c.name}'" for c in columns if c.name in required]
    cases += [f"WHEN raw_{c.name} IS NOT NULL AND {quote(c.name)} IS NULL THEN 'bad_{c.name}'" for c in columns]
    latest = now + timedelta(days=1)
    for column in columns:
        if column.kind is Kind.TIME and column.name in required:
            limits = f"{quote(column.name)} < TIMESTAMP '{EARLIEST}' OR {quote(column.name)} > TIMESTAMP '{latest}'"
            cases.append(f"WHEN {limits} THEN 'implausible_{column.name}'")
    if source.table == "order_lines":
        cases.append(f"WHEN {Columns.AMOUNT} < 0 AND {Columns.QUANTITY} > 0 THEN 'negative_amount'")
    return "CASE " + " ".join(cases) + " END"


def _to_utc(con: duckdb.DuckDBPyConnection, source: TableSource, columns: list[Column]) -> None:
    """Times of the staged table moved from the source's zone to UTC (a repeated hour counts as its first)."""
    for column in columns:
        if column.kind is not Kind.TIME:
            continue
        name = quote(column.name)
        local = con.execute(f"SELECT DISTINCT {name} AS t FROM staged WHERE {name} IS NOT NULL").to_arrow_table()["t"]
        aware = pc.assume_timezone(local, source.timezone, ambiguous="earliest", nonexistent="earliest")
        utc = aware.cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us"))
        con.register("zone", pa.table({"local_time": local, "utc_time": utc}))
        con.execute(f"UPDATE staged SET {name} = zone.utc_time FROM zone WHERE staged.{name} = zone.local_time")
        con.unregister("zone")


def stage(con: duckdb.DuckDBPyConnection, source: TableSource, scratch: Path, *, now: datetime) -> int:
    """How many rows were read; the good ones are in `staged_<table>`, the others in `set_aside_<table>`.

    Raises DataError or ConfigError for a file that cannot be used at all.
    """
    found = dict(_open(con, source, scratch))
    columns = list(source.contract.columns)
    columns += [Column(name, Kind.TEXT, "attribute") for name in source.attributes]
    mapped = [c for c in columns if c.name in source.fields]
    raws, typed = [], []
    for column in mapped:
        field = source.fields[column.name]
        sql, sql_type = _raw_sql(source, column.name, field, found)
        raws.append(f"nullif(trim(CAST({sql} AS VARCHAR)), '') AS raw_{column.name}")
        cast = _typed_sql(source, column, field, f"raw_{column.name}", sql_type)
        typed.append(f"{cast} AS {quote(column.name)}")
    for column in columns:
        if column.name not in source.fields:
            default = "1" if column.name == Columns.QUANTITY else "NULL"
            typed.append(f"CAST({default} AS {SQL[column.kind]}) AS {quote(column.name)}")
    names = ", ".join(quote(column.name) for column in columns)
    try:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE typed AS SELECT *, {_reasons(source, mapped, now)} AS reason FROM "
            f"(SELECT *, {', '.join(typed)} FROM (SELECT {', '.join(raws)} FROM raw))"
        )
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{source.where}: an expression cannot be computed: {first}. Correct the mapping.") from None
    con.execute(f"CREATE OR REPLACE TEMP TABLE staged AS SELECT {names} FROM typed WHERE reason IS NULL")
    if source.timezone != "UTC":
        _to_utc(con, source, mapped)
    where = text(source.path.name)
    given = ", ".join(f"raw_{c.name}" for c in mapped)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE set_aside AS SELECT reason, {where} AS source, "
        f"CAST(to_json((SELECT row FROM (SELECT {given}) AS row)) AS VARCHAR) AS row "
        f"FROM typed WHERE reason IS NOT NULL "
        f"UNION ALL SELECT 'unreadable_line', {where}, row_text FROM rejects"
    )
    total = con.execute("SELECT (SELECT count(*) FROM typed) + (SELECT count(*) FROM rejects)").fetchone()
    con.execute("DROP TABLE typed")
    _drop_copies(con, source, names)
    for name in ("staged", "set_aside"):
        con.execute(f"DROP TABLE IF EXISTS {name}_{source.table}; ALTER TABLE {name} RENAME TO {name}_{source.table}")
    return int(total[0]) if total else 0


def _drop_copies(con: duckdb.DuckDBPyConnection, source: TableSource, names: str) -> None:
    """Rows equal in every column to another are set aside, unless the mapping keeps them."""
    if source.contract.key:
        key = ", ".join(quote(name) for name in source.contract.key)
        keep, reason = f"row_number() OVER (PARTITION BY {key} ORDER BY rowid DESC)", "repeated_key"
    elif source.duplicates == "drop":
        keep, reason = f"row_number() OVER (PARTITION BY {names} ORDER BY rowid)", "duplicate_line"
    else:
        return
    con.execute(f"CREATE OR REPLACE TEMP TABLE copies AS SELECT rowid AS id FROM staged QUALIFY {keep} > 1")
    con.execute(
        f"INSERT INTO set_aside SELECT '{reason}', {text(source.path.name)}, "
        f"CAST(to_json((SELECT r FROM (SELECT {names}) AS r)) AS VARCHAR) "
        f"FROM staged WHERE rowid IN (SELECT id FROM copies)"
    )
    con.execute("DELETE FROM staged WHERE rowid IN (SELECT id FROM copies); DROP TABLE copies")
