"""How much memory a worker rests on: its own resident pages and those of every process below it.

Pages that are shared (with the host it was forked from, or with its children) count each time: a limit is a limit on what
the tree may touch, not an account of the machine.

Rule: asking only; a process that is gone rests on nothing.
"""

from __future__ import annotations

import os
import sys

_LINUX = sys.platform.startswith("linux")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def tree_rss(pid: int) -> int:
    """Resident bytes of a process and all below it."""
    return sum(rss(each) for each in [pid, *_below(pid)])


def rss(pid: int) -> int:
    """Resident bytes of one process."""
    if _LINUX:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0
    return _ask_psutil(pid)[0]


def figures_of(pid: int) -> tuple[int, float]:
    """Resident bytes and processor seconds of one process."""
    if not _LINUX:
        return _ask_psutil(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return 0, 0.0
    fields = stat[stat.rindex(b")") + 2 :].split()
    return rss(pid), (int(fields[11]) + int(fields[12])) / _TICKS


def _below(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def _ask_psutil(pid: int) -> tuple[int, float]:
    import psutil

    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return process.memory_info().rss, times.user + times.system
    except psutil.Error:
        return 0, 0.0
