"""Quality reports of snapshots, kept beside them as JSON and as a page."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from features.definitions import Entity
from features.home import write_text
from features.lake import Lake
from features.quality_page import snapshot_page
from features.settings import Settings
from features.snapshot import naive_utc
from features.snapshot_quality import SnapshotFile, SnapshotQuality, snapshot_quality
from features.store.snapshots import Snapshots


def keep_snapshot_quality(
    settings: Settings,
    lake: Lake,
    snapshots: Snapshots,
    entity: Entity,
    as_of: datetime,
    *,
    horizon_days: int,
    against: datetime | None = None,
) -> tuple[SnapshotQuality, Path]:
    """The report on a snapshot that is there, and its page.

    Against the snapshot as of `against`, which must be there too, or else the newest one made of an earlier moment.
    """
    moment = naive_utc(as_of)
    now = SnapshotFile(moment, snapshots.file(moment, entity))
    if against is not None:
        before: SnapshotFile | None = SnapshotFile(naive_utc(against), snapshots.file(against, entity))
    else:
        before = _newest_before(snapshots, entity, moment)
    report = snapshot_quality(lake, settings, entity, now, before, horizon_days=horizon_days)
    page = now.path.with_suffix(".quality.html")
    write_text(page, snapshot_page(report))
    write_text(now.path.with_suffix(".quality.json"), json.dumps(report.as_json(), indent=2))
    return report, page


def _newest_before(snapshots: Snapshots, entity: Entity, moment: datetime) -> SnapshotFile | None:
    there = [
        SnapshotFile(datetime.strptime(path.stem, "%Y%m%dT%H%M%S%f"), path)
        for path in snapshots.folder(entity).glob("[0-9]*.parquet")
        if "." not in path.stem  # and not what a snapshot was before late rows came
    ]
    return max((s for s in there if s.as_of < moment), key=lambda s: s.as_of, default=None)
