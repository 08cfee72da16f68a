"""A `partita up` in a process of its own, whose events a test reads as they come."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .projects import command, environment

PATIENCE_S = 30.0


class Up:
    """A service. `wait` gives the next event that fits; what came before it is passed over."""

    def __init__(self, folder: Path, *words: str, web: bool = False, **more: str) -> None:
        self.home = folder / ".partita"
        flags = ["--port", "0"] if web else ["--no-web"]
        self.process = subprocess.Popen(
            command("up", *words, *flags, "--json"),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(**more),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._stream = self.process.stdout
        os.set_blocking(self._stream.fileno(), False)
        self._unread = b""
        self.seen: list[dict[str, Any]] = []

    def wait(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next event of this name with these fields."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self._next(deadline)) is not None:
            if found["event"] == event and all(found.get(k) == v for k, v in fields.items()):
                return found
        raise AssertionError(f"no {event} {fields} within {PATIENCE_S:g} s; came: {self.seen[-10:]}")

    @property
    def file(self) -> dict[str, Any]:
        """What the service has written about itself."""
        found: dict[str, Any] = json.loads((self.home / "service.json").read_text())
        return found

    def kill(self, part: str) -> int:
        """SIGKILL for a part; its pid."""
        pid = int(self.file["parts"][part])
        os.kill(pid, signal.SIGKILL)
        return pid

    def end(self, number: int = signal.SIGINT) -> int:
        """End it as people do; its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """Whatever happened, nothing of it stays."""
        if self.process.poll() is None:
            self.end()
        self._stream.close()

    def _next(self, deadline: float) -> dict[str, Any] | None:
        import select

        while b"\n" not in self._unread:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._stream], [], [], left_s)[0]:
                return None
            data = self._stream.read()
            if data == b"":
                return None
            self._unread += data or b""
        line, _, self._unread = self._unread.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        self.seen.append(event)
        return event
