"""How this process counts for Prometheus, settled before anything is counted; import it before `serving.metrics`.

BentoML tells its workers to count in files that they share, which takes several times as long as counting in memory.
One worker has nobody to share with. Several do, and would ask with every count which process they are, and the system
for it.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from features.settings import server_settings

SHARED = "PROMETHEUS_MULTIPROC_DIR"


def shared_values() -> Any:
    """The library's class of values in shared files, which asks after a fork alone which process it is in."""
    from prometheus_client import values

    lock = threading.Lock()
    made: list[Any] = []
    theirs: Any = values.MultiProcessValue()  # type: ignore[no-untyped-call]

    class Value(theirs):
        """A number in the file of this process."""

        def __init__(self, *what: Any, **more: Any) -> None:
            super().__init__(*what, **more)
            if not made:
                made.append(self)

        def inc(self, amount: float) -> None:
            """Add to it."""
            with lock:
                self._value += amount
                self._timestamp = 0.0
                self._file.write_value(self._key, self._value, 0.0)

    def move() -> None:
        nonlocal lock
        lock = threading.Lock()  # another thread of the parent may have held it
        for one in made[:1]:
            one.get()  # finds that the process is another, and moves all values to files of its own

    os.register_at_fork(after_in_child=move)
    return Value


# Whoever imported the library before us has settled it already.
if "prometheus_client.values" not in sys.modules:
    if server_settings().workers == 1:
        os.environ.pop(SHARED, None)
    elif SHARED in os.environ:
        from prometheus_client import values

        values.ValueClass = shared_values()
