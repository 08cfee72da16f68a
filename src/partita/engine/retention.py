"""Retention while the service runs: the oldest goes first, a little in each turn, and never so long that a tick waits.

Rows go here, in the engine's thread (it owns the store); files go after their rows, in a thread for logs and in a process
of its own for what has to be searched for (`sweeping.py`).

Rule: what may go is `core/retention.py`'s to say and what must stay `store/house.py`'s. A chunk is at most 1,000 rows (or
one run), and what takes long makes the next one smaller.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from time import perf_counter

import msgspec

from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.facts.access import AuditTrimmed
from partita.core.facts.house import Removed
from partita.core.manifest import Manifest
from partita.core.retention import KEPT_RUNS, VERSIONS, Policy
from partita.engine.active import ActiveRun
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.engine.sweeping import Sweeper, Swept
from partita.settings import Home
from partita.store import house
from partita.store.named import Execute
from partita.store.writing import SqlStore

_EVERY_S = 3600.0
# After a start there is enough to do.
_FIRST_S = 60.0
_SWEEP_EVERY_S = 6 * 3600.0
_ROWS = 1000
# A chunk that takes longer makes the next ones smaller.
_CHUNK_S = 0.02
# Pages given back to the file system in one turn, and the share of free ones from which on they are.
_PAGES = 500
_FREE_SHARE = 0.25
_log = logging.getLogger("partita.retention")


class Vacuum(msgspec.Struct, frozen=True, tag="vacuum"):
    """Give free pages of the database back to the file system, a little in each turn; answered when it is done."""


class Vacuumed(msgspec.Struct, frozen=True):
    """What `Vacuum` gave back."""

    bytes: int


class TidyNow(msgspec.Struct, frozen=True, tag="tidy_now"):
    """Look at once for what retention may remove; answered when the pass is over."""


class Tidied(msgspec.Struct, frozen=True):
    """How much a pass removed, by kind."""

    counts: dict[str, int]


class Retention:
    """The `Part` of the service that keeps house."""

    name = "retention"

    def __init__(self, engine: Engine, store: SqlStore, clock: Clock, home: Home, policy: Policy) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._home = home
        self._policy = policy
        self._logs = _LogRemover(home.logs)
        self._sweeper = Sweeper(home, policy)
        self._pass: Iterator[None] | None = None
        self._pass_at = float("inf")
        self._sweep_at = float("inf")
        self._page = 100
        self._counts: dict[str, int] = {}
        self._bytes = 0
        self._vacuums: list[Future[Vacuumed]] = []
        self._vacuumed = 0
        self._waiting: list[Future[Tidied]] = []

    # --- a part of the service --------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type, Handler]:
        """What can be asked."""
        return {Vacuum: self._asked_to_vacuum, TidyNow: self._asked_to_tidy}

    def loaded(self, manifest: Manifest) -> None:
        """The policy is the service's, not a project's."""

    def start(self, now: float) -> None:
        """The first pass comes when the start is over."""
        self._pass_at = now + _FIRST_S
        self._sweep_at = now + _FIRST_S

    def due_at(self) -> float:
        if self._pass is not None or self._vacuums:
            return 0.0
        return min(
            self._pass_at, self._sweeper.look_at(self._clock.now()) if self._sweeper.is_running else self._sweep_at
        )

    def turn(self, now: float) -> None:
        """One chunk."""
        if self._pass is None and (now >= self._pass_at or self._pass_at > now + 2 * _EVERY_S):
            self._pass, self._pass_at = self._tidy(now), now + _EVERY_S
        if self._pass is not None:
            self._go_on(now)
        elif self._vacuums:
            self._vacuum()
        self._sweep(now)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """What just happened is not old."""

    def recorded(self, facts: Sequence[Fact]) -> None:
        """What just happened is not old."""

    def close(self) -> None:
        """A sweep that goes on is ended; the next one begins anew."""
        self._sweeper.close()

    # --- rows -------------------------------------------------------------------------------------------------------

    def _go_on(self, now: float) -> None:
        assert self._pass is not None
        began = perf_counter()
        try:
            next(self._pass)
        except StopIteration:
            self._pass = None
            self._finish_pass(now)
            return
        except BaseException:
            # The next pass begins anew; the engine says that this one had trouble.
            self._pass = None
            raise
        took = perf_counter() - began
        if took > _CHUNK_S:
            self._page = max(5, self._page // 2)
        elif took < _CHUNK_S / 3:
            self._page = min(250, self._page + 10)

    def _finish_pass(self, now: float) -> None:
        for kind, count in self._counts.items():
            before = self._policy.before(kind, now) or 0.0
            self._engine.record(Removed(now, kind, count, 0, before))
        for answer in self._waiting:
            answer.set_result(Tidied(dict(self._counts)))
        self._counts, self._waiting = {}, []
        pages, free = self._pages()
        if free > _FREE_SHARE * pages and free > _PAGES and not self._vacuums:
            self._vacuums.append(Future())

    def _tidy(self, now: float) -> Iterator[None]:
        """A pass over everything; each `next` is one chunk."""
        yield from self._leave()
        yield from self._tidy_runs(now)
        yield from self._drop(now)
        for kind in house.PAGED:
            if kind in self._store.dropped_kinds:
                continue
            before = self._policy.before(kind, now)
            if before is not None:
                yield from self._tidy_pages(kind, before)
        yield from self._tidy_backfills(now)
        yield from self._tidy_versions(now)
        yield from self._tidy_graphs()
        yield from self._tidy_audit(now)

    def _drop(self, now: float) -> Iterator[None]:
        """What is removed by the month, where the database can do that."""
        dropped = self._store.drop_history(
            epoch=self._engine.epoch,
            ticks_before=self._policy.before("ticks", now),
            facts_before=self._policy.before("events", now),
        )
        for table, size in dropped:
            self._engine.record(Removed(now, f"{table} of a month", 1, size, 0.0))
            yield

    def _leave(self) -> Iterator[None]:
        """Runs whose removal an earlier pass has begun."""
        while runs := house.leaving_runs(self._store):
            yield from self._remove_large(runs[0])

    def _tidy_runs(self, now: float) -> Iterator[None]:
        after = (-1.0, -1)
        limit = self._policy.before("runs", now)
        while True:
            too_much = self._policy.is_too_much("runs", self._used_bytes())
            before = now if too_much else limit
            if before is None:
                return
            page = house.oldest_runs(self._store, after=after, before=before, kept=KEPT_RUNS, limit=self._page)
            if not page:
                return
            chunk, rows = [], 0
            for run in page:
                if run.may_go and rows and rows + run.rows > _ROWS:
                    break
                after = (run.finished_at, run.no)
                if run.may_go:
                    chunk.append(run)
                    rows += run.rows
            if rows > 2 * _ROWS:
                yield from self._remove_large(chunk[0].no)
                chunk = chunk[1:]
            if chunk:
                numbers = [run.no for run in chunk]
                self._do(lambda execute, numbers=numbers: house.remove_runs(execute, numbers))  # type: ignore[misc]
                self._gone("runs", len(numbers))
                self._logs.remove(numbers)
            yield

    def _remove_large(self, run: int) -> Iterator[None]:
        while not self._do(lambda execute: house.remove_part_of_run(execute, run, _ROWS)):
            yield
        self._gone("runs", 1)
        self._logs.remove([run])

    def _tidy_pages(self, kind: str, before: float) -> Iterator[None]:
        after = -1
        while page := house.oldest(self._store, kind, after=after, before=before, limit=_ROWS // 2):
            keys = [old.key for old in page if old.may_go and old.at < before]
            if keys:
                self._do(lambda execute, keys=keys: house.remove(execute, kind, keys))  # type: ignore[misc]
                self._gone(kind, len(keys))
            if house.has_cursor(kind):
                after = page[-1].key[0]
                # What comes later is younger; what stays whatever its age may lie between.
                if all(old.at >= before for old in page):
                    return
            yield

    def _tidy_backfills(self, now: float) -> Iterator[None]:
        before = self._policy.before("backfills", now)
        after = -1
        while before is not None and (page := house.old_backfills(self._store, after=after, limit=100)):
            after = page[-1].key[0]
            for old in page:
                if old.may_go and old.at < before:
                    number = old.key[0]
                    while not self._do(lambda execute, no=number: house.remove_part_of_backfill(execute, no, _ROWS)):  # type: ignore[misc]
                        yield
                    self._gone("backfills", 1)
                    yield
            yield

    def _tidy_versions(self, now: float) -> Iterator[None]:
        before = self._policy.before("versions", now)
        while before is not None and (found := house.old_versions(self._store, before=before, kept=VERSIONS, limit=20)):
            self._do(lambda execute, found=found: house.remove_versions(execute, found))  # type: ignore[misc]
            self._gone("versions", len(found))
            yield

    def _tidy_graphs(self) -> Iterator[None]:
        """Graphs whose last run has gone. The engine must not believe that it has put one that is here no more."""
        if self._engine.realm.without:
            return  # other engines have put graphs, and cannot be asked
        after = ""
        while page := house.graphs(self._store, after=after, limit=100):
            after = page[-1][0]
            unused = [version for version, is_unused in page if is_unused]
            if unused := self._engine.forget_graphs(unused):
                self._do(lambda execute, unused=unused: house.remove_graphs(execute, unused))  # type: ignore[misc]
                self._gone("graphs", len(unused))
            yield

    def _tidy_audit(self, now: float) -> Iterator[None]:
        before = self._policy.before("audit", now)
        while before is not None and (until := house.audit_until(self._store, before, limit=_ROWS)) is not None:
            self._engine.record(AuditTrimmed(now, *until))
            self._gone("audit", 1)
            yield

    def _do(self, work: Callable[[Execute], bool | None]) -> bool | None:
        return self._store.tidy(work, epoch=self._engine.epoch)

    def _gone(self, kind: str, count: int) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + count

    # --- space ------------------------------------------------------------------------------------------------------

    def _pages(self) -> tuple[int, int]:
        return self._store.pages()

    def _used_bytes(self) -> int:
        pages, free = self._pages()
        return (pages - free) * self._store.page_bytes

    def _vacuum(self) -> None:
        """Give some pages back; when none are left, tell those who asked."""
        _, free = self._pages()
        if free:
            self._vacuumed += self._store.give_back(_PAGES) * self._store.page_bytes
            if self._pages()[1] < free:
                return
        answers, self._vacuums = self._vacuums, []
        for answer in answers:
            answer.set_result(Vacuumed(self._vacuumed))
        self._vacuumed = 0

    def _asked_to_vacuum(self, request: Vacuum) -> Future[Vacuumed]:
        answer: Future[Vacuumed] = Future()
        self._vacuums.append(answer)
        return answer

    def _asked_to_tidy(self, request: TidyNow) -> Future[Tidied]:
        answer: Future[Tidied] = Future()
        self._waiting.append(answer)
        self._pass_at = self._sweep_at = 0.0
        return answer

    # --- files ------------------------------------------------------------------------------------------------------

    def _sweep(self, now: float) -> None:
        if self._sweeper.is_running:
            swept = self._sweeper.result(now)
            if swept is not None:
                self._note(now, swept)
        elif self._sweep_at <= now or self._sweep_at > now + 2 * _SWEEP_EVERY_S:
            self._sweep_at = now + _SWEEP_EVERY_S
            self._sweeper.start(now)

    def _note(self, now: float, swept: Swept) -> None:
        for kind, (count, size) in swept.removed.items():
            self._engine.record(Removed(now, kind, count, size, self._policy.before(kind, now) or 0.0))
        if swept.problem:
            _log.warning("sweeping: %s", swept.problem)


class _LogRemover:
    """Removes the logs of runs that are gone, in a thread; what a crash leaves behind is found by a sweep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def remove(self, runs: Sequence[int]) -> None:
        """Remove the logs of these runs soon."""
        if self._thread is None and not self._folder.is_dir():
            return
        for run in runs:
            self._runs.put(run)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="partita-logs", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            shutil.rmtree(self._folder / str(self._runs.get()), ignore_errors=True)
