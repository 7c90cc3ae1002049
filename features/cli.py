"""The commands of this package: ingest, quality, features."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

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


@app.command(epilog="Example:  regulars quality --html quality.html")
def quality(
    html: Annotated[Path | None, typer.Option(help="Write the report with its plots as one HTML page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """What the loaded data look like, against the load before: counts, nulls, ranges, days without orders, drift."""
    from features.engine import connect
    from features.home import Home, write_text
    from features.horizon import shop_rhythm
    from features.lake import lake_before, read_lake
    from features.quality import quality as examine
    from features.quality_page import quality_page

    settings = current_settings()
    home = Home(settings.home)
    lake = read_lake(home)
    with step("Examining the lake"):
        horizon, _ = shop_rhythm(lake, connect(settings), settings)
        report = examine(lake, settings, before=lake_before(home, lake), horizon_days=horizon.days)
    if html is not None:
        write_text(html, quality_page(report))
    if as_json:
        print_json(report.as_json())
        return
    rows = [(name, t.rows, t.rows_before, sum(t.quarantined.values())) for name, t in report.tables.items()]
    print_table(f"Lake {report.lake}", ("table", "rows", "before", "set aside"), rows)
    for said in report.findings or ["Nothing stands out."]:
        out.print(f"[yellow]note[/] {escape(said)}")
    if html is not None:
        out.print(f"The page is {html}.")
