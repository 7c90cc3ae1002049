"""Keeping the shop's picture in the data home, whole or not at all, for the server and the report to read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

import training.insight
from features.home import forget_old, new_directory, remove_directory, sweep, write_text
from features.settings import Settings
from training.bundle import is_whole, read_manifest, seal
from training.dataset import horizon_of
from training.fingerprint import code_hash
from training.insight.files import (
    CUBE,
    CURRENT,
    CUSTOMERS,
    DIMENSIONS,
    KIND,
    SPEND,
    TABLES,
    TRAITS,
    Insight,
    read_version,
)
from training.insight.lifetime import PREDICTED
from training.insight.picture import Picture, take_picture
from training.insight.portrait import Rules
from training.profiles import last_moment
from training.protocols import Context
from training.score import CURRENT as SCORES_CURRENT
from training.score import CUSTOMERS as SCORED
from training.score import KIND as SCORES

LOCK = "insight"
#: Pictures kept, the current one included.
KEPT = 3


def keep_insight(
    context: Context, *, at: datetime, rules: Rules | None = None, done: Callable[[str], None] | None = None
) -> Insight:
    """The picture as of midnight after the last order, kept as the current one; taken anew only if anything changed.

    With the horizon and the predicted values of the current scoring where that is of the same lake. Thresholds of best
    customers that `rules` leave open are those of the settings. `at` is written beside it.
    """
    home, rules = context.home, with_settings(rules or Rules(), context.settings)
    with home.lock(LOCK):
        sweep(home.insight)
        as_of = last_moment(context)
        scoring = current_scoring(context, as_of)
        version = _version(context, rules, as_of, scoring)
        target = home.insight / "versions" / version
        if not is_whole(target, kind=KIND):
            if target.exists():
                remove_directory(target)
            picture = take_picture(
                context,
                as_of,
                horizon_days=scoring.about["horizon_days"] if scoring else horizon_of(context),
                rules=rules,
                scores=scoring.columns if scoring else None,
                done=done,
            )
            with new_directory(target) as directory:
                _write(directory, picture, at=at, scores_version=scoring.version if scoring else None)
        write_text(home.insight / CURRENT, version)
        forget_old(home.insight / "versions", current=version, keep=KEPT)
    return read_version(home, version)


def with_settings(rules: Rules, settings: Settings) -> Rules:
    """The rules, with the shop's own thresholds of best customers where they leave one open."""
    return replace(rules, best={**settings.best_customers.thresholds, **rules.best})


@dataclass(frozen=True)
class Scoring:
    """The current scoring."""

    version: str
    path: Path
    about: Mapping[str, Any]

    def columns(self, customer_ids: pa.Array) -> dict[str, NDArray[np.float64]]:
        """Its predicted values, aligned with ids; NaN for a customer it does not hold."""
        table = pq.read_table(self.path / SCORED)
        place = pc.index_in(customer_ids, value_set=table["customer_id"].combine_chunks())
        kept = [name for name in PREDICTED if name in table.column_names]
        return {name: table[name].take(place).to_numpy().astype(float) for name in kept}


def current_scoring(context: Context, as_of: datetime) -> Scoring | None:
    """The current scoring, where it is of this lake and this moment; else None."""
    pointer = context.home.scores / SCORES_CURRENT
    if not pointer.is_file():
        return None
    version = pointer.read_text(encoding="utf-8").strip()
    path = context.home.scores / "versions" / version
    about = read_manifest(path, kind=SCORES, verify=False)
    same = about["lake_version"] == context.lake.version and about["as_of"] == as_of.isoformat()
    return Scoring(version, path, about) if same else None


def _version(context: Context, rules: Rules, as_of: datetime, scoring: Scoring | None) -> str:
    """16 hex digits that differ whenever anything a picture depends on does."""
    settings = context.settings
    inputs = {
        "lake": context.lake.version,
        "scores": None if scoring is None else scoring.version,
        "as_of": as_of.isoformat(),
        "horizon_days": settings.horizon_days,
        "currency": settings.currency,
        "seed": settings.seed,
        "rules": asdict(rules),
        "code": code_hash(),
        "own": _own_code(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _own_code() -> str:
    """The sources of this package, which those of models leave out."""
    digest = hashlib.sha256()
    for path in sorted(Path(str(training.insight.__file__)).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(directory: Path, picture: Picture, *, at: datetime, scores_version: str | None) -> None:
    write_json(directory / TABLES, picture.tables)
    dimensions = [{"name": one.name, "kind": one.kind, "values": one.values} for one in picture.cube.dimensions]
    write_json(directory / DIMENSIONS, dimensions)
    pq.write_table(picture.customers, directory / CUSTOMERS, compression="zstd")
    pq.write_table(picture.cube.cells, directory / CUBE, compression="zstd")
    np.save(directory / SPEND, picture.spend, allow_pickle=False)
    np.save(directory / TRAITS, picture.traits, allow_pickle=False)
    seal(directory, kind=KIND, about={**picture.about, "created_at": at.isoformat(), "scores_version": scores_version})


def write_json(path: Path, value: Any) -> None:
    """Plain JSON: a number that is not known is null."""
    path.write_text(json.dumps(plain(value), ensure_ascii=False, allow_nan=False), encoding="utf-8")


def plain(value: Any) -> Any:
    """The value in types of JSON; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
