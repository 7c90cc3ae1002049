"""Memory of mapped files given back: what a process has read of them counts as its own until it lets go of it."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def let_go(folder: Path) -> int:
    """Give back the pages of files under `folder` that are mapped only to be read; how many bytes are mapped so.

    Whoever reads there again, a request under way say, gets them from the file, which usually costs no reading of the
    disk. A scoring that answers no longer stays mapped where workers were forked with it, and would else keep all that
    was ever read of it. What was written to a map of a process's own lies nowhere else, so those stay. See madvise(2),
    MADV_DONTNEED. Does nothing where the system is not Linux.
    """
    if sys.platform != "linux":
        return 0
    inside = f"{folder.resolve()}/"
    madvise = ctypes.CDLL(None).madvise
    found = 0
    for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        place, rights, *_, path = line.split(maxsplit=5)
        if rights[:2] == "r-" and path.startswith(inside):
            start, end = (int(part, 16) for part in place.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
            found += end - start
    return found
