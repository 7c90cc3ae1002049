"""Staging, one-to-one with a source file: rename, cast, and set apart the rows that break the contract.

Leaves two tables in the connection: `staged_<table>` (typed contract columns; for facts also `copies`, how many lines
were equal) and `set_aside_<table>` (reason, source, row as JSON text or as the line stood, customer_id where it could
be read). Each step stands by itself, for on Spark an executor stages a part of a file (`features/spark_load_parts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from features.casting import check_format, define_macros, given_sql, typed_sql
from features.errors import ConfigError, DataError
from features.expressions import AS_NUMBER, scalar_sql
from features.left_out import LeaveOut, leave_out
from features.mapping import Field, TableSource
from features.pseudonyms import check_mapping
from features.schema import EARLIEST, SQL, C, Column, Columns, Kind
from features.source_files import Found, SourceFile, open_raw, take_rejects, unreadable
from features.sql import Queries, quote, text

MOST_UNITS = 1_000_000_000
UNREADABLE = "unreadable_line"
DUPLICATE = "duplicate_line"
REPEATED = "repeated_key"
_ADVICE = {
    "bad_": "Correct the mapping: name its format (times), its decimal sign (numbers), or another column.",
    "missing_": "Correct the mapping: the column named is empty.",
    "implausible_": "Correct the mapping: look at the format and the unit.",
    UNREADABLE: "Correct the delimiter, or the quotes in the file.",
    "negative_amount": "A return has a negative quantity as well: map quantity so.",
}


@dataclass(frozen=True)
class Staged:
    """Rows of a file: those read, and those left out before they were looked at."""

    read: int
    left_out: int


@dataclass(frozen=True)
class Plan:
    """How a file is staged: `typed_sql` gives of view `raw` the contract's columns (`names`), `_reason` and `_row`."""

    found: Found
    names: Sequence[str]
    typed_sql: str

    @property
    def source(self) -> TableSource:
        """The table, and its mapping."""
        return self.found.file.source


@dataclass(frozen=True)
class _Mapped:
    """One contract column's way from the source: SQL of what is given, its value, and whether it is unreadable."""

    column: Column
    given: str
    value: str
    unreadable: str
    used: tuple[str, ...]


def _mapped(con: duckdb.DuckDBPyConnection, source: TableSource, column: Column, found: Found) -> _Mapped:
    field: Field = source.fields[column.name]
    where = f"{source.where}: '{column.name}'"
    unreadable_sql, used = "false", tuple[str, ...]()
    if field.value is not None:
        # A constant stands in the mapping file, so its decimal sign is that of TOML.
        kind = SQL[column.kind] if column.kind in (Kind.NUMBER, Kind.MONEY) else "VARCHAR"
        sql = f"try_cast({text(field.value)} AS {kind})"
    elif field.expression is not None:
        names = [found.columns[name][0] for name in found.names]
        scalar = scalar_sql(
            field.expression,
            found.names,
            names,
            where=where,
            text_columns=not found.file.is_parquet,
            numeric=column.kind in (Kind.NUMBER, Kind.MONEY),
        )
        sql, used = scalar.sql, scalar.used
        inputs = [quote(found.columns[name][0]) for name in scalar.numbers]
        unreadable_sql = " OR ".join(f"(trim({one}) <> '' AND {AS_NUMBER}({one}) IS NULL)" for one in inputs) or "false"
    else:
        name = field.column or ""
        sql, used = quote(found.column(name, for_name=column.name)[0]), (name,)
    sql_type = _type_of(con, source, sql)
    if field.format:
        check_format(con, field.format, where=where)
    raw = quote(f"_given_{column.name}")
    given = given_sql(sql, sql_type)
    value = typed_sql(column.kind, raw, sql_type, time_format=field.format, source=source, where=where)
    if field.value is not None and con.execute(f"SELECT {value} FROM (SELECT {given} AS {raw})").fetchone() == (None,):
        raise ConfigError(f"{where}: value {field.value!r} is not a {column.kind.value}. Correct it.")
    return _Mapped(column, given, value, unreadable_sql, used)


def _type_of(con: duckdb.DuckDBPyConnection, source: TableSource, sql: str) -> str:
    try:
        described = con.execute(f"DESCRIBE SELECT {sql} AS given FROM raw").fetchall()
    except duckdb.Error as error:
        raise _not_computed(source, error) from None
    return str(described[0][1])


def _not_computed(source: TableSource, error: duckdb.Error) -> ConfigError:
    first = str(error).splitlines()[0]
    return ConfigError(f"{source.where}: an expression cannot be computed: {first}. Correct the mapping.")


def _reason(source: TableSource, mapped: list[_Mapped], now: datetime) -> str:
    """SQL of the first reason why a row breaks the contract; NULL for a good row."""
    required = source.contract.required
    cases = []
    for one in mapped:
        name, value = one.column.name, quote(one.column.name)
        cases.append(f"WHEN {quote(f'_unreadable_{name}')} THEN 'bad_{name}'")
        if name in required:
            cases.append(f"WHEN {quote(f'_given_{name}')} IS NULL THEN 'missing_{name}'")
        cases.append(f"WHEN {quote(f'_given_{name}')} IS NOT NULL AND {value} IS NULL THEN 'bad_{name}'")
    latest = now + timedelta(days=1)
    for one in mapped:
        name, value = one.column.name, quote(one.column.name)
        if one.column.kind is Kind.TIME and name in required:
            limits = f"{value} < TIMESTAMP '{EARLIEST}' OR {value} > TIMESTAMP '{latest}'"
            cases.append(f"WHEN {limits} THEN 'implausible_{name}'")
    if source.table == "order_lines":
        cases.append(f"WHEN abs({Columns.QUANTITY}) > {MOST_UNITS} THEN 'implausible_{Columns.QUANTITY}'")
        cases.append(f"WHEN {Columns.AMOUNT} < 0 AND {Columns.QUANTITY} > 0 THEN 'negative_amount'")
    return "CASE " + " ".join(cases) + " END"


def plan_of(
    con: duckdb.DuckDBPyConnection, file: SourceFile, scratch: Path, now: datetime, *, names_nobody: bool
) -> Plan:
    """How the file is to be staged; nothing of it is read but its columns. Raises DataError and ConfigError.

    `names_nobody`: the JSON of a row set aside leaves out what a customer's id is read from.
    """
    source = file.source
    define_macros(con, source)
    found = open_raw(con, file, scratch)
    columns = list(source.contract.columns)
    columns += [Column(name, Kind.TEXT, "attribute") for name in source.attributes]
    mapped = [_mapped(con, source, column, found) for column in columns if column.name in source.fields]
    inner = [f"{one.given} AS {quote(f'_given_{one.column.name}')}" for one in mapped]
    inner += [f"({one.unreadable}) AS {quote(f'_unreadable_{one.column.name}')}" for one in mapped]
    used = list(dict.fromkeys(name for one in mapped for name in one.used))
    inner += [f"{quote(found.columns[name][0])} AS _used_{index}" for index, name in enumerate(used)]
    values = {one.column.name: one.value for one in mapped}
    values = {column.name: values.get(column.name, _default(column)) for column in columns}
    typed = ", ".join(f"{value} AS {quote(name)}" for name, value in values.items())
    hidden: tuple[str, ...] = ()
    if names_nobody:
        check_mapping(source, ((one.column.name, one.used) for one in mapped))
        hidden = next((one.used for one in mapped if one.column.name == C.CUSTOMER_ID), ())
    row = ", ".join(
        f"{text(name)}, CAST(_used_{index} AS VARCHAR)" for index, name in enumerate(used) if name not in hidden
    )
    names = [column.name for column in columns]
    return Plan(
        found,
        names,
        f"SELECT {', '.join(map(quote, names))}, _reason, "
        f"CASE WHEN _reason IS NOT NULL THEN CAST(json_object({row}) AS VARCHAR) END AS _row "
        f"FROM (SELECT *, {_reason(source, mapped, now)} AS _reason FROM "
        f"(SELECT *, {typed} FROM (SELECT {', '.join(inner)} FROM raw)))",
    )


def read_typed(con: duckdb.DuckDBPyConnection, plan: Plan, lines_before: int = 0) -> None:
    """All rows of view `raw` in table `typed`, what could not be split into columns in table `rejects`.

    `lines_before` of the file are not in `raw`, where that has a part of it.
    """
    try:
        con.execute(f"CREATE OR REPLACE TEMP TABLE typed AS {plan.typed_sql}")
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise unreadable(plan.source, error) from None
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise _not_computed(plan.source, error) from None
    take_rejects(con, lines_before)


def _default(column: Column) -> str:
    default = "1" if column.name == Columns.QUANTITY else "NULL"
    return f"CAST({default} AS {SQL[column.kind]})"


def stage(
    con: duckdb.DuckDBPyConnection,
    file: SourceFile,
    scratch: Path,
    *,
    now: datetime,
    say: Callable[[str], None],
    without: LeaveOut | None = None,
) -> Staged:
    """How many rows were read; the good ones are in `staged_<table>`, the others in `set_aside_<table>`.

    Rows to leave out (`without`) are in neither, and do not count. `now` (naive UTC) bounds plausible times. Raises
    DataError or ConfigError for a file that cannot be used at all.
    """
    without = without or LeaveOut()
    plan = plan_of(con, file, scratch, now, names_nobody=without.pseudonyms is not None)
    source = plan.source
    say(f"{source.table}: reading {source.path.name}")
    read_typed(con, plan)
    file.check_unchanged()
    left_out = leave_out(con, source.table, without)
    read, good = counts(con)
    set_apart(con, plan)
    check_usable(con, plan, read, good, left_out, say)
    keep_once(con, source, plan.names)
    con.execute("DROP TABLE typed")
    return Staged(read, left_out)


def set_apart(con: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Makes table `set_aside_<table>` of the rows in `typed` that break the contract, and of `rejects`."""
    where = text(plan.source.path.name)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE set_aside_{plan.source.table} AS SELECT _reason AS reason, {where} AS source, "
        f"_row AS row, {_whose(plan.names)} AS {C.CUSTOMER_ID} FROM typed WHERE _reason IS NOT NULL "
        f"UNION ALL SELECT '{UNREADABLE}', {where}, 'line ' || line || coalesce(': ' || row_text, ''), NULL "
        "FROM rejects"
    )


def check_usable(con: Queries, plan: Plan, read: int, good: int, left_out: int, say: Callable[[str], None]) -> None:
    """Raises DataError where there are no rows, or all of them are in `set_aside_<table>`."""
    source = plan.source
    if read == 0 and not left_out:
        names = ", ".join(plan.found.names)
        raise DataError(f"{source.path}: holds no rows (columns: {names}). Nothing was loaded. Export it again.")
    say(f"{source.table}: {read:,} rows read, {read - good:,} break the contract")
    if good == 0 and read:
        raise _nothing_usable(con, source, read)


def _whose(names: Sequence[str]) -> str:
    """SQL of the customer that a row of these columns names."""
    return C.CUSTOMER_ID if C.CUSTOMER_ID in names else "NULL::VARCHAR"


def counts(con: Queries) -> tuple[int, int]:
    """Rows in `typed` and `rejects`, and the good ones among them."""
    row = con.execute(
        "SELECT (SELECT count(*) FROM typed) + (SELECT count(*) FROM rejects), "
        "(SELECT count(*) FROM typed WHERE _reason IS NULL)"
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _nothing_usable(con: Queries, source: TableSource, read: int) -> DataError:
    reasons = con.execute(
        f"SELECT reason, count(*) AS n, min(row) FROM set_aside_{source.table} GROUP BY reason ORDER BY n DESC, reason"
    ).fetchall()
    counted = ", ".join(f"{n:,} {reason}" for reason, n, _ in reasons)
    advice = next((say for start, say in _ADVICE.items() if str(reasons[0][0]).startswith(start)), "")
    return DataError(
        f"{source.path}: none of {read:,} rows could be used ({counted}; for instance {reasons[0][2]}). "
        f"Nothing was loaded. {advice} It stands in {source.where}."
    )


def keep_once(con: duckdb.DuckDBPyConnection, source: TableSource, names: Sequence[str]) -> None:
    """The good rows of `typed` as `staged_<table>`: the last of each key; facts once with the number of `copies`.

    Copies of facts are set aside too, unless the mapping keeps them.
    """
    columns = ", ".join(quote(name) for name in names)
    as_row = "CAST(json_object(" + ", ".join(f"{text(n)}, CAST({quote(n)} AS VARCHAR)" for n in names) + ") AS VARCHAR)"
    aside = f"INSERT INTO set_aside_{source.table} SELECT '{{}}', {text(source.path.name)}, {as_row}, {_whose(names)}"
    staged = f"CREATE OR REPLACE TEMP TABLE staged_{source.table} AS"
    if source.contract.key:
        key = ", ".join(quote(name) for name in source.contract.key)
        con.execute(
            "CREATE OR REPLACE TEMP TABLE last AS "
            f"SELECT max(rowid) AS id FROM typed WHERE _reason IS NULL GROUP BY {key}"
        )
        con.execute(f"{staged} SELECT {columns} FROM typed WHERE rowid IN (SELECT id FROM last)")
        con.execute(f"{aside.format(REPEATED)} FROM typed WHERE _reason IS NULL AND rowid NOT IN (SELECT id FROM last)")
        con.execute("DROP TABLE last")
        return
    con.execute(f"{staged} SELECT {columns}, count(*) AS copies FROM typed WHERE _reason IS NULL GROUP BY ALL")
    if source.duplicates == "drop":
        con.execute(
            f"{aside.format(DUPLICATE)} FROM (SELECT *, unnest(range(copies - 1)) FROM staged_{source.table} "
            "WHERE copies > 1)"
        )
        con.execute(f"UPDATE staged_{source.table} SET copies = 1 WHERE copies > 1")
