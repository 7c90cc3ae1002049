"""What earlier scorings said of one customer: those still kept, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from features.errors import DataError
from features.home import ASIDE, Home
from serving.state import CUSTOMERS, KIND
from training.bundle import read_manifest


@dataclass(frozen=True)
class PastScore:
    """One scoring's word."""

    as_of: str
    version: int | None  # of the churn model
    churn_probability: float | None
    stage: str


def past_scores(home: Home, customer_id: str) -> list[PastScore]:
    """One row per scoring kept that knows the customer; two of the same moment and model count once."""
    found: dict[tuple[str, int | None], PastScore] = {}
    folder = home.scores / "versions"
    for directory in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not directory.name.startswith(ASIDE):
            found |= {(one.as_of, one.version): one for one in _of(directory, customer_id)}
    return sorted(found.values(), key=lambda one: (one.as_of, one.version or 0))


def _of(directory: Path, customer_id: str) -> list[PastScore]:
    try:
        about = read_manifest(directory, kind=KIND, verify=False)
        columns = ["customer_id", "churn_probability", "stage"]
        table = pq.read_table(directory / CUSTOMERS, columns=columns, filters=[("customer_id", "=", customer_id)])
    except (DataError, OSError):  # being removed by the next scoring
        return []
    version = about["models"].get("churn")
    return [PastScore(about["as_of"], version, row["churn_probability"], row["stage"]) for row in table.to_pylist()]
