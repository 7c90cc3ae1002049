"""SQL expressions of a mapping file: one scalar over the columns of one source file, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from features.errors import ConfigError

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Abs, exp.Round)
#: Whatever reads more than the row: a mapping file says how to read a file, never what else to read.
_FORBIDDEN = (exp.Query, exp.Subquery, exp.Window, exp.AggFunc, exp.Command, exp.Star)


def _wants_number(column: exp.Expression) -> bool:
    parent = column.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return isinstance(parent, _ARITHMETIC)


def scalar_sql(text: str, columns: Sequence[str], *, where: str, text_columns: bool) -> str:
    """The expression as DuckDB SQL with its columns quoted.

    With `text_columns` (a CSV file), columns under arithmetic are read as numbers. Raises ConfigError for anything
    that is not one scalar expression over `columns`.
    """
    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{where}: expression {text!r} cannot be read: {first}") from None
    if isinstance(tree, _FORBIDDEN) or tree.find(*_FORBIDDEN):
        raise ConfigError(f"{where}: expression {text!r} must be one value of the row: no SELECT, window or aggregate.")
    by_lower = {name.lower(): name for name in columns}
    for column in list(tree.find_all(exp.Column)):
        name = by_lower.get(column.name.lower())
        if name is None or column.table:
            raise ConfigError(
                f"{where}: expression {text!r} uses '{column.sql()}', which the file does not have "
                f"(found: {', '.join(columns)}). Put names with spaces in double quotes."
            )
        quoted: exp.Expression = exp.column(exp.to_identifier(name, quoted=True))
        wrap = text_columns and _wants_number(column)
        replacement = exp.TryCast(this=quoted, to=exp.DataType.build("double")) if wrap else quoted
        if column is tree:
            tree = replacement
        else:
            column.replace(replacement)
    return str(tree.sql(dialect="duckdb"))
