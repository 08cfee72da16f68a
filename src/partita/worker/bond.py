"""A worker that does not outlive its host.

Beside an engine of others, what the engine says is gone must not go on. A host ends its workers when whoever started it is
gone; but some engines kill the children of what they kill (Ray does), so the host goes by the same blow, and says nothing to
anybody. Then the kernel ends the worker.

Rule: on Linux only, where engines of others are; elsewhere a host that is killed leaves a worker that ends after its step.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# linux/prctl.h
_PR_SET_PDEATHSIG = 1


def end_with(host: int) -> None:
    """Have this process killed when process `host`, which started it, has ended."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != host:
        # It ended before it was asked for.
        os._exit(0)
