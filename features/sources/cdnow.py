"""CDNOW: eighteen months of CD purchases of 2,357 customers who first bought in early 1997 (Fader and Hardie).

The data file is shipped by the package lifetimes. It holds no products: every line is of one product, `cd`, so it
serves the models of customers and says nothing about recommendations.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import duckdb

from features.errors import NotReadyError
from features.mapping import Field, TableSource
from features.sql import text

NAME = "cdnow"
TERMS = (
    "CDNOW: a 1/10 sample of the customers of an online seller of CDs who first bought in the first quarter of 1997, "
    "published by Peter Fader and Bruce Hardie for research and teaching, shipped by the package lifetimes (MIT)."
)
_FILE = "CDNOW_sample.txt"


def _file() -> Path:
    found = find_spec("lifetimes")
    if found is None or not found.submodule_search_locations:
        raise NotReadyError(
            "The CDNOW data is not installed. Install it with its extra:  pip install 'regulars[cdnow]'"
        )
    return Path(found.submodule_search_locations[0]) / "datasets" / _FILE


def tables(scratch: Path) -> list[TableSource]:
    """The data set as order lines, rewritten as Parquet into `scratch`. Raises NotReadyError when it is not installed.

    A customer's lines of one day are one order: the file has days and no order numbers.
    """
    target = scratch / "cdnow.parquet"
    # One line: number among all customers, number in the sample, day, CDs, dollars; columns of fixed width.
    parts = "string_split_regex(trim(line), ' +') AS parts"
    lines = f"read_csv({text(str(_file()))}, columns={{'line': 'VARCHAR'}}, header=false, delim='\\0', quote='')"
    with duckdb.connect() as con:
        con.execute(
            f"COPY (SELECT parts[2] AS customer, strptime(parts[3], '%Y%m%d') AS day, parts[4]::INTEGER AS cds, "
            f"parts[5]::DECIMAL(9, 2) AS dollars FROM (SELECT {parts} FROM {lines})) TO {text(str(target))} "
            "(FORMAT parquet)"
        )
    fields = {
        "order_id": Field(expression="customer || '-' || strftime(day, '%Y-%m-%d')"),
        "customer_id": Field(column="customer"),
        "product_id": Field(value="cd"),
        "ordered_at": Field(column="day"),
        "quantity": Field(column="cds"),
        "amount": Field(column="dollars"),
    }
    return [TableSource("order_lines", target, fields, where="cdnow [order_lines]", duplicates="keep")]
