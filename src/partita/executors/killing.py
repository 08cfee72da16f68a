"""The end of a worker's processes: all that is left in its session or group, grandchildren too.

Rule: a zombie counts as gone; what a user's program has put into a session of its own is not ours to kill.
"""

from __future__ import annotations

import os
import signal
import sys
import time

_PATIENCE_S = 2.0


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the process group that `pid` leads; nothing if there is none."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def kill_session(leader: int) -> None:
    """SIGKILL to the group of the leader and to everything else in its session."""
    signal_group(leader, signal.SIGKILL)
    for pid in members(leader):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_and_wait(leader: int) -> None:
    """SIGKILL to all of a session, and wait until nothing of it lives (a moment, unless a disk hangs)."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        kill_session(leader)
        if not members(leader) or time.monotonic() > deadline:
            return
        time.sleep(0.001)


def members(leader: int) -> list[int]:
    """Living processes in the session or process group of `leader`, itself included."""
    return [pid for pid in _pids() if _belongs(pid, leader) and not _is_zombie(pid)]


def _belongs(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader or os.getpgid(pid) == leader
    except OSError:
        return False


def _pids() -> list[int]:
    if sys.platform.startswith("linux"):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    import psutil

    return psutil.pids()


def _is_zombie(pid: int) -> bool:
    from partita.executors.identity import name_of

    return name_of(pid) is None
