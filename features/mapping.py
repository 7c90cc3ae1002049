"""The mapping file: which file and which of its columns make each contract table."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from features.errors import ConfigError
from features.schema import TABLES, C, Kind, TableContract

DUPLICATES = ("drop", "keep")
DECIMALS = (".", ",")
_OPTIONS = ("path", "delimiter", "encoding", "decimal", "timezone", "duplicates")
_FIELD_KEYS = ("column", "format", "expression", "value")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*")
#: A constant in these would make one order, one customer or one product of the whole file.
_IDENTITY = frozenset(
    {
        *(("order_lines", name) for name in (C.ORDER_ID, C.CUSTOMER_ID, C.ORDERED_AT)),
        *((table.name, name) for table in TABLES.values() for name in table.key),
    }
)


@dataclass(frozen=True)
class Field:
    """Where one contract column comes from: a source column, an SQL expression over source columns, or a constant."""

    column: str | None = None
    expression: str | None = None
    value: str | None = None
    format: str | None = None  # strptime format of a time given as text


@dataclass(frozen=True)
class TableSource:
    """One contract table's file and mapping. `where` names the mapping in error messages."""

    table: str
    path: Path
    fields: Mapping[str, Field]
    where: str
    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    timezone: str = "UTC"
    duplicates: str = "drop"
    beside: Path | None = None  # a second Parquet file joined to the first on the columns they share

    @property
    def contract(self) -> TableContract:
        """The contract this fills."""
        return TABLES[self.table]

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names mapped beyond the contract's columns (open tables only), sorted."""
        known = {column.name for column in self.contract.columns}
        return tuple(sorted(set(self.fields) - known))


def _field(where: str, name: str, given: Any, kind: Kind) -> Field:
    if isinstance(given, str):
        return Field(column=given)
    if not isinstance(given, dict):
        raise ConfigError(
            f"{where}: '{name}' is {given!r}, a {type(given).__name__}. "
            f'Give a column name ({name} = "Column"), or a table with one of column, expression, value.'
        )
    unknown = sorted(set(given) - set(_FIELD_KEYS))
    if unknown:
        raise ConfigError(f"{where}: '{name}' has an unknown key '{unknown[0]}'. Known keys: {', '.join(_FIELD_KEYS)}.")
    origins = [key for key in ("column", "expression", "value") if key in given]
    if len(origins) != 1:
        raise ConfigError(f"{where}: '{name}' needs exactly one of column, expression, value (found: {origins}).")
    for key, value in given.items():
        if key != "value" and not isinstance(value, str):
            raise ConfigError(f"{where}: '{name}.{key}' must be text in quotes, found {value!r}.")
    if "format" in given and kind is not Kind.TIME:
        raise ConfigError(f"{where}: '{name}.format' is only for times; {name} is {kind.value}. Remove it.")
    constant = given.get("value")
    if isinstance(constant, list | dict):
        raise ConfigError(f"{where}: '{name}.value' must be one text, number, date or true/false, found {constant!r}.")
    return Field(
        column=given.get("column"),
        expression=given.get("expression"),
        value=None if constant is None else str(constant).strip(),
        format=given.get("format"),
    )


def _option(where: str, section: Mapping[str, Any], name: str, default: str | None) -> str | None:
    value = section.get(name, default)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{where}: '{name}' must be text in quotes, found {value!r}.")
    return value


def table_source(file: Path, table: str, section: Any) -> TableSource:
    """One table of a mapping file, checked. Raises ConfigError."""
    where = f"{file}: [{table}]"
    if table not in TABLES:
        raise ConfigError(f"{file}: unknown table '{table}'. Known tables: {', '.join(TABLES)}.")
    if not isinstance(section, dict):
        raise ConfigError(f"{where} must be a table of settings, found {section!r}.")
    contract = TABLES[table]
    kinds = {column.name: column.kind for column in contract.columns}
    path = _option(where, section, "path", None)
    if path is None:
        raise ConfigError(f"{where}: 'path' is missing. Name the CSV or Parquet file, for instance path = \"a.csv\".")
    given = {name: value for name, value in section.items() if name not in _OPTIONS}
    unknown = [name for name in given if name not in kinds]
    if unknown and not contract.open:
        raise ConfigError(
            f"{where}: unknown key '{unknown[0]}'. Columns of {table}: {', '.join(kinds)}; "
            f"options: {', '.join(_OPTIONS)}."
        )
    for name in contract.required:
        if name not in given:
            raise ConfigError(
                f"{where}: required column '{name}' is not mapped (mapped: {', '.join(given) or 'none'})."
            )
    for name, value in given.items():
        if (table, name) in _IDENTITY and isinstance(value, dict) and "value" in value:
            raise ConfigError(f"{where}: '{name}' is one constant for all rows. Name the column that holds it.")
        if name not in kinds and not _ATTRIBUTE.fullmatch(name):
            raise ConfigError(
                f"{where}: attribute '{name}' must be lower-case letters, digits and _, for instance age_band."
            )
    zone = _option(where, section, "timezone", "UTC") or "UTC"
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(f"{where}: timezone '{zone}' is not known. Use a name like Europe/Berlin.") from None
    duplicates = _option(where, section, "duplicates", "drop") or "drop"
    if duplicates not in DUPLICATES:
        raise ConfigError(f"{where}: duplicates is '{duplicates}'. Use one of: {', '.join(DUPLICATES)}.")
    delimiter = _option(where, section, "delimiter", None)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ConfigError(f'{where}: delimiter is {delimiter!r}. Give one character, for instance ";" or "\\t".')
    decimal = _option(where, section, "decimal", ".") or "."
    if decimal not in DECIMALS:
        raise ConfigError(f"{where}: decimal is {decimal!r}. Use one of: {' '.join(DECIMALS)}")
    return TableSource(
        table=table,
        path=(file.parent / path).absolute(),
        fields={name: _field(where, name, value, kinds.get(name, Kind.TEXT)) for name, value in given.items()},
        where=where,
        delimiter=delimiter,
        encoding=_option(where, section, "encoding", "utf-8") or "utf-8",
        decimal=decimal,
        timezone=zone,
        duplicates=duplicates,
    )


def _path_problem(path: Path) -> str | None:
    """Why a path is not a file that can be read; None when it is."""
    if path.is_file():
        return None if os.access(path, os.R_OK) else f"file {path} may not be read by this user"
    if path.is_dir():
        return f"{path} is a folder; name one CSV or Parquet file"
    if any(sign in path.name for sign in "*?["):
        return f"{path} is a pattern; name one file, and load several one after the other: they add up"
    if path.is_symlink():
        return f"{path} is a link to {path.readlink()}, which does not exist"
    return f"file {path} does not exist"


def read_sections(file: Path) -> dict[str, Any]:
    """The sections of a mapping file, those of known tables in contract order. Raises ConfigError when it has none."""
    if not file.is_file():
        raise ConfigError(f"Mapping file {file} does not exist (looked in {Path.cwd()}). See docs/ingest.md for one.")
    try:
        sections = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not a TOML file: {error}.") from None
    if not sections:
        raise ConfigError(f"{file}: maps no table. Add at least [order_lines]; see docs/ingest.md.")
    return {name: sections[name] for name in (*TABLES, *sections) if name in sections}


def read_mapping(file: Path) -> list[TableSource]:
    """The tables of a mapping file, in contract order. Raises ConfigError naming what is wrong and what is allowed."""
    sources = [table_source(file, table, section) for table, section in read_sections(file).items()]
    for source in sources:
        problem = _path_problem(source.path)
        if problem:
            raise ConfigError(f"{source.where}: {problem}. Correct 'path'.")
    return sources
