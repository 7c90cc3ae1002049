"""Computed features on disk: one Parquet file per entity and moment, in a folder named for the data and code behind."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from features import build
from features.any_midnight import is_midnight, midnight_sql
from features.build import entity_features, features_of, row_of
from features.code_hash import code_hash
from features.definitions import CUSTOMER, ENTITIES, Entity, Feature
from features.engine import SPARK, connect, is_spark, save
from features.growth import unchanged_until
from features.home import ASIDE, forget_old, sweep, write_text
from features.lake import Lake
from features.own import own_code, own_features
from features.settings import Settings
from features.snapshot import naive_utc, take_snapshot

LOCK = "features"
#: Another process may be building the same features; it takes seconds a moment.
WAIT_SECONDS = 1800
CATALOGUE = "catalogue.json"
#: Folders kept, the newest first: a lake version before may still be read.
KEPT = 3
#: The modules of features/ that fix what is computed.
_CODE = (
    "any_midnight",
    "build",
    "customer*",
    "definitions",
    "ledger*",
    "measures",
    "mixes",
    "products",
    "runs",
    "schema",
    "snapshot",
)
_LIBRARIES = ("ibis-framework", "duckdb")
_SPARK_CODE, _SPARK_LIBRARIES = ("spark*",), ("pyspark",)
#: When a snapshot's values could be known: see `_told_at`.
CREATED_AT = "created_at"
_FORMAT = 2  # of the files: one more where a column that is no feature comes or goes


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one lake version as this code computes them."""

    path: Path

    def folder(self, entity: Entity) -> Path:
        """The folder of an entity's snapshots."""
        return self.path / entity.name

    def file(self, as_of: datetime, entity: Entity = CUSTOMER) -> Path:
        """The snapshot as of a moment."""
        return self.folder(entity) / f"{_stem(as_of)}.parquet"

    def earlier(self, as_of: datetime, entity: Entity = CUSTOMER) -> list[Path]:
        """What the snapshot as of a moment was before loads that came late changed it, the oldest first."""
        return sorted(self.folder(entity).glob(f"{_stem(as_of)}.before-*.parquet"))

    def newest(self, entity: Entity = CUSTOMER) -> Path | None:
        """The snapshot as of the latest moment; None where there is none."""
        files = [file for file in self.folder(entity).glob("*.parquet") if "." not in file.stem]
        return max(files, default=None)

    def entities(self) -> list[Entity]:
        """The entities of which there are snapshots."""
        return [entity for entity in ENTITIES.values() if (self.folder(entity) / CATALOGUE).is_file()]

    def catalogue(self, entity: Entity) -> list[dict[str, Any]]:
        """Name, type, description, unit and the rest of every column, as written by the first build."""
        text = (self.folder(entity) / CATALOGUE).read_text(encoding="utf-8")
        described: list[dict[str, Any]] = json.loads(text)
        return described


def _stem(as_of: datetime) -> str:
    return f"{naive_utc(as_of):%Y%m%dT%H%M%S%f}"


def snapshots_of(settings: Settings, lake: Lake) -> Snapshots:
    """Where the snapshots of this lake version lie, made or not."""
    return _folder(settings, lake.version)


def _folder(settings: Settings, lake_version: str) -> Snapshots:
    origin = f"{lake_version} {code_hash(_CODE, _LIBRARIES)} {_FORMAT} ".encode() + own_code(settings)
    if settings.engine == SPARK:  # whose last bits are others
        origin += f" {code_hash(_SPARK_CODE, _SPARK_LIBRARIES)}".encode()
    return Snapshots(settings.data_home.features / hashlib.sha256(origin).hexdigest()[:16])


def build_snapshots(
    settings: Settings, lake: Lake, moments: Sequence[datetime], *, entity: Entity = CUSTOMER
) -> tuple[Snapshots, int]:
    """The snapshots, with those of `moments` made where they are missing; and how many were computed.

    A moment that the lake's last growth cannot have changed keeps the snapshot of the version before.

    Call it holding the lock "features". A build cut short leaves whole files, and those missing are made by the next.
    """
    home, snapshots = settings.data_home, snapshots_of(settings, lake)
    sweep(home.features)
    folder = snapshots.folder(entity)
    folder.mkdir(parents=True, exist_ok=True)
    missing = sorted({naive_utc(moment) for moment in moments if not snapshots.file(moment, entity).is_file()})
    backend = connect(settings) if missing else None
    own = own_features(settings)
    made = 0
    for moment in missing:
        if not (folder / CATALOGUE).is_file():
            table, chosen = _asked(lake, backend, moment, entity, own)
            write_text(folder / CATALOGUE, json.dumps(_described(table, entity, chosen), indent=2))
        target = snapshots.file(moment, entity)
        kept = _kept(settings, lake, snapshots, moment, entity)
        if kept is not None:
            _link_earlier(_version_before(settings, lake), snapshots, moment, entity)
            _link(kept, target)
            continue
        made += 1
        told_at = _told_at(settings, lake, snapshots, moment, entity)
        aside = target.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
        # What the shop's own features make of a moment is theirs: they are asked anew at each.
        if own or is_spark(backend) or not is_midnight(moment):
            table, _ = _asked(lake, backend, moment, entity, own)
            save(row_of(table, entity, moment).mutate(**{CREATED_AT: ibis.literal(told_at)}), aside)
        else:
            text = midnight_sql(lake, backend, entity, lambda taken: features_of(taken, entity), CREATED_AT)
            pq.write_table(text.table(lake, backend, moment, told_at), aside, compression="zstd")
        aside.replace(target)
    forget_old(home.features, current=snapshots.path.name, keep=KEPT)
    return snapshots, made


def _asked(
    lake: Lake, backend: Any, moment: datetime, entity: Entity, own: Sequence[Feature]
) -> tuple[Any, list[Feature]]:
    """One row per entity as of the moment (Ibis), sorted by its keys, and the features in it."""
    taken = take_snapshot(lake, backend, moment)
    chosen = features_of(taken, entity, own=own)
    return entity_features(taken, entity, chosen).order_by(list(entity.keys)), chosen


def _told_at(settings: Settings, lake: Lake, snapshots: Snapshots, moment: datetime, entity: Entity) -> datetime:
    """The moment itself for a snapshot first computed; for one that facts loaded late changed, the time of that load.

    What the snapshot was before is then kept beside the new one: it is what could be known in between. Customers and
    products have no time: a load that changes them has all moments told anew.
    """
    before = _version_before(settings, lake)
    if before is None or unchanged_until(lake) is None or not before.file(moment, entity).is_file():
        return moment
    if before.catalogue(entity) != snapshots.catalogue(entity):
        return moment  # other columns: it cannot be read beside the new one
    loaded_at = naive_utc(datetime.fromisoformat(lake.manifest["created_at"]))
    if loaded_at <= moment:
        return moment
    _link_earlier(before, snapshots, moment, entity)
    told = f"{_stem(moment)}.before-{loaded_at:%Y%m%dT%H%M%S}.parquet"
    _link(before.file(moment, entity), snapshots.folder(entity) / told)
    return loaded_at


def _version_before(settings: Settings, lake: Lake) -> Snapshots | None:
    grown = lake.manifest.get("grown")
    return _folder(settings, grown["from"]) if grown else None


def _link_earlier(before: Snapshots | None, snapshots: Snapshots, moment: datetime, entity: Entity) -> None:
    for file in before.earlier(moment, entity) if before is not None else []:
        _link(file, snapshots.folder(entity) / file.name)


def _kept(settings: Settings, lake: Lake, snapshots: Snapshots, moment: datetime, entity: Entity) -> Path | None:
    """The snapshot of the lake version before, where it holds what this one would: see features.growth."""
    grown = unchanged_until(lake)
    if grown is None:
        return None
    version_before, until = grown
    before = _folder(settings, version_before)
    file = before.file(moment, entity)
    if moment > until or not file.is_file():
        return None
    # A column given for the first time adds features to every moment.
    return file if before.catalogue(entity) == snapshots.catalogue(entity) else None


def _link(source: Path, target: Path) -> None:
    """The same file under another name, which lasts when the folder of the first is removed."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        aside = target.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
        shutil.copyfile(source, aside)
        aside.replace(target)


def _described(table: Any, entity: Entity, chosen: Sequence[Feature]) -> list[dict[str, Any]]:
    by_name = {feature.name: feature for feature in chosen}
    described = []
    for name, kind in table.schema().items():
        if name in entity.keys:
            continue
        feature = by_name.get(name)
        told = _attribute(name) if feature is None else told_of(feature)
        described.append({"name": name, "type": str(kind), **told})
    return described


def told_of(feature: Feature) -> dict[str, Any]:
    """What there is to say of a feature, as plain values."""
    return {
        "description": feature.description,
        "unit": feature.unit,
        "window_days": feature.window_days,
        "nulls": feature.nulls,
        "computed_over": feature.relation.value,
        "needs": list(feature.needs),
        "owner": feature.owner,
    }


def _attribute(name: str) -> dict[str, Any]:
    return {
        "description": f"The attribute {name.removeprefix(build.ATTRIBUTE)} that the shop gave.",
        "unit": "text",
        "window_days": None,
        "nulls": "unknown (null)",
        "computed_over": "what the shop says",
        "needs": [],
        "owner": "shop",
    }
