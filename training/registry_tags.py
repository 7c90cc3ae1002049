"""The tags by which runs, experiments and versions of ours are told from others' and from what was cut short."""

from __future__ import annotations

#: On a version, set last: readers look at none without it.
FINISHED = "regulars.finished"
#: On our experiments and on runs that make a version or a report.
STARTED = "regulars.started"
#: On a version: all there is to know of it, as JSON.
ABOUT = "regulars.about"
#: On runs in a server that several homes share: the home that writes.
WRITER = "regulars.writer"
BUNDLE = "bundle"
#: The lock of whoever writes, in one home.
LOCK = "registry"
#: Seconds for which what took long to make waits for another writer of the registry, or for a server to come back.
LONGEST_WRITE = 60
