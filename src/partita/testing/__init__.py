"""Pipelines in this process: a fake clock, scripted outcomes, no server, no files.

The real machine, engine loop and step runner work on a store in memory. Waits cost nothing: the clock is moved to the next
thing that is due. What is not scripted runs for real, here, with breakpoints and objects of the test.

>>> import partita as pt
>>> from partita.testing import fails, run
>>> @pt.task(retries=2, retry_delay="5m")
... def extract(): return [1, 2]
>>> @pt.pipeline
... def nightly(): extract()
>>> result = run(nightly, script={"extract": [fails(TimeoutError("no answer")), fails(TimeoutError("no answer"))]})
>>> result.state, result["extract"].attempts, result.elapsed_s, result.value("extract")
('succeeded', 3, 600.0, [1, 2])
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import inspect
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from partita.core.admission import Key
from partita.core.events import (
    Detail,
    Event,
    Failure,
    GateAnswered,
    GateOpened,
    GateReported,
    GateVoted,
    Materialized,
    RunCreated,
)
from partita.core.explain import Cause, Explanation, causes, explain
from partita.core.facts import Fact
from partita.core.gates import value_of
from partita.core.graph import version as graph_version
from partita.core.machine import RunMachine
from partita.core.manifest import Manifest, PipelineSpec
from partita.core.plain import pack
from partita.core.plan import Instance
from partita.core.values import Whole
from partita.define.calls import Call
from partita.define.compile import Compiled, compile_pipeline
from partita.define.params import bind_params
from partita.define.pipeline import PipelineDef
from partita.engine.active import ActiveRun
from partita.engine.clock import FakeClock
from partita.engine.conditions import Conditions
from partita.engine.loop import Engine, RunInput
from partita.engine.submission import check_partition, interval, partitions_of
from partita.engine.tokens import GateTokens
from partita.errors import DefinitionError, PartitaError
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.executors.evaluator import InlineEvaluator
from partita.settings import Home
from partita.store.contract import CheckRow
from partita.store.memory import MemoryStore
from partita.values.blobs import FileBlobs
from partita.values.storing import load
from partita.worker.answering import Functions
from partita.worker.run_step import StepRunner
from partita.worker.wire import Outcome

_SLOTS = 8
_ALL_INLINE = 1 << 62


@dataclasses.dataclass(frozen=True)
class Play:
    """What one attempt does instead of calling the user's function. Make it with `returns`, `fails`, `times_out` ..."""

    kind: str
    value: Any = None
    takes_s: float = 0.0


def returns(value: Any, *, takes_s: float = 0.0) -> Play:
    """The attempt succeeds with this value."""
    return Play("returns", value, takes_s)


def fails(error: BaseException, *, takes_s: float = 0.0) -> Play:
    """The attempt raises this exception."""
    return Play("fails", error, takes_s)


def takes(seconds: float) -> Play:
    """The user's function runs for real, and takes so long by the fake clock (a timeout may strike)."""
    return Play("runs", None, seconds)


def times_out() -> Play:
    """The attempt is ended by its timeout, or after a day if it has none."""
    return Play("times_out")


def answers(
    choice: str,
    *,
    by: str = "somebody",
    comment: str = "",
    answer: Any = None,
    roles: Sequence[str] = ("admin",),
    takes_s: float = 0.0,
) -> Play:
    """A person answers the approval, so long after it has opened. Several in a list are several people.

    What `pt.external` and `pt.wait_for` wait for is scripted by `returns` and `fails`.
    """
    return Play("answers", (by, choice, tuple(roles), comment, None if answer is None else pack(answer)), takes_s)


def approves(by: str = "somebody", *, comment: str = "", answer: Any = None, takes_s: float = 0.0) -> Play:
    """A person approves."""
    return answers("approve", by=by, comment=comment, answer=answer, takes_s=takes_s)


def rejects(by: str = "somebody", *, comment: str = "", takes_s: float = 0.0) -> Play:
    """A person rejects."""
    return answers("reject", by=by, comment=comment, takes_s=takes_s)


def lost() -> Play:
    """The worker disappears in the middle of the attempt."""
    return Play("lost")


class StepResult:
    """What became of one step instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    @property
    def state(self) -> str:
        return self._instance.state

    @property
    def attempts(self) -> int:
        return self._instance.attempt

    @property
    def reason(self) -> str:
        """Why it did not succeed; "" if it did."""
        return self._instance.reason

    @property
    def errors(self) -> list[str]:
        """The messages of the attempts that did not succeed, oldest first."""
        return [why for _, _, why in self._instance.past or ()]

    def __repr__(self) -> str:
        return f"<{self._instance.node.key}[{self._instance.index}] {self.state}>"


class RunResult:
    """What became of a run."""

    def __init__(self, machine: RunMachine, store: MemoryStore, blobs: FileBlobs, elapsed_s: float) -> None:
        self._machine = machine
        self._store = store
        self._blobs = blobs
        # By the fake clock: retries, timeouts and `takes` count, real time does not.
        self.elapsed_s = elapsed_s

    @property
    def state(self) -> str:
        return self._machine.state

    @property
    def reason(self) -> str:
        return self._machine.reason

    @property
    def steps(self) -> dict[str, StepResult]:
        """All step instances by name: "load", "extract[3]", "part[3.17]"."""
        return {_name(i): StepResult(i) for i in self._machine.instances()}

    def __getitem__(self, name: str) -> StepResult:
        step, index = _address(name)
        instance = self._machine.instance(step, index)
        if instance is None:
            known = ", ".join(list(self.steps)[:10])
            raise KeyError(f"no step {name!r} in this run; there are {known}")
        return StepResult(instance)

    def value(self, name: str) -> Any:
        """The result of a step instance; of a mapped step as a whole ("extract") the list of all."""
        step, index = _address(name)
        node = self._machine.plan.nodes[step]
        if node.step.axes and not index:
            return [self._value_of(i) for _, i in sorted(node.instances.items())]
        instance = self._machine.instance(step, index)
        if instance is None:
            raise KeyError(f"no step {name!r} in this run")
        return self._value_of(instance)

    def why(self, name: str) -> Explanation:
        """Why a step is as it is."""
        step, index = _address(name)
        found = explain(self._machine, step, index)
        if found is None:
            raise KeyError(f"no step {name!r} in this run")
        return found

    @property
    def causes(self) -> list[Cause]:
        """What broke by itself, with what it blocks."""
        return causes(self._machine)

    @property
    def checks(self) -> list[CheckRow]:
        return self._store.checks(run=self._machine.run.run)

    @property
    def events(self) -> list[Any]:
        """The journal."""
        return [e for row in self._store.journal(self._machine.run.run, limit=1_000_000) for e in row.events]

    @property
    def materialized(self) -> list[str]:
        """The assets that were made, in order."""
        return [e.asset for e in self.events if isinstance(e, Materialized)]

    def raise_for_state(self) -> RunResult:
        """Raise `PartitaError` with the first causes if the run did not succeed."""
        if self.state != "succeeded":
            told = "; ".join(f"{c.step}: {c.message}" for c in self.causes) or self.reason
            raise PartitaError(f"the run {self.state}: {told}")
        return self

    def _value_of(self, instance: Instance) -> Any:
        if instance.state != "succeeded" or instance.value is None:
            return None
        return load(Whole(instance.value), self._blobs)

    def __repr__(self) -> str:
        return f"<run {self.state}: {len(self.steps)} steps, {self.elapsed_s:g} s>"


def run(
    pipeline: PipelineDef,
    params: Mapping[str, Any] | None = None,
    *,
    script: Mapping[str, Play | Sequence[Play]] | None = None,
    partition: str = "",
    pools: Mapping[str, int] | None = None,
    slots: int = _SLOTS,
    clock: FakeClock | None = None,
) -> RunResult:
    """Run a pipeline here and say what became of it.

    `script` names steps ("load", "extract[3]", or "extract" for all its instances) and says what their attempts do, one
    `Play` after the other; when they are used up, the user's function runs. Raises `DefinitionError`.
    """
    compiled = compile_pipeline(pipeline)
    manifest = _manifest(pipeline, compiled)
    check_partition(partitions_of(manifest.pipelines[0], compiled.graph, manifest), partition, pipeline.name)
    plays = {name: list(p) if isinstance(p, Sequence) else [p] for name, p in (script or {}).items()}
    known = {s.key for s in compiled.graph.steps}
    for name in plays:
        if _address(name)[0] not in known:
            raise DefinitionError(f"the script names step {name!r}, which is not in {pipeline.name}")
    clock = clock or FakeClock()
    store = MemoryStore(clock=clock.now)
    with tempfile.TemporaryDirectory(prefix="partita-") as folder:
        home = Home(Path(folder))
        blobs = FileBlobs(home.blobs)
        executor = TestExecutor(compiled.calls, home, blobs, clock, plays, slots)
        limits: dict[Key, int] = {("pool", "default", name): size for name, size in (pools or {}).items()}
        engine = Engine(
            store, executor, clock, holder="testing", limits=limits, interval=lambda e: interval(manifest, e)
        )
        gates = _Gates(engine, store, clock, compiled.calls, plays)
        engine.chores.append(gates)
        engine.start()
        started = clock.now()
        event = RunCreated(
            at=started,
            run="test-run",
            namespace="default",
            project="test",
            pipeline=pipeline.name,
            graph=graph_version(compiled.graph),
            code="",
            origin="testing",
            by="testing",
            params=bind_params(pipeline, dict(params or {})),
            partition=partition,
            fail_fast=pipeline.fail_fast,
            timeout_s=pipeline.timeout_s,
            limit=pipeline.max_steps,
        )
        active = engine.submit(compiled.graph, event)
        while not active.machine.is_finished:
            engine.turn(3600.0)
            gates.pass_time(active)
        engine.close()
        return RunResult(active.machine, store, blobs, clock.now() - started)


def _manifest(pipeline: PipelineDef, compiled: Compiled) -> Manifest:
    """The pipeline as a project that has nothing else."""
    spec = PipelineSpec(pipeline.name, compiled.graph, partitions=pipeline.partitions)
    return Manifest("test", pipelines=(spec,), assets=compiled.specs)


_MANY_LOOKS = 20_000


class _Gates:
    """Answers gates as the script says; conditions that are not scripted are looked at for real, by the fake clock."""

    name = "gates"

    def __init__(
        self,
        engine: Engine,
        store: MemoryStore,
        clock: FakeClock,
        calls: Mapping[str, Call],
        plays: dict[str, list[Play]],
    ) -> None:
        self._engine = engine
        self._clock = clock
        engine.token_of = GateTokens(b"testing!" * 4).token
        self._plays = plays
        self._said: list[tuple[float, int, str, RunInput]] = []
        self._sequence = itertools.count()
        evaluator = InlineEvaluator({"test": Functions(calls, {})})
        self._conditions = Conditions(store, evaluator, tell=engine.request, now=clock.now)
        self._looks = 0

    def start(self, now: float) -> None:
        """Nothing: a store in memory has no earlier engine."""

    def due_at(self) -> float:
        return min(self._said[0][0] if self._said else float("inf"), self._conditions.due_at())

    def turn(self, now: float) -> None:
        while self._said and self._said[0][0] <= now:
            _, _, run, event = heapq.heappop(self._said)
            self._engine.request(run, event)
        self._conditions.turn(now)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        self._looks = 0
        for event in events:
            if isinstance(event, GateOpened):
                self._open(run, event)
            elif isinstance(event, GateAnswered):
                self._conditions.remove((run.id, event.step, event.index))

    def recorded(self, facts: Sequence[Fact]) -> None:
        """Nothing is recorded here."""

    def pass_time(self, run: ActiveRun) -> None:
        """Nothing but gates is left to wait for: on to the next of them. Raises `PartitaError` if nobody will answer."""
        gates = run.machine.gates
        if not gates or any(i.open or i.state == "ready" for i in run.machine.instances()):
            return
        self._looks += 1
        at = min(run.machine.wakes_at, self.due_at())
        if at == float("inf"):
            name = _name(next(iter(gates.values())))
            raise PartitaError(
                f"the run waits for `{name}`, and nobody will answer",
                hint=f'script={{"{name}": approves()}}, or returns(value) for what another system reports',
            )
        if self._looks > _MANY_LOOKS:
            raise PartitaError(f"{len(gates)} steps wait for conditions that do not come true")
        self._clock.set(max(at, self._clock.now()))

    def _open(self, run: ActiveRun, event: GateOpened) -> None:
        instance = run.machine.instance(event.step, event.index)
        plays = self._plays.get(f"{event.step}[{event.index}]") or self._plays.get(event.step) or []
        for play in plays:
            said = self._event(event, play)
            if said is not None:
                heapq.heappush(self._said, (said.at, next(self._sequence), run.id, said))
        if event.of == "condition" and not plays and instance is not None and instance.state == "waiting":
            self._conditions.add(run, instance, event.at)

    def _event(self, event: GateOpened, play: Play) -> GateVoted | GateReported | None:
        at = event.at + play.takes_s
        if play.kind == "answers" and event.of == "approval":
            by, choice, roles, comment, answer = play.value
            return GateVoted(at, event.step, event.index, by, choice, roles, comment, answer)
        if play.kind == "returns" and event.of != "approval":
            return GateReported(at, event.step, event.index, "succeeded", value=value_of(pack(play.value)))
        if play.kind == "fails" and event.of != "approval":
            return GateReported(at, event.step, event.index, "failed", message=str(play.value))
        if play.kind == "times_out":
            return None
        raise DefinitionError(
            f"the script says {play.kind!r} of `{event.step}`, which is a gate ({event.of})",
            hint="answers, approves, rejects for an approval; returns, fails, times_out for the others",
        )


_play: ContextVar[Play | None] = ContextVar("partita_testing_play", default=None)


class TestExecutor:
    """Runs user code in `poll`, lets it take what the script says by the fake clock."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(
        self,
        calls: Mapping[str, Call],
        home: Home,
        blobs: FileBlobs,
        clock: FakeClock,
        plays: dict[str, list[Play]],
        slots: int,
    ) -> None:
        scripted = {name: dataclasses.replace(call, function=_scripted(call)) for name, call in calls.items()}
        self._runner = StepRunner(scripted, blobs, home, self._send, inline_bytes=_ALL_INLINE)
        self._clock = clock
        self._plays = plays
        self._slots = slots
        self._held = 0
        self._due: list[tuple[float, int, Report]] = []
        self._sequence = itertools.count()
        self._said: list[Report] = []
        self._killed: set[int] = set()

    def place(self, demand: Demand) -> Placement | None:
        if self._held >= self._slots and not demand.policies.asynchronous:
            return None
        self._held += 1
        return Placement("here", 0)

    def unplace(self, placement: Placement) -> None:
        self._held -= 1

    def submit(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            play = self._next_play(assignment)
            at, outcome = self._perform(assignment, play)
            self._schedule(at, Ended(outcome))

    def kill(self, ticket_no: int, *, reason: str) -> None:
        self._killed.add(ticket_no)
        detail = Detail(failure=Failure(reason, cause="cancelled"))
        self._schedule(self._clock.now(), Ended(Outcome(ticket_no, "cancelled", 0.0, 0.0, detail=detail)))

    def poll(self, timeout_s: float) -> list[Report]:
        until = self._clock.now() + timeout_s
        if not self._due:
            self._clock.set(until)
            return []
        self._clock.set(max(self._clock.now(), min(until, self._due[0][0])))
        reports: list[Report] = []
        while self._due and self._due[0][0] <= self._clock.now():
            report = heapq.heappop(self._due)[2]
            reports.append(report)
            self._held -= isinstance(report, Ended)
        return reports

    def wake(self) -> None:
        pass

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        assert not attempts, "a store in memory has no earlier engine"

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None:
        self._due.clear()

    def _next_play(self, assignment: Assignment) -> Play | None:
        step, index = assignment.brief.step, assignment.ticket.index
        for name in (f"{step}[{index}]", step):
            plays = self._plays.get(name)
            if plays:
                # Of a mapped step as a whole, each instance goes through the list by itself.
                number = assignment.ticket.attempt - 1
                return plays[number] if number < len(plays) else None
        return None

    def _perform(self, assignment: Assignment, play: Play | None) -> tuple[float, Outcome]:
        """When the attempt ends, and how."""
        now, no = self._clock.now(), assignment.ticket.no
        timeout = assignment.policies.timeout_s
        takes_s = play.takes_s if play is not None else 0.0
        if play is not None and play.kind == "lost":
            return now, Outcome(
                no, "lost", now, now, detail=Detail(failure=Failure("lost by the script", cause="lost"))
            )
        if (play is not None and play.kind == "times_out") or (timeout is not None and takes_s > timeout):
            end = now + (timeout if timeout is not None else 86400.0)
            message = f"took longer than {end - now:g} s"
            return end, Outcome(no, "timed_out", now, end, detail=Detail(failure=Failure(message, cause="timeout")))
        token = _play.set(play)
        try:
            plan = self._runner.plan(assignment.brief)
            if assignment.policies.asynchronous:
                outcome = asyncio.run(self._runner.run_async(plan, assignment.ticket))
            else:
                outcome = self._runner.run(plan, assignment.ticket)
        finally:
            _play.reset(token)
        for report in self._said:
            self._schedule(now, report)
        self._said.clear()
        return now + takes_s, Outcome(no, outcome.state, now, now + takes_s, outcome.value, outcome.detail)

    def _schedule(self, at: float, report: Report) -> None:
        heapq.heappush(self._due, (at, next(self._sequence), report))

    def _send(self, message: Any) -> None:
        self._said.append(message)


def _scripted(call: Call) -> Callable[..., Any]:
    """The function with the script before it."""

    def play_or(function: Callable[..., Any], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        play = _play.get()
        if play is None or play.kind == "runs":
            return False, None
        if play.kind == "fails":
            raise play.value
        return True, play.value

    if inspect.iscoroutinefunction(call.function):

        async def acted_async(**kwargs: Any) -> Any:
            played, value = play_or(call.function, kwargs)
            return value if played else await call.function(**kwargs)

        return acted_async

    def acted(**kwargs: Any) -> Any:
        played, value = play_or(call.function, kwargs)
        return value if played else call.function(**kwargs)

    return acted


def _address(name: str) -> tuple[str, str]:
    step, bracket, index = name.partition("[")
    return (step, index.rstrip("]")) if bracket else (name, "")


def _name(instance: Instance) -> str:
    return f"{instance.node.key}[{instance.index}]" if instance.path else instance.node.key
