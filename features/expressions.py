"""SQL expressions of a mapping file: one scalar over the columns of one source file, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import sqlglot
from sqlglot import exp

from features.errors import ConfigError

#: Macro that reads text as a number; `casting` defines it for each source.
AS_NUMBER = "as_number"
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs, exp.Round, exp.Pow)
_COMPARISON = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.EQ, exp.NEQ, exp.Between)
#: What gives back one of its arguments, so that they are numbers when it is to be one.
_CHOICE = (exp.Paren, exp.Coalesce, exp.Greatest, exp.Least, exp.Nullif, exp.Case, exp.If)
#: Whatever reads more than the row: a mapping file says how to read a file, never what else to read.
_FORBIDDEN = (exp.Query, exp.Subquery, exp.Window, exp.AggFunc, exp.Command, exp.Star, exp.UDTF, exp.Explode)
#: What gives another answer on another day, so that loading twice would not be loading once.
_CHANGING = (exp.Rand, exp.Uuid, exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Placeholder, exp.Parameter)


@dataclass(frozen=True)
class Scalar:
    """An expression as DuckDB SQL; `used` are the columns it reads, `numbers` those of them read as numbers."""

    sql: str
    used: tuple[str, ...]
    numbers: tuple[str, ...]


def _is_numeric(node: exp.Expression | None) -> bool:
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, _ARITHMETIC) or (isinstance(node, exp.Literal) and not node.is_string)


def _wants_number(column: exp.Expression, *, root: exp.Expression, numeric: bool) -> bool:
    node, parent = column, column.parent
    while node is not root and isinstance(parent, _CHOICE):
        if isinstance(parent, exp.If | exp.Case) and node.arg_key == "this":
            return False  # what decides is not what is chosen
        node, parent = parent, parent.parent
    if node is root:
        return numeric and node is not column
    if isinstance(parent, _ARITHMETIC):
        return True
    others = [child for child in parent.iter_expressions() if child is not node] if parent else []
    return isinstance(parent, _COMPARISON) and any(_is_numeric(other) for other in others)


def _refuse(tree: exp.Expression, said: str, scalars: Callable[[str], bool]) -> None:
    if not isinstance(tree, exp.Condition) or tree.find(*_FORBIDDEN):
        raise ConfigError(f"{said} must be one value of the row: no SELECT, window or aggregate.")
    if tree.find(*_CHANGING):
        raise ConfigError(f"{said} gives another value each time. Use only columns and constants.")
    for function in tree.find_all(exp.Anonymous):
        if not scalars(function.name):
            raise ConfigError(
                f"{said} uses {function.name}(), which is not a DuckDB function of one row, or changes with time."
            )


def is_lasting_scalar(name: str) -> bool:
    """Whether DuckDB has a function of that name that looks at one row and gives the same answer every time."""
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT function_type, stability FROM duckdb_functions() WHERE lower(function_name) = lower(?)", [name]
        ).fetchall()
    return bool(found) and all(
        kind == "macro" or (kind == "scalar" and stability == "CONSISTENT") for kind, stability in found
    )


def scalar_sql(
    text: str, columns: Sequence[str], identifiers: Sequence[str], *, where: str, text_columns: bool, numeric: bool
) -> Scalar:
    """The expression as DuckDB SQL, each of `columns` under its name in `identifiers`.

    With `text_columns` (a CSV file), columns under arithmetic are read as numbers, and so are those that an expression
    meant to be `numeric` chooses from. Raises ConfigError for anything that is not one scalar over `columns`.
    """
    said = f"{where}: expression {text!r}"
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{said} cannot be read: {first}") from None
    if len(trees) != 1 or trees[0] is None:
        raise ConfigError(f"{said} must be one value of the row, found {len(trees)} statements.")
    # A root of its own, so that every column of the expression has a parent.
    root = exp.Paren(this=trees[0])
    _refuse(trees[0], said, is_lasting_scalar)
    exact = dict(zip(columns, identifiers, strict=True))
    lower: dict[str, list[str]] = {}
    for name in columns:
        lower.setdefault(name.lower(), []).append(name)
    used, numbers = [], []
    for column in list(root.find_all(exp.Column)):
        near = lower.get(column.name.lower(), [])
        chosen = column.name if column.name in exact else near[0] if len(near) == 1 else None
        if chosen is None or column.table:
            raise ConfigError(
                f"{said} uses '{column.sql()}', which the file does not have "
                f"(found: {', '.join(columns)}). Put names with spaces in double quotes."
            )
        if list(columns).count(chosen) > 1:
            raise ConfigError(f"{said} uses '{chosen}', which the file has more than once. Rename one of them.")
        used.append(chosen)
        identifier = exp.column(exp.to_identifier(exact[chosen], quoted=True))
        if text_columns and _wants_number(column, root=root.this, numeric=numeric):
            numbers.append(chosen)
            column.replace(exp.Anonymous(this=AS_NUMBER, expressions=[identifier]))
        else:
            column.replace(identifier)
    return Scalar(str(root.this.sql(dialect="duckdb")), tuple(dict.fromkeys(used)), tuple(dict.fromkeys(numbers)))
