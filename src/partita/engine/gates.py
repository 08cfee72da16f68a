"""Gates in the engine: what people are shown, reminders, callbacks of other systems, conditions that are looked at.

When a gate opens, ends, or is late is the run machine's (`core/waiting.py`): this chore brings it answers.

Rule: who may answer is asked of `core/gates.py`, by names and roles that the asker has proven (the web process its users,
the socket its folder's owner).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from partita.core import gates
from partita.core.events import (
    Event,
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    Materialized,
    Meta,
    RunEnded,
)
from partita.core.facts import Fact
from partita.core.facts.gates import GateReminded, GateShown
from partita.core.graph import GateSpec
from partita.core.manifest import Manifest
from partita.core.plan import Instance
from partita.core.waiting import question
from partita.engine.active import ActiveRun
from partita.engine.clock import Clock
from partita.engine.conditions import Address, Conditions
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.engine.material import material
from partita.engine.tokens import GateTokens, digest
from partita.errors import NotAllowed, ParamError
from partita.executors.evaluator import Evaluator
from partita.store import gates as rows
from partita.store.writing import SqlStore

_PAGE: Final = 1_000
# A heartbeat says nothing new if the last one is younger than this part of what is allowed.
_HEARD_LATELY: Final = 0.2


class AnswerGate(msgspec.Struct, frozen=True, tag="answer_gate"):
    """A person answers an approval. `roles` were proven by whoever asks. `answer`: packed plain data."""

    run: str
    step: str
    by: str
    choice: str
    index: str = ""
    roles: tuple[str, ...] = ()
    comment: str = ""
    answer: bytes | None = None


class ReportExternal(msgspec.Struct, frozen=True, tag="report_external"):
    """Another system calls back with a token. `value`: packed plain data."""

    token: str
    state: Literal["succeeded", "failed"] = "succeeded"
    value: bytes | None = None
    message: str = ""
    metadata: tuple[Meta, ...] = ()
    by: str = ""


class HeartbeatExternal(msgspec.Struct, frozen=True, tag="heartbeat_external"):
    """Another system says that it is still at it."""

    token: str
    message: str = ""


class GateReply(msgspec.Struct, frozen=True):
    """What came of it. `state`: "open" (more answers are needed), "answered", "kept" (its gate has not opened yet),
    "closed" (it waits no longer, nothing was changed), "unknown" (there is no such gate, or no such token).
    """

    state: Literal["open", "answered", "kept", "closed", "unknown"]
    text: str = ""
    run: str = ""
    step: str = ""
    index: str = ""

    @property
    def taken(self) -> bool:
        return self.state in ("open", "answered", "kept")


class Gates:
    """The chore, and the part of the service, that all waiting steps have in common."""

    name = "gates"

    def __init__(
        self,
        engine: Engine,
        store: SqlStore,
        clock: Clock,
        *,
        tokens: GateTokens,
        evaluator: Evaluator | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._tokens = tokens
        engine.token_of = tokens.token
        self.conditions = Conditions(store, evaluator, tell=engine.request, now=clock.now)
        # Gates that have opened and are not shown yet; reminders: when, how many there were.
        self._fresh: list[Address] = []
        self._reminders: list[tuple[float, Address, int]] = []
        self._on = {
            GateOpened: self._on_opened,
            GateAnswered: self._on_answered,
            RunEnded: self._on_happened,
            Materialized: self._on_happened,
        }

    # --- chore --------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Take up the gates that are open."""
        for of in ("approval", "external", "condition"):
            after = None
            while page := rows.open_gates(self._store, of, after=after, limit=_PAGE):
                after = page[-1].cursor
                for row in page:
                    self._take_up(row, now)

    def due_at(self) -> float:
        if self._fresh:
            return 0.0
        reminder = self._reminders[0][0] if self._reminders else float("inf")
        return min(reminder, self.conditions.due_at())

    def turn(self, now: float) -> None:
        fresh, self._fresh = self._fresh, []
        for address in fresh:
            self._show(address, now)
        while self._reminders and self._reminders[0][0] <= now:
            self._remind(*heapq.heappop(self._reminders)[1:], now)
        self.conditions.turn(now)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        for event in events:
            handle = self._on.get(type(event))
            if handle is not None:
                handle(run, event)

    def recorded(self, facts: Sequence[Fact]) -> None:
        """Nothing: reminders are scheduled when they are recorded."""

    def loaded(self, manifest: Manifest) -> None:
        """Nothing: a run keeps the graph that it began with."""

    def handlers(self) -> Mapping[type, Handler]:
        return {AnswerGate: self.answer, ReportExternal: self.report, HeartbeatExternal: self.hear}

    # --- requests -----------------------------------------------------------------------------------------------------

    def answer(self, request: AnswerGate) -> GateReply:
        """A person answers. Raises `NotAllowed`, `ParamError`."""
        run, instance = self._find(request.run, request.step, request.index)
        if run is None or instance is None:
            return self._closed(request.run, request.step, request.index)
        spec = instance.node.step.gate
        if spec is None or spec.of != "approval":
            raise ParamError(f"step {request.step} waits for no answer of people", hint="see: partita approvals")
        if instance.gate is None or instance.gate.opened_at is None:
            return self._closed(request.run, request.step, request.index, instance)
        self._check(spec, request, run)
        self._engine.request(
            run.id,
            GateVoted(
                self._clock.now(),
                request.step,
                request.index,
                request.by,
                request.choice,
                request.roles,
                request.comment,
                request.answer,
            ),
        )
        if instance.state != "waiting":
            return self._reply("answered", f"{request.choice}: {request.step} goes on", instance, run)
        missing = gates.missing_votes(spec, instance.gate.votes) if instance.gate is not None else 0
        told = f"{missing} more {'answer is' if missing == 1 else 'answers are'} needed"
        return self._reply("open", told, instance, run)

    def report(self, request: ReportExternal) -> GateReply:
        """Another system calls back. Raises `ParamError`."""
        value = gates.value_of(request.value) if request.value is not None else None
        if wrong := gates.wrong_report(value, request.message):
            raise ParamError(wrong, hint="store large results elsewhere, and report where they lie")
        found = self._gate_of(request.token)
        if found is None:
            return GateReply("unknown", "there is no gate with this token")
        run, instance = self._find(*found)
        if run is None or instance is None or instance.state != "waiting" or run.machine.state != "running":
            return self._closed(*found, instance)
        is_early = instance.gate is None or instance.gate.opened_at is None
        if is_early and instance.gate is not None and instance.gate.report is not None:
            return self._reply("closed", "a report is kept already, until its gate opens", instance, run)
        self._engine.request(
            run.id,
            GateReported(
                self._clock.now(),
                found[1],
                found[2],
                request.state,
                by=request.by,
                value=value,
                message=request.message,
                metadata=request.metadata,
            ),
        )
        if is_early:
            return self._reply("kept", "it counts as soon as the gate opens", instance, run)
        return self._reply("answered", request.state, instance, run)

    def hear(self, request: HeartbeatExternal) -> GateReply:
        """Another system is still at it."""
        if wrong := gates.wrong_report(None, request.message):
            raise ParamError(wrong)
        found = self._gate_of(request.token)
        if found is None:
            return GateReply("unknown", "there is no gate with this token")
        run, instance = self._find(*found)
        if run is None or instance is None or instance.state != "waiting":
            return self._closed(*found, instance)
        gate = instance.gate
        if gate is None or gate.opened_at is None:
            return self._reply("kept", "its gate has not opened yet", instance, run)
        if self._is_news(instance, request.message):
            self._engine.request(run.id, GateHeard(self._clock.now(), found[1], found[2], request.message))
        return self._reply("open", "heard", instance, run)

    def _is_news(self, instance: Instance, message: str) -> bool:
        """A system that beats every second must not make a row of the journal each time."""
        gate, spec = instance.gate, instance.node.step.gate
        assert gate is not None
        assert spec is not None
        if spec.heartbeat_s is None or gate.heard_at is None:
            return gate.heard_at is None or gate.message != message
        is_old = self._clock.now() - gate.heard_at >= spec.heartbeat_s * _HEARD_LATELY
        return is_old or gate.message != message

    def _check(self, spec: GateSpec, request: AnswerGate, run: ActiveRun) -> None:
        if refusal := gates.may_not(spec, by=request.by, roles=request.roles, starter=run.run.by):
            raise NotAllowed(refusal, hint=f"it is answered by {gates.who_may(spec)}")
        if wrong := gates.wrong_vote(spec, choice=request.choice, comment=request.comment, answer=request.answer):
            raise ParamError(wrong, hint=f"step {request.step} of run {run.no} asks: {spec.text}")

    def _gate_of(self, token: str) -> Address | None:
        return rows.by_token(self._store, digest(token)) or self._tokens.gate_of(token)

    def _find(self, run_id: str, step: str, index: str) -> tuple[ActiveRun | None, Instance | None]:
        run = self._engine.active.get(run_id)
        return run, run.machine.instance(step, index) if run is not None else None

    def _reply(self, state: Any, text: str, instance: Instance, run: ActiveRun | None) -> GateReply:
        return GateReply(state, text, run.id if run is not None else "", instance.node.key, instance.index)

    def _closed(self, run: str, step: str, index: str, instance: Instance | None = None) -> GateReply:
        """Why nobody can answer."""
        row = rows.gate(self._store, run, step, index)
        if instance is not None and instance.state == "waiting":
            return GateReply("closed", f"{step} has not opened yet: its needs have not ended", run, step, index)
        if row is None and instance is None:
            return GateReply(
                "unknown", f"there is no gate {step} {index}".rstrip() + " that has opened", run, step, index
            )
        return GateReply("closed", f"{step} {index}".rstrip() + " waits no longer", run, step, index)

    # --- what follows from events -------------------------------------------------------------------------------------

    def _on_opened(self, run: ActiveRun, event: Any) -> None:
        if event.of != "timer":
            self._fresh.append((run.id, event.step, event.index))

    def _on_answered(self, run: ActiveRun, event: Any) -> None:
        if len(self.conditions):
            self.conditions.remove((run.id, event.step, event.index))

    def _on_happened(self, run: ActiveRun, event: Any) -> None:
        if len(self.conditions):
            self.conditions.happened(run.run.pipeline, event)

    def _take_up(self, row: rows.OpenGate, now: float) -> None:
        """A gate of an earlier engine."""
        address = (row.run, row.step, row.index)
        if row.of == "condition" or row.material is None:
            self._fresh.append(address)
        elif row.remind_at is not None:
            heapq.heappush(self._reminders, (row.remind_at, address, row.reminded))

    def _show(self, address: Address, now: float) -> None:
        run, instance = self._find(*address)
        if run is None or instance is None or address[1:] not in run.machine.gates:
            return
        spec = instance.node.step.gate
        assert spec is not None
        if spec.of == "condition":
            self.conditions.add(run, instance, now)
            return
        token = digest(self._tokens.token(*address)) if spec.of == "external" else None
        remind_at = now + spec.remind_s if spec.remind_s is not None else None
        pieces = material(run, instance, self._store)
        self._engine.record(GateShown(now, *address, material=pieces, token=token, remind_at=remind_at))
        if remind_at is not None:
            heapq.heappush(self._reminders, (remind_at, address, 0))

    def _remind(self, address: Address, count: int, now: float) -> None:
        run, instance = self._find(*address)
        if run is None or instance is None or address[1:] not in run.machine.gates:
            return
        spec = instance.node.step.gate
        assert spec is not None
        assert spec.remind_s is not None
        next_at = now + spec.remind_s
        text = question(run.machine, instance)
        self._engine.record(GateReminded(now, *address, count + 1, next_at, text, spec.by))
        heapq.heappush(self._reminders, (next_at, address, count + 1))
