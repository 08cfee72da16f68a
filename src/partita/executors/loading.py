"""The engine's side of a project's host: start it, get its manifest or one clear error, talk to it.

`start_host` returns at once, so the caller can import its own things while the host imports the project; workers asked
for before the project is loaded are started as soon as it is.

Rule: a project that hangs, dies or cannot be imported ends here in a `LoadError`, and takes nothing else with it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from partita.core import manifest as manifests
from partita.core.manifest import Manifest
from partita.core.plain import pack
from partita.errors import ExecutorError, LoadError, PartitaError
from partita.executors import control
from partita.executors.channel import Channel
from partita.executors.control import Bind, Bound, Flush, Flushed, FromHost, Importing, Loaded, LoadFailed
from partita.executors.interpreter import python_of, spawn
from partita.executors.killing import kill_and_wait
from partita.executors.links import Link, open_link
from partita.executors.load_log import LoadLog
from partita.settings import Settings

_ANSWER_S = 30.0


@dataclass(frozen=True)
class LoadedProject:
    """A project that was imported, and the host that did it."""

    manifest: Manifest
    connection: HostConnection


def load_project(settings: Settings) -> LoadedProject:
    """Load a project in a host of its own. Raises `LoadError`."""
    connection = start_host(settings)
    try:
        return LoadedProject(connection.manifest(), connection)
    except BaseException:
        connection.close(kill=True)
        raise


def start_host(settings: Settings, *, workers: int = 0) -> HostConnection:
    """Start loading a project and return at once; `workers` warm workers are started as soon as it is loaded."""
    connection = HostConnection(settings)
    connection.early = [connection.start_worker("warm") for _ in range(workers)]
    return connection


class HostConnection:
    """A project's host, seen from the engine. One thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.inbox: deque[FromHost] = deque()
        self.early: list[Link] = []
        self._log = LoadLog()
        self._numbers = 0
        self._importing = ""
        self._manifest: Manifest | None = None
        self._exit_status: int | None = None
        self._started_at = time.monotonic()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        python = python_of(settings.project)
        try:
            self.pid = spawn(python, "partita.executors.host", output=self._log.fd, keep={3: theirs.fileno()})
        except OSError as error:
            ours.close()
            raise ExecutorError(f"cannot start {python}: {error.strerror}") from error
        finally:
            theirs.close()
        self.channel: Channel[FromHost] = Channel(ours, control.from_host)
        self.channel.send(control.frame(control.begin(settings)))

    @property
    def gone(self) -> bool:
        """The host has ended or closed its side."""
        return self.channel.gone

    def start_worker(self, kind: control.WorkerKind) -> Link:
        """Ask for a worker; it is named by a `Started` or given up by a `Died` with its number."""
        link, theirs = open_link(self._next_number(), kind, self.settings.async_slots)
        self.channel.send(control.frame(control.Start(link.number, kind)), theirs)
        return link

    def start_evaluator(self, sock: int) -> int:
        """Ask for an evaluator on its end of a socket, which is closed here; its number, by which its death is told."""
        number = self._next_number()
        self.channel.send(control.frame(control.Start(number, "evaluator")), (sock,))
        return number

    def send(self, message: control.ToHost) -> None:
        self.channel.send(control.frame(message))

    def receive(self) -> list[FromHost]:
        """What the host has said since the last call, without waiting."""
        self._read()
        messages = list(self.inbox)
        self.inbox.clear()
        return messages

    def manifest(self, timeout_s: float | None = None) -> Manifest:
        """Wait for the project. Raises `LoadError`; the time counts from the start of the host."""
        if self._manifest is None:
            limit = self.settings.load_timeout_s if timeout_s is None else timeout_s
            answer = self._await(_is_load_answer, self._started_at + limit)
            if isinstance(answer, Loaded):
                self._manifest = _checked(manifests.decode(answer.manifest))
            else:
                self._fail_to_load(answer, limit)
        assert self._manifest is not None
        return self._manifest

    def bind(self, pipeline: str, raw: Mapping[str, object]) -> Bound:
        """Check parameters of a run against the signature of its pipeline, in the process that knows it.

        Raises `NotPlain` for values that are no plain data.
        """
        number = self.ask_bind(pipeline, raw)
        answer = self._answer(lambda m: isinstance(m, Bound) and m.id == number)
        assert isinstance(answer, Bound)
        return answer

    def ask_bind(self, pipeline: str, raw: Mapping[str, object]) -> int:
        """Ask what `bind` asks and do not wait: a `Bound` with this number will come."""
        number = self._next_number()
        self.send(Bind(number, pipeline, pack(dict(raw))))
        return number

    def flush_logs(self) -> None:
        """Return when everything that workers have written until now is in the log files."""
        number = self._next_number()
        self.send(Flush(number))
        self._answer(lambda m: isinstance(m, Flushed) and m.id == number)

    def close(self, *, kill: bool = False) -> None:
        """Let the host go: it ends after its busy workers have. With `kill` all of it ends now. Twice does nothing."""
        for link in self.early:
            link.close()
        self.early = []
        self.channel.close()
        self._log.close()
        if kill and self.reap() is None:
            kill_and_wait(self.pid)
            self.reap(wait_s=5.0)
        else:
            self.reap()

    def reap(self, *, wait_s: float = 0.0) -> int | None:
        """The host's exit status (negative: the signal that ended it), None while it lives."""
        deadline = time.monotonic() + wait_s
        while self._exit_status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self._exit_status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= deadline:
                break
            else:
                time.sleep(0.002)
        return self._exit_status

    def output(self) -> str:
        """The last lines that the project printed while it was imported."""
        return self._log.tail()

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _answer(self, wanted: Callable[[FromHost], bool]) -> FromHost:
        answer = self._await(wanted, time.monotonic() + _ANSWER_S)
        if answer is None:
            name = self.settings.project.name
            raise ExecutorError(f"the host of project {name!r} does not answer", hint="see `partita doctor`")
        return answer

    def _await(self, wanted: Callable[[FromHost], bool], deadline: float) -> FromHost | None:
        """The first message that is wanted, whatever else comes stays in the inbox; None = too late, or gone."""
        while True:
            self._read()
            for message in self.inbox:
                if wanted(message):
                    self.inbox.remove(message)
                    return message
            remaining = deadline - time.monotonic()
            if self.channel.gone or remaining <= 0:
                return None
            self.channel.flush()
            writers = [self.channel] if self.channel.blocked else []
            select.select([self.channel], writers, [], min(remaining, 1.0))

    def _read(self) -> None:
        for message in self.channel.receive():
            if isinstance(message, Importing):
                self._importing = message.module
            else:
                self.inbox.append(message)

    def _fail_to_load(self, answer: FromHost | None, limit_s: float) -> None:
        name = self.settings.project.name
        if isinstance(answer, LoadFailed):
            raise LoadError(f"project {name!r} cannot be loaded: {answer.message}", hint=answer.hint or None)
        if not self.channel.gone:
            place = self._log.dump_of(lambda: os.kill(self.pid, signal.SIGUSR1), self.settings.project)
            kill_and_wait(self.pid)
            self.reap(wait_s=5.0)
            place = place or self._importing
            raise LoadError(
                f"project {name!r} takes longer than {limit_s:g} s to import{f', it is at {place}' if place else ''}"
                + self._printed(),
                hint="do the work in a task, not at import; or raise `load_timeout_s`",
                passing=True,
            )
        raise self._death(name)

    def _death(self, name: str) -> PartitaError:
        status = self.reap(wait_s=5.0)
        how = "closed its connection" if status is None else f"ended with exit code {status}"
        if status is not None and status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        if not self._importing:
            return LoadError(
                f"the process that is to import project {name!r} {how} before it could begin" + self._printed(),
                hint=f"try `{python_of(self.settings.project)} -m partita.executors.host`",
                passing=True,
            )
        return LoadError(
            f"the import of project {name!r} {how} while importing `{self._importing}`" + self._printed(),
            hint="a module must not end the process that imports it (`os._exit`, a crash in native code)",
            passing=status is None or status < 0,
        )

    def _printed(self) -> str:
        tail = self._log.tail()
        return f"\n{tail}" if tail else ""


def _checked(manifest: Manifest) -> Manifest:
    if not manifest.executors:
        return manifest
    from partita.executors.clusters.made import checked

    return checked(manifest)


def _is_load_answer(message: FromHost) -> bool:
    return isinstance(message, Loaded | LoadFailed)
