"""How commands speak: progress on stderr with elapsed time, results on stdout as tables or JSON."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from features.errors import RegularsError

progress = Console(stderr=True, highlight=False)
out = Console(highlight=False)


@contextmanager
def step(title: str) -> Iterator[Callable[[str], None]]:
    """A line that spins while the block runs, then stands with its elapsed time.

    The block may say how far it is: that shows beside the title, or as a line of its own where nothing can spin.
    """
    started = time.perf_counter()
    shown = escape(title)
    if progress.is_terminal:
        with progress.status(f"{shown} …") as status:
            yield lambda what: status.update(f"{shown}: {escape(what)} …")
    else:
        yield lambda what: progress.print(
            f"[dim]{time.perf_counter() - started:6.1f} s[/]  {escape(what)}", soft_wrap=True
        )
    progress.print(f"[green]✓[/] {shown} [dim]{time.perf_counter() - started:.1f} s[/]")


def print_json(value: Any) -> None:
    """The result as JSON on stdout, nothing else beside it. A number that is not known is null: JSON has no NaN."""
    sys.stdout.write(as_json(value) + "\n")


def as_json(value: Any) -> str:
    """The value as JSON: a number that is not known is null, a moment is text."""
    return json.dumps(_without_nan(value), indent=2, ensure_ascii=False, default=str, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The result as a table; numbers are aligned right, and cells that are Text keep their style."""
    # Cells and titles hold names from the shop's data, where a bracket is a bracket.
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, show_header=any(columns))
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(_is_numeric(row[index]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else escape(_shown(cell)) for cell in row))
    out.print()
    if title:
        # Not the table's own title, which would be as narrow as the table.
        out.print(Text(title, style="bold"))
    out.print(table)


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _is_numeric(cell: object) -> bool:
    return cell.justify == "right" if isinstance(cell, Text) else isinstance(cell, int | float)


def run(app: typer.Typer, *, name: str) -> NoReturn:
    """Run a command line: exit 0 done, 1 failed with a message, 2 used wrongly."""
    try:
        app(prog_name=name)
    except RegularsError as error:
        progress.print(f"[bold red]error:[/] {escape(str(error))}", markup=True, soft_wrap=True)
        raise SystemExit(1) from None
    raise SystemExit(0)
