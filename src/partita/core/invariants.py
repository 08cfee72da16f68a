"""What must hold in every history of a run, checked event by event, independently of the machine.

Rule: this file knows the graph and the journal, and nothing of how the machine works. The simulator feeds it every commit;
whatever it does not like is a bug of ours. Numbers in brackets are those of the invariants in docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from partita.core.events import (
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    CheckEvaluated,
    Event,
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    Materialized,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
)
from partita.core.graph import Graph, Step
from partita.core.rules import EAGER
from partita.core.states import ATTEMPT_MOVES, OPEN_ATTEMPT, RUN_MOVES, TERMINAL_STEP

Address = tuple[str, str]


class Violation(AssertionError):
    """An invariant does not hold; the message names it, and the event that broke it."""


class Watch:
    """The history of one run as the journal tells it."""

    def __init__(self, graph: Graph) -> None:
        self.steps: dict[str, Step] = {s.key: s for s in graph.steps}
        self.state = ""
        self.paused = False
        # It was cancelled, or has failed and ends at its first failure: nothing starts any more but what cleans up.
        self.ending = False
        self.fail_fast = False
        self.ended: dict[Address, str] = {}
        self.attempts: dict[Address, tuple[int, str, int]] = {}
        self.by_step: dict[str, dict[str, str]] = {key: {} for key in self.steps}
        # How each gate was answered; "" while it is open.
        self.gates: dict[Address, str] = {}
        self._accepted: set[tuple[str, str, int]] = set()
        self._retried: dict[Address, int] = {}

    def feed(self, events: Iterable[Event]) -> None:
        """Take the events of one commit. Raises `Violation`."""
        for event in events:
            self._feed(event)

    def _feed(self, event: Event) -> None:
        match event:
            case RunCreated(fail_fast=fail_fast):
                self._need(self.state == "", event, "I4: a run is created once")
                self.state = "queued"
                self.fail_fast = fail_fast
            case RunStarted():
                self._move_run("running", event)
            case RunEnded(state=state):
                self._end_run(state, event)
            case CancelRequested():
                self.ending = True
            case PauseRequested():
                self.paused = True
            case ResumeRequested():
                self.paused = False
            case StepReused(step=step, index=index, state=state):
                self._end_step((step, index), state, event)
            case AttemptDispatched() | AttemptStarted():
                self._start(event)
            case AttemptEnded():
                self._end_attempt(event)
            case StepRetried(step=step, index=index, attempt=attempt):
                self._retried[step, index] = attempt
                self._need((step, index) not in self.ended, event, "I4: a step that has ended is not retried")
                self._need(not self._is_open((step, index)), event, "I7: retried while an attempt is open")
            case StepEnded(step=step, index=index, state=state):
                self._need(not self._is_open((step, index)), event, "I7: ended while an attempt is open")
                self._end_step((step, index), state, event)
                self.ending |= self.fail_fast and state in ("failed", "needs_attention") and self.steps[step].counts
            case Materialized(step=step, index=index, attempt=attempt):
                accepted = (step, index, attempt) in self._accepted
                self._need(accepted, event, "I14: materialized without an accepted success")
            case GateOpened() | GateVoted() | GateReported() | GateHeard() | GateAnswered():
                self._feed_gate(event)
            case CheckEvaluated():
                pass
            case _:
                raise Violation(f"an event that is not to be journaled: {event}")

    def _feed_gate(self, event: GateOpened | GateVoted | GateReported | GateHeard | GateAnswered) -> None:
        address = (event.step, event.index)
        step = self.steps[event.step]
        self._need(step.gate is not None, event, "a step that is no gate waits as one")
        self._need(self.state == "running", event, "I9: a gate moves in a run that is not running")
        self._need(address not in self.ended, event, "I4: a gate of a step that has ended")
        if isinstance(event, GateOpened):
            self._need(address not in self.gates, event, "I3: a gate opens twice")
            self._need(not self.ending or bool(step.teardown_of), event, "I13: a gate opens in a run that is to end")
            self._need_needs(step, event)
            self.gates[address] = ""
        elif isinstance(event, GateReported):
            self._need(address not in self.gates, event, "a report is kept, and its gate is open")
        elif isinstance(event, GateAnswered):
            is_open = self.gates.get(address) == ""
            self._need(is_open or event.how == "withdrawn", event, "I3: an answer to a gate that is not open")
            self.gates[address] = event.how
            if event.accepted:
                self._end_step(address, "succeeded", event)
        else:
            self._need(self.gates.get(address) == "", event, "I3: said to a gate that is not open")

    def _start(self, event: AttemptStarted | AttemptDispatched) -> None:
        address = (event.step, event.index)
        step = self.steps[event.step]
        number, state, epoch = self.attempts.get(address, (0, "", 0))
        self._need(step.gate is None, event, "I10: an attempt of a gate")
        self._need(self.state == "running", event, "I5: an attempt starts in a run that is not running")
        self._need(address not in self.ended, event, "I4: an attempt of a step that has ended")
        if isinstance(event, AttemptStarted) and state == "dispatched" and event.attempt == number:
            self.attempts[address] = (number, "started", epoch)
            return
        self._need(not self._is_open(address), event, "I7: a second open attempt")
        self._need(event.attempt > number, event, "I3: attempt numbers grow")
        self._need(event.epoch >= epoch, event, "I7: epochs never fall")
        if step.bundle is None:
            self._need(event.attempt == number + 1, event, "I3: attempt numbers grow by one")
            is_due = event.attempt == 1 or self._retried.get(address) == event.attempt
            self._need(is_due, event, "I12: another attempt, and no line of the journal says that there may be one")
            self._need(not self.paused or bool(step.teardown_of), event, "an attempt starts while its run is paused")
            self._need(
                not self.ending or bool(step.teardown_of), event, "I13: an attempt starts, and the run was told to end"
            )
        self._need_needs(step, event)
        self.attempts[address] = (
            event.attempt,
            "started" if isinstance(event, AttemptStarted) else "dispatched",
            event.epoch,
        )

    def _need_needs(self, step: Step, event: AttemptStarted | AttemptDispatched | GateOpened) -> None:
        """I6: what the join rule asks for was committed before."""
        if step.bundle is not None or step.when == "always" or (isinstance(step.when, str) and step.when in EAGER):
            return
        positions = event.index.split(".") if event.index else []
        for need in step.needs:
            if need not in self.steps:
                continue
            shared = 0
            for a, b in zip(self.steps[need].axes, step.axes, strict=False):
                if a != b:
                    break
                shared += 1
            ends = self._ends_under(need, positions[:shared])
            if step.when == "all_succeeded":
                bad = {index: state for index, state in ends.items() if state != "succeeded"}
                self._need(not bad, event, f"I6: {need} has not succeeded: {bad}")
            exact = shared == len(self.steps[need].axes)
            self._need(bool(ends) or not exact, event, f"I6: {need} has not ended")
            running = [
                a for a in self.attempts if a[0] == need and self._is_open(a) and _under(a[1], positions[:shared])
            ]
            self._need(not running, event, f"I6: {need} is still running: {running}")

    def _ends_under(self, need: str, prefix: list[str]) -> dict[str, str]:
        ends = self.by_step[need]
        if not prefix:
            return ends
        if len(prefix) == len(self.steps[need].axes):
            index = ".".join(prefix)
            return {index: ends[index]} if index in ends else {}
        return {i: s for i, s in ends.items() if _under(i, prefix)}

    def _end_attempt(self, event: AttemptEnded) -> None:
        address = (event.step, event.index)
        number, state, epoch = self.attempts.get(address, (0, "", 0))
        self._need(number == event.attempt and state in OPEN_ATTEMPT, event, "I3: an outcome of an attempt not open")
        self._need(epoch == event.epoch, event, "I3: an outcome under another epoch")
        self._need(event.state in ATTEMPT_MOVES[state], event, f"an attempt goes from {state} to {event.state}")
        self.attempts[address] = (number, event.state, epoch)
        if event.state == "succeeded":
            self._accepted.add((event.step, event.index, number))
            self._end_step(address, "succeeded", event)

    def _end_step(self, address: Address, state: str, event: Event) -> None:
        self._need(address not in self.ended, event, "I4: a step ends twice")
        self._need(state in TERMINAL_STEP, event, "a step ends in a state that is no end")
        self.ended[address] = state
        self.by_step[address[0]][address[1]] = state

    def _end_run(self, state: str, event: RunEnded) -> None:
        self._move_run(state, event)
        open_ones = [a for a in self.attempts if self._is_open(a)]
        self._need(not open_ones, event, f"I4: the run ends while attempts are open: {open_ones[:3]}")
        undone = [a for a in (*self.attempts, *self.gates) if a not in self.ended]
        self._need(not undone, event, f"I9: the run ends while steps have not: {undone[:3]}")

    def _move_run(self, state: str, event: Event) -> None:
        self._need(state in RUN_MOVES.get(self.state, frozenset()), event, f"the run goes from {self.state} to {state}")
        self.state = state

    def _is_open(self, address: Address) -> bool:
        return self.attempts.get(address, (0, "", 0))[1] in OPEN_ATTEMPT

    def _need(self, holds: bool, event: Event, what: str) -> None:
        if not holds:
            raise Violation(f"{what}; event: {event}")


def _under(index: str, prefix: list[str]) -> bool:
    return (index.split(".") if index else [])[: len(prefix)] == prefix
