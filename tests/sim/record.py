"""What the journal says about one run, kept for the judge; and the slots that its open attempts hold.

Rule: fed with committed events only. Nothing here knows the machine or the admission.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from partita.core.events import (
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Event,
    GateAnswered,
    GateOpened,
    Materialized,
    PauseRequested,
    RunCreated,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
)
from partita.core.graph import Graph, Step
from partita.core.invariants import Violation, Watch
from partita.core.values import Value

from .fates import may_grow, memory_after

Address = tuple[str, str]
Limit = tuple[str, ...]


class Record:
    """One run as it was committed, checked event by event."""

    def __init__(self, graph: Graph, *, clock_goes_on: Callable[[], bool] = lambda: True) -> None:
        self.graph = graph
        # False once the wall clock has jumped: then nothing can be said about times.
        self.clock_goes_on = clock_goes_on
        self.watch = Watch(graph)
        self.steps: dict[str, Step] = self.watch.steps
        self.run: RunCreated | None = None
        self.end: RunEnded | None = None
        # Places in the journal.
        self.length = 0
        self.started_at: dict[Address, int] = {}
        self.ended_at: dict[Address, int] = {}
        self.values: dict[Address, Value | None] = {}
        self.choices: dict[Address, bytes | None] = {}
        self.again: dict[Address, bool | None] = {}
        self.reused: set[Address] = set()
        self.materialized: set[Address] = set()
        self.retries: dict[Address, StepRetried] = {}
        # By address, how its attempts ended; "not begun" are those that cost nothing.
        self.tries: dict[Address, Counter[str]] = {}
        # How often its memory has grown.
        self.grown: Counter[Address] = Counter()
        self.opened: dict[Address, GateOpened] = {}
        self.answers: dict[Address, GateAnswered] = {}
        self.cancelled_at: int | None = None
        self.was_paused = False
        self.timed_out = False
        self.started = False

    @property
    def state(self) -> str:
        return self.watch.state

    @property
    def is_over(self) -> bool:
        return self.end is not None

    def feed(self, event: Event) -> None:
        """Take one committed event. Raises `Violation`."""
        self.length += 1
        match event:
            case AttemptStarted() | AttemptDispatched():
                self._start(event)
            case AttemptEnded(step=step, index=index, state=state):
                self._count(event)
                if state == "succeeded":
                    detail = event.detail
                    choice, again = (detail.choice, detail.again) if detail is not None else (None, None)
                    self._succeed((step, index), event.value, choice, again)
            case StepEnded(step=step, index=index, reason=reason):
                self.ended_at[step, index] = self.length
                self.timed_out |= "took longer than its" in reason
            case StepReused(step=step, index=index):
                self.reused.add((step, index))
                self._succeed((step, index), event.value, event.choice, event.again)
            case GateOpened(step=step, index=index):
                self.started_at.setdefault((step, index), self.length)
                self.opened[step, index] = event
            case GateAnswered(step=step, index=index):
                self._answer(event)
            case StepRetried(step=step, index=index):
                self.retries[step, index] = event
            case Materialized(step=step, index=index):
                self.materialized.add((step, index))
            case CancelRequested():
                self.cancelled_at = self.length
            case PauseRequested():
                self.was_paused = True
            case RunCreated():
                self.run = event
            case RunStarted():
                self.started = True
            case RunEnded(reason=reason):
                self.end = event
                self.timed_out |= "took longer than its" in reason
            case _:
                pass
        self.watch.feed((event,))

    def _start(self, event: AttemptStarted | AttemptDispatched) -> None:
        address = (event.step, event.index)
        self.started_at.setdefault(address, self.length)
        retry = self.retries.get(address)
        # A member is performed when its bundle comes to it, whatever was planned for it.
        if retry is None or self.steps[event.step].bundle is not None or not self.clock_goes_on():
            return
        if event.at < retry.not_before:
            raise Violation(f"a retry of {address} started {retry.not_before - event.at:.1f} s too early: {event}")

    def _count(self, event: AttemptEnded) -> None:
        address = (event.step, event.index)
        spends = _spends(event)
        failure = event.detail.failure if event.detail is not None else None
        step = self.steps[event.step]
        # A teardown is carried through also when the run is to end.
        goes_on = not self.watch.ending or bool(step.teardown_of)
        ran_out = failure is not None and failure.cause == "out_of_memory"
        if ran_out and goes_on and may_grow(step, self.grown[address]):
            self.grown[address] += 1
            spends = "grown"
        self.tries.setdefault(address, Counter())[spends] += 1

    def _answer(self, event: GateAnswered) -> None:
        address = (event.step, event.index)
        self.answers[address] = event
        if event.accepted:
            self._succeed(address, event.value, event.decision, None)
        opened = self.opened.get(address)
        due_at = opened.due_at if opened is not None else None
        if event.how in ("time", "deadline") and due_at is not None and self.clock_goes_on() and event.at < due_at:
            raise Violation(f"{address} was given up {due_at - event.at:.1f} s before its time: {event}")

    def _succeed(self, address: Address, value: Value | None, choice: bytes | None, again: bool | None) -> None:
        self.ended_at[address] = self.length
        self.values[address] = value
        self.choices[address] = choice
        self.again[address] = again


def _spends(event: AttemptEnded) -> str:
    failure = event.detail.failure if event.detail is not None else None
    return "not begun" if failure is not None and failure.cause == "not_begun" else event.state


class Slots:
    """I10: what open attempts hold of pools and limits, over all runs, counted from the journal alone.

    What one transaction commits happens at once, so it is looked at when all of it has been fed (`check`).
    """

    def __init__(self, capacity: dict[Limit, int], max_runs: dict[str, int]) -> None:
        self.capacity = capacity
        self.max_runs = max_runs
        self.held: dict[tuple[str, str, str], tuple[tuple[Limit, int], ...]] = {}
        self.used: Counter[Limit] = Counter()
        self.running: Counter[tuple[str, str]] = Counter()
        self._grown: set[Limit] = set()

    def feed(self, record: Record, event: Event) -> None:
        """Take one committed event. Raises `Violation`."""
        run = record.run
        assert run is not None
        match event:
            case AttemptStarted(step=step, index=index) | AttemptDispatched(step=step, index=index):
                if record.steps[step].bundle is None and (run.run, step, index) not in self.held:
                    asks = self._asks(run, record.steps[step], record.grown[step, index])
                    self._take((run.run, step, index), asks)
            case AttemptEnded(step=step, index=index):
                for key, n in self.held.pop((run.run, step, index), ()):
                    self.used[key] -= n
            case RunStarted():
                self.running[run.namespace, run.pipeline] += 1
            case RunEnded():
                if record.started:
                    self.running[run.namespace, run.pipeline] -= 1
            case _:
                pass

    def check(self) -> None:
        """A transaction was committed: does everything fit? Raises `Violation`."""
        for key in self._grown:
            if self.used[key] > self.capacity[key]:
                holders = [a for a, asks in self.held.items() if any(k == key for k, _ in asks)]
                raise Violation(f"I10: {key} has {self.used[key]} of {self.capacity[key]} slots taken: {holders}")
        self._grown.clear()
        for (namespace, pipeline), n in self.running.items():
            if n > self.max_runs.get(pipeline, n):
                raise Violation(f"I10: {n} runs of {pipeline} in {namespace} at once")

    def _asks(self, run: RunCreated, step: Step, grown: int) -> tuple[tuple[Limit, int], ...]:
        asks: list[tuple[Limit, int]] = [(("pool", run.namespace, name), n) for name, n in step.policies.pools]
        if run.limit is not None:
            self.capacity["run", run.run] = run.limit
            asks.append((("run", run.run), 1))
        if step.policies.limit_per_run is not None:
            self.capacity["step", run.run, step.key] = step.policies.limit_per_run
            asks.append((("step", run.run, step.key), 1))
        if step.policies.cpu:
            asks.append((("machine", "cpu"), int(1000 * step.policies.cpu)))
        if (memory := memory_after(step, grown)) is not None:
            asks.append((("machine", "memory"), memory))
        return tuple(asks)

    def _take(self, address: tuple[str, str, str], asks: tuple[tuple[Limit, int], ...]) -> None:
        self.held[address] = asks
        for key, n in asks:
            self.used[key] += n
            self._grown.add(key)
