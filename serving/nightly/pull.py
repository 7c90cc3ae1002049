"""The first step: what is new in the shop's sources comes into the lake, and what it must not keep goes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from features.errors import NotReadyError
from features.ingest import ingest
from features.lake import Lake, read_lake
from features.load_report import IngestReport
from features.settings import Settings
from features.sources import live_events
from features.terminal import step
from serving.nightly.night import Done, Findings, Night, told
from serving.nightly.record import Status

NAME = "pull"


def inputs(night: Night) -> Mapping[str, Any]:
    """The sources, and how their mappings read them."""
    asked = night.settings.nightly
    sources = [[one.source, str(one.mapping or ""), _hash(one.mapping)] for one in asked.sources]
    return {"sources": sources, "live_events": asked.live_events}


def _hash(mapping: Path | None) -> str:
    try:
        return "" if mapping is None else hashlib.sha256(mapping.read_bytes()).hexdigest()
    except OSError:  # pulling will say so
        return "unreadable"


def pull(night: Night) -> Done:
    """Load each source; one that fails does not keep the others out."""
    before = night.found(NAME).get("before")
    if before is None:
        before = _lake_state(night)
        night.note({"before": before})
    found = Findings()
    sources: list[dict[str, Any]] = []
    read = _read_last(night)
    for name, mapping in asked_of(night.settings):
        title = str(mapping or name)
        try:
            with step(f"Pulling {title}") as say:
                now = night.clock().replace(tzinfo=None)
                report = ingest(name, night.settings, mapping=mapping, now=now, say=say)
        except Exception as error:  # one source must not take the others' night away
            which = f"--source {name}" + (f" --mapping {mapping}" if mapping else "")
            found.add(Status.FAILED, f"{title}: {told(error)}", f"regulars ingest {which}")
            sources.append({"source": title, "failed": told(error)})
            continue
        sources.append(_told(title, report))
        read |= {
            table.table: {"read": table.read, "set_aside": sum(table.quarantined.values())}
            for table in report.tables
            if table.read
        }
    retained = _retain(night, found) if before["lake"] is not None or sources else None
    if not sources:
        found.add(Status.OK, "No source is configured, and there are no live events: the lake stays as it is.")
    after = _lake_state(night)
    if after["lake"] is None and not found.statuses:
        raise NotReadyError("Nothing is loaded, and [nightly] names no source. Name one, or run:  regulars ingest")
    changed = before["lake"] != after["lake"]
    unseen = _unseen(before, after, {name for one in sources for name in one.get("tables", {})})
    if unseen:
        sources.append({"source": "before this run was cut short", "changed": True, "tables": unseen})
    read |= {
        table: {"read": one["read"], "set_aside": sum(one["quarantined"].values())} for table, one in unseen.items()
    }
    return found.done(before=before, after=after, changed=changed, sources=sources, read=read, retained=retained)


def _retain(night: Night, found: Findings) -> dict[str, int] | None:
    """Rows removed because they are older than [privacy] keeps; None where nothing is limited in time."""
    from features.left_out import too_old
    from serving.privacy import retain

    now = night.clock().replace(tzinfo=None)
    if not too_old(night.settings, now=now):
        return None
    try:
        with step("Removing what is too old") as say:
            return dict(retain(night.settings, now=now, say=say).counts)
    except Exception as error:  # what is new must not stay out for it
        found.add(Status.FAILED, f"What is too old was not removed: {told(error)}", "regulars privacy retain")
        return None


def asked_of(settings: Settings) -> list[tuple[str, Path | None]]:
    """The sources to pull, in their order; live events last, where there are any."""
    asked = settings.nightly
    found: list[tuple[str, Path | None]] = [(one.source, one.mapping) for one in asked.sources]
    if asked.live_events and _has_events(settings):
        found.append((live_events.NAME, None))
    return found


def _has_events(settings: Settings) -> bool:
    """Whether the server ever wrote any: its file is there, or a database is named."""
    url = sa.make_url(live_events.database_url(settings))
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()


def _lake_state(night: Night) -> dict[str, Any]:
    try:
        lake: Lake | None = read_lake(night.home)
    except NotReadyError:
        lake = None
    if lake is None:
        return {"lake": None, "rows": {}, "set_aside": {}}
    aside = {name: sum(reasons.values()) for name, reasons in lake.manifest["quarantined"].items()}
    return {"lake": lake.version, "rows": dict(lake.rows), "set_aside": aside}


def _read_last(night: Night) -> dict[str, dict[str, int]]:
    """Of each table, what its last load that read anything read and set aside: a night that finds nothing new does
    not forget that the data were bad.
    """
    return dict(night.found_last(NAME).get("read", {}))


def _unseen(before: Mapping[str, Any], after: Mapping[str, Any], seen: set[str]) -> dict[str, dict[str, Any]]:
    """What a process that died loaded before it could say so, from the lake itself: rows gained and set aside."""
    found = {}
    for table, rows in after["rows"].items():
        aside = after["set_aside"].get(table, 0) - before["set_aside"].get(table, 0)
        gained = rows - before["rows"].get(table, 0)
        if table not in seen and (aside > 0 or gained > 0):
            found[table] = {
                "read": max(gained, 0) + max(aside, 0),
                "added": max(gained, 0),
                "quarantined": {"set_aside": aside} if aside > 0 else {},
            }
    return found


def _told(title: str, report: IngestReport) -> dict[str, Any]:
    """What a load did, in numbers."""
    tables = {
        table.table: {
            "read": table.read,
            "added": table.added,
            "updated": table.updated,
            "already": table.already,
            "quarantined": dict(table.quarantined),
        }
        for table in report.tables
        if table.read
    }
    return {"source": title, "changed": report.changed, "tables": tables}
