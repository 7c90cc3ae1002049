"""Reading the lake: the current checked version of the contract tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import DataError, NotReadyError
from features.formats import refuse_newer
from features.home import ASIDE, Home

CURRENT = "CURRENT"
MANIFEST = "manifest.json"
#: What is written. A manifest of format 1 said neither its format nor the release; both are read.
FORMAT = 2


@dataclass(frozen=True)
class Lake:
    """One immutable version of the contract tables.

    `version` is a hash of the rows, so equal data has equal versions whatever files it came in.
    Each table's Parquet file has every column of its contract (empty where not given), and the open
    attributes of customers; `rows` lists the tables that were given.
    """

    version: str
    path: Path
    rows: Mapping[str, int]
    manifest: Mapping[str, Any]

    @property
    def home(self) -> Home:
        """The data home in which it lies."""
        return Home(self.path.parents[2])

    @property
    def has_amounts(self) -> bool:
        """Whether any order line carries an amount."""
        return bool(self.manifest["has_amounts"])

    def file(self, table: str) -> Path:
        """The Parquet file of a table."""
        return self.path / f"{table}.parquet"

    def tables(self, backend: Any) -> dict[str, Any]:
        """The tables given, by name, as Ibis expressions on `backend`."""
        return {name: backend.read_parquet(str(self.file(name))) for name in self.rows}


def lake_before(home: Home, lake: Lake) -> Lake | None:
    """The newest version still kept that was loaded before this one; None when there is none."""
    older = []
    for path in (home.lake / "versions").iterdir():
        manifest = path / MANIFEST
        being_made = path.name.startswith(ASIDE)
        if path.name != lake.version and not being_made and manifest.is_file():
            found = _read(path)
            if found.manifest["created_at"] <= lake.manifest["created_at"]:
                older.append(found)
    return max(older, key=lambda version: str(version.manifest["created_at"]), default=None)


def _read(path: Path) -> Lake:
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    refuse_newer(
        str(path),
        manifest.get("format", 1),
        reads=FORMAT,
        written_by=manifest.get("written_by"),
        anew="regulars ingest --replace with its source",
    )
    return Lake(version=path.name, path=path, rows=manifest["rows"], manifest=manifest)


def read_lake(home: Home) -> Lake:
    """The current version. Raises NotReadyError when nothing was loaded yet, and DataError when its files are gone.

    What a later release wrote is refused with NewerFormatError.
    """
    pointer = home.lake / CURRENT
    if not pointer.is_file():
        raise NotReadyError(
            f"No data is loaded in {home.root.resolve()}. Load some first:  regulars ingest --source complete-journey"
        )
    version = pointer.read_text(encoding="utf-8").strip()
    try:
        return _read(home.lake / "versions" / version)
    except (FileNotFoundError, ValueError):
        raise DataError(
            f"{pointer} names version {version or '(none)'}, whose {MANIFEST} is missing or damaged. "
            "Load your data anew:  regulars ingest --replace with its source"
        ) from None
