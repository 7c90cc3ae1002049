"""Writing a version of the lake: its tables, what was set aside, and the manifest, all there or not there at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from features.home import ASIDE, Home, new_directory, remove_directory, write_text
from features.lake import CURRENT, FORMAT, MANIFEST, Lake
from features.load_engine import LoadEngine
from features.merging import Content
from features.quarantine import count_quarantined, quarantine_file, write_quarantine
from features.release import release
from features.schema import TABLES
from features.source_files import SourceFile
from features.sql import Queries, quote

KEEP_VERSIONS = 3
_SORT = {"order_lines": ("customer_id", "ordered_at", "order_id", "product_id")}


def version_of(contents: Mapping[str, Content]) -> str:
    """16 hex digits, the same for the same rows in the same tables."""
    return hashlib.sha256("\n".join(f"{name} {contents[name]}" for name in sorted(contents)).encode()).hexdigest()[:16]


def _write_table(engine: LoadEngine, aside: Path, table: str, base: Lake | None, content: Content) -> None:
    if base is not None and content_before(base, table) == content:
        shutil.copyfile(base.file(table), aside / f"{table}.parquet")
        return
    names = engine.columns(f"lake_{table}")
    contract = [column.name for column in TABLES[table].columns]
    names = [*contract, *sorted(set(names) - set(contract))]
    first = _SORT.get(table, ())
    # Sorted by every column, so that the same rows are the same file.
    order = [*first, *(name for name in names if name not in first)]
    rows = f"SELECT {', '.join(map(quote, names))} FROM lake_{table} ORDER BY {', '.join(map(quote, order))}"
    engine.save(rows, aside / f"{table}.parquet")


def _describe(con: Queries) -> dict[str, Any]:
    row = con.execute(
        "SELECT count(DISTINCT (customer_id, order_id)), count(DISTINCT customer_id), count(DISTINCT product_id), "
        "min(ordered_at)::VARCHAR, max(ordered_at)::VARCHAR, count(amount) > 0 FROM lake_order_lines"
    ).fetchone()
    names = ("orders", "customers", "products", "first_order_at", "last_order_at", "has_amounts")
    return dict(zip(names, row or (), strict=True))


def _write_quarantines(
    engine: LoadEngine, target: Path, base: Lake | None, files: Sequence[SourceFile], now: datetime
) -> dict[str, dict[str, int]]:
    """Rows set aside, by table and reason, once they are written into the version at `target`."""
    loaded = {file.source.table: file.sha256 for file in files}
    counts = {}
    for name in TABLES:
        kept = quarantine_file(base.path, name) if base else None
        if kept is not None and not kept.is_file():
            kept = None
        into = quarantine_file(target, name)
        if name in loaded:
            write_quarantine(engine, into, table=name, file_hash=loaded[name], kept=kept, now=now)
        elif kept is not None and kept != into:
            into.parent.mkdir(exist_ok=True)
            shutil.copyfile(kept, into)
        elif kept is None and into.exists():
            into.unlink()
        counts[name] = count_quarantined(engine, into)
    return {name: found for name, found in counts.items() if found}


def write_version(
    engine: LoadEngine,
    home: Home,
    base: Lake | None,
    contents: Mapping[str, Content],
    files: Sequence[SourceFile],
    about: Mapping[str, Any],
    *,
    now: datetime,
    say: Callable[[str], None],
) -> str:
    """The version that is current from now on, made of the views `lake_<table>`; `about` goes into its manifest."""
    version = version_of(contents)
    target = home.lake / "versions" / version

    def manifest(into: Path) -> str:
        counted = _write_quarantines(engine, into, base, files, now)
        whole = {
            "format": FORMAT,
            "written_by": release(),
            "version": version,
            "rows": {name: contents[name].rows for name in TABLES if name in contents},
            "content": {name: str(content) for name, content in contents.items()},
            **_describe(engine),
            "quarantined": counted,
            "created_at": now.isoformat(timespec="seconds"),
            **about,
        }
        return json.dumps(whole, indent=2)

    if target.exists():
        # The same rows were there before; only what was set aside, and by which loads, may differ.
        write_text(target / MANIFEST, manifest(target))
    else:
        with new_directory(target) as aside:
            for name in TABLES:
                if name in contents:
                    say(f"{name}: writing {contents[name].rows:,} rows")
                    _write_table(engine, aside, name, base, contents[name])
            (aside / MANIFEST).write_text(manifest(aside), encoding="utf-8")
    write_text(home.lake / CURRENT, version)
    prune(home, version)
    return version


def content_before(base: Lake | None, table: str) -> Content | None:
    """The content of a table of the lake before; None when it had none."""
    said = base.manifest["content"].get(table) if base else None
    return Content.parse(said) if said else None


def prune(home: Home, keep: str) -> None:
    """Remove all but the newest versions, and never `keep`: readers may still be at the ones before."""
    versions = [path for path in (home.lake / "versions").iterdir() if not path.name.startswith(ASIDE)]
    versions.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in versions[KEEP_VERSIONS:]:
        if path.name != keep:
            remove_directory(path)
