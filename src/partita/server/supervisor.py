"""The process of `partita up`: it starts the scheduler and the web process, and starts again whichever dies.

What it promises its parts, and asks of them:

- Each is `python -P -m MODULE ...` in a session of its own: a terminal's Ctrl-C reaches this process only.
- Descriptor 3 is a stream socket to this process. A part writes its events there, a JSON object with "event" in a line
  (at least {"event": "ready"} once it answers). Nothing is ever sent to it; when it reads end of file there, this process
  is gone, and the part ends as if it were told to.
- SIGTERM ends a part cleanly within `PATIENCE_S`; SIGHUP means to read definitions (scheduler) or settings again.
- It exits with 0 when it was told to end. {"event": "failed", "message", "hint", "fatal": true} before another status says
  that to start it again is of no use.

The web process: `python -P -m partita.server.main --home HOME --supervisor-fd 3 --listen-fd 4 --host HOST --port PORT`.
Descriptor 4 is a listening TCP socket, opened here and kept, so that a restart of the web process refuses nobody: requests
wait in its backlog. Its "ready" has "address" ("http://127.0.0.1:4400") and "link", the address to open in a browser with
its one-time token ("" where there is none).

The scheduler: `python -P -m partita.engine.main --home HOME --supervisor-fd 3 --workers N DIR...`.

Rule: no engine, no server, no third-party import here: whoever watches must be the last to fail, and costs next to nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from partita.executors.interpreter import spawn

CHANNEL_FD = 3
LISTEN_FD = 4
# How long a part may take to end before it is ended by force.
PATIENCE_S = 20.0
# So many deaths within a minute are too many.
MOST_DEATHS = 5
_MINUTE_S = 60.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# How long a part that dies again and again is left alone, if the service can do without it.
_REST_S = 60.0
_LINE_LIMIT = 1 << 20

Event = dict[str, Any]


@dataclass(frozen=True)
class PartSpec:
    """A part to be kept alive. `listen`: a socket that it inherits. `vital`: without it there is no service."""

    name: str
    module: str
    arguments: tuple[str, ...]
    listen: socket.socket | None = None
    vital: bool = True


class _Part:
    """A part and what became of its processes."""

    def __init__(self, spec: PartSpec) -> None:
        self.spec = spec
        self.pid = 0
        self.channel: socket.socket | None = None
        self.is_ready = False
        self.failure = ""
        self.is_fatal = False
        # Monotonic: when it is started again; 0 = it runs, or is to stay dead.
        self.start_at = 0.0
        self.deaths: deque[float] = deque()
        self._unread = bytearray()

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        keep = {CHANNEL_FD: theirs.fileno()}
        if self.spec.listen is not None:
            keep[LISTEN_FD] = self.spec.listen.fileno()
        try:
            self.pid = spawn(sys.executable, self.spec.module, *self.spec.arguments, output=2, keep=keep)
        finally:
            theirs.close()
        ours.setblocking(False)
        self.channel, self.start_at, self.is_ready = ours, 0.0, False
        self.failure, self.is_fatal = "", False
        self._unread.clear()

    def events(self) -> list[Event]:
        """What it has said since the last call. A part that says nonsense is not heard."""
        while self.channel is not None:
            try:
                data = self.channel.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                break
            self._unread += data
        *lines, rest = bytes(self._unread).split(b"\n")
        self._unread = bytearray(rest[:_LINE_LIMIT])
        found: list[Event] = []
        for line in lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and isinstance(event.get("event"), str):
                    found.append(event)
        return found

    def signal(self, number: int) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self) -> None:
        """It is dead and was waited for."""
        self.pid, self.is_ready = 0, False
        if self.channel is not None:
            self.channel.close()
            self.channel = None


class Supervisor:
    """Keeps its parts alive until it is told to end. `tell` hears every event; `changed` that a process is another one.

    `grown` says which parts are to be there as well, after an event of one.
    """

    def __init__(
        self,
        parts: Sequence[PartSpec],
        *,
        tell: Callable[[str, Event], None],
        changed: Callable[[dict[str, int]], None] = lambda pids: None,
        grown: Callable[[Event], Sequence[PartSpec]] = lambda event: (),
        is_left: Callable[[], bool] = lambda: False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._parts = [_Part(spec) for spec in parts]
        self._tell = tell
        self._changed = changed
        self._grown = grown
        # Whether nobody is at the terminal any more: then SIGHUP ends it.
        self._is_left = is_left
        self._patience_s = patience_s
        self._selector = selectors.DefaultSelector()
        self._asked = 0
        self._answered = 0
        self._reload = False
        self._stop_by = 0.0
        self._status = 0
        self._woken, self._waker = os.pipe()
        for fd in (self._woken, self._waker):
            os.set_blocking(fd, False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)

    def run(self) -> int:
        """Start everything, watch it, end it; the exit status."""
        before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            for part in self._parts:
                self._start(part)
            while any(part.pid or part.start_at for part in self._parts):
                self._turn()
            return self._status
        finally:
            for part in self._parts:
                part.signal(signal.SIGKILL)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            self._selector.close()
            os.close(self._woken)
            os.close(self._waker)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):
            self._asked += 1
        elif number == signal.SIGHUP:
            self._reload = True

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._wait_s()):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            elif not self._hear(key.data):
                # Its end of the channel is closed: its process is dead, or about to be.
                self._selector.unregister(key.fileobj)
        self._reap()
        self._answer()
        now = time.monotonic()
        for part in self._parts:
            if part.start_at and part.start_at <= now:
                self._start(part)
        if self._stop_by and self._stop_by <= now:
            self._kill(f"did not end within {self._patience_s:g} s")

    def _wait_s(self) -> float | None:
        due = [part.start_at for part in self._parts if part.start_at]
        if self._stop_by:
            due.append(self._stop_by)
        return max(0.0, min(due) - time.monotonic()) if due else None

    # --- the parts ------------------------------------------------------------------------------------------------

    def _start(self, part: _Part) -> None:
        part.start()
        assert part.channel is not None
        self._selector.register(part.channel, selectors.EVENT_READ, part)
        self._say_pids()

    def _hear(self, part: _Part) -> bool:
        """Pass on what a part says; False when it will say nothing more."""
        for event in part.events():
            if event["event"] == "ready":
                part.is_ready = True
            elif event["event"] == "failed":
                part.failure = str(event.get("message", ""))
                part.is_fatal = bool(event.get("fatal"))
            self._tell(part.spec.name, event)
            self._grow(self._grown(event))
        try:
            return part.channel is not None and bool(part.channel.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _grow(self, specs: Sequence[PartSpec]) -> None:
        """Start parts that are not there yet."""
        for spec in specs:
            if not self._answered and all(part.spec.name != spec.name for part in self._parts):
                self._parts.append(_Part(spec))
                self._start(self._parts[-1])

    def _reap(self) -> None:
        for part in list(self._parts):
            if not part.pid:
                continue
            pid, status = os.waitpid(part.pid, os.WNOHANG)
            if pid:
                self._hear(part)
                if part.channel is not None and part.channel in self._selector.get_map():
                    self._selector.unregister(part.channel)
                part.end()
                self._bury(part, os.waitstatus_to_exitcode(status))

    def _bury(self, part: _Part, status: int) -> None:
        """What follows from the end of a part."""
        if self._answered:
            self._say_pids()
            return
        how = part.failure or _how(status)
        if part.is_fatal:
            self._give_up(part, how)
            return
        now = time.monotonic()
        part.deaths.append(now)
        while part.deaths[0] < now - _MINUTE_S:
            part.deaths.popleft()
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (len(part.deaths) - 1))
        if len(part.deaths) > MOST_DEATHS:
            if part.spec.vital:
                self._give_up(part, f"died {len(part.deaths)} times within a minute, the last time: {how}")
                return
            pause_s = _REST_S
        part.start_at = now + pause_s
        self._tell(part.spec.name, {"event": "died", "how": how, "again_in_s": pause_s, "times": len(part.deaths)})
        self._say_pids()

    def _give_up(self, part: _Part, why: str) -> None:
        self._status = 3
        self._tell(part.spec.name, {"event": "given_up", "why": why})
        self._stop()

    def _say_pids(self) -> None:
        self._changed({part.spec.name: part.pid for part in self._parts if part.pid})

    # --- the end --------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        """Do what signals have asked for."""
        if self._reload and self._is_left():
            self._asked = max(1, self._asked)
            self._reload = False
        if self._reload:
            self._reload = False
            self._tell("supervisor", {"event": "reloading"})
            for part in self._parts:
                part.signal(signal.SIGHUP)
        if self._asked and not self._answered:
            self._tell("supervisor", {"event": "stopping"})
            self._stop()
        # Not `elif`: the second one may have come meanwhile, and nothing else would wake us for it.
        if self._answered and self._asked > self._answered:
            self._answered = self._asked
            self._kill("at once, as was asked for twice")

    def _stop(self) -> None:
        self._asked, self._answered = self._asked or 1, 1
        self._stop_by = time.monotonic() + self._patience_s
        for part in self._parts:
            part.start_at = 0.0
            part.signal(signal.SIGTERM)

    def _kill(self, why: str) -> None:
        self._stop_by = 0.0
        for part in self._parts:
            if part.pid:
                self._tell(part.spec.name, {"event": "killed", "why": why})
                part.signal(signal.SIGKILL)


def listen(host: str, port: int) -> socket.socket:
    """The socket on which the web process answers. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with exit code {status}"
    return f"was killed by {signal.Signals(-status).name}"


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
