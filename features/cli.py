"""The commands of this package: ingest, quality, features."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import features.cli_features
from features.settings import current_settings
from features.sources import cdnow, complete_journey
from features.terminal import out, print_json, print_table, progress, step

app = typer.Typer(no_args_is_help=True)
app.add_typer(features.cli_features.app, name="features")


class Source(StrEnum):
    """What can be loaded."""

    FILES = "files"
    SQL = "sql"
    COMPLETE_JOURNEY = complete_journey.NAME
    CDNOW = cdnow.NAME

    @property
    def terms(self) -> str:
        """The terms of use of data that others ship."""
        return {Source.COMPLETE_JOURNEY: complete_journey.TERMS, Source.CDNOW: cdnow.TERMS}.get(self, "")


@app.command(
    epilog="Example:  regulars ingest --mapping shop.toml     (or, to try:  regulars ingest --source complete-journey)",
)
def ingest(
    source: Annotated[Source, typer.Option(help="What to load.")] = Source.FILES,
    mapping: Annotated[Path | None, typer.Option(help="TOML file that maps your columns to the contract.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Begin a new lake from this source alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    r"""Check and load orders (and products, customers, campaigns) into the lake. Loading twice changes nothing.

    Only order lines are needed: who bought what in which order, and when.
    A mapping file names your CSV or Parquet files, and which of their columns
    are which (all of it in docs/ingest.md):

        \[order_lines]
        path = "orders.csv"
        order_id = "InvoiceNo"
        customer_id = "Customer ID"
        product_id = "StockCode"
        ordered_at = { column = "InvoiceDate", format = "%d/%m/%Y %H:%M" }
        quantity = "Quantity"
        amount = { expression = "Quantity * Price" }

    With --source sql each table says table = "orders" (or query = "SELECT …")
    instead of path, and may name a watermark column, from whose newest value
    the next load goes on; the database's address stands in REGULARS_SOURCE_URL.

    Later files add to what is there. Rows that break the contract are set aside
    with the reason, and counted; they never stop the load.
    """
    from features.ingest import ingest as load

    mapped = source in (Source.FILES, Source.SQL)
    if mapped and mapping is None:
        raise typer.BadParameter("is needed to load files, for instance  --mapping shop.toml", param_hint="--mapping")
    if not mapped and mapping is not None:
        raise typer.BadParameter(f"goes with files and sql alone; {source.value} has its own.", param_hint="--mapping")
    if source.terms:
        progress.print(f"[yellow]note[/] {escape(source.terms)}", soft_wrap=True)
    with step(f"Loading {mapping or source.value}") as say:
        report = load(
            source.value,
            current_settings(),
            mapping=mapping,
            replace=replace,
            now=datetime.now(UTC).replace(tzinfo=None),
            say=say,
        )
    if as_json:
        print_json(report.as_json())
        return
    rows = [(t.table, t.read, t.added, t.updated, t.already, reasons(t.quarantined), t.held) for t in report.tables]
    title = f"Lake {report.version}" if report.changed else f"Lake {report.version}: nothing new"
    print_table(title, ("table", "rows read", "added", "updated", "already there", "quarantined", "in the lake"), rows)
    for warning in report.warnings:
        out.print(f"[yellow]note[/] {escape(warning)}", soft_wrap=True)


def reasons(quarantined: Mapping[str, int]) -> str:
    """Counts of rows set aside, in words."""
    return ", ".join(f"{count:,} {reason}" for reason, count in quarantined.items()) or "none"


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
