"""The commands of this package: ingest, features."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

import features.cli_features
from features.settings import current_settings
from features.terminal import out, print_json, print_table, step

app = typer.Typer(no_args_is_help=True)
app.add_typer(features.cli_features.app, name="features")


@app.command(epilog="Example:  regulars ingest --source files --mapping shop.toml")
def ingest(
    source: Annotated[str, typer.Option(help="complete-journey, or files with --mapping.")] = "files",
    mapping: Annotated[Path | None, typer.Option(help="TOML file that maps your columns to the contract.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Begin a new lake from this source alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check and load orders (and products, customers, campaigns) into the lake. Loading twice changes nothing."""
    from features.ingest import ingest as load

    with step(f"Loading {mapping or source}"):
        report = load(
            source,
            current_settings(),
            mapping=mapping,
            replace=replace,
            now=datetime.now(UTC).replace(tzinfo=None),
        )
    if as_json:
        print_json(report.as_json())
        return
    rows = [
        (t.table, t.read, t.added, t.held, ", ".join(f"{n:,} {why}" for why, n in t.quarantined.items()) or "none")
        for t in report.tables
    ]
    title = f"Lake {report.version}" if report.changed else f"Lake {report.version}: nothing new"
    print_table(title, ("table", "rows read", "added", "in the lake", "quarantined"), rows)
    for warning in report.warnings:
        out.print(f"[yellow]note[/] {warning}")
