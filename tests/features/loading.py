"""A shop's files in a folder, loaded into a lake of its own."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from features.home import Home
from features.ingest import ingest
from features.lake import CURRENT, read_lake
from features.load_report import IngestReport
from features.quarantine import quarantine_file
from features.settings import Settings

NOW = datetime(2024, 6, 1, 12)

MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
quantity = "pieces"
amount = "paid"
"""
CAMPAIGNS = """
[contacts]
path = "contacts.csv"
campaign_id = "campaign"
customer_id = "customer"
contacted_at = "at"
treated = "treated"

[responses]
path = "responses.csv"
campaign_id = "campaign"
customer_id = "customer"
responded_at = "at"
"""
HEADER = "order,customer,product,at,pieces,paid"
GOOD = "o1,ann,tea,2024-01-02 10:00:00,2,5.00"


@dataclass(frozen=True)
class Shop:
    """Files in `folder`, and the data home beside them."""

    folder: Path

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home.root, threads=1)

    def write(self, name: str, content: str | bytes, *, encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    def orders(self, *lines: str, header: str = HEADER, mapping: str = MAPPING) -> None:
        """Write orders.csv and shop.toml."""
        self.write("orders.csv", "\n".join((header, *lines)) + "\n")
        self.write("shop.toml", mapping)

    def load(self, *, replace: bool = False, now: datetime = NOW, mapping: str = "shop.toml") -> IngestReport:
        return ingest("files", self.settings, mapping=self.folder / mapping, replace=replace, now=now)

    def load_lines(self, *lines: str, header: str = HEADER, mapping: str = MAPPING, **more: Any) -> IngestReport:
        self.orders(*lines, header=header, mapping=mapping)
        return self.load(**more)

    def rows(self, table: str = "order_lines", columns: str = "*") -> list[tuple[Any, ...]]:
        """Rows of the lake, sorted by what is asked for."""
        file = read_lake(self.home).file(table)
        with duckdb.connect() as con:
            return con.execute(f"SELECT {columns} FROM read_parquet('{file}') ORDER BY ALL").fetchall()

    def values(self, column: str, table: str = "order_lines") -> list[Any]:
        return [row[0] for row in self.rows(table, column)]

    def quarantine(self, table: str = "order_lines") -> list[tuple[str, str]]:
        """(reason, row) of what was set aside, sorted."""
        file = quarantine_file(read_lake(self.home).path, table)
        if not file.is_file():
            return []
        with duckdb.connect() as con:
            return con.execute(f"SELECT reason, row FROM read_parquet('{file}') ORDER BY ALL").fetchall()

    def reasons(self, table: str = "order_lines") -> dict[str, int]:
        return dict(Counter(reason for reason, _ in self.quarantine(table)))

    def quarantined_rows(self, table: str = "order_lines") -> list[dict[str, Any]]:
        return [json.loads(row) for _, row in self.quarantine(table)]

    def state(self) -> dict[str, tuple[int, bytes]]:
        """Every file of the lake, with the time it was written and its bytes."""
        found = {}
        for path in sorted(self.home.lake.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(self.home.lake))] = (path.stat().st_mtime_ns, path.read_bytes())
        return found

    def current(self) -> str:
        return (self.home.lake / CURRENT).read_text().strip()


def load_again(folder: str) -> None:
    """Load the shop in that folder; for processes of their own."""
    Shop(Path(folder)).load()


def check_counts(report: IngestReport) -> None:
    """Every row read is accounted for, once."""
    for table in report.tables:
        assert table.read == table.added + table.updated + table.already + sum(table.quarantined.values())
        assert min(table.added, table.updated, table.already) >= 0
