"""The data home: where everything lives on disk, and the only ways it is written.

    lake/versions/<version>/      one checked, immutable state of the contract tables; lake/CURRENT names one
    ledgers/, spark/ledgers/      running totals of customers and products, by the engine that made them
    features/<version>/           features and labels computed from that lake version
    feast/                        feature_store.yaml, registry, online store
    mlflow/                       mlflow.db (SQLite) and artifacts
    models/<name>/<version>/      bundles fetched from the registry, verified
    tuned/<name>.json             settings a search found better than the defaults
    scores/versions/<version>/    one scoring of everybody; scores/CURRENT names one
    said/<day>/                   what a scoring said, until it is known what came; lookback/<day>.json: how it stood
    insight/versions/<version>/   the shop's picture of its customers; insight/CURRENT names one
    privacy/                      who was erased, as keyed hashes, and keys; what has still to be trained without them
    nightly/                      records and reports of nightly runs
    live/                         what the server writes while it answers: events, outcomes, keys, the last good scores

A directory is written aside under a name that readers ignore and renamed when whole; a pointer file is replaced
by rename. So a process killed at any moment leaves the last good state.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from features.errors import RegularsError

ASIDE = ".aside-"
CHANGED = ".changed"


@dataclass(frozen=True)
class Home:
    """Paths below the data home, and where its model registry is."""

    root: Path
    mlflow_url: str | None = None  # of the server that keeps the registry; None: the home does

    @property
    def lake(self) -> Path:
        """Checked contract tables."""
        return self.root / "lake"

    @property
    def ledgers(self) -> Path:
        """Running totals of customers and products, by lake version."""
        return self.root / "ledgers"

    @property
    def spark_ledgers(self) -> Path:
        """The same as Spark makes them, which lie in other files."""
        return self.root / "spark" / "ledgers"

    @property
    def features(self) -> Path:
        """Computed features and labels, by lake version."""
        return self.root / "features"

    @property
    def feast(self) -> Path:
        """The Feast repository: configuration, registry, online store."""
        return self.root / "feast"

    @property
    def materialized(self) -> Path:
        """What was written to online stores last, as JSON; there once anything was."""
        return self.feast / "materialized.json"

    @property
    def registry_database(self) -> Path:
        """MLflow's database of runs and versions; there once anything was trained."""
        return self.mlflow / "mlflow.db"

    @property
    def has_registry(self) -> bool:
        """Whether there is a registry to ask: on a server, or here once anything was trained."""
        return self.mlflow_url is not None or self.registry_database.is_file()

    @property
    def mlflow(self) -> Path:
        """The embedded MLflow: database and artifacts."""
        return self.root / "mlflow"

    @property
    def models(self) -> Path:
        """Local, verified copies of registered bundles."""
        return self.root / "models"

    @property
    def scores(self) -> Path:
        """Scorings of every customer."""
        return self.root / "scores"

    @property
    def said(self) -> Path:
        """What scorings said, until it is known what came."""
        return self.root / "said"

    @property
    def lookback(self) -> Path:
        """What scorings said against what came, which names nobody."""
        return self.root / "lookback"

    @property
    def insight(self) -> Path:
        """Pictures of the shop: segments, deciles, cohorts and the rest."""
        return self.root / "insight"

    @property
    def privacy(self) -> Path:
        """Who was erased, as keyed hashes, and what has still to forget them."""
        return self.root / "privacy"

    @property
    def live(self) -> Path:
        """What the server writes while it answers."""
        return self.root / "live"

    @contextmanager
    def lock(self, name: str, *, wait_seconds: float = 0) -> Iterator[None]:
        """One writer at a time per `name`; the system frees it when its process dies, however it dies."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / f"{name}.lock")
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            raise RegularsError(
                f"Another '{name}' is running on {self.root.resolve()}. Wait for it to end, or stop it, then try again."
            ) from None
        try:
            yield
        finally:
            lock.release()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_whole(directory: Path) -> None:
    for file in directory.rglob("*"):
        _sync(file)
    _sync(directory)


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `target` when the block ends well and vanishes when it does not.

    If `target` exists already (content-addressed names repeat), the new one is dropped: same name, same content.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
    aside.mkdir()
    try:
        yield aside
        _sync_whole(aside)
        if not target.exists():
            aside.rename(target)
            _sync(target.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A file to write, which replaces `target` whole when the block ends well and vanishes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
    try:
        yield aside
        _sync(aside)
        aside.replace(target)
        _sync(target.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a small file whole: readers see the old text or the new, never a part."""
    with new_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_private(path: Path, content: bytes) -> None:
    """Replace a small file whole, by one for its owner alone, as is the folder if it is made for it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with new_file(path) as aside:
        os.close(os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        aside.write_bytes(content)


def remove_directory(path: Path) -> None:
    """Remove a directory so that no part of it is ever seen under its name."""
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
    path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def changed_directory(target: Path) -> Iterator[Path]:
    """A directory to fill, which takes the place of `target` when the block ends well and vanishes when it does not.

    A system has no way to exchange two directories at once, so between two renames there is none: a process killed
    just then leaves the new one beside, and `recover_changed` puts it in its place.
    """
    beside = target.with_name(f"{target.name}{CHANGED}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        _sync_whole(beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    old = target.with_name(f"{ASIDE}{uuid.uuid4().hex[:12]}")
    target.rename(old)
    beside.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_changed(directory: Path) -> None:
    """Finish, or take back, what a killed `changed_directory` below `directory` had begun."""
    for beside in list(directory.rglob(f"*{CHANGED}")) if directory.exists() else []:
        target = beside.with_name(beside.name.removesuffix(CHANGED))
        if target.exists():
            shutil.rmtree(beside)
        else:
            beside.rename(target)


def forget_old(versions: Path, *, current: str, keep: int) -> None:
    """Remove all folders in `versions` but `current` and the newest others, `keep` together: somebody may read one."""
    others = [path for path in versions.iterdir() if path.is_dir() and path.name != current]
    for path in sorted(others, key=lambda path: -path.stat().st_mtime)[keep - 1 :]:
        remove_directory(path)


def sweep(directory: Path) -> int:
    """How many leftovers of killed writers were removed below `directory`. Call it holding the writer's lock."""
    leftovers = list(directory.rglob(f"{ASIDE}*")) if directory.exists() else []
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(leftovers)
