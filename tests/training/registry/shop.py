"""A shop of four customers, worked by hand, and champions that say what a test wants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.home import Home, write_text
from features.lake import read_lake
from features.schema import ORDER_LINES, Kind
from features.settings import Settings
from tests.training.registry.fakes import ranked_lists
from training.champions import Champions
from training.protocols import Context
from training.reasons import REASONS

TYPES = {
    Kind.TEXT: pa.string(),
    Kind.TIME: pa.timestamp("us"),
    Kind.NUMBER: pa.float64(),
    Kind.MONEY: pa.decimal128(18, 4),
    Kind.FLAG: pa.bool_(),
}
#: customer, order, moment, quantity, amount
Line = tuple[str, str, str, float, float | None]
LINES: Sequence[Line] = (
    # ann: every week until the day before the end, so regular.
    ("ann", "a1", "2024-05-01T10:00", 1, 10),
    ("ann", "a2", "2024-05-08T10:00", 1, 10),
    ("ann", "a3", "2024-05-15T10:00", 1, 10),
    ("ann", "a3", "2024-05-15T10:05", 2, 20),
    ("ann", "a3", "2024-05-15T10:06", -1, -10),
    ("ann", "a4", "2024-06-29T10:00", 1, 10),
    # bob: every three days, then silent for 20, so slipping.
    ("bob", "b1", "2024-06-04T10:00", 1, 5),
    ("bob", "b2", "2024-06-07T10:00", 1, 5),
    ("bob", "b0", "2024-05-01T10:00", 1, 5),
    ("bob", "b3", "2024-05-04T10:00", 1, 5),
    ("bob", "b4", "2024-05-07T10:00", 1, 5),
    ("bob", "b5", "2024-05-20T10:00", 1, 5),
    # cem: one order, long ago, so lost; dee: one order, last week, so new; eve: 40 days ago, so lapsed.
    ("cem", "c1", "2024-01-02T10:00", 1, 99),
    ("dee", "d1", "2024-06-25T10:00", 1, 7),
    ("eve", "e1", "2024-03-01T10:00", 1, 7),
    ("eve", "e2", "2024-05-21T10:00", 1, 7),
    # fay only ever returned something.
    ("fay", "f1", "2024-06-25T10:00", -1, -7),
)


def write_lake(home: Home, lines: Sequence[Line] = LINES, *, version: str = "lake1") -> None:
    """A lake of order lines alone."""
    columns: dict[str, list[Any]] = {column.name: [None] * len(lines) for column in ORDER_LINES.columns}
    columns["customer_id"], columns["order_id"] = [line[0] for line in lines], [line[1] for line in lines]
    columns["product_id"] = ["bread"] * len(lines)
    columns["ordered_at"] = [datetime.fromisoformat(line[2]) for line in lines]
    columns["quantity"], columns["amount"] = [line[3] for line in lines], [line[4] for line in lines]
    schema = pa.schema([(column.name, TYPES[column.kind]) for column in ORDER_LINES.columns])
    path = home.lake / "versions" / version
    path.mkdir(parents=True)
    pq.write_table(
        pa.table({name: pa.array(columns[name], schema.field(name).type) for name in columns}),
        path / "order_lines.parquet",
    )
    has_amounts = any(line[4] is not None for line in lines)
    manifest = {"rows": {"order_lines": len(lines)}, "has_amounts": has_amounts}
    (path / "manifest.json").write_text(json.dumps(manifest))
    write_text(home.lake / "CURRENT", version)


def context(home: Home, **settings: Any) -> Context:
    """The context of commands on that home."""
    return Context(settings=Settings(home=home.root, who="ann", threads=1, **settings), home=home, lake=read_lake(home))


def frame(context: Context, as_of: datetime, horizon_days: int) -> pd.DataFrame:
    """Features in another order than the profiles, and a customer who has no purchase."""
    return pd.DataFrame({"customer_id": ["fay", "eve", "dee", "cem", "bob", "ann"], "number": [6, 5, 4, 3, 2, 1]})


def churn(bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    """A tenth for ann, two for bob …, so that a mixed-up order shows."""
    numbers = frame["number"].to_numpy(float)
    told = [[{"message": "weeks", "lowers": False, "number": n, "other": None, "detail": None}] for n in numbers]
    return {"churn": numbers / 10, "reasons": pa.array(told, type=REASONS)}


def spend(bundle: Path, frame: pd.DataFrame) -> dict[str, Any]:
    """Below nothing for ann, a hundred for bob, nothing for the others."""
    return {"spend": np.select([frame["number"] == 1, frame["number"] == 2], [-3.0, 100.0], 0.0)}


CHAMPIONS = Champions(
    horizon=lambda context: 28,
    frame=frame,
    predict={
        "churn": churn,
        "propensity": lambda bundle, frame: {"purchase": np.full(len(frame), 0.5)},
        "value": spend,
    },
    rank=lambda context, bundle: ranked_lists(),
)
