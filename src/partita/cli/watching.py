"""What is known of the runs that are watched, kept up by the events that the engine commits.

Rule: an event costs a few counters here, for it is the engine's own thread that tells; drawing looks at the counters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from partita.cli.labels import Labels
from partita.cli.words import run_title
from partita.core.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    Failure,
    GateAnswered,
    GateOpened,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
)
from partita.core.plan import Instance, Node
from partita.core.states import TERMINAL_STEP
from partita.engine.active import ActiveRun
from partita.worker.wire import Progress

_KEPT_FAILURES = 20
_NEWS = frozenset({RunStarted, RunEnded, StepRetried, StepEnded})


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that did not succeed."""

    index: str
    attempt: int
    state: str
    failure: Failure | None
    at: float


class StepWatch:
    """One step of a run: how its instances stand."""

    __slots__ = (
        "cached",
        "ended",
        "failures",
        "gates",
        "last_end",
        "node",
        "progress",
        "retrying",
        "reused",
        "running",
        "since",
    )

    def __init__(self, node: Node) -> None:
        self.node = node
        # Open attempts: index -> (attempt, started at). Instances that wait to be tried again: index -> not before.
        self.running: dict[str, tuple[int, float]] = {}
        self.retrying: dict[str, float] = {}
        # Instances whose gate is open: since when.
        self.gates: dict[str, float] = {}
        self.progress: dict[str, Progress] = {}
        self.ended: dict[str, int] = {}
        self.failures: deque[Failed] = deque(maxlen=_KEPT_FAILURES)
        self.reused = 0
        self.cached = 0
        self.since = 0.0
        self.last_end = 0.0

    @property
    def key(self) -> str:
        return self.node.key

    @property
    def is_mapped(self) -> bool:
        return bool(self.node.step.axes)

    @property
    def total(self) -> int:
        return len(self.node.instances)

    @property
    def done(self) -> int:
        return sum(self.ended.values())

    @property
    def bad(self) -> int:
        return self.ended.get("failed", 0) + self.ended.get("needs_attention", 0)

    @property
    def state(self) -> str:
        """The state of the step as a whole: what is bad first."""
        if self.bad:
            return "failed" if self.ended.get("failed") else "needs_attention"
        if self.running:
            return "running"
        if self.retrying:
            return "retrying"
        if self.done < self.total or not self.total:
            return "waiting" if not self.done else "running"
        for state in ("upstream_failed", "cancelled", "succeeded"):
            if self.ended.get(state):
                return state
        return "skipped"


class RunWatch:
    """One run: its steps, in the order of the graph."""

    def __init__(self, active: ActiveRun) -> None:
        self.active = active
        self.no = active.no
        self.title = run_title(active.run.pipeline, active.run.partition, active.run.selection)
        self.labels = Labels(active.machine, active.no)
        self.steps = {key: StepWatch(node) for key, node in active.machine.plan.nodes.items()}
        self.created_at = active.run.at
        self.started_at = active.machine.started_at or 0.0
        self.finished_at = 0.0
        self.ended: dict[str, int] = {}
        self.reused = 0
        self._catch_up()

    @property
    def state(self) -> str:
        return self.active.machine.state

    @property
    def is_finished(self) -> bool:
        return self.active.machine.is_finished

    def counts(self) -> dict[str, int]:
        """How many step instances stand how."""
        running = sum(len(s.running) for s in self.steps.values())
        retrying = sum(len(s.retrying) for s in self.steps.values())
        total = sum(s.total for s in self.steps.values())
        waiting = max(0, total - sum(self.ended.values()) - running - retrying)
        return {**self.ended, "running": running, "retrying": retrying, "waiting": waiting}

    def end(self, step: StepWatch, index: str, state: str, at: float) -> None:
        """A step instance has ended."""
        step.running.pop(index, None)
        step.retrying.pop(index, None)
        step.gates.pop(index, None)
        step.progress.pop(index, None)
        step.ended[state] = step.ended.get(state, 0) + 1
        self.ended[state] = self.ended.get(state, 0) + 1
        step.last_end = at

    def _catch_up(self) -> None:
        """What a run that was taken up had done before."""
        for instance in self.active.machine.instances():
            step = self.steps[instance.node.key]
            if instance.open:
                step.running[instance.index] = (instance.attempt, instance.since)
                step.since = step.since or instance.since
            elif instance.state in TERMINAL_STEP:
                self.end(step, instance.index, instance.state, instance.since)
            elif instance.gate is not None and instance.gate.opened_at is not None:
                step.gates[instance.index] = instance.gate.opened_at
                step.since = step.since or instance.gate.opened_at
            elif instance.state == "ready" and instance.not_before:
                step.retrying[instance.index] = instance.not_before


class Notice(NamedTuple):
    """Something that the lines of a run without a terminal tell."""

    run: RunWatch
    event: Event


class Watch:
    """The engine's listener of the command line."""

    def __init__(self) -> None:
        self.runs: dict[str, RunWatch] = {}
        self.notices: deque[Notice] = deque()
        # Whether anybody reads the notices.
        self.wants_notices = False
        self._on: dict[type, Callable[[RunWatch, Any], None]] = {
            AttemptStarted: _attempt_started,
            AttemptEnded: _attempt_ended,
            StepRetried: _step_retried,
            StepEnded: _step_ended,
            StepReused: _step_reused,
            GateOpened: _gate_opened,
            GateAnswered: _gate_answered,
            RunStarted: _run_started,
            RunEnded: _run_ended,
        }

    def add(self, active: ActiveRun) -> RunWatch:
        """Watch a run that was there before its events came here."""
        found = self.runs.get(active.id)
        if found is None:
            found = self.runs[active.id] = RunWatch(active)
        return found

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        watch = self.runs.get(run.id)
        if watch is None:
            # What a machine had done before it is met is in its instances; one that has not started has none yet.
            watch = self.runs[run.id] = RunWatch(run)
            if run.machine.started_at is not None:
                self._note(watch, events)
                return
        for event in events:
            handle = self._on.get(type(event))
            if handle is not None:
                handle(watch, event)
        self._note(watch, events)

    def progressed(self, run: ActiveRun, instance: Instance, progress: Progress) -> None:
        watch = self.runs.get(run.id)
        if watch is not None and (progress.total or progress.done or progress.text):
            watch.steps[instance.node.key].progress[instance.index] = progress

    def _note(self, watch: RunWatch, events: Sequence[Event]) -> None:
        if self.wants_notices:
            self.notices.extend(Notice(watch, event) for event in events if _is_news(watch, event))


def _is_news(run: RunWatch, event: Event) -> bool:
    """Whether a line may be worth it; the successes of a map are told as a whole, by the last of them."""
    if type(event) is AttemptEnded:
        step = run.steps[event.step]
        return event.state == "succeeded" and (not step.is_mapped or step.done >= step.total)
    if type(event) is GateOpened:
        return not run.steps[event.step].is_mapped
    if type(event) is GateAnswered:
        step = run.steps[event.step]
        return event.accepted and (not step.is_mapped or step.done >= step.total)
    return type(event) in _NEWS


def _attempt_started(run: RunWatch, event: AttemptStarted) -> None:
    step = run.steps[event.step]
    step.retrying.pop(event.index, None)
    step.running[event.index] = (event.attempt, event.at)
    step.since = step.since or event.at


def _attempt_ended(run: RunWatch, event: AttemptEnded) -> None:
    step = run.steps[event.step]
    step.running.pop(event.index, None)
    step.progress.pop(event.index, None)
    if event.state == "succeeded":
        step.cached += event.detail is not None and bool(event.detail.cached_from)
        run.end(step, event.index, "succeeded", event.at)
    else:
        failure = event.detail.failure if event.detail is not None else None
        step.failures.append(Failed(event.index, event.attempt, event.state, failure, event.at))


def _step_retried(run: RunWatch, event: StepRetried) -> None:
    run.steps[event.step].retrying[event.index] = event.not_before


def _step_ended(run: RunWatch, event: StepEnded) -> None:
    run.end(run.steps[event.step], event.index, event.state, event.at)


def _gate_opened(run: RunWatch, event: GateOpened) -> None:
    step = run.steps[event.step]
    step.gates[event.index] = event.at
    step.since = step.since or event.at


def _gate_answered(run: RunWatch, event: GateAnswered) -> None:
    if event.accepted:
        run.end(run.steps[event.step], event.index, "succeeded", event.at)


def _step_reused(run: RunWatch, event: StepReused) -> None:
    step = run.steps.get(event.step)
    if step is not None:
        run.end(step, event.index, event.state, event.at)
        step.reused += 1
        run.reused += 1


def _run_started(run: RunWatch, event: RunStarted) -> None:
    run.started_at = event.at


def _run_ended(run: RunWatch, event: RunEnded) -> None:
    run.finished_at = event.at
