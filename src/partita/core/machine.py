"""The run machine: events in, commands out.

Rule: `apply` is the only thing that changes state, and it is repeatable: no clock, no randomness, no I/O. An event costs
its neighbours, not the run. A late or repeated outcome is an ordinary event that changes nothing.

Journaled events pile up in `journal` until the engine takes them with `take_journal`; the engine commits them before it
carries out the commands.

What an event leads to is decided in the files around this one: `outcomes` (the end of an attempt), `settling` (who is told
of an end), `joining` (who waits for whom), `unfolding` (maps and loops), `bundles`, `waiting` (gates), `marking` (ends by hand); `moves` makes the moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from partita.core import bundles, marking, moves, waiting
from partita.core.commands import Command, WakeAt
from partita.core.course import Course
from partita.core.events import (
    AttemptDispatched,
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
    StepEnded,
    StepMarked,
    StepUnfit,
    TimerDue,
)
from partita.core.graph import Graph
from partita.core.joining import connect
from partita.core.known import Known
from partita.core.needs import culprits, tallies
from partita.core.outcomes import end_attempt
from partita.core.plan import Instance, index_of
from partita.core.settling import settle
from partita.core.unfolding import create, try_unfold


class RunMachine(Course):
    """One run. Build it, `apply` what happens, carry out what it answers.

    >>> from partita.core.graph import Graph, Step
    >>> run = RunCreated(at=0.0, run="r", namespace="default", project="p", pipeline="x", graph="", code="", origin="o")
    >>> machine = RunMachine(Graph("x", (Step("a"), Step("b", needs=("a",)))), run)
    >>> machine.apply(RunStarted(at=1.0))
    [Offer(step='a', index='', not_before=0.0)]
    """

    def __init__(self, graph: Graph, run: RunCreated, known: Iterable[Known] = ()) -> None:
        super().__init__(graph, run, known)
        self._on: dict[type, Callable[[Any], None]] = {
            RunStarted: self._on_run_started,
            AttemptDispatched: self._on_attempt_started,
            AttemptStarted: self._on_attempt_started,
            AttemptEnded: self._on_attempt_ended,
            StepEnded: self._on_member_passed_over,
            CancelRequested: self._on_cancel_requested,
            PauseRequested: self._on_pause_requested,
            ResumeRequested: self._on_resume_requested,
            StepMarked: self._on_step_marked,
            StepUnfit: self._on_step_unfit,
            TimerDue: self._on_timer_due,
            GateVoted: self._on_gate_voted,
            GateReported: self._on_gate_reported,
            GateHeard: self._on_gate_heard,
        }

    def apply(self, event: Event) -> list[Command]:
        """Take one event; what it changes is in the journal, what is to be done is the answer."""
        self.at = event.at
        commands: list[Command] = []
        self.commands = commands
        self._on[type(event)](event)
        if self.ended:
            settle(self)
        if self.unended == 0 and self.state == "running":
            moves.end_run(self)
        return commands

    def granted_members(self, bundle: Instance) -> tuple[str, ...]:
        """The members that the bundle's coming attempt is to perform."""
        return bundles.granted_members(bundle)

    def _on_run_started(self, event: RunStarted) -> None:
        if self.state != "queued":
            self.ignored += 1
            return
        self.state = "running"
        self.started_at = event.at
        self.journal.append(event)
        if self.run.timeout_s is not None:
            self.commands.append(WakeAt(event.at + self.run.timeout_s))
        connect(self, [create(self, node, ()) for node in self.plan.nodes.values()])
        for axis in self.plan.axes.values():
            if axis.depth == 0:
                try_unfold(self, axis, ())
        # Everything that is known must have been told first, or maps with open attempts would not be unfolded.
        settle(self)
        if self.bad and self.run.fail_fast:
            moves.end_early(self, "a step failed, and the run ends at its first failure")

    def _on_attempt_started(self, event: AttemptStarted | AttemptDispatched) -> None:
        instance = self.instance(event.step, event.index)
        if instance is None:
            self.ignored += 1
            return
        if instance.open:
            # The start gate of an engine of others: dispatched, and now it asks to start.
            same = (event.attempt, event.epoch) == (instance.attempt, instance.epoch)
            if type(event) is AttemptStarted and instance.dispatched and same:
                instance.dispatched = False
                self.journal.append(event)
            else:
                self.ignored += 1
            return
        # Members carry the attempt number of their bundle, which may have had attempts without them.
        is_next = event.attempt > instance.attempt if instance.granted else event.attempt == instance.attempt + 1
        if instance.state != "ready" or not is_next:
            self.ignored += 1
            return
        moves.start(self, instance, event)

    def _on_attempt_ended(self, event: AttemptEnded) -> None:
        instance = self.instance(event.step, event.index)
        if instance is None or not instance.open or event.attempt != instance.attempt or event.epoch != instance.epoch:
            self.ignored += 1
            return
        end_attempt(self, instance, event)

    def _on_member_passed_over(self, event: StepEnded) -> None:
        """A bundle's attempt says of a member that it will not be performed."""
        instance = self.instance(event.step, event.index)
        if instance is None or not instance.granted or instance.open:
            self.ignored += 1
            return
        because = event.because or culprits(tallies(instance))
        moves.end(self, instance, event.state, event.reason, because)

    def _on_cancel_requested(self, event: CancelRequested) -> None:
        if self.is_finished or self.cancel_requested:
            self.ignored += 1
            return
        self.journal.append(event)
        self.cancel_requested = True
        reason = f"cancelled by {event.by}" + (f": {event.reason}" if event.reason else "")
        if self.state == "queued":
            moves.finish(self, "cancelled", reason)
        else:
            moves.end_early(self, reason)

    def _on_pause_requested(self, event: PauseRequested) -> None:
        if self.is_finished or self.paused:
            self.ignored += 1
            return
        self.journal.append(event)
        self.paused = True
        # A run that is ending only tears down, and that is not held back.
        for instance in self.instances() if not self.ending else ():
            if instance.offered:
                moves.withdraw(self, instance)

    def _on_resume_requested(self, event: ResumeRequested) -> None:
        if self.is_finished or not self.paused:
            self.ignored += 1
            return
        self.journal.append(event)
        self.paused = False
        for instance in self.instances():
            if instance.state == "ready" and instance.node.bundle is None and not instance.offered:
                moves.offer(self, instance)

    def _on_step_marked(self, event: StepMarked) -> None:
        if not marking.mark(self, event):
            self.ignored += 1

    def _on_step_unfit(self, event: StepUnfit) -> None:
        instance = self.instance(event.step, event.index)
        if instance is None or instance.state != "ready" or not instance.offered:
            self.ignored += 1
            return
        moves.end(self, instance, "failed", event.reason)
        if instance.node.members:
            bundles.close_bundle(self, instance)

    def _on_gate_voted(self, event: GateVoted) -> None:
        if not waiting.vote(self, event):
            self.ignored += 1

    def _on_gate_reported(self, event: GateReported) -> None:
        if not waiting.report(self, event):
            self.ignored += 1

    def _on_gate_heard(self, event: GateHeard) -> None:
        if not waiting.hear(self, event):
            self.ignored += 1

    def _on_timer_due(self, event: TimerDue) -> None:
        if self.alarms:
            waiting.ring(self)
        timeout = self.run.timeout_s
        if timeout is None or self.started_at is None or self.ending or self.is_finished:
            return
        if event.at >= self.started_at + timeout:
            self.bad += 1
            moves.end_early(self, f"{moves.OUT_OF_TIME} {timeout:g} s")


__all__ = ["Known", "RunMachine", "index_of"]
