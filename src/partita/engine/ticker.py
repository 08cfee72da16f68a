"""Schedules: each due instant gets its one decision, and the run that follows from it, in one commit.

A heap by the time at which each schedule is next due: those that are not due cost nothing. What is decided is
`core.scheduling`'s; here the decision is carried out. A schedule that cannot be computed or cannot start its run harms
itself only: it is tried again, and after five times in a row it is paused, visibly.

Rule: no run is made ahead of its instant, and nothing is decided that is not in `schedules` after the commit.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

import msgspec

from partita.core import scheduling, zones
from partita.core.events import CancelRequested, Event, RunCreated, RunEnded
from partita.core.facts import Fact
from partita.core.facts.schedules import (
    ScheduleChanged,
    ScheduleFailures,
    ScheduleMoved,
    SchedulePaused,
    TickDecided,
)
from partita.core.manifest import Manifest, ScheduleSpec
from partita.core.run_queue import Asked
from partita.core.scheduling import Decided, Decision
from partita.core.timetable import at, is_own
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.ids import new_run_id
from partita.engine.loop import Engine
from partita.engine.scheduled import Key, Schedule, instants_of, new_row, stands, timing
from partita.engine.schedules import NextTicks, PauseSchedule, ResumeSchedule, ScheduleSaid, TriggerSchedule
from partita.engine.submitter import Submitter
from partita.engine.tick_runs import TickRuns
from partita.engine.tick_trial import TickTried, TryTick, try_tick
from partita.errors import DefinitionError, PartitaError, ScheduleError, StoreAway
from partita.store.contract import OriginTaken
from partita.store.named import Fetching
from partita.store.schedules import ScheduleRow, all_schedules, failures_in_a_row, tick
from partita.worker.questions import Answered, NextInstants

if TYPE_CHECKING:
    from partita.executors.evaluator import Evaluator

# Schedules that are decided about in one turn: the runs of others are not to wait for more.
_BATCH: Final = 1_000
# Decisions of one turn: with all that was missed of many schedules it would last longer than the lease.
_MOST_AT_ONCE: Final = 2_000
_MOST_ERRORS: Final = 5
_RETRY_S: Final = 60.0
_LOOK_AT_ZONES_S: Final = 3600.0
_NEVER: Final = float("inf")
_ASKED: Final = 100
_MOST_ASKED: Final = 10_000
_log = logging.getLogger("partita.schedules")


class Ticker:
    """The service's part that starts runs at their instants."""

    name = "schedules"

    def __init__(
        self,
        engine: Engine,
        store: Fetching,
        catalog: Catalog,
        submitter: Submitter,
        clock: Clock,
        *,
        evaluator: Evaluator | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._catalog = catalog
        self._submitter = submitter
        self._clock = clock
        self._evaluator = evaluator
        self._schedules: dict[Key, Schedule] = {}
        self._heap: list[tuple[float, int, Key, int]] = []
        self._counter = itertools.count()
        self._ended: deque[tuple[Key, str, str]] = deque()
        self._started = False
        self._look_at_zones_at = 0.0
        # In this turn.
        self._decided = 0
        self._tzdata = ""
        self._runs = TickRuns(store, catalog)
        # Names that another project has already, with the project that wants them too.
        self._clashes: dict[Key, str] = {}

    # --- what the engine calls ----------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Take up the schedules of the store, the runs of theirs that are still going, and what is declared now."""
        self._tzdata = zones.version()
        self._look_at_zones_at = now + _LOOK_AT_ZONES_S
        for row in all_schedules(self._store):
            if not self._engine.realm.has(row.namespace):
                continue
            self._schedules[row.namespace, row.name] = Schedule(self._recounted(row))
        for run in self._engine.active.values():
            schedule = self._of_origin(run.run)
            if schedule is not None:
                schedule.running.add(run.id)
        self._started = True
        for manifest in self._catalog.manifests.values():
            self._take_in(manifest, now)

    def loaded(self, manifest: Manifest) -> None:
        """Compare what a project declares with what is known."""
        if self._started:
            self._take_in(manifest, self._clock.now())

    def due_at(self) -> float:
        """The earliest of the heap; at once, if runs have ended that are to be counted."""
        if self._ended:
            return 0.0
        heap = self._heap
        while heap and self._is_stale(heap[0]):
            heapq.heappop(heap)
        return min(heap[0][0] if heap else _NEVER, self._look_at_zones_at)

    def turn(self, now: float) -> None:
        """Decide about what is due, at most a batch of schedules at once."""
        while self._ended:
            self._count_end(*self._ended.popleft(), now)
        if now >= self._look_at_zones_at or self._look_at_zones_at > now + _LOOK_AT_ZONES_S:
            self._look_at_zones(now)
        self._decided = 0
        for _ in range(_BATCH):
            if self._decided >= _MOST_AT_ONCE or self.due_at() > now or not self._heap or self._heap[0][0] > now:
                return
            entry = heapq.heappop(self._heap)
            schedule = self._schedules[entry[2]]
            try:
                self._decide(schedule, now)
            except StoreAway:
                # It is as due as before.
                heapq.heappush(self._heap, entry)
                raise
            except ScheduleError as error:
                self._failed(schedule, error.message, now)
            except (PartitaError, ValueError, ArithmeticError, LookupError, TypeError) as error:
                # A bug that one schedule sets off: the others go on.
                _log.exception("schedule %s cannot be decided", schedule.seed)
                self._failed(schedule, f"{type(error).__name__}: {error}", now)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """Note the end of a tick's run; it is counted in the next turn."""
        if not run.run.origin.startswith("sched:"):
            return
        for event in events:
            if isinstance(event, RunEnded):
                schedule = self._of_origin(run.run)
                if schedule is not None:
                    self._ended.append((schedule.key, run.id, event.state))

    def recorded(self, facts: Sequence[Fact]) -> None:
        """What was recorded is in memory already."""

    def handlers(self) -> Mapping[type, Handler]:
        """Pause, resume, trigger, next."""
        return {
            PauseSchedule: self._pause_asked,
            ResumeSchedule: self._resume_asked,
            TriggerSchedule: self._trigger_asked,
            NextTicks: self._next_asked,
            TryTick: self._try_asked,
        }

    def interval(self, run: RunCreated) -> tuple[str, str]:
        """The data interval of a tick's run: from the tick before to its own, as ISO instants in UTC; else empty."""
        named = scheduling.tick_of(run.origin)
        if named is None:
            return "", ""
        found = tick(self._store, run.namespace, *named)
        if found is None or found.since is None:
            return "", ""
        start, end = (at(i).isoformat().replace("+00:00", "Z") for i in (found.since, found.instant))
        return start, end

    def trouble_of(self, namespace: str, name: str) -> str:
        """What a schedule cannot do at the moment; "" if all is well."""
        schedule = self._schedules.get((namespace, name))
        return schedule.trouble if schedule is not None else ""

    # --- what is declared ---------------------------------------------------------------------------------------------

    def _take_in(self, manifest: Manifest, now: float) -> None:
        declared: set[Key] = set()
        self._forget_clashes(manifest.project)
        for pipeline in manifest.pipelines:
            for spec in pipeline.schedules:
                key = manifest.namespace, spec.name
                known = self._schedules.get(key)
                if key in declared or (known is not None and self._is_others(known, manifest.project)):
                    self._note_clash(key, manifest.project)
                    continue
                declared.add(key)
                self._declare(known, manifest, pipeline.name, spec, now)
        freed: set[str] = set()
        for key, schedule in self._schedules.items():
            row = schedule.row
            if row.project == manifest.project and key not in declared and row.active:
                # What stands in the heap of it counts no more.
                schedule.token += 1
                self._change(schedule, now, active=False, next_at=None, reason="it is not declared any more")
                if key in self._clashes:
                    freed.add(self._clashes[key])
        for project in freed & self._catalog.manifests.keys():
            self._take_in(self._catalog.manifests[project], now)

    def _note_clash(self, key: Key, project: str) -> None:
        _log.error("schedule %s of project %s: the name is taken", key[1], project)
        self._clashes[key] = project
        self._engine.troubles[f"schedule {key[1]}"] = f"two schedules of namespace {key[0]} have this name"

    def _forget_clashes(self, project: str) -> None:
        """What was wrong with the names of a project is found again, if it still is."""
        for key, of in list(self._clashes.items()):
            if of == project:
                del self._clashes[key]
                self._engine.troubles.pop(f"schedule {key[1]}", None)

    def _is_others(self, known: Schedule, project: str) -> bool:
        return known.row.active and known.row.project != project and known.row.project in self._catalog.manifests

    def _declare(
        self, known: Schedule | None, manifest: Manifest, pipeline: str, spec: ScheduleSpec, now: float
    ) -> None:
        if known is None:
            row = new_row(manifest, pipeline, spec, now, self._tzdata)
            known = self._schedules[manifest.namespace, spec.name] = Schedule(row)
            self._change(
                known, now, next_at=self._first(known, now), reason="paused as declared" if spec.paused else ""
            )
        else:
            row = known.row
            same = row.spec == spec and row.pipeline == pipeline and row.project == manifest.project
            if not (same and row.active):
                self._edit(known, manifest, pipeline, spec, now)
            elif row.tzdata != self._tzdata and not is_own(spec.rule):
                self._move(known, now)
        self._plan(known)

    def _edit(self, known: Schedule, manifest: Manifest, pipeline: str, spec: ScheduleSpec, now: float) -> None:
        """It is another one now, from now on; or it has come back."""
        row = known.row
        anew = not row.active or timing(row.spec) != timing(spec) or row.pipeline != pipeline
        if anew and row.active and not row.paused:
            self._skip_pending(known, now, "the schedule was edited before it was decided")
        paused = spec.paused if spec.paused != row.spec.paused or not row.active else row.paused
        row = msgspec.structs.replace(
            known.row, spec=spec, pipeline=pipeline, project=manifest.project, version=row.version + 1, active=True
        )
        known.row = row
        known.errors, known.trouble = 0, ""
        if anew:
            known.known, known.ended = [], False
            row = known.row = msgspec.structs.replace(row, effective_from=now, next_at=None)
        next_at = self._first(known, now) if anew else row.next_at
        self._change(known, now, next_at=next_at, paused=paused, reason=row.reason if paused == row.paused else "")

    def _change(self, schedule: Schedule, now: float, **changes: Any) -> None:
        row = schedule.row = msgspec.structs.replace(schedule.row, tzdata=self._tzdata, **changes)
        self._engine.record(
            ScheduleChanged(
                at=now,
                namespace=row.namespace,
                name=row.name,
                project=row.project,
                pipeline=row.pipeline,
                version=row.version,
                spec=msgspec.msgpack.encode(row.spec),
                effective_from=row.effective_from,
                next_at=row.next_at,
                active=row.active,
                paused=row.paused,
                reason=row.reason,
                tzdata=row.tzdata,
            )
        )

    def _first(self, schedule: Schedule, now: float) -> float | None:
        """Its first instant after now, and after those that are decided: the clock may have been set back since.

        One that cannot be computed has none, and says so.
        """
        if is_own(schedule.row.spec.rule):
            return None
        try:
            return next(schedule.instants().after(int(max(now, schedule.row.last_at or now))), None)
        except ScheduleError as error:
            schedule.trouble = error.message
            return None

    def _skip_pending(self, schedule: Schedule, now: float, reason: str) -> None:
        """Decide about what was due and waits: it is skipped, as one range."""
        next_at = schedule.row.next_at
        if next_at is None or next_at > now:
            return
        try:
            decided = scheduling.skip_all(schedule.instants(), next_at=int(next_at), now=now, reason=reason)
        except ScheduleError as error:
            _log.warning("schedule %s: %s", schedule.seed, error.message)
            return
        self._record(schedule, decided, now)

    # --- when each is due ---------------------------------------------------------------------------------------------

    def _plan(self, schedule: Schedule, not_before: float = 0.0) -> None:
        """Put a schedule on the heap, or ask its function when that is."""
        schedule.token += 1
        row = schedule.row
        if not row.active or row.paused or row.project not in self._catalog.manifests:
            return
        if is_own(row.spec.rule) and not schedule.known and not schedule.ended:
            self._ask(schedule)
            return
        if row.next_at is None:
            return
        instant = int(row.next_at)
        schedule.lead_s = self._runs.lead(row, instant)
        due = max(not_before, scheduling.due_at(row.spec, schedule.seed, instant, schedule.lead_s))
        heapq.heappush(self._heap, (due, next(self._counter), schedule.key, schedule.token))

    def _is_stale(self, entry: tuple[float, int, Key, int]) -> bool:
        schedule = self._schedules.get(entry[2])
        return schedule is None or schedule.token != entry[3]

    def _look_at_zones(self, now: float) -> None:
        """The tz data may have been updated under us: then instants to come may be others."""
        self._look_at_zones_at = now + _LOOK_AT_ZONES_S
        version = zones.reread()
        if version == self._tzdata:
            return
        self._tzdata = version
        for schedule in self._schedules.values():
            if schedule.row.active and not is_own(schedule.row.spec.rule):
                self._move(schedule, now)
                self._plan(schedule)

    def _move(self, schedule: Schedule, now: float) -> None:
        """Find the next instant anew, by other tz data. What waits for a decision keeps waiting; nothing new is past."""
        row = schedule.row
        next_at = row.next_at if row.next_at is not None and row.next_at <= now else self._first(schedule, now)
        reason = f"tz data {row.tzdata or 'unknown'} -> {self._tzdata}"
        schedule.row = msgspec.structs.replace(row, next_at=next_at, tzdata=self._tzdata)
        self._engine.record(ScheduleMoved(now, row.namespace, row.name, next_at, self._tzdata, reason))

    # --- deciding -----------------------------------------------------------------------------------------------------

    def _decide(self, schedule: Schedule, now: float) -> None:
        row = schedule.row
        if is_own(row.spec.rule) and not schedule.ended and not schedule.known:
            self._ask(schedule)
            return
        assert row.next_at is not None
        is_open = is_own(row.spec.rule) and not schedule.ended and len(schedule.known) < _MOST_ASKED
        if is_open and schedule.known[-1] <= now + schedule.lead_s:
            self._ask(schedule)
            return
        decided = scheduling.decide(
            row.spec,
            schedule.seed,
            schedule.instants(),
            next_at=int(row.next_at),
            now=now,
            lead_s=schedule.lead_s,
            running=len(schedule.running),
        )
        if decided.cancel:
            for run in schedule.running:
                self._engine.request(run, CancelRequested(now, f"schedule {row.name}", "its next tick is due"))
        self._record(schedule, decided, now)
        if not schedule.row.paused:
            self._plan(schedule)

    def _record(self, schedule: Schedule, decided: Decided, now: float) -> None:
        """Make the runs and record the decisions, in order."""
        for i, decision in enumerate(decided.decisions):
            later = decided.decisions[i + 1].instant if i + 1 < len(decided.decisions) else decided.next_at
            run, since = "", None
            if decision.decision == "run":
                since = self._since(schedule, decision.instant, later)
                run, problem = self._start_run(schedule, decision.instant)
                if problem:
                    decision = Decision(decision.instant, "skipped", problem)
            self._record_one(schedule, decision, run, since, later, now)
        if is_own(schedule.row.spec.rule):
            schedule.known = [i for i in schedule.known if decided.next_at is not None and i >= decided.next_at]
            if decided.next_at is None and not schedule.ended:
                schedule.known = []

    def _record_one(
        self, schedule: Schedule, decision: Decision, run: str, since: int | None, next_at: int | None, now: float
    ) -> None:
        row = schedule.row
        self._decided += 1
        start_at = scheduling.due_at(row.spec, schedule.seed, decision.instant, schedule.lead_s)
        self._engine.record(
            TickDecided(
                at=now,
                namespace=row.namespace,
                name=row.name,
                instant=float(decision.instant),
                decision=decision.decision,
                reason=decision.reason,
                run=run,
                version=row.version,
                tzdata=self._tzdata,
                next_at=next_at,
                until=None if decision.until is None else float(decision.until),
                count=decision.count,
                start_at=start_at if start_at != decision.instant else 0.0,
                since=since,
            )
        )
        schedule.row = msgspec.structs.replace(
            row,
            next_at=next_at,
            last_at=float(decision.until or decision.instant),
            last_decision=decision.decision,
            decided_at=now,
        )

    def _since(self, schedule: Schedule, instant: int, later: int | None) -> int | None:
        """The tick before: the one that was decided last, or what the timetable says, most likely as far as the next."""
        row = schedule.row
        if row.last_at is not None and row.effective_from <= row.last_at < instant:
            return int(row.last_at)
        if is_own(row.spec.rule):
            return None
        width = later - instant + 7200 if later is not None else 3600
        return next(row.spec.timetable().ticks_before(instant, width=width), None)

    def _start_run(self, schedule: Schedule, instant: int) -> tuple[str, str]:
        """The id of the run of a tick; or why there can be none."""
        row = schedule.row
        try:
            graph, run = self._submitter.plan(self._runs.request(row, instant, scheduling.origin(row.name, instant)))
            if row.spec.overlap in ("queue", "cancel_running"):
                run = msgspec.structs.replace(run, keys=(*run.keys, Asked(f"schedule {row.name}")))
            self._engine.create(graph, run)
        except OriginTaken as taken:
            return taken.run, ""
        except DefinitionError as error:
            self._blame(schedule, error.message, self._clock.now())
            return "", f"error: {error.message}"
        schedule.errors, schedule.trouble = 0, ""
        schedule.running.add(run.run)
        return run.run, ""

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    def _failed(self, schedule: Schedule, message: str, now: float) -> None:
        """It could not be decided about: again in a minute, and not for ever."""
        self._blame(schedule, message, now)
        self._plan(schedule, not_before=now + _RETRY_S)

    def _blame(self, schedule: Schedule, message: str, now: float) -> None:
        schedule.errors += 1
        schedule.trouble = message
        if schedule.errors >= _MOST_ERRORS and not schedule.row.paused:
            self._pause(
                schedule, now, by="partita", reason=f"{_MOST_ERRORS} errors in a row: {message}", automatic=True
            )

    def _count_end(self, key: Key, run: str, state: str, now: float) -> None:
        """A run of a tick has ended: failures in a row are counted, and may pause it."""
        schedule = self._schedules.get(key)
        if schedule is None:
            return
        schedule.running.discard(run)
        row = schedule.row
        if state == "succeeded" and row.spec.land:
            self._runs.has_ended(row.pipeline)
            self._plan(schedule)
        failures = {"failed": row.failures + 1, "succeeded": 0}.get(state, row.failures)
        if failures == row.failures:
            return
        schedule.row = msgspec.structs.replace(row, failures=failures)
        self._engine.record(ScheduleFailures(now, row.namespace, row.name, failures))
        if 0 < row.spec.pause_after <= failures and not row.paused and row.active:
            self._pause(schedule, now, by="partita", reason=f"{failures} runs in a row have failed", automatic=True)

    def _recounted(self, row: ScheduleRow) -> ScheduleRow:
        """Ends that were committed, and not counted before the engine died."""
        if row.spec.pause_after <= 0:
            return row
        failures = failures_in_a_row(self._store, row.namespace, row.name, row.spec.pause_after)
        return msgspec.structs.replace(row, failures=max(failures, 0) if not row.paused else row.failures)

    def _of_origin(self, run: RunCreated) -> Schedule | None:
        named = scheduling.tick_of(run.origin)
        return self._schedules.get((run.namespace, named[0])) if named is not None else None

    # --- asked by people ----------------------------------------------------------------------------------------------

    def _found(self, namespace: str, name: str) -> Schedule:
        schedule = self._schedules.get((namespace, name))
        if schedule is None:
            raise ScheduleError(f"there is no schedule {name!r}", hint="`partita schedules` shows what there is")
        return schedule

    def _pause_asked(self, request: PauseSchedule) -> ScheduleSaid:
        schedule = self._found(request.namespace, request.name)
        if not schedule.row.paused:
            self._pause(schedule, self._clock.now(), by=request.by, reason=request.reason)
        return stands(schedule)

    def _pause(self, schedule: Schedule, now: float, *, by: str, reason: str, automatic: bool = False) -> None:
        row = schedule.row
        schedule.row = msgspec.structs.replace(row, paused=True, automatic=automatic, reason=reason)
        schedule.token += 1
        self._engine.record(SchedulePaused(now, row.namespace, row.name, True, by, row.next_at, reason, automatic))

    def _resume_asked(self, request: ResumeSchedule) -> ScheduleSaid:
        schedule = self._found(request.namespace, request.name)
        if schedule.row.paused:
            now = self._clock.now()
            why = f": {schedule.row.reason}" if schedule.row.reason else ""
            self._skip_pending(schedule, now, f"it was paused{why}")
            row = schedule.row
            schedule.row = msgspec.structs.replace(row, paused=False, automatic=False, reason="", failures=0)
            schedule.errors, schedule.trouble = 0, ""
            self._engine.record(SchedulePaused(now, row.namespace, row.name, False, request.by, row.next_at))
            self._plan(schedule)
        return stands(schedule)

    def _trigger_asked(self, request: TriggerSchedule) -> ScheduleSaid:
        schedule = self._found(request.namespace, request.name)
        origin = f"trigger:{schedule.row.name}:{new_run_id(self._clock.now())}"
        run = self._submitter.submit(self._runs.request(schedule.row, int(self._clock.now()), origin, request.by))
        return ScheduleSaid(schedule.row.name, schedule.row.paused, schedule.row.next_at, run.id)

    def _next_asked(self, request: NextTicks) -> ScheduleSaid | Future[ScheduleSaid]:
        schedule = self._found(request.namespace, request.name)
        after = self._clock.now() if request.after is None else request.after
        if not is_own(schedule.row.spec.rule):
            ticks = tuple(map(float, itertools.islice(schedule.instants().after(int(after)), min(request.count, 1000))))
            return ScheduleSaid(schedule.row.name, schedule.row.paused, schedule.row.next_at, ticks=ticks)
        said: Future[ScheduleSaid] = Future()
        asked = self._asked(schedule, after, min(request.count, 1000))

        def heard(answer: Future[Answered]) -> None:
            ticks, _, problem = instants_of(answer)
            if problem:
                said.set_exception(ScheduleError(problem))
            else:
                found = tuple(map(float, ticks))
                said.set_result(ScheduleSaid(schedule.row.name, schedule.row.paused, schedule.row.next_at, ticks=found))

        asked.add_done_callback(heard)
        return said

    def _try_asked(self, request: TryTick) -> TickTried:
        schedule = self._found(request.namespace, request.name)
        row = schedule.row
        instant = row.next_at if request.instant is None else request.instant
        if instant is None:
            raise ScheduleError(f"schedule {row.name} has no tick to come", hint="name an instant")
        known = None if is_own(row.spec.rule) else schedule.instants()
        running = len(schedule.running)
        return try_tick(row, known, self._runs, self._store, instant=int(instant), seed=schedule.seed, running=running)

    # --- functions of the user's --------------------------------------------------------------------------------------

    def _asked(self, schedule: Schedule, after: float, count: int) -> Future[Answered]:
        if self._evaluator is None:
            failed: Future[Answered] = Future()
            failed.set_exception(ScheduleError("no process of the project can be asked for its timetable here"))
            return failed
        call = schedule.row.spec.rule.removeprefix("own ")
        return self._evaluator.ask(schedule.row.project, NextInstants(call, after, count))

    def _ask(self, schedule: Schedule) -> None:
        """Have the function say its next instants; what is heard comes in the engine's thread."""
        if schedule.asking:
            return
        schedule.asking = True
        row = schedule.row
        start = schedule.known[-1] if schedule.known else None
        if start is None:
            start = (
                int(row.next_at) - 1 if row.next_at is not None else int(max(row.last_at or 0.0, row.effective_from))
            )
            start = max(start, row.spec.timetable().start - 1)
        version = row.version
        count = _ASKED if not schedule.known else 1000
        self._asked(schedule, float(start), count).add_done_callback(lambda done: self._heard(schedule, version, done))

    def _heard(self, schedule: Schedule, version: int, answer: Future[Answered]) -> None:
        schedule.asking = False
        now = self._clock.now()
        if schedule.row.version != version or not schedule.row.active:
            # It is another one now, or is declared no more.
            self._plan(schedule)
            return
        ticks, ended, problem = instants_of(answer)
        if problem:
            self._failed_to_ask(schedule, problem, now)
            return
        end = schedule.row.spec.timetable().end
        schedule.known += [tick for tick in ticks if tick <= end]
        schedule.ended = ended or any(tick > end for tick in ticks)
        schedule.trouble = ""
        first = schedule.known[0] if schedule.known else None
        row = schedule.row
        if row.next_at is None and first is not None:
            schedule.row = msgspec.structs.replace(row, next_at=float(first))
            self._engine.record(
                ScheduleMoved(now, row.namespace, row.name, float(first), self._tzdata, "as its function says")
            )
        self._plan(schedule)

    def _failed_to_ask(self, schedule: Schedule, problem: str, now: float) -> None:
        self._blame(schedule, problem, now)
        if not schedule.row.paused:
            schedule.token += 1
            # An instant of its own, at which it is asked again.
            entry = (now + _RETRY_S, next(self._counter), schedule.key, schedule.token)
            heapq.heappush(self._heap, entry)
