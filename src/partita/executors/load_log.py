"""What a project prints while it is imported: kept aside in a nameless file, shown when the import fails.

Rule: it has no name, so nothing is left behind and two hosts of one project never mix.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_TAIL_BYTES = 4096
_DUMP_S = 1.0
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (.+)')


class LoadLog:
    """The output of a host while it loads."""

    def __init__(self) -> None:
        fd, path = tempfile.mkstemp(prefix="partita-load-")
        os.unlink(path)
        # Appending, so that the host may cut it to nothing without leaving a hole.
        os.set_blocking(fd, True)
        _append_only(fd)
        self.fd = fd

    def tail(self, *, skip: int = 0) -> str:
        """The last lines, from `skip` bytes on."""
        if self.fd < 0:
            return ""
        size = os.fstat(self.fd).st_size
        start = max(skip, size - _TAIL_BYTES)
        return os.pread(self.fd, _TAIL_BYTES, start).decode(errors="replace").strip()

    def dump_of(self, ask: Callable[[], None], project: Path) -> str:
        """Let the host write down its stack (`ask` sends the signal) and read off where in the project it is."""
        before = os.fstat(self.fd).st_size
        try:
            ask()
        except ProcessLookupError:
            return ""
        deadline = time.monotonic() + _DUMP_S
        while time.monotonic() < deadline:
            if place := _place_in(self.tail(skip=before), project):
                return place
            time.sleep(0.01)
        return ""

    def close(self) -> None:
        """Let the file go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _append_only(fd: int) -> None:
    import fcntl

    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)


def _place_in(dump: str, project: Path) -> str:
    """The innermost frame of a faulthandler dump that lies in the project, as "pipelines.py:12".

    >>> _place_in('File "/p/.venv/x.py", line 3 in get' + chr(10) + 'File "/p/a/b.py", line 7 in <module>', Path("/p"))
    'a/b.py:7'
    """
    for file, line, _ in _FRAME.findall(dump):
        path = Path(file)
        if path.is_relative_to(project) and ".venv" not in path.parts:
            return f"{path.relative_to(project)}:{line}"
    return ""
