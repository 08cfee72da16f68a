"""The scheduler process of `partita up`: `python -P -m partita.engine.main --home HOME --workers N DIR...`.

It owns the store, serves the projects, and answers on the control socket. What happens is told to the supervisor over
descriptor `--supervisor-fd`, a JSON object in a line (`server.supervisor` has the contract). When it is told to end it
starts nothing more; steps that run are left to finish under their workers, and the next scheduler takes up their outcomes.
With `--wait SECONDS` it waits so long for them first.

Rule: this file puts things together and ends them in the right order; what they do is theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from partita.core.events import Event, RunEnded
from partita.core.explain import causes
from partita.core.plan import Instance
from partita.define.project import read_config
from partita.engine.active import ActiveRun
from partita.engine.clock import SystemClock
from partita.engine.control import ControlServer
from partita.engine.postbox import Postbox
from partita.engine.realm import Realm
from partita.engine.service import Service
from partita.engine.spreading import Spreading
from partita.engine.tenure import stand_by
from partita.errors import PartitaError, StoreError, StoreFull, StoreLocked
from partita.executors.identity import is_alive, name_of, pid_of
from partita.executors.loading import HostConnection
from partita.executors.routed import RoutedExecutor
from partita.settings import Home, Settings, home_at
from partita.store.leases import shard_of
from partita.store.opening import is_shared, open_store, own_server
from partita.store.writing import SqlStore
from partita.worker.wire import Progress

WORLD = 3
# How long a scheduler that is just ending may keep its successor waiting.
_LOCKED_S = 10.0
_LOCKED_STEP_S = 0.05
_TURN_S = 5.0
# For how long at most a namespace is left to another machine.
_COURTESY_S = 1.0
# What the schedulers of one home have in common, beside its folders.
_SHARED = (
    "logs", "blobs", "cache", "checkpoints", "code", "secrets.key", "gates.key", "deployed", "token", "service.json", "values", "store",
)  # fmt: skip

Tell = Callable[[dict[str, Any]], None]


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end; the exit status."""
    options = _options(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(levelname)s: %(message)s")
    tell, channel = _teller(options.supervisor_fd)
    stop = _Stop()
    try:
        return _serve(_settings(options), tell, stop, channel, options)
    except PartitaError as error:
        # What was well once may be so again: the disk is full, another one had the lease or the file.
        was_well = isinstance(error, StoreError) and (
            bool(options.namespace) or _is_ours(home_at(options.home.resolve()))
        )
        passes = isinstance(error, StoreFull) or was_well
        is_fatal = not stop.was_ready and not passes
        tell({"event": "failed", "message": error.message, "hint": error.hint or "", "fatal": is_fatal})
        return WORLD


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="partita.engine.main", description="The scheduler; started by `partita up`.")
    parser.add_argument("--home", type=Path, required=True, help="the folder with the store")
    parser.add_argument("--workers", type=int, default=None, help="workers of each project")
    parser.add_argument("--supervisor-fd", type=int, default=-1, help="descriptor of the socket to the supervisor")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for running steps at the end")
    parser.add_argument(
        "--namespace", default="", help="for this namespace alone: it is given out to a scheduler of its own"
    )
    parser.add_argument("--given-out", action="append", help="a namespace that another scheduler is for")
    parser.add_argument("--spread", action="store_true", help="give out each namespace that is deployed into")
    parser.add_argument("--no-reload", action="store_true", help="load projects only when told to")
    parser.add_argument("folders", nargs="*", type=Path, help="the projects")
    return parser.parse_args(arguments)


def _settings(options: argparse.Namespace) -> list[Settings]:
    changes: dict[str, object] = {"home": home_at(options.home.resolve())}
    if options.workers:
        changes["workers"] = options.workers
    # Without a project there is still house to be kept.
    folders = options.folders or [options.home.resolve().parent]
    return [Settings.of(folder, **changes) for folder in folders]


def _serve(
    settings: Sequence[Settings], tell: Tell, stop: _Stop, channel: socket.socket | None, options: argparse.Namespace
) -> int:
    namespace: str = options.namespace
    clock = SystemClock()
    home = _home_of(settings[0].home, namespace)
    settings = [replace(s, home=home) for s in settings]
    store = _opened(home, clock.now, stop, tell)
    if store is None:
        return 0
    holder = name_of(os.getpid()) or ""
    try:
        for own in options.given_out or [namespace]:
            if own:
                store.give_out(own)
        spread = Spreading(store, tell) if options.spread else None
        if is_shared(home) and not _stands_by(store, settings[0], holder, stop, tell, namespace, spread):
            return 0
        if spread is not None:
            spread.begin(holder)
        realm = Realm.of(store, namespace)
        executor = RoutedExecutor({}, home=home, source=lambda *key: _host_of(service, *key), patient=True)
        service = Service(
            store,
            executor,
            settings=settings[0],
            clock=clock,
            holder=holder,
            listeners=[_News(tell)],
            projects=[s for s in settings if options.folders and realm.has(_namespace_of(s.project))],
            tell=tell,
            namespace=namespace,
            deployments=True,
            spread=spread,
        )
        if service.projects is not None:
            # Hosts import the projects while the engine takes up what is open.
            service.projects.begin()
        service.start()
        control = ControlServer(home.socket, service.engine, service.handlers())
        # Web processes and commands on other machines ask through the store.
        post = Postbox(home.store, realm.shard, holder, control.reply) if is_shared(home) else None
        stop.wake = executor.wake
        _watch_supervisor(channel, stop)
        stop.was_ready = True
        tell({"event": "ready", "pid": os.getpid(), "resumed": [run.no for run in service.engine.active.values()]})
        try:
            _turn_until_told(service, stop)
            _wait_for_steps(service, stop, options.wait)
        finally:
            if post is not None:
                post.close()
            control.close()
            left = _open_steps(service)
            service.close()
        tell({"event": "left", "steps": left})
        return 0
    finally:
        store.close()


def _host_of(service: Service, project: str, code: str) -> HostConnection | None:
    if service.projects is None:
        raise LookupError(f"project {project!r} is not served here")
    return service.projects.host_of(project, code)


def _namespace_of(folder: Path) -> str:
    try:
        return read_config(folder).namespace
    except PartitaError:
        return "default"  # whoever loads it says what is wrong


def _home_of(home: Home, namespace: str) -> Home:
    """The home of a scheduler. For one namespace it has a spool and a socket of its own; the rest is that of all."""
    own = home.of_namespace(namespace)
    own.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if namespace:
        for shared in (home.logs, home.blobs, home.cache, home.checkpoints, home.code, home.deployed):
            shared.mkdir(exist_ok=True, mode=0o700)
        for name in _SHARED:
            with contextlib.suppress(FileExistsError):
                (own.root / name).symlink_to(home.root / name)
    return own


def _stands_by(
    store: SqlStore, settings: Settings, holder: str, stop: _Stop, tell: Tell, namespace: str, spread: Spreading | None
) -> bool:
    """Wait until no other scheduler is at work on the store; False if told to end meanwhile."""
    # Whoever else may be at work on a database that is on this machine only is on this machine.
    is_here = own_server(settings.home) is not None

    def is_gone(name: str) -> bool:
        return is_here and pid_of(name) is not None and not is_alive(name)

    def wait(seconds: float) -> bool:
        if spread is not None:
            # Whoever leads may be on another machine: this one has schedulers for the same namespaces.
            spread.look()
        return stop.asked.wait(seconds)

    return stand_by(
        store,
        holder=holder,
        lease_s=settings.lease_s,
        is_gone=is_gone,
        wait=wait,
        tell=lambda problem: tell({"event": "standby", "message": problem}),
        resource=shard_of(namespace),
        courtesy_s=_courtesy_s(settings.home, namespace),
    )


def _courtesy_s(home: Home, namespace: str) -> float:
    """Of several machines each wants another namespace most: so they share them without knowing of each other."""
    if not namespace:
        return 0.0
    drawn = hashlib.sha256(f"{socket.gethostname()}\0{home.root}\0{namespace}".encode()).digest()[0]
    return _COURTESY_S * drawn / 255


def _opened(home: Home, now: Callable[[], float], stop: _Stop, tell: Tell) -> SqlStore | None:
    """The store; an owner who will soon be gone is waited for, and a database that is away. None if told to end meanwhile.

    Raises `StoreLocked` and its kind.
    """
    deadline = time.monotonic() + _LOCKED_S
    told = False
    while True:
        try:
            return open_store(home, clock=now)
        except StoreFull as error:
            if not is_shared(home):
                raise
            if not told:
                tell({"event": "standby", "message": error.message})
            told = True
            if stop.asked.wait(1.0):
                return None
        except StoreLocked:
            if time.monotonic() > deadline or stop.asked.is_set() or not (_is_ours(home) or _is_orphan(home)):
                raise
            stop.asked.wait(_LOCKED_STEP_S)


def _is_orphan(home: Home) -> bool:
    """Whether the owner of the store may be a scheduler whose supervisor is gone, and so is about to end."""
    served_by = _served_by(home)
    return bool(served_by) and not is_alive(served_by)


def _is_ours(home: Home) -> bool:
    """Whether our own supervisor serves this store: a command may be at it, which found no scheduler to ask."""
    served_by = _served_by(home)
    return bool(served_by) and served_by == name_of(os.getppid())


def _served_by(home: Home) -> str:
    """The process that serves a store, or did so last; "" if nobody has said."""
    try:
        return str(json.loads(home.service.read_bytes())["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _turn_until_told(service: Service, stop: _Stop) -> None:
    while not stop.asked.is_set():
        service.turn(_TURN_S)
        if stop.reload:
            stop.reload = False
            if service.projects is not None:
                service.projects.reload()


def _wait_for_steps(service: Service, stop: _Stop, wait_s: float) -> None:
    """Start nothing more, and give what runs so long to end."""
    service.engine.draining = True
    deadline = time.monotonic() + wait_s
    while _open_steps(service) and (left_s := deadline - time.monotonic()) > 0:
        service.turn(min(_TURN_S, left_s))


def _open_steps(service: Service) -> int:
    return sum(1 for run in service.engine.active.values() for i in run.machine.instances() if i.open)


class _Stop:
    """What signals ask for."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.reload = False
        self.was_ready = False
        self.wake: Callable[[], None] = lambda: None
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, self._reload)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.end()

    def end(self) -> None:
        self.asked.set()
        self.wake()

    def _reload(self, number: int, frame: FrameType | None) -> None:
        self.reload = True
        self.wake()


class _News:
    """Tells of runs that did not succeed."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        last = events[-1]
        if type(last) is not RunEnded or run.machine.state == "succeeded":
            return
        found = causes(run.machine) if run.machine.state == "failed" else []
        self._tell(
            {
                "event": "run",
                "no": run.no,
                "run": run.id,
                "project": run.run.project,
                "pipeline": run.run.pipeline,
                "partition": run.run.partition,
                "state": run.machine.state,
                "reason": run.machine.reason,
                "steps": [c.step for c in found[:5]],
            }
        )

    def progressed(self, run: ActiveRun, instance: Instance, progress: Progress) -> None:
        return


def _teller(fd: int) -> tuple[Tell, socket.socket | None]:
    """How the supervisor is told things: over its socket, else on standard output."""
    channel = socket.socket(fileno=fd) if fd >= 0 else None

    def tell(event: dict[str, Any]) -> None:
        line = json.dumps(event).encode() + b"\n"
        try:
            if channel is not None:
                channel.sendall(line)
            else:
                sys.stdout.buffer.write(line)
                sys.stdout.flush()
        except OSError:
            return  # whoever listened is gone; that is noticed elsewhere

    return tell, channel


def _watch_supervisor(channel: socket.socket | None, stop: _Stop) -> None:
    """End when the supervisor is gone: its end of the channel is closed then."""
    if channel is None:
        return

    def watch() -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            selector.select()
        stop.end()

    threading.Thread(target=watch, name="partita-supervisor", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
