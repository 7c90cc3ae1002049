"""A worker must not outlive what started it: it would hold the port, and answer for a server that is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


def end_with_parent() -> bool:
    """Whether the system will end this process when its parent ends, however that ends. Linux alone can."""
    if sys.platform != "linux":
        return False
    parent = os.getppid()
    done = bool(ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0) == 0)
    if done and os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)
    return done
