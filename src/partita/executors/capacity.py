"""What this machine has for steps: the cores and the memory that this process may use, and the GPUs.

A container or a service manager may allow less than the machine has; then that is what there is.

Rule: looked up once, at the start; a figure that cannot be found out falls back to what the machine says of itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from partita.core.placement import WHOLE, Capacity

_CGROUP = Path("/sys/fs/cgroup")
_GPUS = Path("/proc/driver/nvidia/gpus")


def of_machine(
    *, cgroup: Path = _CGROUP, gpus: Path = _GPUS, visible: str | None = None, own: Path = Path("/proc/self/cgroup")
) -> Capacity:
    """Cores in thousandths, memory in bytes, GPUs with their indexes; `visible` is CUDA_VISIBLE_DEVICES, if it is set."""
    group = _own_group(cgroup, own)
    indexes = _gpus(gpus, os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible)
    amounts = {"cpu": _cores(group), "memory": _memory(group)}
    if indexes:
        amounts["gpu"] = len(indexes) * WHOLE
    return Capacity(amounts, indexes)


def _own_group(cgroup: Path, own: Path) -> list[Path]:
    """The folders of this process's control group and of those around it (version 2), the innermost first."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    name = next((line[3:] for line in lines if line.startswith("0::")), "/")
    inner = Path(os.path.normpath(f"{cgroup}/{name}"))
    folders = [inner, *inner.parents] if inner.is_relative_to(cgroup) else [cgroup]
    return [folder for folder in folders if folder.is_relative_to(cgroup)]


def _cores(group: list[Path]) -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    found = count * WHOLE
    for folder in group:
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            found = min(found, max(1, int(quota) * WHOLE // int(period)))
    return found


def _memory(group: list[Path]) -> int:
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # The limit of version 1 stands in a folder of its own; without a limit it is a number larger than any machine.
    for file in [*(folder / "memory.max" for folder in group), group[-1] / "memory" / "memory.limit_in_bytes"]:
        text = _text(file)
        if text.isdigit():
            found = min(found, int(text))
    return found


def _gpus(folder: Path, visible: str | None) -> tuple[str, ...]:
    if visible is not None:
        return tuple(index.strip() for index in visible.split(",") if index.strip() and index.strip() != "-1")
    try:
        return tuple(str(number) for number in range(len(list(folder.iterdir()))))
    except OSError:
        return ()


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
