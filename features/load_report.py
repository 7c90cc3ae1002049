"""What a load did, and what a shop should know about its data after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from features.merging import one
from features.schema import C
from features.sql import Queries
from features.staging import DUPLICATE, UNREADABLE

_IDS = (C.ORDER_ID, C.CUSTOMER_ID, C.PRODUCT_ID)


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


def warnings(con: Queries, tables: Sequence[str], reports: Sequence[TableReport]) -> list[str]:
    """What a shop should know about its data after a load, from the views `lake_<table>`, and what to do."""
    found = []
    amounts, zero, returns, *floats = _counted(con)
    if not amounts:
        found.append("No amounts: spend features and the value model are off. Map order_lines.amount to have them.")
    if zero:
        found.append(
            f"{_count(zero, 'order line has', 'order lines have')} quantity 0: kept as spend, not as a purchase."
        )
    if returns:
        found.append(
            f"{_count(returns, 'return', 'returns')} (negative quantity) with a positive amount, counted as spend. "
            "If that is money given back, map amount with a minus:  CASE WHEN Quantity < 0 THEN -Amount ELSE Amount END"
        )
    for name, count in zip(_IDS, floats, strict=True):
        if count:
            found.append(
                f"{_count(count, 'value', 'values')} of {name} with .0 at the end, kept so. If these are whole "
                f"numbers, map {name} = {{ expression = \"regexp_replace(Column, '[.]0$', '')\" }} in every table "
                "that has it."
            )
    if "products" in tables:
        missing = "SELECT count(DISTINCT product_id) FROM lake_order_lines ANTI JOIN lake_products USING (product_id)"
        unknown = one(con, missing)
        if unknown:
            found.append(
                f"{_count(unknown, 'product', 'products')} in order_lines unknown to products: kept, without name or "
                "category. Add them to the products file."
            )
    for report in reports:
        copies = report.quarantined.get(DUPLICATE, 0)
        if copies:
            found.append(
                f"{report.table}: set aside {_count(copies, 'exact copy', 'exact copies')} of another line. If your "
                f'export writes one line per unit, set duplicates = "keep" in [{report.table}].'
            )
        swallowed = con.execute(
            f"SELECT source, regexp_extract(row, 'line [0-9]+'), length(row) - length(replace(row, chr(10), '')) "
            f"FROM set_aside_{report.table} WHERE reason = '{UNREADABLE}' AND contains(row, chr(10)) "
            "ORDER BY row LIMIT 3"
        ).fetchall()
        for source, line, more in swallowed:
            found.append(
                f"{source}: {line} was set aside with {more:,} lines after it. Look at its quotes, then load again."
            )
        bad = sum(report.quarantined.values()) - copies
        if bad:
            broken = _count(bad, "row that breaks", "rows that break")
            found.append(f"{report.table}: set aside {broken} the contract. See them:  regulars quarantine")
    return found


def _counted(con: Queries) -> Sequence[int]:
    """Of the order lines: those with an amount, of quantity 0, returns with an amount, ids with .0 at the end."""
    # A text of which nothing is left: in words that both engines know.
    floats = [f"regexp_replace({name}, '^[0-9]+[.]0$', '') = ''" for name in _IDS]
    which = ("amount IS NOT NULL", "quantity = 0", "quantity < 0 AND amount > 0", *floats)
    counts = ", ".join(f"count(*) FILTER (WHERE {one_of})" for one_of in which)
    found: Sequence[int] = con.execute(f"SELECT {counts} FROM lake_order_lines").fetchone()
    return found


def _count(number: int, one_of: str, many: str) -> str:
    return f"{number:,} {one_of if number == 1 else many}"
