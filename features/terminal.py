"""How commands speak: progress on stderr with elapsed time, results on stdout as tables or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from features.errors import RegularsError

progress = Console(stderr=True, highlight=False)
out = Console(highlight=False)


@contextmanager
def step(title: str) -> Iterator[None]:
    """A line that spins while the block runs, then stands with its elapsed time."""
    started = time.perf_counter()
    if progress.is_terminal:
        with progress.status(f"{title} …"):
            yield
    else:
        yield
    progress.print(f"[green]✓[/] {title} [dim]{time.perf_counter() - started:.1f} s[/]")


def print_json(value: Any) -> None:
    """The result as JSON on stdout, nothing else beside it."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The result as a table; numbers are aligned right."""
    # Cells and titles hold names from the shop's data, where a bracket is a bracket.
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    out.print(table)


def run(app: typer.Typer, *, name: str) -> NoReturn:
    """Run a command line: exit 0 done, 1 failed with a message, 2 used wrongly."""
    try:
        app(prog_name=name)
    except RegularsError as error:
        progress.print(f"[bold red]error:[/] {escape(str(error))}", markup=True, soft_wrap=True)
        raise SystemExit(1) from None
    raise SystemExit(0)
