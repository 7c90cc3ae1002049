"""Computed features on disk: one Parquet file per moment, in a folder named for the data and code they come from."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features import build, customers, definitions, schema, snapshot
from features.build import customer_features, features_of, row_of
from features.definitions import Feature
from features.home import ASIDE, Home, sweep, write_text
from features.lake import Lake
from features.schema import C
from features.snapshot import naive_utc, take_snapshot

CUSTOMERS = "customers"
LOCK = "features"
#: Another process may be building the same features; it takes seconds a moment.
WAIT_SECONDS = 1800
CATALOGUE = "catalogue.json"
#: Folders kept, the newest first: a lake version before may still be read.
KEPT = 3
_CODE = (build, customers, definitions, schema, snapshot)
_LIBRARIES = ("ibis-framework", "duckdb")


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one lake version as this code computes them."""

    path: Path

    @property
    def customers(self) -> Path:
        """The folder of customer snapshots."""
        return self.path / CUSTOMERS

    def file(self, as_of: datetime) -> Path:
        """The customer snapshot as of a moment."""
        return self.customers / f"{naive_utc(as_of):%Y%m%dT%H%M%S%f}.parquet"

    def catalogue(self) -> list[dict[str, Any]]:
        """Name, type, description, unit and the rest of every column, as written by the first build."""
        described: list[dict[str, Any]] = json.loads((self.path / CATALOGUE).read_text(encoding="utf-8"))
        return described


@lru_cache(maxsize=1)
def _code_hash() -> str:
    digest = hashlib.sha256()
    for module in _CODE:
        digest.update(Path(str(module.__file__)).read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\0".encode())
    return digest.hexdigest()


def snapshots_of(home: Home, lake: Lake) -> Snapshots:
    """Where the snapshots of this lake version lie, made or not."""
    return Snapshots(home.features / hashlib.sha256(f"{lake.version} {_code_hash()}".encode()).hexdigest()[:16])


def build_snapshots(home: Home, lake: Lake, backend: Any, moments: Sequence[datetime]) -> tuple[Snapshots, int]:
    """The snapshots, with those of `moments` made where they are missing; and how many were made.

    Call it holding the lock "features". A build cut short leaves whole files, and those missing are made by the next.
    """
    snapshots = snapshots_of(home, lake)
    sweep(home.features)
    snapshots.customers.mkdir(parents=True, exist_ok=True)
    missing = sorted({naive_utc(moment) for moment in moments if not snapshots.file(moment).is_file()})
    for moment in missing:
        taken = take_snapshot(lake, backend, moment)
        features = features_of(taken)
        table = customer_features(taken, features).order_by(C.CUSTOMER_ID)
        if not (snapshots.path / CATALOGUE).is_file():
            write_text(snapshots.path / CATALOGUE, json.dumps(_described(table, features), indent=2))
        target = snapshots.file(moment)
        aside = target.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
        pq.write_table(row_of(table, moment).to_pyarrow(), aside, compression="zstd")
        aside.replace(target)
    _forget_old(home, snapshots)
    return snapshots, len(missing)


def _described(table: Any, features: Sequence[Feature]) -> list[dict[str, Any]]:
    by_name = {feature.name: feature for feature in features}
    described = []
    for name, kind in table.schema().items():
        if name == C.CUSTOMER_ID:
            continue
        feature = by_name.get(name)
        if feature is None:
            text = f"The attribute {name.removeprefix(build.ATTRIBUTE)} that the shop gave."
            told: dict[str, str | int | None] = {
                "description": text,
                "unit": "text",
                "nulls": "unknown (null)",
                "window_days": None,
                "owner": "shop",
                "computed_over": "customers",
            }
        else:
            told = {
                "description": feature.description,
                "unit": feature.unit,
                "nulls": feature.nulls,
                "window_days": feature.window_days,
                "owner": feature.owner,
                "computed_over": feature.relation.value,
            }
        described.append({"name": name, "entity": definitions.CUSTOMER, "type": str(kind), **told})
    return described


def _forget_old(home: Home, current: Snapshots) -> None:
    others = [path for path in home.features.iterdir() if path.is_dir() and path != current.path]
    for path in sorted(others, key=lambda path: -path.stat().st_mtime)[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
