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


def tree_figures(pid: int) -> tuple[int, float]:
    """Resident bytes and processor seconds of a process and all below it; of those that have ended, what they used."""
    if not _LINUX:
        rows = [_ask_psutil(each) for each in [pid, *_below(pid)]]
        return sum(row[0] for row in rows), sum(row[1] for row in rows)
    total, cpu_s, todo = 0, 0.0, [pid]
    while todo:
        each = todo.pop()
        try:
            with open(f"/proc/{each}/stat", "rb") as file:
                stat = file.read()
        except OSError:
            continue
        fields = stat[stat.rindex(b")") + 2 :].split()
        # Its own, and its children's that it has waited for.
        cpu_s += sum(map(int, fields[11:15])) / _TICKS
        total += rss(each)
        todo += _children(each)
    return total, cpu_s


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


def _children(pid: int) -> list[int]:
    """The processes right below one, as the kernel keeps them: nothing else is looked at."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # gone meanwhile, or a kernel that does not tell
    return found


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
