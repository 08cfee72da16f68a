"""Which Python runs a project, and how a process of ours is started with it.

Rule: a process of ours is a session of its own, so neither Ctrl-C nor a closed terminal reaches user code except
through us, and a kill of its group ends everything that it started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def python_of(project: Path) -> str:
    """The interpreter of the project's `.venv`, if it has one in which partita is installed; else this one."""
    venv = project / ".venv"
    python = venv / "bin" / "python"
    if not python.exists() or Path(sys.prefix) == venv:
        return sys.executable
    has_partita = any(venv.glob("lib/python3*/site-packages/*partita*"))
    return str(python) if has_partita else sys.executable


def spawn(python: str, module: str, *args: str, output: int, keep: Mapping[int, int]) -> int:
    """Start `python -m module args` in a session of its own; its pid. `keep`: descriptors of ours by their number there.

    `-P`: the folder we happen to be in is no place to import from; a user's `queue.py` must not shadow the library's.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    # Numbers from 64 on first: a target must not overwrite a source that is still to be copied.
    actions += [(os.POSIX_SPAWN_DUP2, ours, 64 + theirs) for theirs, ours in keep.items()]
    actions += [(os.POSIX_SPAWN_DUP2, 64 + theirs, theirs) for theirs in keep]
    actions += [(os.POSIX_SPAWN_CLOSE, 64 + theirs) for theirs in keep]
    argv = [python, "-P", "-m", module, *args]
    return os.posix_spawn(python, argv, os.environ, file_actions=actions, setsid=True)
