"""What each step instance of a run waited for before it worked, and when: for people, as a picture.

Rule: from rows and graph alone. That a step stood in the queue is known; which of the limits that it has held it up is not, so
all of them are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec

from partita.core.machine import RunMachine
from partita.core.plan import Instance
from partita.core.states import TERMINAL_STEP
from partita.engine.timeline import at_work, needs_of
from partita.store.contract import AttemptRow, GateRow, StepRow

Key = tuple[str, str]
WaitReason = Literal["upstreams", "queue", "limits", "retry", "gate", "bundle"]
# What is shorter says nothing.
_LEAST_S: Final = 0.02


class Wait(msgspec.Struct, frozen=True):
    """It waited from then to then (None: it still does), for that; `of` names what: steps, pools, rates."""

    reason: WaitReason
    from_s: float
    to_s: float | None
    of: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """An instance in time. `tries` are its attempts in their order."""

    instance: Instance
    tries: tuple[AttemptRow, ...]
    waits: tuple[Wait, ...]


def ends_of(steps: Iterable[StepRow]) -> dict[Key, float]:
    """When each instance that is over ended."""
    return {
        (row.step, row.index): row.finished_at
        for row in steps
        if row.finished_at is not None and row.state in TERMINAL_STEP
    }


def row_of(
    machine: RunMachine,
    instance: Instance,
    tries: Sequence[AttemptRow],
    ends: Mapping[Key, float],
    gate: GateRow | None,
) -> Row:
    """What one instance did, and what it waited for."""
    begin = machine.started_at or machine.run.at
    ready_at, by = _ready(instance, ends, begin)
    waits = [Wait("upstreams", 0.0, None if ready_at is None else ready_at - begin, by)] if instance.node.needs else []
    if gate is not None and gate.opened_at is not None:
        until = gate.answered_at - begin if gate.answered_at is not None else None
        waits.append(Wait("gate", gate.opened_at - begin, until, gate.by))
    elif ready_at is not None and instance.node.bundle is not None:
        waits += _before_turn(instance, instance.node.bundle.key, tries, ready_at, begin)
    elif ready_at is not None:
        waits += _before_work(instance, tries, ready_at, begin)
    return Row(instance, tuple(tries), tuple(w for w in waits if _is_worth(w)))


def _is_worth(wait: Wait) -> bool:
    return wait.to_s is None or wait.reason == "upstreams" or wait.to_s - wait.from_s >= _LEAST_S


def _ready(instance: Instance, ends: Mapping[Key, float], begin: float) -> tuple[float | None, tuple[str, ...]]:
    """When the last of its needs had ended, and which that was; (None, those that are open) while it waits for them."""
    last, by = begin, ""
    waiting: dict[str, None] = {}
    for need in needs_of(instance):
        ended = ends.get((need.node.key, need.index))
        if ended is None and need.state not in TERMINAL_STEP:
            waiting[need.node.key] = None
        elif ended is not None and ended > last:
            last, by = ended, need.node.key
    if waiting and instance.state == "waiting":
        return None, tuple(waiting)[:3]
    return last, (by,) if by else ()


def _before_turn(
    instance: Instance, bundle: str, tries: Sequence[AttemptRow], ready_at: float, begin: float
) -> list[Wait]:
    """Of a step that is made together with others: they come to it in their own order."""
    if tries:
        return [Wait("bundle", ready_at - begin, max(ready_at, at_work(tries[0])[0]) - begin, (bundle,))]
    return [Wait("bundle", ready_at - begin, None, (bundle,))] if instance.state == "ready" else []


def _before_work(instance: Instance, tries: Sequence[AttemptRow], ready_at: float, begin: float) -> list[Wait]:
    policies = instance.node.step.policies
    limits = tuple(name for name, _ in (*policies.pools, *policies.rates))
    queue: WaitReason = "limits" if limits else "queue"
    if not tries:
        still = instance.state == "ready"
        return [Wait(queue, ready_at - begin, None, limits)] if still else []
    waits = [Wait(queue, ready_at - begin, max(ready_at, at_work(tries[0])[0]) - begin, limits)]
    for before, after in pairwise(tries):
        waits.append(Wait("retry", at_work(before)[1] - begin, at_work(after)[0] - begin))
    if instance.state == "ready":
        waits.append(Wait("retry", at_work(tries[-1])[1] - begin, None))
    return waits
