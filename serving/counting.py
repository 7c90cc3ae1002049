"""How this process counts for Prometheus, settled before anything is counted; import it before `serving.metrics`.

BentoML tells its workers to count in files that they share, which takes several times as long as counting in memory.
One worker has nobody to share with. Several do, and would ask the system with every count which process they are.
"""

from __future__ import annotations

import os
import sys

from features.settings import server_settings

SHARED = "PROMETHEUS_MULTIPROC_DIR"


class _ThisProcess:
    """The number of this process, asked for once, and once more after a fork."""

    def __init__(self) -> None:
        self.number = os.getpid()
        os.register_at_fork(after_in_child=self._ask)

    def _ask(self) -> None:
        self.number = os.getpid()

    def __call__(self) -> int:
        return self.number


# Whoever imported the library before us has settled it already.
if "prometheus_client.values" not in sys.modules:
    if server_settings().workers == 1:
        os.environ.pop(SHARED, None)
    elif SHARED in os.environ:
        from prometheus_client import values

        values.ValueClass = values.MultiProcessValue(_ThisProcess())  # type: ignore[no-untyped-call]
