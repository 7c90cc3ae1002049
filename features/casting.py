"""Source values as contract values, in SQL: text, times in UTC, numbers, money and flags. What does not fit is NULL."""

from __future__ import annotations

import duckdb

from features.errors import ConfigError
from features.expressions import AS_NUMBER
from features.mapping import TableSource
from features.schema import SQL, Kind
from features.sql import text

#: Macro that gives a number written with the source's decimal sign as SQL reads it.
_AS_PLAIN = "as_plain"
_AS_TIME = "as_time"
_TRIMMED = " \t\r\n\u00a0\ufeff"
_FLOATS = ("DOUBLE", "FLOAT")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_OFFSET = r"([0-9]:[0-9.:]+) ?([+-])([0-9]{2}):?([0-9]{2})?$"
_THOUSANDS = r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?"
_EXACT_WHOLE = 2**53  # beyond it a float does not tell neighbouring whole numbers apart


def define_macros(con: duckdb.DuckDBPyConnection, source: TableSource) -> None:
    """Functions of one value that read numbers and times as this source writes them."""
    try:
        con.execute(f"SET TimeZone={text(source.timezone)}")
    except duckdb.Error:
        raise ConfigError(
            f"{source.where}: timezone '{source.timezone}' is not known. Use a name like Europe/Berlin."
        ) from None
    plain = "x"
    if source.decimal == ",":
        # With a decimal comma a point can only group thousands; anywhere else it is a mistake.
        grouped = f"CASE WHEN regexp_full_match(x, {text(_THOUSANDS)}) THEN replace(replace(x, '.', ''), ',', '.') END"
        plain = f"CASE WHEN contains(x, '.') THEN {grouped} ELSE replace(x, ',', '.') END"
    con.execute(f"CREATE OR REPLACE TEMP MACRO {_AS_PLAIN}(x) AS {plain}")
    number = f"try_cast({_AS_PLAIN}(trim(CAST(x AS VARCHAR))) AS DOUBLE)"
    con.execute(f"CREATE OR REPLACE TEMP MACRO {AS_NUMBER}(x) AS {_finite_number(number)}")
    # Without seconds, DuckDB reads no offset from UTC.
    hours, rest = (f"coalesce(try_cast(regexp_extract(x, {text(_OFFSET)}, {n}) AS INTEGER), 0)" for n in (3, 4))
    ahead = f"CASE regexp_extract(x, {text(_OFFSET)}, 2) WHEN '-' THEN -1 ELSE 1 END"
    minutes = f"{ahead} * (60 * {hours} + {rest})"
    local = f"try_cast(regexp_replace(x, {text(_OFFSET)}, '\\1') AS TIMESTAMP)"
    offset = f"CASE WHEN regexp_matches(x, {text(_OFFSET)}) THEN {local} - to_minutes({minutes}) END"
    con.execute(
        f"CREATE OR REPLACE TEMP MACRO {_AS_TIME}(x) AS coalesce(timezone('UTC', try_cast(x AS TIMESTAMPTZ)), {offset})"
    )


def given_sql(sql: str, sql_type: str) -> str:
    """A source value with what means "nothing" as NULL: empty text, blanks, and NaN in a column of floats."""
    if sql_type == "VARCHAR":
        return f"nullif(trim({sql}, {text(_TRIMMED)}), '')"
    if sql_type in _FLOATS:
        # Not nullif: the statistics of a Parquet file leave NaN out, and DuckDB trusts them to say that none is there.
        return f"CASE WHEN NOT isnan({sql}) THEN {sql} END"
    return sql


def _text_sql(raw: str, sql_type: str) -> str:
    if sql_type in _FLOATS or sql_type.startswith("DECIMAL"):
        # A column of ids with gaps is often kept as floats: 17850.0 is the id 17850.
        whole = f"{raw} = trunc({raw}) AND abs({raw}) < {_EXACT_WHOLE}"
        return f"CASE WHEN {whole} THEN CAST(CAST({raw} AS BIGINT) AS VARCHAR) ELSE CAST({raw} AS VARCHAR) END"
    return f"CAST({raw} AS VARCHAR)"


def _time_sql(raw: str, sql_type: str, *, time_format: str | None, zone: str, where: str) -> str:
    native = sql_type == "DATE" or sql_type.startswith("TIMESTAMP")
    if native and time_format:
        raise ConfigError(f"{where} is a {sql_type} already, so it has no format. Remove 'format'.")
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return f"timezone('UTC', {raw})"
    if native:
        return _local(f"CAST({raw} AS TIMESTAMP)", zone)
    if time_format:
        parsed = f"try_strptime(CAST({raw} AS VARCHAR), {text(time_format)})"
        return f"timezone('UTC', {parsed})" if _names_zone(time_format) else _local(parsed, zone)
    if sql_type == "VARCHAR":
        return f"{_AS_TIME}({raw})"
    raise ConfigError(
        f'{where} is {sql_type}, which is not a time. Give its format, for instance format = "%Y%m%d"; for seconds '
        'since 1970 use expression = "to_timestamp(COLUMN)", for milliseconds expression = "epoch_ms(COLUMN)".'
    )


def _names_zone(time_format: str) -> bool:
    signs = time_format.replace("%%", "")
    return "%z" in signs or "%Z" in signs


def _local(moment: str, zone: str) -> str:
    # Of an hour that the clocks repeat, the second is taken; one that they skip is read as if they had not yet moved.
    return moment if zone == "UTC" else f"timezone('UTC', timezone({text(zone)}, {moment}))"


def _number_sql(raw: str, sql_type: str, kind: Kind) -> str:
    if sql_type in _FLOATS:
        return f"CASE WHEN isfinite({raw}) THEN try_cast({raw} AS {SQL[kind]}) END"
    if sql_type in _WHOLE or sql_type.startswith("DECIMAL"):
        return f"try_cast({raw} AS {SQL[kind]})"
    plain = f"{_AS_PLAIN}({raw})" if sql_type == "VARCHAR" else f"CAST({raw} AS VARCHAR)"
    value = f"try_cast({plain} AS {SQL[kind]})"
    return _finite_number(value) if kind is Kind.NUMBER else value


def _finite_number(value: str) -> str:
    for name in ("infinity", "-infinity", "nan"):
        value = f"nullif({value}, CAST('{name}' AS DOUBLE))"
    return value


def typed_sql(kind: Kind, raw: str, sql_type: str, *, time_format: str | None, source: TableSource, where: str) -> str:
    """SQL that gives `raw` (see `given_sql`) as a value of `kind`. Raises ConfigError when its type can never fit."""
    if kind is Kind.TEXT:
        return _text_sql(raw, sql_type)
    if kind is Kind.TIME:
        moment = _time_sql(raw, sql_type, time_format=time_format, zone=source.timezone, where=where)
        return f"CASE WHEN isfinite({moment}) THEN {moment} END"
    if kind is Kind.FLAG:
        said = f"lower(CAST({raw} AS VARCHAR))"
        return (
            f"CASE WHEN {said} IN ('true', 't', 'yes', 'y', '1', '1.0') THEN true "
            f"WHEN {said} IN ('false', 'f', 'no', 'n', '0', '0.0') THEN false END"
        )
    return _number_sql(raw, sql_type, kind)


def check_format(con: duckdb.DuckDBPyConnection, time_format: str, *, where: str) -> None:
    """Raises ConfigError for a format that DuckDB's strptime does not know."""
    try:
        con.execute(f"SELECT try_strptime('', {text(time_format)})")
    except duckdb.Error as error:
        raise ConfigError(
            f"{where} has format {time_format!r}, which is not a time format: {str(error).splitlines()[0]}. "
            "An example: %d/%m/%Y %H:%M"
        ) from None
