"""Running backfills: makes the runs of their parts, follows them to their ends, and does what people ask for.

Rule: what comes next is `core/backfill_course.py`'s to say, and planning is its asker's (`backfill_planning.py`). A part
starts in the commit that makes its run, so a crash leaves no run that is of no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from partita.core.backfill import BackfillSpec, Work, check, encode
from partita.core.backfill_course import BackfillCourse, Part, PartState
from partita.core.events import CancelRequested, Event, PauseRequested, ResumeRequested, RunEnded
from partita.core.facts import Fact
from partita.core.facts.backfills import (
    BackfillAsked,
    BackfillCreated,
    BackfillEnded,
    BackfillRetried,
    BackfillWaits,
    PartEnded,
    PartStarted,
)
from partita.core.manifest import Manifest
from partita.core.states import TERMINAL_RUN
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.ids import new_run_id
from partita.engine.loop import Engine
from partita.engine.submission import RunRequest
from partita.engine.submitter import Submitter
from partita.errors import DefinitionError, PartitaError, WorldError
from partita.store import backfills as rows
from partita.store.backfills import BackfillRow
from partita.store.contract import OriginTaken
from partita.store.writing import SqlStore

# Runs made in one turn of the loop, over all backfills: the others in it want their turn too.
_AT_ONCE = 20
# After a start it takes a moment until projects are loaded.
_LOADED_WITHIN_S = 30.0


class StartBackfill(msgspec.Struct, frozen=True, tag="start_backfill"):
    """Run what `plan_backfill` has planned: its `spec`, `work` and number of partitions."""

    spec: BackfillSpec
    work: Work
    partitions: int
    by: str


class AskBackfill(msgspec.Struct, frozen=True, tag="ask_backfill"):
    """Pause, resume or cancel a backfill, with the runs that it has open."""

    id: str
    what: Literal["pause", "resume", "cancel"]
    by: str
    reason: str = ""


class RetryBackfill(msgspec.Struct, frozen=True, tag="retry_backfill"):
    """Have what failed, was skipped or was cancelled of a backfill run again."""

    id: str
    by: str


class BackfillAnswer(msgspec.Struct, frozen=True):
    """What came of it: the backfill's id, and how many of its parts it is about."""

    id: str
    parts: int = 0


class _Running:
    """A backfill that has not ended."""

    __slots__ = ("by", "course", "id", "runs", "spec", "told", "tries", "waits_since")

    def __init__(self, id: str, by: str, spec: BackfillSpec, course: BackfillCourse) -> None:
        self.id = id
        self.by = by
        self.spec = spec
        self.course = course
        # Open runs, and how often parts that are run again have been run.
        self.runs: dict[str, Part] = {}
        self.tries: dict[Part, int] = {}
        # Since when it waits for a project that is not served, and whether that was said.
        self.waits_since: float | None = None
        self.told = False


class Backfills:
    """The `Part` of the service that runs backfills."""

    name = "backfills"

    def __init__(self, engine: Engine, catalog: Catalog, submitter: Submitter, clock: Clock, store: SqlStore) -> None:
        self._engine = engine
        self._catalog = catalog
        self._submitter = submitter
        self._clock = clock
        self._store = store
        self._running: dict[str, _Running] = {}
        # The backfill of each open run.
        self._of: dict[str, _Running] = {}
        self._ended: list[tuple[str, str, str]] = []
        # What open runs are to be told, once they are active.
        self._orders: dict[str, CancelRequested | PauseRequested | ResumeRequested] = {}
        self._due = float("inf")

    # --- a part of the service --------------------------------------------------------------------------------------

    def handlers(self) -> Mapping[type, Handler]:
        """What can be asked."""
        return {StartBackfill: self._start, AskBackfill: self._ask, RetryBackfill: self._retry}

    def loaded(self, manifest: Manifest) -> None:
        """Backfills that waited for their project go on."""
        self._due = 0.0

    def start(self, now: float) -> None:
        """Take up what has not ended, and what became of its runs meanwhile."""
        for row in rows.open_backfills(self._store):
            if not self._engine.realm.has(row.namespace):
                continue
            known = list(rows.all_parts(self._store, row))
            self._take_up(row, [(Part(p.stage, p.part), p.state, p.tries, p.run) for p in known])

    def due_at(self) -> float:
        return self._due

    def turn(self, now: float) -> None:
        """Take in what has ended, and start what comes next."""
        self._due = float("inf")
        self._give_orders()
        ended, self._ended = self._ended, []
        for run, state, reason in ended:
            self._part_ended(now, run, state, reason)
        left = _AT_ONCE
        for backfill in list(self._running.values()):
            while left and (part := backfill.course.next_part()) is not None:
                project = backfill.course.work.stages[part.stage].project
                if project not in self._catalog.manifests:
                    self._wait(now, backfill, project)
                    break
                self._go_on(now, backfill)
                self._start_part(now, backfill, part)
                left -= 1
            if backfill.course.is_finished:
                self._finish(now, backfill)
        if not left:
            self._due = now

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """A run of ours has ended, or has become active while it was told something."""
        if run.id not in self._of:
            return
        last = events[-1]
        if type(last) is RunEnded:
            self._ended.append((run.id, last.state, last.reason))
            self._due = 0.0
        elif run.id in self._orders:
            self._due = 0.0

    def recorded(self, facts: Sequence[Fact]) -> None:
        """Its own facts tell it nothing new."""

    # --- what people ask --------------------------------------------------------------------------------------------

    def _start(self, request: StartBackfill) -> BackfillAnswer:
        spec, work, now = request.spec, request.work, self._clock.now()
        check(spec)
        if not work.total:
            raise DefinitionError("nothing of this is left to do", hint="--only all makes again what is there")
        id = new_run_id(now)
        backfill = _Running(id, request.by, spec, BackfillCourse(work, spec.max_runs))
        # What cannot run is said now, and not by a thousand parts that fail.
        first = next(i for i, stage in enumerate(work.stages) if not stage.needs)
        _, run = self._submitter.plan(self._request_of(backfill, Part(first, 0)))
        fact = BackfillCreated(
            at=now,
            id=id,
            namespace=run.namespace,
            project=work.stages[-1].project,
            target=spec.target,
            by=request.by,
            spec=encode(spec),
            work=encode(work),
            total=work.total,
            partitions=request.partitions,
            priority=spec.priority,
        )
        self._engine.record(fact)
        self._running[id] = backfill
        self._due = 0.0
        return BackfillAnswer(id, work.total)

    def _ask(self, request: AskBackfill) -> BackfillAnswer:
        backfill = self._running.get(self._row(request.id).id)
        if backfill is None:
            raise DefinitionError(
                f"backfill {request.id} has ended", hint="partita backfill show says how; retry runs again what failed"
            )
        course, now = backfill.course, self._clock.now()
        if course.cancelled and request.what != "cancel":
            raise DefinitionError(f"backfill {request.id} is being cancelled", hint="wait for it, then retry it")
        self._engine.record(BackfillAsked(now, backfill.id, request.what, request.by, request.reason))
        reason = request.reason or f"its backfill was {_DONE[request.what]}"
        order: CancelRequested | PauseRequested | ResumeRequested
        if request.what == "cancel":
            course.cancelled = True
            order = CancelRequested(now, request.by, reason)
        elif request.what == "pause":
            course.paused = True
            order = PauseRequested(now, request.by, reason)
        else:
            course.paused = False
            order = ResumeRequested(now, request.by)
        self._orders.update(dict.fromkeys(backfill.runs, order))
        self._due = 0.0
        return BackfillAnswer(backfill.id, len(backfill.runs))

    def _retry(self, request: RetryBackfill) -> BackfillAnswer:
        row = self._row(request.id)
        backfill = self._running.get(row.id)
        if backfill is not None and backfill.course.cancelled:
            raise DefinitionError(f"backfill {request.id} is being cancelled", hint="wait for it, then retry it")
        known = list(rows.all_parts(self._store, row))
        again = sum(p.state in _AGAIN for p in known)
        if not again and row.state != "cancelled":
            raise DefinitionError(
                f"nothing of backfill {request.id} has failed", hint="a new one makes again what is there"
            )
        if backfill is not None and (self._ended or self._engine.blocked):
            raise WorldError(f"backfill {request.id} is just being written down", hint="try again in a moment")
        self._engine.record(BackfillRetried(self._clock.now(), row.id, request.by))
        parts = [(Part(p.stage, p.part), "waiting" if p.state in _AGAIN else p.state, p.tries, p.run) for p in known]
        self._take_up(msgspec.structs.replace(row, paused=False, cancel_requested=False), parts)
        if row.paused:
            resume = ResumeRequested(self._clock.now(), request.by)
            self._orders.update(dict.fromkeys(self._running[row.id].runs, resume))
        seen = sum(p.state != "waiting" for p in known)
        return BackfillAnswer(row.id, again + (row.total - seen if row.state == "cancelled" else 0))

    def _row(self, name: str) -> BackfillRow:
        row = rows.backfill(self._store, name)
        if row is None:
            raise DefinitionError(f"there is no backfill {name}", hint="partita backfill list shows them")
        return row

    # --- parts ------------------------------------------------------------------------------------------------------

    def _take_up(self, row: BackfillRow, known: Sequence[tuple[Part, PartState, int, str]]) -> None:
        course = BackfillCourse(
            rows.work(self._store, row.id), row.spec.max_runs, [(part, state) for part, state, _, _ in known]
        )
        course.paused, course.cancelled = row.paused, row.cancel_requested
        backfill = self._running[row.id] = _Running(row.id, row.by, row.spec, course)
        backfill.told = bool(row.reason) and not row.paused
        for part, state, tries, run in known:
            if state == "waiting" and tries:
                backfill.tries[part] = tries
            elif state == "running":
                self._follow(backfill, part, run)
                self._look_after(backfill, run)
        self._due = 0.0

    def _look_after(self, backfill: _Running, run: str) -> None:
        """What became of a run that an earlier engine had made; and what that one was asked for and could not tell it."""
        row = self._store.run(run)
        if row is None:
            self._ended.append((run, "failed", "its run is gone"))
        elif row.state in TERMINAL_RUN:
            self._ended.append((run, row.state, row.reason))
        elif backfill.course.cancelled and not row.cancel_requested:
            self._orders[run] = CancelRequested(self._clock.now(), backfill.by, "its backfill was cancelled")
        elif backfill.course.paused and not row.paused:
            self._orders[run] = PauseRequested(self._clock.now(), backfill.by, "its backfill was paused")

    def _start_part(self, now: float, backfill: _Running, part: Part) -> None:
        request = self._request_of(backfill, part)
        course = backfill.course
        try:
            run = self._submitter.create(request)
        except OriginTaken as taken:
            # It was made already, and nothing was noted of it: a store that was restored from a copy, for example.
            self._started(now, backfill, part, _label(course, part), taken.run)
            self._look_after(backfill, taken.run)
            self._due = now
            return
        except PartitaError as error:
            fact = PartEnded(now, backfill.id, *part, _label(course, part), "failed", reason=error.message)
            self._engine.record(fact)
            self._skip(now, backfill, course.finish(part, "failed"), error.message)
            return
        self._started(now, backfill, part, run.partition, run.run)

    def _wait(self, now: float, backfill: _Running, project: str) -> None:
        """Its project may be loaded in a moment; if it is not, say what it waits for."""
        if backfill.waits_since is None or backfill.waits_since > now:
            backfill.waits_since = now
        until = backfill.waits_since + _LOADED_WITHIN_S
        if now < until:
            self._due = min(self._due, until)
        elif not backfill.told:
            backfill.told = True
            self._engine.record(BackfillWaits(now, backfill.id, f"it waits for project {project}, which is not served"))

    def _go_on(self, now: float, backfill: _Running) -> None:
        if backfill.told:
            self._engine.record(BackfillWaits(now, backfill.id))
        backfill.waits_since, backfill.told = None, False

    def _started(self, now: float, backfill: _Running, part: Part, partition: str, run: str) -> None:
        self._engine.record(PartStarted(now, backfill.id, *part, partition, run))
        backfill.course.start(part)
        self._follow(backfill, part, run)

    def _follow(self, backfill: _Running, part: Part, run: str) -> None:
        backfill.runs[run] = part
        self._of[run] = backfill

    def _request_of(self, backfill: _Running, part: Part) -> RunRequest:
        course, spec = backfill.course, backfill.spec
        stage, keys = course.work.stages[part.stage], course.keys(part)
        tries = backfill.tries.get(part, 0)
        own = stage.of == "pipeline" and spec.target in (stage.name, f"{stage.project}/{stage.name}")
        return RunRequest(
            target=f"{stage.project}/{course.target(part)}",
            by=backfill.by,
            origin=f"backfill:{backfill.id}:{part.part}:{part.stage}" + (f":{tries + 1}" if tries else ""),
            params=spec.params if own else {},
            partition=keys[0] if len(keys) == 1 else "",
            partitions=keys if len(keys) > 1 else (),
            priority=spec.priority,
            tags=spec.tags,
        )

    def _part_ended(self, now: float, run: str, state: str, reason: str) -> None:
        backfill = self._of.pop(run, None)
        if backfill is None:
            return
        part = backfill.runs.pop(run)
        self._orders.pop(run, None)
        course = backfill.course
        end: Literal["succeeded", "failed", "cancelled"] = "failed"
        if state in ("succeeded", "cancelled"):
            end = state  # type: ignore[assignment]
        self._engine.record(PartEnded(now, backfill.id, *part, _label(course, part), end, run, reason))
        self._skip(now, backfill, course.finish(part, end), f"{_label(course, part)} of what it reads {end}")

    def _skip(self, now: float, backfill: _Running, parts: Sequence[Part], reason: str) -> None:
        course = backfill.course
        for part in parts:
            self._engine.record(PartEnded(now, backfill.id, *part, _label(course, part), "skipped", reason=reason))

    def _finish(self, now: float, backfill: _Running) -> None:
        self._engine.record(BackfillEnded(now, backfill.id, backfill.course.end))
        del self._running[backfill.id]

    def _give_orders(self) -> None:
        """Tell open runs what was asked for; those whose creation is not committed yet are told when it is."""
        for run, order in list(self._orders.items()):
            if run not in self._of or self._engine.request(run, order):
                del self._orders[run]


_AGAIN = frozenset({"failed", "cancelled", "skipped"})
_DONE = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


def _label(course: BackfillCourse, part: Part) -> str:
    """How the partitions of a part are called where there is no run of it that says so."""
    keys = course.keys(part)
    return keys[0] if len(keys) == 1 else f"{keys[0]}..{keys[-1]}"
