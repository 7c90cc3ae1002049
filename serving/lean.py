"""A worker of the server without pandas, which Arrow imports for its first array wherever it is installed.

Nothing that answers uses it, and it costs each worker 45 MB and half a second of its start. What asks for a data frame
later still gets one: Arrow then looks for pandas again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa

LEFT_OUT = "pandas"


class _Nowhere:
    """Finds what is left out nowhere, and everything else where it always is."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Nothing, so that others look."""
        if name == LEFT_OUT:
            raise ModuleNotFoundError(name=name)
        return None


def leave_pandas_out() -> None:
    """Make Arrow look for pandas now and not find it. Does nothing where pandas is imported already."""
    if LEFT_OUT in sys.modules:
        return
    sys.meta_path.insert(0, _Nowhere())
    try:
        pa.array([0])
    finally:
        sys.meta_path.pop(0)
