"""A folder that a service serves, on a clock that stands still, with work that takes as long as is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from partita.define.project import load
from partita.engine.clock import FakeClock
from partita.engine.service import Service
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.settings import Settings
from partita.store.sqlite import open_store
from partita.worker.wire import Outcome


class Hands:
    """An executor whose steps end when it is told so."""

    def __init__(self) -> None:
        self.open: dict[int, Assignment] = {}
        self._reports: list[Report] = []

    def place(self, demand: Demand) -> Placement:
        return Placement("hands:1:0", 0)

    def unplace(self, placement: Placement) -> None: ...

    def submit(self, assignments: Sequence[Assignment]) -> None:
        self.open.update({a.ticket.no: a for a in assignments})

    def kill(self, ticket_no: int, *, reason: str) -> None: ...

    def poll(self, timeout_s: float) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    def wake(self) -> None: ...

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        self._reports += [Ended(Outcome(a.no, "lost", 0.0, 0.0)) for a in attempts]

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None: ...

    def end_all(self, began: float, ended: float) -> None:
        self._reports += [Ended(Outcome(no, "succeeded", began, ended)) for no in self.open]
        self.open.clear()


class Served:
    """`with Served(folder, clock) as service:` is one life of a service."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        settings = Settings.of(folder)
        settings.home.root.mkdir(exist_ok=True)
        self.clock, self.hands = clock, Hands()
        self.store = open_store(settings.home.db, clock=clock.now)
        self.service = Service(self.store, self.hands, settings=settings, clock=clock)
        self.service.load(load(folder).manifest)
        self.service.start()

    def work(self, *, takes: float = 1.0) -> None:
        """Do what is due, and all that follows from it."""
        self.turns()
        while self.hands.open:
            began = self.clock.now()
            self.clock.advance(takes)
            self.hands.end_all(began, began + takes)
            self.turns()

    def turns(self) -> None:
        for _ in range(4):
            self.service.turn(0.0)

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.service.close()
        for part in self.service.parts:
            # Who keeps house may have a process of its own at work.
            getattr(getattr(part, "_sweeper", part), "close", lambda: None)()
        self.store.close()
