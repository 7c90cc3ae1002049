"""Contracts, the checked lake, features as of a moment, labels, and the feature store.

Importing this package also settles, before any numerical library loads, what must be settled that early:
thread pools that would otherwise multiply (BLAS inside LightGBM inside implicit), and the anonymous usage
reports of libraries, which are off. Each is a default: a variable already set is left as it is.
"""

import os

_DEFAULTS = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "FEAST_USAGE": "False",
}
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)
