"""No process outlives the tests that started it: not when a test forgets one, and not when the tests themselves are killed.

Engines start processes that start others, in sessions of their own. All of them inherit a variable of the environment, by which
they are found. A guard beside the tests waits for their end, whatever it is, and then ends by force what is left.

    python -I left.py <the value of the variable>      the guard; ends what is left when its standard input does

Rule: what is left is an error, said with its commands; it is ended all the same.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

MARK = "PARTITA_TEST_PROCESSES"
PATIENCE_S = 60.0
_LOOKS = 50


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """What is started meanwhile ends meanwhile, or a moment later; `AssertionError` if it does not."""
    if MARK in os.environ or not sys.platform.startswith("linux"):
        # Somebody around us looks after it; or nobody can.
        yield
        return
    mark = os.environ[MARK] = uuid.uuid4().hex
    guard = subprocess.Popen([sys.executable, "-I", __file__, mark], stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
        left = _those_left(mark, guard.pid)
    finally:
        del os.environ[MARK]
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(PATIENCE_S)
    assert not left, f"processes that outlived their tests (and were killed): {left}"


def marked(mark: str) -> dict[int, str]:
    """The processes with this mark, but for this one, and the command of each."""
    found: dict[int, str] = {}
    wanted = f"{MARK}={mark}".encode()
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        # Gone meanwhile, or of somebody else.
        with contextlib.suppress(OSError):
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                # Without a command it has ended, and its parent has not asked how.
                if command:
                    found[pid] = command.strip()
    return found


def _those_left(mark: str, guard: int) -> list[str]:
    until = time.monotonic() + PATIENCE_S
    while True:
        left = {pid: command for pid, command in marked(mark).items() if pid != guard}
        if not left or time.monotonic() > until:
            return list(left.values())
        select.select([], [], [], 0.05)


def _guard(mark: str) -> None:
    """What kills a process may start another one meanwhile: looked for until there is none."""
    sys.stdin.buffer.read()
    for _ in range(_LOOKS):
        left = marked(mark)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        select.select([], [], [], 0.1)


if __name__ == "__main__":
    _guard(sys.argv[1])
