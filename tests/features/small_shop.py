"""Small shops in memory, as tables of the contract on DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from features.build import entity_features, features_of
from features.definitions import CUSTOMER
from features.schema import TABLES, Kind
from features.snapshot import Snapshot

TYPES = {
    Kind.TEXT: pa.string(),
    Kind.TIME: pa.timestamp("us"),
    Kind.NUMBER: pa.float64(),
    Kind.MONEY: pa.decimal128(18, 4),
    Kind.FLAG: pa.bool_(),
}


def arrow(table: str, rows: Sequence[Mapping[str, Any]], attributes: Sequence[str] = ()) -> pa.Table:
    """The rows with every column of the contract, empty where a row does not say."""
    columns = {column.name: TYPES[column.kind] for column in TABLES[table].columns}
    columns |= dict.fromkeys(attributes, pa.string())

    def value(row: Mapping[str, Any], name: str) -> Any:
        given = row.get(name, 1.0 if name == "quantity" else None)
        if given is None:
            return None
        if pa.types.is_timestamp(columns[name]):
            return datetime.fromisoformat(given)
        return Decimal(str(given)) if pa.types.is_decimal(columns[name]) else given

    values = {name: pa.array([value(row, name) for row in rows], kind) for name, kind in columns.items()}
    return pa.table(values)


def line(customer: str, order: str, at: str, product: str = "bread", **more: Any) -> dict[str, Any]:
    """An order line: one unit unless said otherwise."""
    return {"customer_id": customer, "order_id": order, "ordered_at": at, "product_id": product, **more}


def tables_of(shop: Mapping[str, pa.Table]) -> tuple[dict[str, Any], frozenset[str]]:
    """The tables on a DuckDB of their own, and which columns hold any value."""
    backend = ibis.duckdb.connect(threads=2)
    made = {name: backend.create_table(name, table) for name, table in shop.items()}
    given = frozenset(
        f"{name}.{column}"
        for name, table in shop.items()
        for column in table.column_names
        if table[column].null_count < table.num_rows
    )
    return made, given


def snapshot_of(shop: Mapping[str, pa.Table], as_of: str | datetime) -> Snapshot:
    """The shop as it was known at a moment."""
    tables, given = tables_of(shop)
    moment = datetime.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    return Snapshot(tables, moment, given)


def features_at(shop: Mapping[str, pa.Table], as_of: str) -> pd.DataFrame:
    """All features, by customer_id."""
    snapshot = snapshot_of(shop, as_of)
    return entity_features(snapshot, CUSTOMER, features_of(snapshot)).to_pandas().set_index("customer_id").sort_index()


def write_random_shop(folder: Path, *, seed: int, customers: int, most_orders: int) -> Path:
    """The mapping of a file of orders of one line each, at any hour of the first ninety days of 2024."""
    rng = np.random.default_rng(seed)
    rows = ["order,customer,product,at,paid"]
    for customer in range(customers):
        for order in range(int(rng.integers(1, most_orders + 1))):
            at = datetime(2024, 1, 1) + timedelta(hours=int(rng.integers(0, 24 * 90)))
            row = f"{order},c{customer:02},p{rng.integers(0, 9)},{at:%Y-%m-%d %H:%M}"
            rows.append(f"{row},{rng.integers(1, 900) / 100}")
    (folder / "orders.csv").write_text("\n".join(rows))
    mapping = folder / "shop.toml"
    mapping.write_text(
        '[order_lines]\npath = "orders.csv"\norder_id = "order"\ncustomer_id = "customer"\nproduct_id = "product"\n'
        'ordered_at = "at"\namount = "paid"\n'
    )
    return mapping
