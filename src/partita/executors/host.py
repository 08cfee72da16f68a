"""The process that has imported the project: it starts workers, takes their output to log files, and knows how they ended.

Run as `python -m partita.executors.host` by the project's own interpreter, with its socket to the engine as
descriptor 3. It has one thread, for it forks. When the engine goes away it starts nothing more; busy workers go on, their
logs are taken to the end, what their deaths were is noted for the next engine, and then it ends too.

Rule: no user code runs here after the import, except the signature of a pipeline for `Bind`.
"""

from __future__ import annotations

import io
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from partita.core.manifest import Problem
from partita.core.plain import unpack
from partita.executors import control, memory
from partita.executors.channel import Channel
from partita.executors.children import Child, start_child
from partita.executors.control import FromHost, Start, ToHost
from partita.executors.deaths import note_death
from partita.executors.identity import is_alive
from partita.executors.killing import kill_session, members, signal_group
from partita.executors.pump import Pump
from partita.worker.curve import EVERY_S, Point, curve_file
from partita.worker.secrets import take_key_variable

if TYPE_CHECKING:
    from partita.define.project import Project
    from partita.settings import Settings

SOCKET_FD = 3
_PUMP_S = 0.025
_SYNC_S = 1.0
_MEMORY_S = 0.2
_SYNC_FILES = 32
_KILL_S = 0.02
_OWN_LOG_BYTES = 1 << 20
_NEVER = float("inf")


def main() -> None:
    """Load the project, then serve until the engine and all workers are gone."""
    from partita.executors.importing import load

    # What the engine's own parent left open is nothing of ours, and nothing for user code.
    os.closerange(SOCKET_FD + 1, 1 << 16)
    channel: Channel[ToHost] = Channel(socket.socket(fileno=SOCKET_FD), control.to_host)
    messages = channel.wait()
    if not messages:
        return
    first, *early = messages
    assert isinstance(first, control.Begin)
    settings = control.settings_of(first)
    # Before any module of the project is imported.
    take_key_variable()
    # The store's address may have a password in it, and users' code has no business there.
    os.environ.pop("PARTITA_STORE", None)
    os.chdir(settings.project)
    for stream in (sys.stdout, sys.stderr):
        # What a module prints before its import hangs or ends the process is to be seen.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    project = load(settings, channel)
    if project is not None:
        Host(channel, settings, project).serve(early)


class Host:
    """One project's workers."""

    def __init__(self, channel: Channel[ToHost], settings: Settings, project: Project) -> None:
        self._channel = channel
        self._settings = settings
        self._project = project
        self._children: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._busy_pipes: set[Child] = set()
        self._pump_at = _NEVER
        # Logs of workers that are gone, with files that are not on the disk for sure.
        self._unsynced: list[Pump] = []
        self._sync_at = _NEVER
        self._memory_at = _NEVER
        self._curves_at = _NEVER
        # A child's end wakes the loop through this pipe.
        self._signals, self._signalled = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(self._signalled, False)
        self._selector.register(self._channel, selectors.EVENT_READ, self._hear)
        self._selector.register(self._signals, selectors.EVENT_READ, self._reap)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)

    def serve(self, early: list[ToHost]) -> None:
        """Do what the engine asks until it is gone and no worker is left."""
        for message in early:
            self._do(message)
        while self._children or not self._channel.gone:
            for key, _ in self._selector.select(self._wait_s()):
                key.data()
            self._look(time.monotonic())
        for pump in self._unsynced:
            pump.sync(None)

    # --- requests -------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        for message in self._channel.receive():
            self._do(message)
        if self._channel.gone:
            self._selector.unregister(self._channel)
            if self._settings.ends_with_engine:
                for child in self._children.values():
                    kill_session(child.pid)

    def _do(self, message: ToHost) -> None:
        match message:
            case Start():
                self._start(message)
            case control.Kill(worker, grace_s):
                self._kill(worker, grace_s)
            case control.Watch(worker, memory_bytes):
                self._watch(worker, memory_bytes)
            case control.Bind():
                self._say(self._bind(message))
            case control.Source(folder):
                self._settings = replace(self._settings, source=Path(folder))
            case control.AskFigures():
                figures = [control.Figure(c.number, *memory.figures_of(c.pid)) for c in self._children.values()]
                self._say(control.Figures(tuple(figures)))
            case control.Flush(number):
                for child in self._children.values():
                    child.pump.finish()
                self._say(control.Flushed(number))
            case control.Begin():
                raise AssertionError("a second Begin")

    def _say(self, message: FromHost) -> None:
        self._channel.send(control.frame(message))
        self._channel.flush_all()

    def _start(self, start: Start) -> None:
        fds = tuple(self._channel.fds.popleft() for _ in range(control.FDS_PER_START[start.kind]))
        try:
            child = start_child(start, fds, self._project, self._settings, self._leave)
        except OSError as error:
            self._say(control.Died(start.worker, 0, note=f"cannot start a worker: {error}"))
            return
        self._children[child.number] = child
        self._listen(child)
        self._say(control.Started(child.number, child.pid, child.name))

    def _leave(self) -> None:
        """In a forked child: nothing of the host stays open."""
        self._selector.close()
        self._channel.close()
        os.close(self._signals)
        os.close(self._signalled)
        for child in self._children.values():
            child.pump.leave()

    def _bind(self, question: control.Bind) -> control.Bound:
        from partita.define.params import bind_params
        from partita.errors import DefinitionError

        try:
            pipeline = self._project.pipelines[question.pipeline]
            return control.Bound(question.id, bind_params(pipeline, unpack(question.raw)))
        except KeyError:
            problem = Problem(f"there is no pipeline `{question.pipeline}` in this project")
        except DefinitionError as error:
            problem = Problem(error.message, error.hint or "", error.file or "", error.line or 0)
        except Exception as error:
            # A user's own type checks a value here: whatever it does, it is the parameters that are refused.
            problem = Problem(
                f"the parameters cannot be checked: {type(error).__name__}", traceback=traceback.format_exc()
            )
        return control.Bound(question.id, problems=(problem,))

    def _kill(self, worker: int, grace_s: float) -> None:
        child = self._children.get(worker)
        if child is not None and child.kill_at is None:
            child.kill_at = time.monotonic() + grace_s
            signal_group(child.pid, signal.SIGTERM if grace_s > 0 else signal.SIGKILL)

    def _watch(self, worker: int, memory_bytes: int) -> None:
        if child := self._children.get(worker):
            child.memory_bytes = memory_bytes
            child.rss_before = memory.tree_rss(child.pid)
            self._memory_at = time.monotonic() if memory_bytes else self._memory_at

    # --- output ---------------------------------------------------------------------------------------------------

    def _listen(self, child: Child) -> None:
        self._selector.register(child.pump.fd, selectors.EVENT_READ, lambda: self._pump(child))

    def _pump(self, child: Child) -> None:
        """Take the output there is, then look at this pipe by the clock for as long as it is busy."""
        self._selector.unregister(child.pump.fd)
        child.pump.drain()
        self._busy_pipes.add(child)
        now = time.monotonic()
        self._pump_at = min(self._pump_at, now + _PUMP_S)
        if self._curves_at == _NEVER and child.pump.attempt:
            self._curves_at = now + EVERY_S

    def _pump_busy(self, now: float) -> None:
        for child in list(self._busy_pipes):
            if not child.pump.drain() and child.number in self._children:
                self._busy_pipes.discard(child)
                child.pump.rest()
                if not child.pump.ended:
                    self._listen(child)
        self._pump_at = now + _PUMP_S if self._busy_pipes else _NEVER

    # --- ends -----------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        try:
            os.read(self._signals, 4096)
        except BlockingIOError:
            return
        for child in self._children.values():
            child.dead = child.dead or not is_alive(child.name)

    def _look_at_ends(self, now: float) -> None:
        for child in list(self._children.values()):
            if child.kill_at is not None and child.kill_at <= now:
                kill_session(child.pid)
            if child.dead and self._is_all_gone(child, now):
                self._bury(child)

    def _is_all_gone(self, child: Child, now: float) -> bool:
        """Whether nothing of a dead worker's session lives; what is left has until the end of the grace period."""
        left = [pid for pid in members(child.pid) if pid != child.pid]
        if left and child.kill_at is None:
            child.kill_at = now
        return not left

    def _bury(self, child: Child) -> None:
        _, status, usage = os.wait4(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        del self._children[child.number]
        self._busy_pipes.discard(child)
        if child.pump.fd in self._selector.get_map():
            self._selector.unregister(child.pump.fd)
        child.pump.finish()
        died = control.Died(
            child.number,
            child.pid,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            peak_rss_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            over_memory=child.over_memory,
            last_lines=child.pump.last_lines() if code else "",
        )
        child.pump.close()
        self._unsynced.append(child.pump)
        if self._channel.gone and code != 0:
            note_death(self._settings.home.spool, child.name, died)
        self._say(died)

    # --- the clock ------------------------------------------------------------------------------------------------

    def _wait_s(self) -> float | None:
        now = time.monotonic()
        due = min(self._pump_at, self._sync_at, self._memory_at, self._curves_at)
        if any(child.dead or child.kill_at is not None for child in self._children.values()):
            due = min(due, now + _KILL_S)
        return None if due == _NEVER else max(0.0, due - now)

    def _look(self, now: float) -> None:
        if self._pump_at <= now:
            self._pump_busy(now)
        self._look_at_ends(now)
        if self._memory_at <= now:
            self._look_at_memory(now)
        if self._curves_at <= now:
            self._look_at_curves(now)
        if self._sync_at <= now:
            self._sync(now)
        elif self._sync_at == _NEVER and (self._busy_pipes or self._unsynced):
            self._sync_at = now + _SYNC_S

    def _look_at_memory(self, now: float) -> None:
        watched = [child for child in self._children.values() if child.memory_bytes and not child.dead]
        for child in watched:
            used = memory.tree_rss(child.pid) - child.rss_before
            if used > child.memory_bytes:
                child.over_memory = used
                self._add_to_curve(child, last=True)
                child.kill_at = now
                kill_session(child.pid)
        self._memory_at = now + _MEMORY_S if watched else _NEVER

    def _look_at_curves(self, now: float) -> None:
        """What each attempt uses now. Coroutines share a process, so of one alone nobody knows."""
        running = [c for c in self._children.values() if c.pump.attempt and c.kind != "async" and not c.dead]
        for child in running:
            self._add_to_curve(child)
        self._curves_at = now + EVERY_S if running else _NEVER

    def _add_to_curve(self, child: Child, *, last: bool = False) -> None:
        name = child.pump.attempt
        if not name:
            return
        if child.curve is None or child.curve.name != name:
            base = child.rss_before if child.memory_bytes else 0
            child.curve = curve_file(self._settings.home.logs, name, base)
        child.curve.add(Point(time.time(), *memory.tree_figures(child.pid)), last=last)

    def _sync(self, now: float) -> None:
        for child in self._children.values():
            child.pump.sync(_SYNC_FILES)
        self._unsynced = [pump for pump in self._unsynced if pump.sync(_SYNC_FILES)]
        self._sync_at = now + _SYNC_S if self._unsynced else _NEVER
        # What threads of the import print meanwhile must not grow without end.
        if os.fstat(2).st_size > _OWN_LOG_BYTES:
            os.ftruncate(2, 0)


if __name__ == "__main__":
    main()
