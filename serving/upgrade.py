"""Bringing a data home of an earlier release up to date, and saying what of it which release wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from features.errors import DataError, NotReadyError
from features.formats import NewerFormatError
from features.home import ASIDE, CHANGED, Home
from features.lake import FORMAT as LAKE_FORMAT
from features.lake import read_lake
from features.settings import Settings
from serving.database import Database
from serving.live_forget import database_there
from serving.schema_versions import HEAD, VERSIONS
from training.bundle import FORMAT, MANIFEST, check_format, manifest_of

#: Of the tables as they were before versions were kept.
UNNUMBERED = "not numbered"


class Todo(StrEnum):
    """How a part stands to this release."""

    CURRENT = "up to date"
    UPGRADE = "to be brought up to date"
    UPGRADED = "brought up to date"
    READ = "read as it is"  # of an earlier release; what makes it next writes the newer form
    NEWER = "of a later release"


@dataclass(frozen=True)
class Part:
    """One part of the home: the version found, the one of this release, and what that means."""

    name: str
    found: str
    knows: str
    todo: Todo
    note: str = ""


def upgrade(settings: Settings, *, dry_run: bool = False) -> list[Part]:
    """Every part of the home that has a version; those that need it are brought up to date, unless `dry_run`.

    A part of a later release is told of, and then nothing is changed. Raises StoreAwayError when the database is away.
    """
    home = settings.data_home
    formats = list(_formats(home))
    newer = any(part.todo is Todo.NEWER for part in formats)
    with database_there(settings) as database:
        tables = [] if database is None else [_tables(database, dry_run=dry_run or newer)]
    return [*tables, *formats]


def _tables(database: Database, *, dry_run: bool) -> Part:
    name = f"database {database.name}"
    found = database.version()
    told = found or UNNUMBERED
    if found is not None and found not in VERSIONS:
        return Part(name, told, HEAD, Todo.NEWER, "Install that release, or bring back a backup from before.")
    if found == HEAD:
        return Part(name, told, HEAD, Todo.CURRENT)
    if dry_run:
        return Part(name, told, HEAD, Todo.UPGRADE, "Back it up first; then  regulars upgrade")
    with database.write():  # whoever first writes brings the tables up to date
        pass
    return Part(name, told, HEAD, Todo.UPGRADED)


def _formats(home: Home) -> Iterator[Part]:
    try:
        lake = read_lake(home)
        found = int(lake.manifest.get("format", 1))
        todo, note = (Todo.CURRENT, "") if found == LAKE_FORMAT else (Todo.READ, "The next load writes it.")
        yield Part("lake", str(found), str(LAKE_FORMAT), todo, note)
    except NewerFormatError as error:
        yield Part("lake", "newer", str(LAKE_FORMAT), Todo.NEWER, str(error))
    except (NotReadyError, DataError):  # nothing loaded, or damaged: regulars doctor says so
        pass
    for name, root, anew in (
        ("scores", home.scores / "versions", "regulars score"),
        ("pictures", home.insight / "versions", "regulars insight"),
        ("models", home.mlflow / "artifacts", "regulars train"),
    ):
        yield from _bundles(name, root, anew)


def _bundles(name: str, root: Path, anew: str) -> Iterator[Part]:
    """One part for each format that sealed directories below `root` have."""
    counts: dict[int, int] = {}
    problem = ""
    for directory in _sealed(root):
        manifest = manifest_of(directory)
        counts[int(manifest["format"])] = counts.get(int(manifest["format"]), 0) + 1
        try:
            check_format(directory, manifest)
        except NewerFormatError as error:
            problem = str(error)
    for found, count in sorted(counts.items()):
        told = f"{name} ({count:,})"
        if found > FORMAT:
            yield Part(told, str(found), str(FORMAT), Todo.NEWER, problem)
        elif found < FORMAT:
            yield Part(told, str(found), str(FORMAT), Todo.READ, f"Made anew by  {anew}")
        else:
            yield Part(told, str(found), str(FORMAT), Todo.CURRENT)


def _sealed(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob(MANIFEST)) if root.is_dir() else []:
        folders = path.relative_to(root).parts[:-1]
        if not any(folder.startswith(ASIDE) or folder.endswith(CHANGED) for folder in folders):
            yield path.parent
