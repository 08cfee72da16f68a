"""The live view, on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
from pathlib import Path

from .projects import Hanging, command, environment

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class OnTerminal:
    """A command on a terminal of a given size, and all that it has written there."""

    def __init__(self, folder: Path, *words: str, columns: int = 90, lines: int = 24, **more: str) -> None:
        import fcntl
        import struct
        import termios

        self._screen, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            command(*words),
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(**{"TERM": "xterm-256color", **more}),
            start_new_session=True,
        )
        os.close(theirs)
        self.written = ""

    def read_until(self, text: str, timeout_s: float = 30.0) -> None:
        """Read what it writes until there is `text` in it."""
        while text not in _CONTROL.sub("", self.written):
            ready, _, _ = select.select([self._screen], [], [], timeout_s)
            assert ready, f"{text!r} did not come; there is {self.written!r}"
            try:
                self.written += os.read(self._screen, 65536).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"it ended without {text!r}: {self.written!r}") from None

    def end(self) -> int:
        """Read the rest; the exit code."""
        while True:
            try:
                data = os.read(self._screen, 65536)
            except OSError:
                break
            if not data:
                break
            self.written += data.decode("utf-8", "replace")
        os.close(self._screen)
        return self.process.wait(30)

    @property
    def text(self) -> str:
        return _CONTROL.sub("", self.written)


def test_the_picture_shows_what_runs_and_the_summary_stays(hanging: Hanging) -> None:
    screen = OnTerminal(hanging.folder, "run", "slow")
    with open(hanging.folder / "begun") as pipe:
        pipe.read()
    screen.read_until("0/2   ◐ 1 running   ○ 1 waiting")
    screen.read_until("stuck  running")
    hanging.let_go()
    assert screen.end() == 0
    assert "● slow succeeded in" in screen.text
    assert "\x1b[32m●" in screen.written
    # The cursor is given back.
    assert screen.written.rfind("\x1b[?25h") > screen.written.rfind("\x1b[?25l")


def test_ctrl_c_on_a_terminal_leaves_it_in_order(hanging: Hanging) -> None:
    screen = OnTerminal(hanging.folder, "run", "slow")
    with open(hanging.folder / "begun") as pipe:
        pipe.read()
    screen.read_until("◐ 1 running")
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    assert "cancelling run 1; Ctrl-C again kills what still runs" in screen.text
    assert screen.written.rfind("\x1b[?25h") > screen.written.rfind("\x1b[?25l")


def test_no_color_is_respected_and_states_keep_their_words(project: Path) -> None:
    screen = OnTerminal(project, "run", "daily", "-p", "broken=bbb", NO_COLOR="1")
    assert screen.end() == 1
    assert not re.search(r"\x1b\[[0-9;]*m", screen.written)
    assert "■ 1 failed" in screen.text


def test_a_dumb_terminal_gets_lines(project: Path) -> None:
    screen = OnTerminal(project, "run", "one", TERM="dumb")
    assert screen.end() == 0
    assert "◐ run 1 of one started" in screen.text
    assert "\x1b" not in screen.written


def test_tables_fit_a_narrow_terminal(history: Path) -> None:
    screen = OnTerminal(history, "show", "2", columns=60)
    assert screen.end() == 0
    steps = screen.text[screen.text.index("Steps") :]
    assert max(map(len, steps.splitlines())) <= 100
    assert "…" in steps
