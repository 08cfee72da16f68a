"""Which process this is, in words that are still right after a restart: "<host>:<pid>:<start time>".

A pid alone is reused; with the start time it names one process for ever. On Linux the start time is the kernel's
tick count since boot and the boot's own id, which no change of the clock moves; elsewhere psutil's creation time.

Rule: asking only. A zombie is dead.
"""

from __future__ import annotations

import functools
import socket
import sys

_LINUX = sys.platform.startswith("linux")


def name_of(pid: int) -> str | None:
    """The name of a living process, or None if there is none with this pid.

    >>> is_alive(name_of(os.getpid()))
    True
    """
    began = _start_time(pid)
    return None if began is None else f"{_host()}:{pid}:{began}"


def pid_of(name: str) -> int | None:
    """The pid in a name of a process of this machine; None if it is of another one, or no such name."""
    host, _, rest = name.rpartition(":")[0].rpartition(":")
    if host != _host() or not rest.isdigit():
        return None
    return int(rest)


def is_alive(name: str | None) -> bool:
    """Whether exactly this process lives on this machine."""
    pid = pid_of(name) if name else None
    return pid is not None and name_of(pid) == name


@functools.cache
def _host() -> str:
    return socket.gethostname().replace(":", "_") or "localhost"


@functools.cache
def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read(8)
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    if not _LINUX:
        return _start_time_by_psutil(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    # The name in brackets may hold anything, also spaces and brackets: count from the last one.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return f"{int(fields[19])}@{_boot()}"


def _start_time_by_psutil(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.2f}"
    except psutil.Error:
        return None
