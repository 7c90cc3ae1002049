"""Loading: stage each table, merge it with what the lake holds, write a new version of the lake, then point at it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from features.duckdb_load import DuckDbLoad
from features.engine import SPARK
from features.erased import read_erased
from features.errors import ConfigError, DataError, NotReadyError
from features.growth import growth, late_rows
from features.home import Home, sweep
from features.lake import Lake, read_lake
from features.lake_writer import content_before, write_version
from features.left_out import LeaveOut, too_old
from features.load_engine import LoadEngine
from features.load_report import IngestReport, TableReport, warnings
from features.mapping import read_mapping
from features.merging import Merged
from features.pseudonyms import MANIFEST_KEY, Pseudonyms, check_lake, pseudonyms_of
from features.quality_files import keep_quality
from features.schema import TABLES
from features.scratch import scratch_database, scratch_folder
from features.settings import Settings
from features.source_files import SourceFile, examine
from features.sources import cdnow, complete_journey, database, live_events
from features.staging import Staged

SOURCES = (complete_journey.NAME, cdnow.NAME, "files", database.NAME, live_events.NAME)
CONTRACT = 2  # raise when staging gives other rows for the same file
Say = Callable[[str], None]


def _silent(_: str) -> None:
    pass


#: Reads a source's tables as files into a folder, those of a database from the watermarks of the pull before on.
Reader = Callable[[Path, Mapping[str, str]], database.Pulled]


def _reader(source: str, mapping: Path | None, settings: Settings, say: Say) -> Reader:
    """How a source is read. What can be seen to be wrong with it now is raised now, before anything is touched."""
    if source == complete_journey.NAME:
        shipped = complete_journey.tables()
        return lambda _, since: database.Pulled(shipped, dict(since))
    if source == cdnow.NAME:
        return lambda scratch, since: database.Pulled(cdnow.tables(scratch), dict(since))
    if source == live_events.NAME:
        return lambda scratch, since: live_events.pull(settings, scratch, since=since, say=say)
    if mapping is None:
        raise ConfigError(f"Source '{source}' needs a mapping:  regulars ingest --source {source} --mapping shop.toml")
    if source == database.NAME:
        return lambda scratch, since: database.pull(mapping, settings, scratch, since=since, say=say)
    files = read_mapping(mapping)
    return lambda _, since: database.Pulled(files, dict(since))


def _fingerprint(files: Sequence[SourceFile], pseudonyms: Pseudonyms | None) -> str:
    """The same for the same files read in the same way by the same version of staging."""
    digest = hashlib.sha256(f"{CONTRACT}{pseudonyms.mark if pseudonyms else ''}".encode())
    for file in files:
        source = file.source
        how = (source.table, source.fields, source.delimiter, source.encoding, source.decimal)
        digest.update(repr((*how, source.timezone, source.duplicates, file.sha256)).encode())
    return digest.hexdigest()


def _lake_before(home: Home, *, replace: bool) -> Lake | None:
    try:
        lake = read_lake(home)
    except NotReadyError:
        return None
    except DataError:
        if replace:
            return None
        raise
    if "content" not in lake.manifest and not replace:
        raise DataError(
            f"{lake.path} was written by an earlier release, which nothing can be added to. "
            "Load your data anew:  regulars ingest --replace with its source"
        )
    return lake


def ingest(
    source: str,
    settings: Settings,
    *,
    mapping: Path | None = None,
    replace: bool = False,
    now: datetime,
    say: Say = _silent,
) -> IngestReport:
    """Load a source into the lake; loading the same again changes nothing, and a failed load loses nothing.

    `replace` begins a new lake from this source alone. `now` (naive UTC) bounds plausible times; `say` is told how far
    it is. Raises ConfigError for a wrong mapping and DataError for a file that cannot be used.
    """
    home = settings.data_home
    if source not in SOURCES:
        raise ConfigError(f"Unknown source '{source}'. Sources: {', '.join(SOURCES)}.")
    read = _reader(source, mapping, settings, say)
    with home.lock("ingest"):
        sweep(home.lake)
        old = _lake_before(home, replace=replace)
        base = None if replace else old
        pseudonyms = pseudonyms_of(settings, anew=replace)
        if base is not None:
            check_lake(base, pseudonyms)
        with scratch_folder(home) as scratch:
            pulled = read(scratch, base.manifest.get("watermarks", {}) if base else {})
            if base is not None and not pulled.sources:
                return _unchanged(source, base)
            if base is None and "order_lines" not in {given.table for given in pulled.sources}:
                raise ConfigError("The first load needs [order_lines]: everything else is added to it.")
            files = []
            for given in pulled.sources:
                say(f"{given.table}: looking through {given.path.name} ({_size(given.path)})")
                files.append(examine(given))
            fingerprint = _fingerprint(files, pseudonyms)
            if base is not None and base.manifest["loads"][-1] in (fingerprint, _dated(fingerprint, now)):
                return _unchanged(source, base)
            about = {"sources": [source], "watermarks": pulled.watermarks, MANIFEST_KEY: pseudonyms and pseudonyms.mark}
            without = LeaveOut(read_erased(home), too_old(settings, now=now), pseudonyms)
            with _engine(home, settings, scratch) as engine:
                version, reports, notes = _load(
                    engine,
                    home,
                    files,
                    base,
                    about=about,
                    without=without,
                    fingerprint=fingerprint,
                    now=now,
                    say=say,
                )
            keep_quality(home, settings)
        return IngestReport(source, version, old.version if old else None, reports, notes)


def _dated(fingerprint: str, now: datetime) -> str:
    return f"{fingerprint}@{now:%Y-%m-%d}"


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def _unchanged(source: str, lake: Lake) -> IngestReport:
    tables = [TableReport(name, 0, 0, 0, 0, rows, {}) for name, rows in lake.rows.items()]
    return IngestReport(source, lake.version, lake.version, tables, list(lake.manifest["warnings"]))


@contextmanager
def _engine(home: Home, settings: Settings, scratch: Path) -> Iterator[LoadEngine]:
    """What loads: DuckDB in this process, or Spark."""
    if settings.engine == SPARK:
        from features.spark import require_spark

        require_spark()  # before anything is imported that needs it
        from features.spark_load import spark_load

        with spark_load(home, settings, scratch) as spark:
            yield spark
        return
    with scratch_database(home, scratch, settings) as con:
        yield DuckDbLoad(con, scratch)


def _stage_and_merge(
    engine: LoadEngine,
    file: SourceFile,
    base: Lake | None,
    *,
    without: LeaveOut,
    now: datetime,
    say: Say,
) -> tuple[TableReport, Merged, Staged]:
    name = file.source.table
    staged = engine.stage(file, now=now, say=say, without=without)
    read = staged.read
    old = base.file(name) if base and name in base.rows else None
    merged = engine.merge(name, old, content_before(base, name))
    reasons = engine.execute(f"SELECT reason, count(*) FROM set_aside_{name} GROUP BY 1 ORDER BY 1").fetchall()
    quarantined = {str(reason): int(count) for reason, count in reasons}
    already = read - merged.added - merged.updated - sum(quarantined.values())
    report = TableReport(name, read, merged.added, merged.updated, already, merged.content.rows, quarantined)
    return report, merged, staged


def _load(
    engine: LoadEngine,
    home: Home,
    files: Sequence[SourceFile],
    base: Lake | None,
    *,
    about: Mapping[str, Any],
    without: LeaveOut,
    fingerprint: str,
    now: datetime,
    say: Say,
) -> tuple[str, list[TableReport], list[str]]:
    contents = {name: content for name in TABLES if (content := content_before(base, name)) is not None}
    for name in contents:
        if base is not None:
            engine.view(f"lake_{name}", base.file(name))
    reports, left_out = [], 0
    merged: dict[str, Merged] = {}
    for file in files:
        report, merged[file.source.table], staged = _stage_and_merge(
            engine, file, base, without=without, now=now, say=say
        )
        reports.append(report)
        left_out += staged.left_out
    contents |= {name: found.content for name, found in merged.items()}
    grown = growth(base, merged)
    notes = warnings(engine, list(contents), reports)
    notes += late_rows(engine, base, merged)
    if left_out:
        notes.append(f"{left_out:,} rows were left out: of erased customers, or older than [privacy] keeps.")
    if any(reason.startswith("implausible_") for report in reports for reason in report.quarantined):
        # A time that is too late today may be in the past on a later day, so then it is loaded again.
        fingerprint = _dated(fingerprint, now)
    before = base.manifest if base else {"loads": [], "sources": []}
    about = {
        **about,
        "loads": [*before["loads"], fingerprint],
        "sources": sorted({*before["sources"], *about["sources"]}),
        "warnings": notes,
        "grown": grown,
    }
    version = write_version(engine, home, base, contents, files, about, now=now, say=say)
    return version, reports, notes
