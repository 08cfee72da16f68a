"""How a worker is started: forked from the process that has the project, or as an interpreter of its own.

A forked worker shares the pages of everything that was imported and is there in milliseconds. An interpreter of its own
is for steps that ask for it, for projects whose import started threads (a fork would copy their locks, held for
ever), and for systems where a fork is not safe.

Rule: in the child nothing of the host stays open, and the child never returns into the host's code.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from partita.executors.control import Start
from partita.executors.identity import name_of
from partita.executors.interpreter import spawn
from partita.executors.pump import Pump
from partita.settings import Home
from partita.worker.curve import CurveFile
from partita.worker.masking import Masker
from partita.worker.secrets import SecretBook, Where, take_key_variable
from partita.worker.setup import Setup

if TYPE_CHECKING:
    from partita.define.project import Project
    from partita.settings import Settings

_PIPE_BYTES = 1 << 20
_BUG = 70


class Child:
    """A worker, seen from the host."""

    def __init__(self, start: Start, pid: int, pump: Pump) -> None:
        self.number = start.worker
        self.kind = start.kind
        self.pid = pid
        self.pump = pump
        self.name = name_of(pid) or ""
        # Memory that its process tree may rest on beside what it had before; 0 = not watched.
        self.memory_bytes = 0
        self.rss_before = 0
        self.over_memory = 0
        # What the attempt in it uses over time.
        self.curve: CurveFile | None = None
        # Monotonic: when what is left of it is killed by force.
        self.kill_at: float | None = None
        self.dead = False


def may_fork(threads: int) -> bool:
    """Whether workers may be forked from a process with so many threads."""
    return threads <= 1 and sys.platform.startswith("linux")


def start_child(
    start: Start, fds: tuple[int, ...], project: Project, settings: Settings, leave: Callable[[], None]
) -> Child:
    """Start a worker on its descriptors, which are closed here. `leave` closes what is the host's. Raises `OSError`."""
    setup = Setup(
        project=str(settings.code_folder),
        home=str(settings.home.root),
        inline_bytes=settings.inline_bytes,
        secrets=_secret_values(project),
        nonce=os.urandom(8).hex(),
        asynchronous=start.kind == "async",
        evaluating=start.kind == "evaluator",
        where=_where(project, settings),
        values=settings.home.values,
        host=os.getpid() if settings.ends_with_engine else 0,
    )
    out, into = os.pipe()
    try:
        _widen(into)
        if start.kind == "fresh" or not may_fork(project.manifest.threads):
            pid = _start_interpreter(fds, into, setup)
        else:
            pid = _fork(fds, into, setup, project, leave)
    except OSError:
        os.close(out)
        raise
    finally:
        os.close(into)
        for fd in fds:
            os.close(fd)
    os.set_blocking(out, False)
    return Child(start, pid, Pump(out, setup, settings, _pump_mask(setup)))


def _fork(fds: tuple[int, ...], output: int, setup: Setup, project: Project, leave: Callable[[], None]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = _BUG
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        _as_a_process_of_its_own(leave)
        status = _serve(fds, setup, project)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _as_a_process_of_its_own(leave: Callable[[], None]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    leave()
    # Python reseeds its own generator after a fork, NumPy does not: two workers would draw the same numbers.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _serve(fds: tuple[int, ...], setup: Setup, project: Project) -> int:
    if setup.evaluating:
        from partita.worker.evaluating import evaluate

        evaluate(fds[0], project, setup)
        return 0
    from partita.worker.main import serve

    sock, claims = fds
    serve(sock, claims, project.calls, setup)
    return 0


def _start_interpreter(fds: tuple[int, ...], output: int, setup: Setup) -> int:
    told, tell = os.pipe()
    try:
        os.write(tell, msgspec.msgpack.encode(setup))
        os.close(tell)
        if setup.evaluating:
            arguments = ["--sock", "3", "--setup", "4"]
            return spawn(
                sys.executable, "partita.worker.evaluating", *arguments, output=output, keep={3: fds[0], 4: told}
            )
        arguments = ["--sock", "3", "--claims", "4", "--setup", "5"]
        keep = {3: fds[0], 4: fds[1], 5: told}
        return spawn(sys.executable, "partita.worker.main", *arguments, output=output, keep=keep)
    finally:
        os.close(told)


def _secret_values(project: Project) -> tuple[bytes, ...]:
    values = (os.environb.get(name.encode(), b"") for name in project.manifest.secrets)
    return tuple(value for value in values if value)


def _where(project: Project, settings: Settings) -> Where:
    return Where(
        project.manifest.namespace, str(settings.project), project.manifest.secret_sources, take_key_variable()
    )


def _pump_mask(setup: Setup) -> Masker:
    """What masks the output of this host's workers: one may print what another has fetched."""
    _mask.add(*setup.secrets, *SecretBook(Home(Path(setup.home)), setup.where).known())
    return _mask


# One host serves one project; it learns of secrets as long as it lives.
_mask = Masker()


def _widen(fd: int) -> None:
    """A pipe that holds a burst of output while the host is elsewhere. A user may have only so many of them."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
