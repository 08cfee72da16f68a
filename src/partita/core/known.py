"""What is known of a step instance before its machine is built: reused from another run, or read from the store.

Rule: taking over is no move. It is not journaled and asks no table, for it happened before.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from partita.core.events import GateReported, GateVoted
from partita.core.gates import GateState
from partita.core.placement import growths
from partita.core.plan import Instance, Positions, path_of
from partita.core.states import TERMINAL_STEP, StepState
from partita.core.values import Value


class KnownGate(msgspec.Struct, frozen=True):
    """How a gate that has not been answered stood. `opened_at` None: it was reported to before it opened."""

    opened_at: float | None
    due_at: float | None = None
    heard_at: float | None = None
    message: str = ""
    votes: tuple[GateVoted, ...] = ()
    report: GateReported | None = None


class Known(msgspec.Struct, frozen=True):
    """What is already known of a step instance."""

    step: str
    index: str
    state: StepState
    attempt: int = 0
    value: Value | None = None
    choice: bytes | None = None
    again: bool | None = None
    reason: str = ""
    because: tuple[str, ...] = ()
    not_before: float = 0.0
    failures: int = 0
    losses: int = 0
    # How many of its failures were for lack of memory.
    out_of_memory: int = 0
    # The attempt is open, under this epoch.
    epoch: int | None = None
    # It was handed to an engine of others and has not asked to start.
    dispatched: bool = False
    past: tuple[tuple[int, str, str], ...] = ()
    gate: KnownGate | None = None


KnownByStep = dict[str, dict[Positions, Known]]


def known_by_step(known: Iterable[Known]) -> KnownByStep:
    """What is known, by step and path."""
    found: KnownByStep = {}
    for k in known:
        found.setdefault(k.step, {})[path_of(k.index)] = k
    return found


def take_over(instance: Instance, known: Known) -> None:
    """Put a new instance where it was."""
    instance.attempt = known.attempt
    instance.value = known.value
    instance.choice = known.choice
    instance.again = known.again
    instance.reason = known.reason
    instance.because = known.because
    # These have made its memory grow, and spent nothing of the user's budget.
    instance.grown = min(known.out_of_memory, growths(instance.node.step.policies)) if known.out_of_memory else 0
    instance.failures = known.failures - instance.grown
    instance.losses = known.losses
    instance.past = list(known.past) or None
    if known.gate is not None:
        instance.gate = _gate(known.gate)
    if known.state in TERMINAL_STEP:
        instance.state = known.state
    elif known.epoch is not None:
        instance.state = "running"
        instance.open = True
        instance.dispatched = known.dispatched
        instance.epoch = known.epoch
        instance.granted = instance.node.bundle is not None
    elif known.state == "ready":
        instance.state = "ready"
        instance.not_before = known.not_before
        instance.granted = instance.node.bundle is not None


def _gate(known: KnownGate) -> GateState:
    gate = GateState()
    gate.opened_at = known.opened_at
    gate.due_at = known.due_at
    gate.heard_at = known.heard_at
    gate.message = known.message
    gate.votes = {vote.by: vote for vote in known.votes}
    gate.report = known.report
    return gate
