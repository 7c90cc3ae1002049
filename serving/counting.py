"""How this process counts for Prometheus, settled before anything is counted; import it before `serving.metrics`.

BentoML tells its workers to count in files that they share, which takes several times as long as counting in memory.
One worker has nobody to share with.
"""

from __future__ import annotations

import os

from features.settings import current_settings

SHARED = "PROMETHEUS_MULTIPROC_DIR"

if current_settings().workers == 1:
    os.environ.pop(SHARED, None)
