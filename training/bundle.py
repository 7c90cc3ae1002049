"""A bundle: a directory of plain files (LightGBM text, npy, Parquet, JSON) with a manifest that pins each by SHA-256.

Nothing in it is unpickled, by whoever loads it: arrays load with allow_pickle=False, memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import DataError
from features.formats import refuse_newer
from features.release import release

#: What `seal` writes. 1 did not say which release wrote it; both are read.
FORMAT = 2
MANIFEST = "manifest.json"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(directory: Path, *, kind: str, about: Mapping[str, Any]) -> None:
    """Write the manifest over every file in `directory`. `kind` names what it is, `about` what to know of it."""
    files = {
        str(path.relative_to(directory)): file_hash(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = {"format": FORMAT, "written_by": release(), "kind": kind, "about": dict(about), "files": files}
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2, default=str), encoding="utf-8")


def read_manifest(directory: Path, *, kind: str, verify: bool = True) -> dict[str, Any]:
    """What `seal` was told, after checking format, kind and (with `verify`) every file's hash.

    Raises DataError naming the file that is missing, changed, or from a later release (NewerFormatError).
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise DataError(f"{directory}: not a bundle, {MANIFEST} is missing. Train or score again to make one.")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    check_format(directory, manifest)
    if manifest["kind"] != kind:
        raise DataError(f"{directory}: holds a '{manifest['kind']}', expected a '{kind}'.")
    if verify:
        for name, expected in manifest["files"].items():
            file = directory / name
            if not file.is_file() or file_hash(file) != expected:
                raise DataError(f"{file}: missing or changed since it was written. Train or score again.")
    about: dict[str, Any] = manifest["about"]
    return about


def check_format(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Raise NewerFormatError where a later release sealed the directory in a way that this one does not read."""
    refuse_newer(
        str(directory),
        manifest["format"],
        reads=FORMAT,
        written_by=manifest.get("written_by"),
        anew="regulars train && regulars score && regulars insight",
    )


def manifest_of(directory: Path) -> dict[str, Any]:
    """The whole manifest, nothing of it checked."""
    manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file of a bundle holds. Raises DataError where it is missing or not JSON."""
    if not path.is_file():
        raise DataError(f"{path} is missing: the bundle is not whole. Train again.")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON ({error}). Train again.") from None
    return found


def is_whole(directory: Path, *, kind: str) -> bool:
    """Whether a bundle of that kind lies there as it was sealed."""
    try:
        read_manifest(directory, kind=kind)
    except DataError:
        return False
    return True
