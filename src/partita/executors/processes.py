"""The executor of local processes: tickets to warm workers and outcomes back, in one thread around one selector.

All bytes for one worker leave in one send, and no write ever waits. What is not on the common path (kills, timeouts,
deaths, take-backs) is found by looking at few workers now and then, so that it costs a ticket nothing.

Rule: each ticket ends exactly once: it is in `Worker.held` until it has, and nowhere else.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from partita.core.manifest import Manifest
from partita.errors import ExecutorError
from partita.executors import control, verdicts
from partita.executors.adoption import Adoption
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.executors.control import Bound
from partita.executors.crew import Crew, Held, Stop, Worker, rest
from partita.executors.crews import Crews, Source
from partita.executors.evaluator import ProcessEvaluator
from partita.executors.killing import kill_and_wait
from partita.executors.loading import HostConnection
from partita.executors.premises import WorkersNow
from partita.executors.verdicts import Death
from partita.settings import Home
from partita.worker import wire
from partita.worker.wire import CancelTicket, Exit, Hello, Outcome, Outcomes, Ticket, Tickets

# After so long without an outcome, tickets that wait behind a step are given to idle workers.
_STUCK_S = 0.05
_FIGURES_S = 5.0
_ASYNC_SLACK_S = 1.0
_TICK_S = 0.001
_NEVER = float("inf")


class ProcessExecutor:
    """Runs tickets in the workers of one host per project and version.

    `connections` are by project name (`Manifest.project`). With a `source`, projects may come later (`serve`), and versions
    that have no host get one from it. If `patient`, a project whose workers cannot be started waits instead of raising:
    `troubles` says why, by project.
    """

    def __init__(
        self,
        connections: Mapping[str, HostConnection],
        *,
        home: Home | None = None,
        source: Source | None = None,
        patient: bool = False,
    ) -> None:
        self.crews = Crews(connections, source)
        self.troubles: dict[str, str] = {}
        self._home = home
        self._is_patient = patient
        self._asked: dict[tuple[HostConnection, int], Future[Bound]] = {}
        # Hosts that were let go and have not ended yet.
        self._leaving: list[HostConnection] = []
        self._selector = selectors.DefaultSelector()
        self._reports: list[Report] = []
        self._deadlines: list[tuple[float, int, Worker]] = []
        self._writers: set[Worker] = set()
        self._adoption: Adoption | None = None
        self._look_at = 0.0
        self._figures_at = time.monotonic() + _FIGURES_S
        self._closed = False
        # Small functions of the projects; its answers come while `poll` is called.
        self.evaluator = ProcessEvaluator(self._selector, self._living_host)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._drain_wakes)
        for crew in self.crews.values():
            self._listen_to_host(crew)
            self._listen_to_new(crew)

    # --- the contract ---------------------------------------------------------------------------------------------

    def place(self, demand: Demand) -> Placement | None:
        """Room for one more ticket now, or None; `poll` returns early when a worker was started that may have room."""
        try:
            crew, is_new = self.crews.of(demand.project, demand.code)
            if crew is None:
                return None
            if is_new or (crew.hostless and crew.revive()):
                self._listen_to_host(crew)
            worker = crew.room_for(demand)
        except ExecutorError as error:
            if not self._is_patient:
                raise
            self.troubles[demand.project] = str(error)
            return None
        if crew.new:
            self._listen_to_new(crew)
        if worker is None:
            return None
        crew.reserve(worker, demand)
        return Placement(worker.name, worker.slot)

    def unplace(self, placement: Placement) -> None:
        """Give a placement back."""
        if worker := self._worker(placement.slot):
            worker.crew.release(worker)

    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Hand out tickets, all for one worker in one send."""
        batches: dict[Worker, list[Assignment]] = {}
        for assignment in assignments:
            worker = self._worker(assignment.placement.slot)
            if worker is None or worker.link.gone:
                outcome = verdicts.not_begun(assignment.ticket.no, time.time(), "the worker died before it began")
                self._reports.append(Ended(outcome))
                if worker is not None:
                    worker.crew.release(worker)
            elif worker in batches:
                batches[worker].append(assignment)
            else:
                batches[worker] = [assignment]
        for worker, batch in batches.items():
            self._hand_out(worker, batch)

    def kill(self, ticket_no: int, *, reason: str) -> None:
        """End an attempt: cancelled ones that wait at once, begun ones politely and then by force."""
        for crew in self.crews.values():
            for worker in crew.workers():
                if ticket_no in worker.held:
                    self._stop(worker, ticket_no, reason, message="")
                    return
        if self._adoption:
            self._adoption.kill(ticket_no, reason)

    def poll(self, timeout_s: float) -> list[Report]:
        """What happened since the last call; may return early and empty when there may be room again."""
        for crew in self.crews.values():
            # What came while somebody else waited for an answer of the host (`bind`, `flush_logs`).
            if crew.connection.inbox:
                self._hear_host(crew)
        now = time.monotonic()
        wait = 0.0 if self._reports else max(0.0, min(timeout_s, self._next_look(now) - now))
        for key, _ in self._selector.select(wait):
            key.data()
        now = time.monotonic()
        if now >= self._next_look(now):
            self._look(now)
        reports, self._reports = self._reports, []
        return reports

    def wake(self) -> None:
        """Let a waiting `poll` return."""
        try:
            os.write(self._waker, b"w")
        except BlockingIOError:
            return

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        """Take over what an earlier engine left open."""
        if self._adoption is None:
            home = self._home or self.crews.values()[0].settings.home
            self._adoption = Adoption(home, self._selector, self._look_soon)
        self._adoption.take_over(attempts)
        self._look_soon()

    def describe(self) -> list[str]:
        """One line per worker."""
        now = time.time()
        lines = [worker.describe(now) for crew in self.crews.values() for worker in crew.workers()]
        lines += [f"project {project} waits: {trouble}" for project, trouble in self.troubles.items()]
        return lines + (self._adoption.describe(now) if self._adoption else [])

    def workers_now(self) -> list[WorkersNow]:
        """The workers of each version of each project, in numbers."""
        found = []
        for crew in self.crews.values():
            workers = list(crew.workers())
            steps = [len(worker.held) for worker in workers]
            starting = sum(not worker.ready for worker in workers)
            found.append(WorkersNow(crew.project, crew.code, len(workers), sum(map(bool, steps)), starting, sum(steps)))
        return found

    def close(self, *, kill: bool = False) -> None:
        """Let all workers end: idle ones now, busy ones after their step, or all by force."""
        if self._closed:
            return
        self._closed = True
        self.evaluator.close()
        for crew in self.crews.values():
            pids = [worker.pid for worker in crew.workers() if worker.pid]
            for worker in crew.workers():
                # A busy one finds its socket closed, and spools what it has and what it has not begun.
                if worker.ready and not worker.held:
                    worker.link.send(wire.frame(Exit()))
                worker.link.close()
            crew.connection.close(kill=kill)
            self._refuse_asked(crew.connection)
            if kill:
                for pid in pids:
                    kill_and_wait(pid)
        if self._adoption:
            self._adoption.close()
        self._selector.close()
        os.close(self._woken)
        os.close(self._waker)

    def flush_logs(self) -> None:
        """Return when everything that workers have written until now is in the log files."""
        for crew in self.crews.values():
            if not crew.connection.gone:
                crew.connection.flush_logs()

    # --- versions -------------------------------------------------------------------------------------------------

    def serve(self, project: str, code: str, connection: HostConnection, kept: Path | None = None) -> None:
        """A newly loaded version of a project takes the place of the one before it; that stays until `let_go`."""
        crew = self.crews.put(project, code, connection, kept)
        self.troubles.pop(project, None)
        self._listen_to_host(crew)
        self._listen_to_new(crew)
        self._look_soon()

    def configure(self, manifest: Manifest) -> None:
        """Which other executors a project names: `routed` has them, here there are none."""

    def pin(self, project: str) -> None:
        """The project's folder has other files than those that are served: nobody is to import these."""
        self.crews.pin(project)

    def let_go(self, project: str, wanted: set[str]) -> None:
        """Only these older versions of the project are wanted; the others go when their last tickets have ended."""
        self.crews.let_go(project, wanted)
        self._look_soon()

    def remove(self, project: str) -> None:
        """A project is served no more."""
        self.crews.remove(project)
        self._look_soon()

    def bind(self, project: str, pipeline: str, raw: Mapping[str, object]) -> Future[Bound]:
        """Have the project's host check parameters of a run (`HostConnection.bind`); the answer comes by `poll`.

        Raises `NotPlain` for values that are no plain data, `ExecutorError` if there is no host.
        """
        crew, _ = self.crews.of(project, "")
        if crew is not None and crew.hostless and crew.revive():
            self._listen_to_host(crew)
        if crew is None or crew.hostless:
            raise ExecutorError(f"project {project!r} is not loaded", hint="partita doctor")
        answer: Future[Bound] = Future()
        self._asked[crew.connection, crew.connection.ask_bind(pipeline, raw)] = answer
        return answer

    def _refuse_asked(self, connection: HostConnection) -> None:
        for key in [key for key in self._asked if key[0] is connection]:
            self._asked.pop(key).set_exception(ExecutorError("the host of the project is gone", hint="ask again"))

    def _dismiss_unwanted(self) -> None:
        for crew in self.crews.idle_unwanted():
            for worker in crew.workers():
                if worker.ready:
                    worker.link.send(wire.frame(Exit()))
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(worker.link)
                self._writers.discard(worker)
                worker.link.close()
            if not crew.hostless:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(crew.connection.channel)
                self._refuse_asked(crew.connection)
                crew.connection.close()
                self._leaving.append(crew.connection)
        self._leaving = [connection for connection in self._leaving if connection.reap() is None]

    # --- tickets out ----------------------------------------------------------------------------------------------

    def _worker(self, slot: int) -> Worker | None:
        for crew in self.crews.values():
            if worker := crew.slots.get(slot):
                return worker
        return None

    def _hand_out(self, worker: Worker, batch: list[Assignment]) -> None:
        now, at = time.monotonic(), time.time()
        if not worker.held:
            worker.moved_at = now
        data: list[bytes] = []
        tickets: list[Ticket] = []
        for assignment in batch:
            ticket, brief = assignment.ticket, assignment.brief
            if brief.id not in worker.known_briefs:
                worker.known_briefs.add(brief.id)
                data.append(wire.frame(brief))
            lane, expected_s = worker.reserved.popleft() if worker.reserved else (brief.call, 0.0)
            worker.held[ticket.no] = Held(assignment, lane, expected_s, at)
            tickets.append(ticket)
            if assignment.policies.timeout_s is not None or assignment.policies.memory_bytes is not None:
                self._guard(worker, assignment, now)
        if len(worker.held) > 1:
            self._look_at = min(self._look_at, now + _STUCK_S)
        data.append(wire.frame(Tickets(tickets)))
        worker.link.claim([ticket.no for ticket in tickets])
        worker.link.send(b"".join(data))
        if worker.link.blocked:
            self._writers.add(worker)
            self._watch_writes(worker, on=True)

    def _guard(self, worker: Worker, assignment: Assignment, now: float) -> None:
        policies = assignment.policies
        if policies.timeout_s is not None:
            # An async worker keeps the time of its coroutines itself; this is for one that is stuck.
            slack_s = _ASYNC_SLACK_S if worker.link.kind == "async" else 0.0
            heapq.heappush(self._deadlines, (now + policies.timeout_s + slack_s, assignment.ticket.no, worker))
        # The processes of a container are not below its worker, and have the limit of their runtime.
        is_watched = worker.link.kind != "async" and assignment.brief.kind != "container"
        if policies.memory_bytes is not None and is_watched:
            worker.memory_limit = policies.memory_bytes
            worker.crew.connection.send(control.Watch(worker.link.number, policies.memory_bytes))

    # --- outcomes in ----------------------------------------------------------------------------------------------

    def _hear(self, worker: Worker) -> None:
        """The worker's socket has something."""
        if worker.link.closed:
            # Its death came in the same turn, and was heard first.
            return
        if worker.link.blocked:
            self._write(worker)
        self._take(worker, worker.link.receive())
        if worker.link.gone:
            # What became of it is the host's to tell, or ours if the host is gone too.
            self._selector.unregister(worker.link)
            self._writers.discard(worker)
            worker.crew.dismiss(worker)

    def _take(self, worker: Worker, messages: list[wire.FromWorker]) -> None:
        for message in messages:
            if type(message) is Outcomes:
                self._take_outcomes(worker, message.items)
            elif type(message) is Hello:
                worker.pid = worker.pid or message.pid
                if worker.name:
                    worker.crew.greeted(worker)
            else:
                self._reports.append(message)  # type: ignore[arg-type]

    def _take_outcomes(self, worker: Worker, outcomes: list[Outcome]) -> None:
        held_by, learn, reports = worker.held, worker.crew.lanes.learn, self._reports
        for outcome in outcomes:
            if worker.stops and outcome.no in worker.stops:
                self._take_stopped(worker, outcome)
                continue
            held = held_by.pop(outcome.no, None)
            if held is None:
                continue
            learn(held.lane, outcome.ended_at - outcome.began_at)
            worker.load_s -= held.expected_s
            worker.done += 1
            reports.append(Ended(outcome))
        worker.moved_at = time.monotonic()
        worker.poke_at = 0.0
        worker.last_ended_at = outcomes[-1].ended_at if outcomes else 0.0
        if not held_by:
            self._at_rest(worker)

    def _take_stopped(self, worker: Worker, outcome: Outcome) -> None:
        """An outcome of an attempt that is being killed: it stands if the user's code had ended before the kill."""
        stop = worker.stops[outcome.no]
        finished_before = outcome.state in ("succeeded", "failed") and outcome.ended_at <= stop.asked_at
        if worker.link.kind == "async":
            del worker.stops[outcome.no]
            self._end(worker, outcome if finished_before else self._stopped(worker, stop, outcome))
        elif finished_before:
            self._end(worker, outcome)
        else:
            # Reported when its process group is gone: until then something of it may still run.
            worker.came[outcome.no] = outcome
        if worker.link.kind != "async":
            worker.link.send(wire.frame(Exit()))

    def _stopped(self, worker: Worker, stop: Stop, outcome: Outcome | None, no: int = 0) -> Outcome:
        no = outcome.no if outcome else no
        began_at = outcome.began_at if outcome else worker.held[no].since
        return verdicts.stopped(no, stop.reason, began_at, time.time(), outcome, stop.message)

    def _end(self, worker: Worker, outcome: Outcome) -> None:
        """A ticket ends."""
        held = worker.held.pop(outcome.no, None)
        if held is None:
            return
        worker.load_s -= held.expected_s
        worker.done += 1
        self._reports.append(Ended(outcome))
        if not worker.held:
            self._at_rest(worker)

    def _at_rest(self, worker: Worker) -> None:
        if not worker.reserved:
            rest(worker)
        if worker.memory_limit is not None:
            worker.memory_limit = None
            worker.crew.connection.send(control.Watch(worker.link.number, 0))
        if worker.link.kind == "fresh" or worker.done >= worker.crew.settings.worker_max_steps:
            self._retire(worker)

    def _retire(self, worker: Worker) -> None:
        """The worker has done enough: another one takes its place when it is needed."""
        if not worker.leaving and not worker.count:
            worker.crew.dismiss(worker)
            worker.link.send(wire.frame(Exit()))

    # --- hosts ----------------------------------------------------------------------------------------------------

    def _living_host(self, project: str) -> HostConnection | None:
        """The host of a project's newest version, started anew if it has died; None if it has none."""
        crew, is_new = self.crews.of(project, "")
        if crew is not None and (is_new or (crew.hostless and crew.revive())):
            self._listen_to_host(crew)
        return None if crew is None or crew.hostless else crew.connection

    def _listen_to_host(self, crew: Crew) -> None:
        connection = crew.connection
        self._selector.register(connection.channel, selectors.EVENT_READ, lambda: self._hear_host(crew))
        # What came while somebody waited for the manifest.
        if connection.inbox:
            self._hear_host(crew)

    def _listen_to_new(self, crew: Crew) -> None:
        for worker in crew.new:
            self._selector.register(worker.link, selectors.EVENT_READ, _bound(self._hear, worker))
        crew.new.clear()

    def _hear_host(self, crew: Crew) -> None:
        for message in crew.connection.receive():
            match message:
                case control.Started():
                    self._started(crew, message)
                case control.Died():
                    if worker := self._by_number(crew, message.worker):
                        self._bury(worker, verdicts.death_of(message, worker.memory_limit))
                    else:
                        self.evaluator.died(crew.connection, message)
                case control.Figures():
                    self._weigh(crew, message)
                case control.Bound():
                    answer = self._asked.pop((crew.connection, message.id), None)
                    if answer is not None:
                        answer.set_result(message)
                case _:
                    # Loaded: the answer of a host that was started anew.
                    continue
        if crew.connection.gone:
            self._lose_host(crew)

    def _started(self, crew: Crew, message: control.Started) -> None:
        worker = self._by_number(crew, message.worker)
        if worker is not None:
            greeted = worker.pid != 0
            worker.pid, worker.name = message.pid, message.name
            if greeted:
                crew.greeted(worker)

    def _by_number(self, crew: Crew, number: int) -> Worker | None:
        return next((w for w in crew.workers() if w.link.number == number), None)

    def _weigh(self, crew: Crew, figures: control.Figures) -> None:
        for figure in figures.items:
            worker = self._by_number(crew, figure.worker)
            if worker and worker.ready and figure.rss_bytes > crew.settings.worker_max_rss_bytes:
                self._retire(worker)

    def _bury(self, worker: Worker, death: Death) -> None:
        """A worker is dead: what it had still said counts, the rest of its tickets gets a verdict."""
        if not worker.link.closed:
            with contextlib.suppress(KeyError):
                self._selector.unregister(worker.link)
            self._take(worker, worker.link.receive_rest())
            unbegun = set(worker.link.take_back())
            self._judge(worker, death, unbegun)
        self._writers.discard(worker)
        worker.stops.clear()
        worker.crew.died(worker, death.how())

    def _judge(self, worker: Worker, death: Death, unbegun: set[int]) -> None:
        at = time.time()
        begun = [no for no in worker.held if no not in unbegun]
        for no in list(worker.held):
            held, stop = worker.held[no], worker.stops.get(no)
            began_at = max(held.since, min(worker.last_ended_at, at))
            if stop is not None:
                came = worker.came.pop(no, None)
                outcome = self._stopped(worker, stop, came if isinstance(came, Outcome) else None, no)
            elif no in unbegun:
                outcome = verdicts.not_begun(no, at, f"not begun: its worker was gone ({death.how()})")
            elif worker.link.kind == "async":
                outcome = verdicts.of_begun(no, death, began_at, at, alone=len(begun) == 1)
            elif no == begun[-1]:
                outcome = verdicts.of_begun(no, death, began_at, at)
            else:
                outcome = verdicts.of_unsent(no, death, held.since, at)
            self._end(worker, outcome)

    def _lose_host(self, crew: Crew) -> None:
        """The host is gone: its workers have nobody who takes their logs, and end with it."""
        self._selector.unregister(crew.connection.channel)
        for worker in crew.workers():
            if worker.pid:
                kill_and_wait(worker.pid)
            self._bury(worker, Death(note="the host of the project is gone"))
        self._refuse_asked(crew.connection)
        connection = crew.connection
        crew.host_died()
        self.evaluator.lost_host(connection)

    # --- now and then ---------------------------------------------------------------------------------------------

    def _next_look(self, now: float) -> float:
        """When something is to be looked at without being told."""
        due = min(self._look_at, self._figures_at, self.evaluator.due_at())
        return min(due, self._deadlines[0][0]) if self._deadlines else due

    def _look_soon(self) -> None:
        self._look_at = 0.0

    def _look(self, now: float) -> None:
        self.evaluator.look(now)
        while self._deadlines and self._deadlines[0][0] <= now:
            _, no, worker = heapq.heappop(self._deadlines)
            if no in worker.held and no not in worker.stops:
                self._time_out(worker, no, now)
        again_at = _NEVER
        for crew in self.crews.values():
            for worker in crew.workers():
                again_at = min(again_at, self._look_at_worker(worker, now))
        if self._adoption:
            self._reports += self._adoption.look(now)
            again_at = min(again_at, self._adoption.next_look(now))
        self._dismiss_unwanted()
        self._look_at = min(again_at, now + _STUCK_S) if again_at < _NEVER else now + _FIGURES_S
        if now >= self._figures_at:
            self._figures_at = now + _FIGURES_S
            for crew in self.crews.values():
                crew.connection.send(control.AskFigures())

    def _time_out(self, worker: Worker, no: int, now: float) -> None:
        timeout_s = worker.held[no].assignment.policies.timeout_s
        assert timeout_s is not None
        # One that waited behind others has begun when the last of them ended.
        due = worker.moved_at + timeout_s
        if worker.link.kind != "async" and due > now + _TICK_S:
            heapq.heappush(self._deadlines, (due, no, worker))
        else:
            self._stop(worker, no, "timeout", message=f"timed out after {timeout_s:g} s")

    def _look_at_worker(self, worker: Worker, now: float) -> float:
        """Take back what is stuck behind a long step, and end an async worker that does not obey; when to look again."""
        if worker.stops and worker.link.kind == "async":
            late = [no for no, stop in worker.stops.items() if stop.give_up_at <= now]
            if late and not worker.leaving:
                worker.crew.connection.send(control.Kill(worker.link.number, 0.0))
                worker.crew.dismiss(worker)
            return now + _STUCK_S
        if worker.link.kind != "warm" or len(worker.held) < 2:
            return _NEVER
        if now - worker.moved_at > _STUCK_S:
            if worker.crew.idle_elsewhere(worker):
                head = next(iter(worker.held.values()))
                worker.crew.lanes.learn(head.lane, now - worker.moved_at)
                self._take_back(worker, "not begun: it waited behind a longer step")
            if len(worker.held) > 1 and worker.poke_at <= now:
                # Less and less often: most likely it has nothing, and only works.
                worker.poke_at = now + (now - worker.moved_at)
                _poke(worker)
        return now + _STUCK_S

    def _take_back(self, worker: Worker, why: str) -> None:
        for no in worker.link.take_back():
            self._end(worker, verdicts.not_begun(no, time.time(), why))

    def _stop(self, worker: Worker, no: int, reason: str, *, message: str) -> None:
        if no in worker.stops:
            return
        policies = worker.held[no].assignment.policies
        stop = Stop(reason, time.time(), time.monotonic() + policies.grace_s, message)
        if worker.link.kind == "async":
            worker.stops[no] = stop
            worker.link.send(wire.frame(CancelTicket(no, reason)))
            self._look_soon()
            return
        unbegun = worker.link.take_back()
        for other in unbegun:
            if other == no:
                self._end(worker, self._stopped(worker, stop, None, no))
            else:
                self._end(worker, verdicts.not_begun(other, time.time()))
        if no in unbegun:
            return
        if next(reversed(worker.held)) != no:
            # A worker is at the last ticket that it has claimed: this one has ended, and its outcome was not sent yet.
            _poke(worker)
            return
        worker.stops[no] = stop
        worker.crew.dismiss(worker)
        worker.crew.connection.send(control.Kill(worker.link.number, policies.grace_s))

    # --- bytes ----------------------------------------------------------------------------------------------------

    def _write(self, worker: Worker) -> None:
        worker.link.flush()
        if not worker.link.blocked:
            self._writers.discard(worker)
            if not worker.link.gone:
                self._watch_writes(worker, on=False)

    def _watch_writes(self, worker: Worker, *, on: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if on else 0)
        self._selector.modify(worker.link, events, _bound(self._hear, worker))

    def _drain_wakes(self) -> None:
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            return


def _poke(worker: Worker) -> None:
    """Ask a worker to send the outcomes that it has gathered; a long step may stand behind them."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGURG)


def _bound(method: Callable[[Worker], None], worker: Worker) -> Callable[[], None]:
    return lambda: method(worker)
