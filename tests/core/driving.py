"""A run driven by hand: apply events, see what is offered, and have every commit checked by the invariants."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import msgspec

from partita.core import plain
from partita.core.commands import Command, Finished, Kill, Offer, WakeAt, Withdraw
from partita.core.events import (
    AssetReport,
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    CheckReport,
    Detail,
    Event,
    Failure,
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
    TimerDue,
)
from partita.core.graph import Axis, Binding, Const, Graph, ListOf, Output, Step
from partita.core.invariants import Watch
from partita.core.known import KnownGate
from partita.core.machine import Known, RunMachine
from partita.core.plan import Instance
from partita.core.states import INFRA_FAILURE, TERMINAL_STEP, USER_FAILURE, AttemptState
from partita.core.values import Value

EPOCH = 1
BROKEN = Failure("boom", ("builtins.ValueError", "builtins.Exception"))
SKIP = Failure("nothing to do", cause="skipped")

Fate = Callable[[Instance], "dict[str, object]"]
"""How the coming end of an instance's attempt is: arguments of `Run.end`; {} = it succeeds."""


def graph(*steps: Step, axes: Iterable[Axis] = ()) -> Graph:
    return Graph("g", steps, tuple(axes))


def packed(data: object) -> Value:
    """A value as the worker stores it."""
    data_bytes = plain.pack(data)
    return Value("plain", len(data_bytes), data_bytes, length=plain.length(data_bytes))


def known_list(*items: object) -> ListOf:
    """A list that the user wrote, as the source of a map."""
    return ListOf(tuple(Const(plain.pack(item)) for item in items))


def mapped(key: str, over: Binding | int, *, outer: tuple[str, ...] = (), **fields: object) -> tuple[Step, Axis]:
    """A step on an axis of its own; `over` is the source or the length of a known list."""
    source = known_list(*range(over)) if isinstance(over, int) else over
    needs = fields.pop("needs", (source.step,) if isinstance(source, Output) else ())
    step = Step(key, axes=(*outer, key), needs=needs, **fields)  # type: ignore[arg-type]
    return step, Axis(key, (source,), outer)


class Run:
    """One run and what it has said so far."""

    def __init__(self, graph: Graph, known: Iterable[Known] = (), /, *, watched: bool = True, **run: object) -> None:
        fields: dict[str, object] = {"run": "r", "namespace": "default", "project": "p", "pipeline": "g"}
        fields |= {"graph": "", "code": "", "origin": "test", **run}
        self.graph = graph
        self.options = run
        self.at = 0.0
        self.created = RunCreated(0.0, **fields)  # type: ignore[arg-type]
        self.machine = RunMachine(graph, self.created, known)
        self.events: list[Event] = []
        self.watch = Watch(graph) if watched else None
        self.offers: dict[tuple[str, str], float] = {}
        self.kills: list[tuple[str, str]] = []
        self.wakes: list[float] = []
        self.finished = 0
        self._commit([self.created])

    # --- events in ---

    def apply(self, event: Event) -> list[Command]:
        commands = self.machine.apply(event)
        self._commit(self.machine.take_journal())
        if isinstance(event, AttemptStarted | AttemptDispatched):
            self.offers.pop((event.step, event.index), None)
        for command in commands:
            self._note(command)
        return commands

    def start(self) -> Run:
        self.apply(RunStarted(self.at))
        return self

    def begin(self, step: str, index: str = "", *, dispatched: bool = False, attempt: int | None = None) -> None:
        """An attempt starts (or is handed to an engine of others)."""
        instance = self.instance(step, index)
        number = attempt if attempt is not None else instance.attempt + 1
        kind = AttemptDispatched if dispatched else AttemptStarted
        self.apply(kind(self.at, step, index, number, EPOCH, "w"))

    def end(
        self,
        step: str,
        index: str = "",
        state: AttemptState = "succeeded",
        *,
        value: object = None,
        failure: Failure | None = None,
        choice: object = None,
        again: bool | None = None,
        checks: tuple[CheckReport, ...] = (),
        assets: tuple[AssetReport, ...] = (),
        attempt: int | None = None,
        epoch: int = EPOCH,
    ) -> list[Command]:
        """The open attempt ends."""
        instance = self.instance(step, index)
        if failure is None and state in USER_FAILURE:
            failure = BROKEN
        detail = Detail(
            failure=failure,
            choice=plain.pack(choice) if choice is not None else None,
            again=again,
            checks=checks,
            assets=assets,
        )
        return self.apply(
            AttemptEnded(
                self.at,
                step,
                index,
                instance.attempt if attempt is None else attempt,
                epoch,
                state,
                packed(value) if value is not None and state == "succeeded" else None,
                detail if detail != Detail() else None,
            )
        )

    def do(self, step: str, index: str = "", state: AttemptState = "succeeded", **end: object) -> None:
        """A whole attempt."""
        self.begin(step, index)
        self.end(step, index, state, **end)  # type: ignore[arg-type]

    def cancel(self) -> None:
        self.apply(CancelRequested(self.at, "a person"))

    def pause(self) -> None:
        self.apply(PauseRequested(self.at, "a person"))

    def resume(self) -> None:
        self.apply(ResumeRequested(self.at, "a person"))

    def ring(self, at: float) -> None:
        self.at = at
        self.apply(TimerDue(at))

    def play(self, fate: Fate = lambda instance: {}, *, limit: int = 100_000) -> Run:
        """Let all that is offered run, in the order in which it was offered, until nothing is."""
        for _ in range(limit):
            if not self.offers:
                return self
            (step, index), not_before = next(iter(self.offers.items()))
            self.at = max(self.at, not_before)
            self.begin(step, index)
            self.end(step, index, **fate(self.instance(step, index)))  # type: ignore[arg-type]
        raise AssertionError(f"does not come to an end: {list(self.offers)[:5]}")

    # --- what is to be seen ---

    def instance(self, step: str, index: str = "") -> Instance:
        found = self.machine.instance(step, index)
        assert found is not None, f"there is no {step}[{index}]"
        return found

    def state(self, step: str, index: str = "") -> str:
        return self.instance(step, index).state

    def states(self) -> dict[str, str]:
        """The states of all instances: {"load": "succeeded", "extract[0]": "running"}."""
        return {_name(i): i.state for i in self.machine.instances()}

    def offered(self) -> list[str]:
        return [f"{step}[{index}]" if index else step for step, index in self.offers]

    def told(self, kind: type) -> list[Event]:
        """The events of a kind that were journaled."""
        return [e for e in self.events if isinstance(e, kind)]

    def ends(self) -> dict[str, str]:
        return {k: s for k, s in self.states().items() if s in TERMINAL_STEP}

    def crashed(self) -> Run:
        """The run as a new engine takes it up from what was committed; one that has ended is left alone."""
        if self.machine.is_finished:
            return self
        again = Run(self.graph, known_from(self.events), watched=False, **self.options)
        again.at = self.at
        again.events = list(self.events)
        again.watch = Watch(self.graph)
        again.watch.feed(self.events)
        # What was requested is told to the machine again, but it is in the journal already.
        told = [e for e in self.events if isinstance(e, RunStarted | CancelRequested)]
        if self.machine.paused:
            told.append(PauseRequested(self.at, "a person"))
        for event in told:
            for command in again.machine.apply(event):
                again._note(command)
        again._commit([e for e in again.machine.take_journal() if e not in told])
        return again

    def _commit(self, fresh: list[Event]) -> None:
        self.events.extend(fresh)
        if self.watch is not None:
            self.watch.feed(fresh)

    def _note(self, command: Command) -> None:
        match command:
            case Offer(step=step, index=index, not_before=not_before):
                assert (step, index) not in self.offers, f"{step}[{index}] is offered twice"
                self.offers[step, index] = not_before
            case Withdraw(step=step, index=index):
                del self.offers[step, index]
            case Kill(step=step, index=index):
                self.kills.append((step, index))
            case WakeAt(at=at):
                self.wakes.append(at)
            case Finished():
                self.finished += 1


def lines_run(action: Callable[[], object]) -> int:
    """How many lines of Python an action runs: a cost that does not depend on the machine or its load."""
    count = 0

    def trace(frame: object, event: str, arg: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def known_from(events: Iterable[Event]) -> list[Known]:
    """The fold of a journal, as the rows of a store would have it."""
    known: dict[tuple[str, str], Known] = {}

    def change(step: str, index: str, **fields: object) -> None:
        was = known.get((step, index), Known(step, index, "waiting"))
        known[step, index] = msgspec.structs.replace(was, **fields)

    for event in events:
        match event:
            case StepReused(step=step, index=index, state=state, value=value, choice=choice, again=again):
                change(step, index, state=state, value=value, choice=choice, again=again)
            case AttemptStarted(step=step, index=index, attempt=attempt, epoch=epoch):
                change(step, index, state="running", attempt=attempt, epoch=epoch, dispatched=False)
            case AttemptDispatched(step=step, index=index, attempt=attempt, epoch=epoch):
                change(step, index, state="running", attempt=attempt, epoch=epoch, dispatched=True)
            case AttemptEnded():
                _fold_end(event, known[event.step, event.index], change)
            case StepRetried(step=step, index=index, not_before=not_before, reason=reason):
                change(step, index, state="ready", not_before=not_before, reason=reason)
            case StepEnded(step=step, index=index, state=state, reason=reason, because=because):
                change(step, index, state=state, reason=reason, because=because)
            case GateOpened() | GateReported() | GateVoted() | GateHeard() | GateAnswered():
                _fold_gate(event, known.get((event.step, event.index)), change)
            case _:
                pass
    return list(known.values())


def _fold_gate(
    event: GateOpened | GateReported | GateVoted | GateHeard | GateAnswered,
    was: Known | None,
    change: Callable[..., None],
) -> None:
    gate = (was.gate if was is not None else None) or KnownGate(None)
    match event:
        case GateOpened(at=at, due_at=due_at):
            gate = msgspec.structs.replace(gate, opened_at=at, due_at=due_at)
        case GateReported():
            gate = msgspec.structs.replace(gate, report=event)
        case GateVoted(by=by):
            gate = msgspec.structs.replace(gate, votes=(*(v for v in gate.votes if v.by != by), event))
        case GateHeard(at=at, message=message):
            gate = msgspec.structs.replace(gate, heard_at=at, message=message)
        case GateAnswered(accepted=True, value=value, decision=decision):
            change(event.step, event.index, state="succeeded", value=value, choice=decision, gate=None)
            return
        case GateAnswered():
            change(event.step, event.index, gate=None)
            return
    change(event.step, event.index, gate=gate)


def _fold_end(event: AttemptEnded, was: Known, change: Callable[..., None]) -> None:
    if event.state == "succeeded":
        detail = event.detail or Detail()
        change(
            event.step,
            event.index,
            state="succeeded",
            value=event.value,
            choice=detail.choice,
            again=detail.again,
            epoch=None,
        )
        return
    failure = event.detail.failure if event.detail is not None else None
    is_loss = event.state in INFRA_FAILURE and not (failure is not None and failure.cause == "not_begun")
    change(
        event.step,
        event.index,
        epoch=None,
        failures=was.failures + (event.state in USER_FAILURE),
        losses=was.losses + is_loss,
        past=(*was.past, (event.attempt, event.state, failure.message if failure is not None else event.state)),
    )


def _name(instance: Instance) -> str:
    return f"{instance.node.key}[{instance.index}]" if instance.path else instance.node.key


__all__ = ["BROKEN", "SKIP", "Fate", "Run", "graph", "known_from", "known_list", "lines_run", "mapped", "packed"]
