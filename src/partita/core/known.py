"""What is known of a step instance before its machine is built: reused from another run, or read from the store.

Rule: taking over is no move. It is not journaled and asks no table, for it happened before.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from partita.core.plan import Instance, Positions, path_of
from partita.core.states import TERMINAL_STEP, StepState
from partita.core.values import Value


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
    # The attempt is open, under this epoch.
    epoch: int | None = None
    # It was handed to an engine of others and has not asked to start.
    dispatched: bool = False
    past: tuple[tuple[int, str, str], ...] = ()


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
    instance.failures = known.failures
    instance.losses = known.losses
    instance.past = list(known.past) or None
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
