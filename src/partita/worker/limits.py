"""What an attempt may use of memory, and what it did use.

Rule: the limit is the kernel's (RLIMIT_DATA), set around user code and taken back after it, so a greedy step gets a
`MemoryError` while the worker lives on. Where the kernel does not offer it, the host's watch is what holds the limit.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from partita.core.events import Usage

_LINUX = sys.platform.startswith("linux")
_PAGE = resource.getpagesize()
_AT_START = resource.getrlimit(resource.RLIMIT_DATA)
# Below this an attempt is not worth measuring.
_WORTH_S = 0.005


def limited(function: Callable[..., Any], memory_bytes: int) -> Callable[..., Any]:
    """The function under a limit for the memory that it adds to the process."""
    if not _LINUX:
        return function

    def call(**arguments: Any) -> Any:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = _data_bytes() + memory_bytes
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        try:
            return function(**arguments)
        except MemoryError as error:
            cause = error
        finally:
            lift()
        raise OutOfMemory(
            f"out of memory: the step may use {_mb(memory_bytes)} beside what its worker holds, "
            f"and asked for more at a peak of {_mb(peak_rss_bytes())} resident{_detail(cause)}"
        ) from cause

    return call


def lift() -> None:
    """Take the limit back (also called after a cancel, which may have hit just before it was taken back)."""
    resource.setrlimit(resource.RLIMIT_DATA, _AT_START)


class OutOfMemory(MemoryError):
    """A step asked for more memory than its limit."""


def usage(began_at: float, ended_at: float, cpu_before_s: float | None) -> Usage | None:
    """What an attempt used; None for one too short to tell, or one of many coroutines."""
    if cpu_before_s is None or ended_at - began_at < _WORTH_S:
        return None
    used = Usage(time.process_time() - cpu_before_s, peak_rss_bytes())
    _forget_peak()
    return used


def peak_rss_bytes() -> int:
    """The most memory that was resident since the last attempt worth measuring."""
    if _LINUX:
        try:
            with open("/proc/self/status", "rb") as status:
                for line in status:
                    if line.startswith(b"VmHWM:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass  # a container may hide it; the figure since the start of the process is still there
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * 1024 if _LINUX else peak


def _forget_peak() -> None:
    """Let the next attempt of this warm worker have a peak of its own."""
    if not _LINUX:
        return
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as file:
            file.write(b"5")
    except OSError:
        return


def _data_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * _PAGE


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB"


def _detail(error: MemoryError) -> str:
    text = str(error)
    return f" ({text[:200]})" if text else ""
