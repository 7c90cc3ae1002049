"""A worker must not outlive what started it: it would hold the port, and answer for a server that is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
#: What stands in the command line of a server: BentoML's own, or ours (see serving.launch).
_SERVERS = (b"bentoml", b"serving.launch")


def end_with_parent() -> bool:
    """Whether the system will end this process when its parent ends, however that ends. Linux alone can."""
    if sys.platform != "linux":
        return False
    parent = os.getppid()
    done = bool(ctypes.CDLL(None, use_errno=True).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0) == 0)
    # It may have ended before we asked, or before we were so far as to know who it was.
    if done and (os.getppid() != parent or not is_server(parent)):
        os.kill(os.getpid(), signal.SIGTERM)
    return done


def is_server(process: int) -> bool:
    """Whether a process is a server, which starts workers; whoever takes in orphans is not."""
    try:
        line = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it is gone, or /proc is not there to say
        return not Path("/proc/self").exists()
    return any(server in line for server in _SERVERS)
