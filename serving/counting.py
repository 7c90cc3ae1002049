"""How this process counts for Prometheus, settled before anything is counted; import it before `serving.metrics`.

BentoML tells its workers to count in files that they share, which takes several times as long as counting in memory.
One worker has nobody to share with.
"""

from __future__ import annotations

import os
import sys

from features.settings import server_settings

SHARED = "PROMETHEUS_MULTIPROC_DIR"

# Whoever imported the library before us has settled it already.
if server_settings().workers == 1 and "prometheus_client.values" not in sys.modules:
    os.environ.pop(SHARED, None)
