"""The commands of this package: ingest, quality, features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import features.cli_features
from features.schema import TABLES
from features.settings import current_settings
from features.sources import cdnow, complete_journey
from features.terminal import out, print_json, print_table, progress, step

app = typer.Typer(no_args_is_help=True)
app.add_typer(features.cli_features.app, name="features")


#: The tables of the contract, as choices.
Table = StrEnum("Table", [(name.upper(), name) for name in TABLES])  # type: ignore[misc]


class Source(StrEnum):
    """What can be loaded."""

    FILES = "files"
    SQL = "sql"
    COMPLETE_JOURNEY = complete_journey.NAME
    CDNOW = cdnow.NAME
    EVENTS = "events"

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

    With --source events, what the server wrote down while it answered: live
    events, contacts with customers and those held out. Each comes in once.

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
    print_table(title, ("table", "read", "added", "updated", "already", "quarantined", "in the lake"), rows)
    for warning in report.warnings:
        out.print(f"[yellow]note[/] {escape(warning)}", soft_wrap=True)


def reasons(quarantined: Mapping[str, int]) -> str:
    """Counts of rows set aside, a reason a line."""
    return "\n".join(f"{count:,} {reason}" for reason, count in quarantined.items()) or "none"


@app.command(epilog="Example:  regulars quarantine --reason bad_ordered_at")
def quarantine(
    table: Annotated[Table | None, typer.Option(help="Only rows of this table.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only rows set aside for this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many rows at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that were set aside as JSON.")] = False,
) -> None:
    """Rows that loads set aside, and why. Correct the file or the mapping, then load again."""
    from features.lake import read_lake
    from features.quarantine import read_quarantine

    lake = read_lake(current_settings().data_home)
    tables = [table.value] if table else list(TABLES)
    rows = read_quarantine(lake.path, tables, reason=reason, limit=None if as_json else limit)
    if as_json:
        print_json(rows)
        return
    counts: Mapping[str, Mapping[str, int]] = lake.manifest["quarantined"]
    total = sum(n for name in tables for why, n in counts.get(name, {}).items() if reason in (None, why))
    title = f"Quarantine of lake {lake.version}: {total:,} rows" + (f", {limit:,} shown" if total > limit else "")
    shown = [(row["table"], row["reason"], row["source"], _shown(row["row"])) for row in rows]
    print_table(title, ("table", "reason", "file", "row"), shown)


def _shown(row: str) -> str:
    """A row set aside, its values by name; a line that could not be read, as it stands."""
    if not row.startswith("{"):
        return row
    return ", ".join(f"{name}: {value}" for name, value in json.loads(row).items() if value is not None)


@app.command(epilog="Example:  regulars quality --html quality.html")
def quality(
    html: Annotated[Path | None, typer.Option(help="Write the report with its plots as one HTML page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """What the loaded data look like, against the load before: counts, nulls, ranges, days without orders, drift.

    Every load leaves this report beside its tables. That of features is  regulars features quality.
    """
    from features.home import write_text
    from features.lake import read_lake
    from features.quality_files import keep_quality, page_of

    settings = current_settings()
    home = settings.data_home
    lake = read_lake(home)
    with step("Examining the lake"):
        report = keep_quality(home, settings)
    if html is not None:
        write_text(html, page_of(lake).read_text(encoding="utf-8"))
    if as_json:
        print_json(report.as_json())
        return
    rows = [(name, t.rows, t.rows_before, sum(t.quarantined.values())) for name, t in report.tables.items()]
    print_table(f"Lake {report.lake}", ("table", "rows", "before", "set aside"), rows)
    for said in report.findings or ["Nothing stands out."]:
        out.print(f"[yellow]note[/] {escape(said)}")
    out.print(f"The page is {html or page_of(lake)}.", soft_wrap=True)
