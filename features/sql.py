"""Names and values as SQL text."""

from __future__ import annotations

from typing import Any, Protocol


class Queries(Protocol):
    """Whatever takes SQL as DuckDB writes it, and answers with `fetchone` and `fetchall`."""

    def execute(self, query: str, /) -> Any:
        """Run a query."""


def quote(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A value as an SQL string."""
    return "'" + value.replace("'", "''") + "'"
