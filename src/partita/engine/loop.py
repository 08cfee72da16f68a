"""The engine's loop: mailbox, machine, commit, dispatch.

One thread owns the machines. A turn takes in what has happened, lets the machines and the admission decide, commits all of
it in one synced transaction, and only then acts: hands out tickets, ends attempts, tells listeners. What was not committed
was not done; what was committed is found again after a crash at any line.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from time import perf_counter
from typing import Any, Protocol

from partita.core.admission import Admission, Key, Lane
from partita.core.commands import Command, Finished, Kill, Offer, WakeAt, Withdraw
from partita.core.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Event,
    GateHeard,
    GateReported,
    GateVoted,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunStarted,
    StepMarked,
    StepReused,
    StepUnfit,
    TimerDue,
)
from partita.core.explain import Explanation, explain
from partita.core.facts import Fact
from partita.core.graph import Graph
from partita.core.graph import decode as decode_graph
from partita.core.graph import encode as encode_graph
from partita.core.machine import Known
from partita.core.marking import refusal as refusal_of_mark
from partita.core.moves import OUT_OF_TIME
from partita.core.placement import Gpus, parted, place_name
from partita.core.plan import Instance
from partita.core.run_queue import RunQueue
from partita.core.values import Value
from partita.engine.active import ActiveRun
from partita.engine.chores import Chores
from partita.engine.clock import Clock
from partita.engine.mailbox import Mailbox
from partita.engine.members import events_of
from partita.engine.realm import Realm
from partita.engine.restore import known_of, run_created_of
from partita.engine.stored import stored_input, stored_value
from partita.engine.tenure import Tenure
from partita.errors import StoreAway, StoreError, StoreFull
from partita.executors.contract import Assignment, Ended, Executor, OpenAttempt, Placement, Report
from partita.store.contract import OriginTaken, RunCommit, RunRow, Store
from partita.worker.wire import Progress

RunInput = CancelRequested | PauseRequested | ResumeRequested | StepMarked | GateVoted | GateReported | GateHeard
"""What people, other systems and chores may say to a run."""


class Listener(Protocol):
    """Told after each commit; it must be quick and must not fail."""

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None: ...

    def progressed(self, run: ActiveRun, instance: Instance, progress: Progress) -> None: ...


class _Open:
    """An open attempt: which ticket belongs to which instance."""

    __slots__ = ("instance", "lane", "run")

    def __init__(self, run: ActiveRun, instance: Instance, lane: Lane) -> None:
        self.run = run
        self.instance = instance
        self.lane = lane


class Engine:
    """Runs everything in a store. Call `start`, then `turn` for ever, then `close`; all from one thread.

    `post` is the one method for other threads.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        clock: Clock,
        *,
        holder: str,
        lease_s: float = 10.0,
        limits: dict[Key, int] | None = None,
        max_runs: dict[tuple[str, str], int] | None = None,
        interval: Callable[[RunCreated], tuple[str, str]] = lambda run: ("", ""),
        listeners: Iterable[Listener] = (),
        max_active: int = 2_000,
        namespace: str = "",
    ) -> None:
        self.store = store
        # What this engine is for: known in full when it starts.
        self.realm = Realm(namespace)
        self.executor = executor
        self.clock = clock
        self.admission = Admission()
        # Which GPUs of this machine are whose.
        self.gpus = Gpus()
        # Of runs; `max_active` of them have a machine in memory at once.
        self.queue = RunQueue(max_running=max_active)
        self.active: dict[str, ActiveRun] = {}
        # Why nothing is being committed; "" while all is well.
        self.blocked = ""
        # Nothing new is started: this engine is about to end.
        self.draining = False
        # Turns, their work, and the longest of them (s): waiting for something to do does not count.
        self.turns = 0
        self.busy_s = 0.0
        self.slowest_s = 0.0
        self.listeners = list(listeners)
        self.chores = Chores(self.record, is_over=lambda: self._broken is not None)
        self._tenure = Tenure(store, clock, holder=holder, lease_s=lease_s, resource=self.realm.shard)
        # The token with which another system answers a gate, by run, step and index.
        self.token_of: Callable[[str, str, str], str] | None = None
        self._interval = interval
        self._mailbox = Mailbox(executor.wake)
        self._open: dict[int, _Open] = {}
        self._tickets: dict[tuple[str, str, str], int] = {}
        self._timers: list[tuple[float, int, ActiveRun, Instance | None]] = []
        self._dirty: dict[str, ActiveRun] = {}
        self._uncommitted: list[RunCommit] = []
        # Staged for the next commit: facts, new graphs, and runs that will exist after it.
        self._facts: list[Fact] = []
        self._new_graphs: dict[str, bytes] = {}
        self._created: dict[str, tuple[Graph, RunCreated]] = {}
        self._origins: dict[tuple[str, str], str] = {}
        self._is_due_again = False
        # The store failed in a commit, and nobody knows what it holds of it: this engine is over.
        self._broken: StoreError | None = None
        self._starts: list[tuple[ActiveRun, Instance, int, Placement]] = []
        self._kills: list[tuple[int, str]] = []
        self._finished: list[ActiveRun] = []
        # Versions that the store has for sure.
        self._graphs: set[str] = set()
        self._counter = itertools.count(1)
        for key, capacity in (limits or {}).items():
            self.admission.limit(key, capacity)
        for (namespace, pipeline), capacity in (max_runs or {}).items():
            self.queue.limit(("pipeline", namespace, pipeline), capacity)

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> list[ActiveRun]:
        """Take the lease, take up every run that has not ended, and take over what still runs of them."""
        self._tenure.begin()
        # Under the lease: whoever gives a namespace out ends this epoch.
        self.realm = Realm.of(self.store, self.realm.only)
        left: list[OpenAttempt] = []
        resumed = []
        graphs: dict[str, Graph] = {}
        for row in self.store.open_runs():
            if self.realm.has(row.namespace):
                resumed.append(self._restore(row, left, graphs))
                # Of many runs this takes longer than a lease lasts; whoever lost it meanwhile would never get to work.
                self._renew_lease()
        # Also when nothing is open: what lies in the spool is of no more use then.
        self.executor.adopt(left)
        self.chores.start(self.clock.now(), between=self._renew_lease)
        self._start_queued()
        self._finish_turn()
        return resumed

    def turn(self, timeout_s: float, *, chores: bool = True) -> bool:
        """One turn; waits up to `timeout_s` for something to happen. Did anything? Without `chores` only runs go on."""
        reports = self.executor.poll(self._patience(timeout_s))
        began = perf_counter()
        for report in reports:
            self._take(report)
        posted = self._mailbox.read(is_over=lambda: self._broken is not None)
        if self._broken is not None:
            raise self._broken
        due = self._ring_timers()
        self._renew_lease()
        if chores:
            self.chores.turn(self.clock.now(), between=self._renew_lease)
        if self._broken is not None:
            raise self._broken
        done = self._finish_turn()
        # What acting on a commit has staged anew is nobody's request: it belongs to the next turn.
        is_durable = not self.blocked or not (self._uncommitted or self._facts)
        self._mailbox.answer(is_durable=is_durable, blocked=self.blocked)
        self._count(perf_counter() - began)
        return done or bool(reports) or posted or due

    def run_until(self, is_done: Callable[[], bool], *, timeout_s: float = 1.0) -> None:
        """Turn until `is_done`."""
        while not is_done():
            self.turn(timeout_s)

    def close(self, *, kill: bool = False) -> None:
        """Commit what waits, give the lease back, let the workers go."""
        self.executor.close(kill=kill)
        self._tenure.end()

    @property
    def epoch(self) -> int:
        return self._tenure.epoch

    @property
    def has_begun(self) -> bool:
        """Whether it has taken its lease, so that there is an epoch."""
        return self._tenure.has_begun

    @property
    def troubles(self) -> dict[str, str]:
        """What chores could not do, by their names."""
        return self.chores.troubles

    @property
    def open_attempts(self) -> int:
        """How many tickets are out."""
        return len(self._open)

    def _count(self, took_s: float) -> None:
        self.turns += 1
        self.busy_s += took_s
        self.slowest_s = max(self.slowest_s, took_s)

    # --- requests ---------------------------------------------------------------------------------------------------

    def post(self, request: Callable[[], Any]) -> Future[Any]:
        """Have the loop's thread call `request` in its next turn; any thread may ask."""
        return self._mailbox.post(request)

    def submit(self, graph: Graph, run: RunCreated, reused: Sequence[StepReused] = ()) -> ActiveRun:
        """Create a run. It is durable when this returns. Raises `OriginTaken`, `StoreFull`."""
        if run.graph not in self._graphs:
            self.store.put_graph(run.graph, encode_graph(graph), epoch=self.epoch)
            self._graphs.add(run.graph)
        try:
            self._write([RunCommit(run.run, 1, run.at, (run, *reused))])
        except StoreAway as error:
            # It may be there, and nothing here would run it: the next engine finds out.
            self._broken = error if error.in_doubt else None
            raise
        row = self.store.run(run.run)
        assert row is not None, "the run was committed"
        known = [
            Known(
                r.step, r.index, r.state, value=r.value, choice=r.choice, again=r.again, reason=f"from run {r.from_run}"
            )
            for r in reused
        ]
        active = self._activate(row.no, run, graph, known, seq=1)
        self._tell(active, (run, *reused))
        self._join_queue(active)
        self._start_queued()
        self._finish_turn()
        return active

    def create(self, graph: Graph, run: RunCreated) -> None:
        """Stage a run for the commit of this turn. Raises `OriginTaken` if there is one of its origin."""
        origin = (run.namespace, run.origin)
        taken = self._origins.get(origin) or self.store.run_of_origin(*origin)
        if taken is not None:
            raise OriginTaken(run.origin, taken)
        self._origins[origin] = run.run
        if run.graph not in self._graphs:
            self._new_graphs.setdefault(run.graph, encode_graph(graph))
        self._created[run.run] = (graph, run)
        self._uncommitted.append(RunCommit(run.run, 1, run.at, (run,)))

    def forget_graphs(self, versions: Iterable[str]) -> list[str]:
        """Those of these graphs that no run of this turn needs: who asks may remove them, and they are put again if need be."""
        needed = {run.graph for _, run in self._created.values()} | self._new_graphs.keys()
        free = [version for version in versions if version not in needed]
        self._graphs.difference_update(free)
        return free

    def record(self, *facts: Fact) -> None:
        """Stage facts for the commit of this turn."""
        self._facts.extend(facts)

    def request(self, run: str, event: RunInput) -> bool:
        """Stage a request to a run for the commit of this turn. False if the run is not active."""
        active = self.active.get(run)
        if active is None:
            return False
        self._request(active, event)
        return True

    def cancel(self, run: str, *, by: str, reason: str = "") -> bool:
        """Ask a run to end; False if it is not active. Raises `StoreFull` while that cannot be committed."""
        return self._ask(run, CancelRequested(self.clock.now(), by, reason))

    def pause(self, run: str, *, by: str, reason: str = "") -> bool:
        """Start nothing new in a run; what runs goes on. False if it is not active."""
        return self._ask(run, PauseRequested(self.clock.now(), by, reason))

    def resume(self, run: str, *, by: str) -> bool:
        """Undo `pause`. False if the run is not active."""
        return self._ask(run, ResumeRequested(self.clock.now(), by))

    def mark(self, run: str, mark: StepMarked) -> str | None:
        """End a step by hand: "" if it is done, else why it cannot be; None if the run is not active."""
        active = self.active.get(run)
        if active is None:
            return None
        refusal = refusal_of_mark(active.machine, mark.step, mark.index, mark.state)
        if not refusal:
            self._ask(run, mark)
        return refusal

    def why(self, run: str, step: str, index: str = "") -> Explanation | None:
        """Why a step is as it is, with what the admission and the workers say about it."""
        active = self.active.get(run)
        if active is None:
            return None
        refusal = ""
        full = self.queue.refusal(run)
        if full is not None:
            refusal = str(full)
        elif (instance := active.machine.instance(step, index)) is not None and instance.offered:
            refused = self.admission.refusal(active.lane_of(instance))
            refusal = str(refused) if refused is not None else self._room_elsewhere(active, instance)
        elif (ticket := self._tickets.get((active.id, step, index))) is not None:
            # Handed to an engine of others, which may have no room for it yet.
            refusal = getattr(self.executor, "waits", lambda no: "")(ticket)
        return explain(active.machine, step, index, refusal=refusal)

    def _room_elsewhere(self, active: ActiveRun, instance: Instance) -> str:
        """What a step waits for that is to go to an engine of others."""
        asked = getattr(self.executor, "refusal", lambda project, executor: "")
        found: str = asked(active.run.project, instance.node.step.policies.executor)
        return found

    def _ask(self, run: str, event: Event) -> bool:
        active = self.active.get(run)
        if active is None:
            return False
        self._request(active, event)
        self._finish_turn()
        if self._uncommitted:
            # It will be done when there is space again, but what was not committed is not acknowledged.
            raise StoreFull(self.blocked)
        return True

    def _request(self, active: ActiveRun, event: Event) -> None:
        was_queued = active.machine.state == "queued"
        self._apply(active, event)
        if was_queued and not active.machine.is_finished and not active.machine.paused:
            self.queue.offer(active.waiting)
        elif was_queued:
            self.queue.withdraw(active.id)
        self._start_queued()

    # --- taking in --------------------------------------------------------------------------------------------------

    def _take(self, report: Report) -> None:
        if type(report) is Ended:
            outcome = report.outcome
            opened = self._open.pop(outcome.no, None)
            if opened is None:
                return
            run, instance = opened.run, opened.instance
            step, index = instance.node.step.key, instance.index
            del self._tickets[run.id, step, index]
            self.admission.release(opened.lane)
            self.gpus.give_back(outcome.no)
            self._apply(
                run,
                AttemptEnded(
                    self.clock.now(),
                    step,
                    index,
                    instance.attempt,
                    instance.epoch,
                    outcome.state,
                    outcome.value,
                    outcome.detail,
                    outcome.began_at,
                    outcome.ended_at,
                ),
            )
            if instance.settled and not instance.path:
                run.forget(step)
        else:
            self._take_note(report)

    def _take_note(self, report: Report) -> None:
        """What an attempt says while it runs."""
        assert not isinstance(report, Ended)
        opened = self._open.get(report.no)
        if opened is None:
            return
        if isinstance(report, Progress):
            for listener in self.listeners:
                listener.progressed(opened.run, opened.instance, report)
            return
        member = opened.run.machine.instance(report.member, opened.instance.index)
        if member is None or member.node.bundle is not opened.instance.node:
            return
        for event in events_of(report, opened.instance, member, at=self.clock.now()):
            self._apply(opened.run, event)

    def _ring_timers(self) -> bool:
        now = self.clock.now()
        rung = False
        while self._timers and self._timers[0][0] <= now:
            _, _, run, instance = heapq.heappop(self._timers)
            rung = True
            if run.machine.is_finished:
                continue
            if instance is None:
                self._apply(run, TimerDue(now))
            elif instance.offered and instance.not_before <= now:
                self.admission.offer(run.lane_of(instance), instance)
        return rung

    # --- deciding ---------------------------------------------------------------------------------------------------

    def _apply(self, run: ActiveRun, event: Event) -> None:
        commands = run.machine.apply(event)
        if run.machine.journal:
            self._dirty[run.id] = run
        if commands:
            self._note(run, commands)

    def _note(self, run: ActiveRun, commands: list[Command]) -> None:
        for command in commands:
            kind = type(command)
            if kind is Offer:
                instance = run.machine.instance(command.step, command.index)  # type: ignore[union-attr]
                assert instance is not None
                if instance.not_before > self.clock.now():
                    self._set_timer(instance.not_before, run, instance)
                else:
                    self.admission.offer(run.lane_of(instance), instance)
            elif kind is Kill:
                ticket = self._tickets.get((run.id, command.step, command.index))  # type: ignore[union-attr]
                if ticket is not None:
                    self._kills.append((ticket, "cancelled"))
            elif kind is WakeAt:
                self._set_timer(command.at, run, None)  # type: ignore[union-attr]
            elif kind is Finished:
                self._finished.append(run)
            else:
                # An instance that is withdrawn says so itself when its turn comes (`offered`).
                assert kind is Withdraw

    def _set_timer(self, at: float, run: ActiveRun, instance: Instance | None) -> None:
        heapq.heappush(self._timers, (at, next(self._counter), run, instance))

    def _join_queue(self, run: ActiveRun) -> None:
        """A run that was just made waits for its start; or is refused, or has others cancelled, by its keys."""
        arrival = self.queue.arrive(run.waiting)
        if arrival.refused:
            self._apply(run, CancelRequested(self.clock.now(), "its concurrency key", arrival.refused))
            return
        for other in arrival.cancel:
            if other in self.active:
                self._request(self.active[other], CancelRequested(self.clock.now(), f"run {run.no}", "it came later"))
        self.queue.offer(run.waiting)

    def _start_queued(self) -> None:
        """Let queued runs start, as far as limits allow."""
        now = self.clock.now()
        for waiting in self.queue.pick():
            self._apply(self.active[waiting.run], RunStarted(now))

    def _admit(self) -> None:
        self._start_fitting()
        # What can never start here ends, and what waits for its end may start at once.
        while unfit := self.admission.take_unfit():
            for lane, instance, why in unfit:
                self._apply(self.active[lane.run], StepUnfit(self.clock.now(), lane.step, instance.index, why))
            self._start_fitting()

    def _start_fitting(self) -> None:
        place = self.executor.place
        now = self.clock.now()
        for lane, instance, placement in self.admission.pick(
            lambda lane, instance: place(self.active[lane.run].demand(lane.step, lane.grown)), now
        ):
            run = self.active[lane.run]
            number = next(self._counter)
            step, index = instance.node.step.key, instance.index
            self.admission.take(lane)
            self._open[number] = _Open(run, instance, lane)
            self._tickets[run.id, step, index] = number
            where = placement.worker
            if lane.gpus:
                where = place_name(where, self.gpus.take(number, lane.gpus))
            self._apply(run, AttemptStarted(now, step, index, instance.attempt + 1, self.epoch, where))
            self._starts.append((run, instance, number, placement))

    # --- committing and acting --------------------------------------------------------------------------------------

    def _finish_turn(self) -> bool:
        """Admit, commit, act, until nothing follows from it at once. Was there anything to commit?"""
        any_done = False
        while self._commit_once():
            any_done = True
            if not self._is_due_again:
                break
            self._is_due_again = False
            self._start_queued()
        return any_done

    def _commit_once(self) -> bool:
        if not self.blocked and not self.draining:
            self._admit()
        if not (self._dirty or self._uncommitted or self._facts):
            self._act()
            return False
        now = self.clock.now()
        for run in self._dirty.values():
            run.seq += 1
            self._uncommitted.append(RunCommit(run.id, run.seq, now, tuple(run.machine.take_journal())))
        self._dirty.clear()
        return self._commit()

    def _commit(self) -> bool:
        graphs = list(self._new_graphs.items())
        try:
            numbers = self._write(self._uncommitted, self._facts, graphs)
        except StoreFull as error:
            # Nothing is lost: the same events are tried again each turn, and until then nothing is started or told.
            self.blocked = str(error)
            return True
        self.blocked = ""
        committed, self._uncommitted = self._uncommitted, []
        facts, self._facts = self._facts, []
        self._graphs.update(self._new_graphs)
        self._new_graphs.clear()
        self._act()
        if self._created:
            self._take_in_created(numbers)
        for commit in committed:
            self._tell(self.active[commit.run], commit.events)
        if facts:
            self.chores.recorded(facts)
        self._let_go()
        return True

    def _write(
        self, commits: Sequence[RunCommit], facts: Sequence[Fact] = (), graphs: Sequence[tuple[str, bytes]] = ()
    ) -> dict[str, int]:
        """One synced transaction. What fails beside lack of space and a taken origin may have happened all the same."""
        try:
            return self.store.commit(commits, epoch=self.epoch, facts=facts, graphs=graphs)
        except (StoreFull, OriginTaken):
            raise
        except StoreError as error:
            # Content that cannot be stored was refused before anything was written.
            self._broken = None if isinstance(error.__cause__, UnicodeEncodeError | OverflowError) else error
            raise

    def _take_in_created(self, numbers: dict[str, int]) -> None:
        """Runs that exist since this commit join the queue."""
        created, self._created = self._created, {}
        self._origins.clear()
        for graph, run in created.values():
            self._join_queue(self._activate(numbers[run.run], run, graph, [], seq=1))
        self._is_due_again = True

    def _act(self) -> None:
        if (self._starts or self._kills) and not self._has_lease():
            return
        if self._starts:
            starts, self._starts = self._starts, []
            assignments = []
            for run, instance, number, placement in starts:
                brief = run.brief(instance, lambda: next(self._counter))
                ticket = run.ticket(instance, number, brief, self.gpus.held.get(number, ()))
                policies = run.policies(instance)
                assignments.append(Assignment(placement, brief, ticket, policies, run.run.project, run.run.code))
            self.executor.submit(assignments)
        if self._kills:
            kills, self._kills = self._kills, []
            for number, reason in kills:
                self.executor.kill(number, reason=reason)

    def _tell(self, run: ActiveRun, events: Sequence[Event]) -> None:
        for listener in self.listeners:
            listener.committed(run, events)
        self.chores.committed(run, events)

    def _let_go(self) -> None:
        """Forget runs that have ended, and let others start in their place."""
        if not self._finished:
            return
        finished, self._finished = self._finished, []
        for run in finished:
            del self.active[run.id]
            self.admission.forget(iter([("run", run.id), *(k for k in run.limits() if k[0] == "step")]))
            self.queue.release(run.id)
        self._is_due_again = len(self.queue) > 0

    # --- runs of earlier engines --------------------------------------------------------------------------------------

    def _restore(self, row: RunRow, left: list[OpenAttempt], graphs: dict[str, Graph]) -> ActiveRun:
        if row.graph not in graphs:
            data = self.store.graph(row.graph)
            assert data is not None, f"graph {row.graph} of run {row.id} is missing in the store"
            graphs[row.graph] = decode_graph(data)
        graph = graphs[row.graph]
        run = run_created_of(row)
        # Of a run that has only been asked for there is nothing else; tens of thousands of these may wait.
        is_new = row.seq == 1 and row.state == "queued" and not row.rerun_of
        steps = [] if is_new else self.store.steps(row.id)
        attempts = [] if is_new else self.store.attempts(row.id)
        has_gates = any(step.gate is not None for step in graph.steps)
        gates = self.store.gates(row.id, open_only=True) if has_gates else ()
        votes = self.store.votes(row.id) if gates else ()
        active = self._activate(row.no, run, graph, known_of(steps, attempts, gates, votes), seq=row.seq)
        machine = active.machine
        if row.state == "queued":
            machine.paused = row.paused
            if not row.paused:
                self.queue.offer(active.waiting)
            return active
        # The start was journaled by an earlier engine; what follows from it is decided again from what is known.
        commands = machine.apply(RunStarted(row.started_at if row.started_at is not None else row.created_at))
        machine.journal = [e for e in machine.journal if not isinstance(e, RunStarted)]
        self.queue.take(active.waiting)
        # First the tickets of what still runs: the commands may be to end it.
        left += self._left_open(active)
        self._note(active, commands)
        if row.cancel_requested:
            self._note(active, machine.apply(CancelRequested(self.clock.now(), "an earlier request")))
            machine.journal = [e for e in machine.journal if not isinstance(e, CancelRequested)]
        if row.paused:
            self._note(active, machine.apply(PauseRequested(self.clock.now(), "an earlier request")))
            machine.journal = [e for e in machine.journal if not isinstance(e, PauseRequested)]
        # Out of time already: known at once, or what comes back until the timer rings would be tried again. What was
        # committed has been, also if the clock was set back since.
        seen = max((step.finished_at or 0.0 for step in steps), default=0.0)
        seen = max([seen, *(gate.opened_at or 0.0 for gate in gates)])
        if row.timeout_s is not None and any(step.reason.startswith(OUT_OF_TIME) for step in steps):
            seen = max(seen, (row.started_at or 0.0) + row.timeout_s)
        self._apply(active, TimerDue(max(self.clock.now(), seen)))
        if machine.journal:
            self._dirty[active.id] = active
        return active

    def _left_open(self, active: ActiveRun) -> list[OpenAttempt]:
        """The open attempts of a restored run; the executor finds out what became of them."""
        workers = {(a.step, a.index): (a.worker, a.started_at) for a in self.store.attempts(active.id, open_only=True)}
        found: list[OpenAttempt] = []
        for instance in active.machine.instances():
            if not instance.open or instance.node.bundle is not None:
                continue
            lane = active.lane_of(instance)
            number = next(self._counter)
            self.admission.take(lane)
            self._open[number] = _Open(active, instance, lane)
            self._tickets[active.id, instance.node.key, instance.index] = number
            place, started_at = workers[instance.node.key, instance.index]
            worker, gpus = parted(place)
            self.gpus.hold(number, gpus)
            found.append(
                OpenAttempt(
                    run=active.id,
                    step=instance.node.key,
                    index=instance.index,
                    attempt=instance.attempt,
                    epoch=instance.epoch,
                    worker=worker,
                    started_at=started_at,
                    policies=active.policies(instance),
                    no=number,
                    run_no=active.no,
                )
            )
        return found

    def _activate(self, no: int, run: RunCreated, graph: Graph, known: list[Known], *, seq: int) -> ActiveRun:
        active = ActiveRun(
            no=no,
            run=run,
            graph=graph,
            known=known,
            seq=seq,
            stored=self._stored,
            interval=self._interval(run),
            mapped=lambda run, binding: stored_input(self.store, run, binding),
            token=self.token_of,
        )
        self.active[run.run] = active
        for key, capacity in active.limits().items():
            self.admission.limit(key, capacity)
        if run.namespace_limit is not None:
            self.admission.limit(("namespace", run.namespace), run.namespace_limit)
        return active

    def _stored(self, run: RunCreated, asset: str) -> Value | None:
        return stored_value(self.store, run, asset)

    # --- time -------------------------------------------------------------------------------------------------------

    def _patience(self, timeout_s: float) -> float:
        """How long this turn may wait: never past a timer, a renewal of the lease, or 5 s (clocks may jump)."""
        # Facts that followed from the last commit (messages, most of all) are not to wait for something else to happen.
        if self._mailbox or (self._facts and not self.blocked):
            return 0.0
        now = self.clock.now()
        until = [timeout_s, 1.0 if self.blocked else 5.0, self._tenure.renew_at - now, self.admission.due_at() - now]
        if self._timers:
            until.append(self._timers[0][0] - now)
        until.append(self.chores.due_at(now) - now)
        return max(0.0, min(until))

    def _has_lease(self) -> bool:
        """Is the lease still ours? This process may have stood still between its commit and what follows from it."""
        self._renew_lease()
        return self._tenure.is_held()

    def _renew_lease(self) -> None:
        """Raises `StoreLocked` or `Fenced` when another engine has taken over: then this one must stop at once."""
        try:
            # One that failed is tried again at once.
            renewed = self._tenure.renew(at_once=bool(self.blocked))
        except StoreFull as error:
            self.blocked = str(error)
            return
        if renewed and not self._uncommitted:
            self.blocked = ""
