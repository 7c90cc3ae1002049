"""The console's own files: style, script, font, libraries. Nothing is fetched from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("static")
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_PACKED_ALREADY = ".woff2"


class Asset(NamedTuple):
    """One file as it is sent."""

    content: bytes
    packed: bytes | None  # by gzip, where that makes it smaller
    kind: str
    digest: str


@lru_cache(maxsize=1)
def assets() -> Mapping[str, Asset]:
    """Every file by its path below static/, read once."""
    return {str(path.relative_to(FOLDER)): _read(path) for path in sorted(FOLDER.rglob("*")) if path.is_file()}


def address(name: str) -> str:
    """Where a file is asked for. It changes with the content, so that a browser may keep it for long."""
    return f"/console/static/{name}?v={assets()[name].digest}"


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    packed = None if path.suffix == _PACKED_ALREADY else gzip.compress(content, 6, mtime=0)
    return Asset(content, packed, _KINDS[path.suffix], hashlib.blake2b(content, digest_size=6).hexdigest())
