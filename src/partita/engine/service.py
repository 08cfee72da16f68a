"""Everything that the scheduler process of `partita up` does: one engine, the projects it serves, and its chores.

Rule: parts are put together here and nowhere else; none of them knows the service, each gets the two or three things it uses.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import msgspec

from partita.core.manifest import Manifest
from partita.core.placement import Capacity
from partita.engine import submission
from partita.engine.access import Access
from partita.engine.asking import Asking
from partita.engine.automation import Automation
from partita.engine.backfills import Backfills
from partita.engine.catalog import Catalog
from partita.engine.chores import Chore
from partita.engine.clock import Clock, SystemClock
from partita.engine.control import Handler, handlers_of
from partita.engine.deadlines import Deadlines
from partita.engine.deployments import Deployments
from partita.engine.freshness import FreshnessWatch
from partita.engine.gates import Gates
from partita.engine.keeping import policy_for
from partita.engine.limits import Limits, ListCapacity
from partita.engine.loop import Engine, Listener
from partita.engine.notify import Notify
from partita.engine.premises import LookAround, premises
from partita.engine.projects import Hosts, Projects
from partita.engine.reporting import Reporting
from partita.engine.resources import Resources
from partita.engine.retention import Retention
from partita.engine.sensing import Sensing
from partita.engine.spreading import Spreading
from partita.engine.submitter import Submitter
from partita.engine.ticker import Ticker
from partita.engine.tokens import GateTokens
from partita.executors.capacity import of_machine
from partita.executors.contract import Executor
from partita.executors.evaluator import NoEvaluator
from partita.settings import Settings
from partita.store.access import sealed_rows
from partita.store.leases import shard_of
from partita.store.writing import SqlStore
from partita.worker.secrets import write_sealed


class Part(Chore, Protocol):
    """A chore of the service, with the requests that it answers."""

    def handlers(self) -> Mapping[type, Handler]:
        """What it can be asked, by the type of the request (`engine.control`)."""
        ...

    def loaded(self, manifest: Manifest) -> None:
        """A project was loaded, or loaded again: the catalog has its definitions now."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A part that holds something beside memory: a process, a watch."""

    def close(self) -> None:
        """Let go of it; the part takes no turn any more."""
        ...


class Service:
    """One engine with its chores over a store that is open. Build it, `start`, then `turn` for ever, then `close`."""

    def __init__(
        self,
        store: SqlStore,
        executor: Executor,
        *,
        settings: Settings,
        clock: Clock | None = None,
        listeners: Iterable[Listener] = (),
        holder: str = "",
        projects: Sequence[Settings] = (),
        tell: Callable[[dict[str, Any]], None] = lambda event: None,
        machine: Capacity | None = None,
        namespace: str = "",
        deployments: bool = False,
        spread: Spreading | None = None,
    ) -> None:
        # Who gives namespaces out that are deployed into; None: they are served here.
        self._spread = spread
        # Of a namespace that was given out; "" = of all others (`engine.realm`).
        store.shard = shard_of(namespace)
        # What there is for steps on this machine.
        self.machine = of_machine() if machine is None else machine
        self.settings = settings
        self.store = store
        self.clock: Clock = clock or SystemClock()
        self.catalog = Catalog()
        self.engine = Engine(
            store,
            executor,
            self.clock,
            holder=holder or f"{socket.gethostname()}:{os.getpid()}:{time.time_ns():x}",
            lease_s=settings.lease_s,
            interval=self._interval,
            listeners=listeners,
            namespace=namespace,
        )
        self.submitter = Submitter(self.engine, self.catalog, self.clock)
        self.ticker = Ticker(
            self.engine,
            self.store,
            self.catalog,
            self.submitter,
            self.clock,
            evaluator=getattr(executor, "evaluator", None),
        )
        # Served from their folders; without any, whoever made the service loads manifests (`load`).
        self.projects = (
            Projects(
                self.engine, store, cast(Hosts, executor), self.catalog, self.load, projects, tell=tell, base=settings
            )
            if projects or deployments
            else None
        )
        self.parts: list[Part] = [*self._make_parts(), *self._make_serving()]
        self.engine.chores.extend(self.parts)

    def _make_parts(self) -> list[Part]:
        """In the order in which they take their turns."""
        return [
            Gates(
                self.engine,
                self.store,
                self.clock,
                tokens=GateTokens.of_file(self.settings.home.gate_key),
                evaluator=getattr(self.engine.executor, "evaluator", None),
            ),
            Limits(self.engine, self.store, self.catalog, self.clock, self.machine),
            *self._make_telling(),
            self._make_access(),
            Resources(self.catalog, lambda: getattr(self.engine.executor, "evaluator", None)),
            Backfills(self.engine, self.catalog, self.submitter, self.clock, self.store),
            *self._make_housekeeping(),
            Reporting(self.engine, self.store, self.catalog, self.clock),
            FreshnessWatch(self.engine, self.store, self.catalog),
            Automation(self.engine, self.store, self.catalog, self.submitter, self.clock),
            self.ticker,
            self._make_sensing(),
        ]

    def _make_housekeeping(self) -> list[Part]:
        """One engine of a store keeps house: that of everything that was not given out."""
        if self.engine.realm.only:
            return []
        return [Retention(self.engine, self.store, self.clock, self.settings.home, policy_for(self.settings.project))]

    def _make_sensing(self) -> Sensing:
        evaluator = getattr(self.engine.executor, "evaluator", None) or NoEvaluator()
        return Sensing(self.engine, self.catalog, self.submitter, self.clock, evaluator)

    def _make_serving(self) -> list[Part]:
        """Who loads projects, and who makes the runs that are asked for: last, for the others are to know of a load first."""
        served = self.projects
        bind = cast(Hosts, self.engine.executor).bind if served is not None else None
        asking = Asking(self.engine, self.store, self.catalog, self.submitter, bind=bind, loading=served)
        if served is None:
            return [asking]
        return [Deployments(self.engine, self.store, served, self.settings, self._spread), served, asking]

    def _make_telling(self) -> list[Part]:
        evaluator = getattr(self.engine.executor, "evaluator", None)
        notify = Notify(self.engine, self.store, self.catalog, self.clock, evaluator=evaluator, address=self._address)
        return [notify, Deadlines(self.engine, self.store, self.catalog, notify.tell)]

    def _address(self) -> str:
        """Where people reach the UI: PARTITA_PUBLIC_URL, or where `up` says that its web process answers; "" = nowhere."""
        if public := os.environ.get("PARTITA_PUBLIC_URL"):
            return public.rstrip("/")
        try:
            told = msgspec.json.decode(self.settings.home.service.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            return ""
        return str(told.get("address") or "")

    def _make_access(self) -> Access:
        elsewhere = (lambda: list(sealed_rows(self.store))) if self.engine.realm.only else None
        access = Access(self.engine, self.store, self.clock, self.handlers, elsewhere)
        # Steps say as they run that they use a secret; workers read sealed ones from a file.
        self.engine.listeners.append(access)
        access.secrets_changed.append(lambda: write_sealed(self.settings.home, sealed_rows(self.store)))
        return access

    def handlers(self) -> dict[type, Handler]:
        """All that the service can be asked."""
        own = {kind: handler for part in self.parts for kind, handler in part.handlers().items()}
        own[LookAround] = lambda request: [premises(self.engine, self.projects, own[ListCapacity](ListCapacity()))]
        return {**handlers_of(self.engine), **own}

    def load(self, manifest: Manifest) -> None:
        """Take in what a project defines now, before `start` or while running."""
        self.catalog.put(manifest)
        self.store.put_manifest(manifest, epoch=self.engine.epoch if self.engine.has_begun else None)
        # Which engines of others its steps may be sent to; executors of one machine have no such thing.
        getattr(self.engine.executor, "configure", lambda manifest: None)(manifest)
        for part in self.parts:
            part.loaded(manifest)

    def start(self) -> None:
        """Take the lease, take up what is open."""
        self.engine.start()

    def turn(self, timeout_s: float = 5.0) -> bool:
        """One turn of the engine with its chores."""
        return self.engine.turn(timeout_s)

    def close(self, *, kill: bool = False) -> None:
        """Commit what waits and let everything go."""
        for part in self.parts:
            if isinstance(part, Closing):
                part.close()
        self.engine.close(kill=kill)

    def _interval(self, run: Any) -> tuple[str, str]:
        # Of a run that is taken up before its project was loaded: as it was defined then.
        manifest = self.catalog.manifests.get(run.project) or self.store.manifest(run.project)
        bounds = submission.interval(manifest, run) if manifest is not None else ("", "")
        # Without a partition, a tick's run is about the time since the tick before.
        return bounds if any(bounds) else self.ticker.interval(run)
