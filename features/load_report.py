"""What a load did, and what a shop should know about its data after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from features.merging import one
from features.schema import C
from features.staging import DUPLICATE, UNREADABLE


@dataclass(frozen=True)
class TableReport:
    """What one table's load did, in rows: read = added + updated + already + those quarantined."""

    table: str
    read: int
    added: int  # new in the lake
    updated: int  # of a known key, with other values than before
    already: int  # in the lake before, as they are
    held: int  # in the lake now
    quarantined: dict[str, int]  # by reason


@dataclass(frozen=True)
class IngestReport:
    """What a load did. `changed` is false when the lake was left as it was."""

    source: str
    version: str
    version_before: str | None
    tables: list[TableReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the lake holds other rows than before."""
        return self.version != self.version_before

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "changed": self.changed}


def warnings(con: duckdb.DuckDBPyConnection, tables: Sequence[str], reports: Sequence[TableReport]) -> list[str]:
    """What a shop should know about its data after a load, from the views `lake_<table>`, and what to do."""
    found = []
    if not one(con, "SELECT count(amount) FROM lake_order_lines"):
        found.append("No amounts: spend features and the value model are off. Map order_lines.amount to have them.")
    zero = one(con, "SELECT count(*) FROM lake_order_lines WHERE quantity = 0")
    if zero:
        found.append(f"{zero:,} order lines have quantity 0: kept, counted as spend and not as a purchase.")
    returns = one(con, "SELECT count(*) FROM lake_order_lines WHERE quantity < 0 AND amount > 0")
    if returns:
        found.append(
            f"{returns:,} returns (negative quantity) have a positive amount, so they count as spend. If they are "
            "money given back, map amount with a minus:  CASE WHEN Quantity < 0 THEN -Amount ELSE Amount END"
        )
    for name in (C.ORDER_ID, C.CUSTOMER_ID, C.PRODUCT_ID):
        floats = one(con, f"SELECT count(*) FROM lake_order_lines WHERE regexp_full_match({name}, '[0-9]+[.]0')")
        if floats:
            found.append(
                f"{floats:,} values of {name} end in .0 and are kept so. If they are whole numbers, map "
                f"{name} = {{ expression = \"regexp_replace(Column, '[.]0$', '')\" }} in every table that has it."
            )
    if "products" in tables:
        missing = "SELECT count(DISTINCT product_id) FROM lake_order_lines ANTI JOIN lake_products USING (product_id)"
        unknown = one(con, missing)
        if unknown:
            found.append(
                f"{unknown:,} products in order_lines are unknown to products: kept, without name, category or stock. "
                "Add them to the products file."
            )
    for report in reports:
        copies = report.quarantined.get(DUPLICATE, 0)
        if copies:
            found.append(
                f"{report.table}: {copies:,} lines are exact copies of another and were set aside. If your export "
                f'writes one line per unit, set duplicates = "keep" in [{report.table}].'
            )
        swallowed = con.execute(
            f"SELECT source, regexp_extract(row, 'line [0-9]+'), length(row) - length(replace(row, chr(10), '')) "
            f"FROM set_aside_{report.table} WHERE reason = '{UNREADABLE}' AND contains(row, chr(10)) LIMIT 3"
        ).fetchall()
        for source, line, more in swallowed:
            found.append(
                f"{source}: {line} was set aside with {more:,} lines after it. Look at its quotes, then load again."
            )
        bad = sum(report.quarantined.values()) - copies
        if bad:
            found.append(f"{report.table}: {bad:,} rows break the contract and are in quarantine, with the reason.")
    return found
