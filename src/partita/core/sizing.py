"""How large steps usually are: memory and cores of their last attempts, beside what they ask for.

Rule: a look back at what was measured. Nothing is changed by it: what a step asks for, its author says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from partita.core.graph import Step
from partita.core.placement import size

# The share of attempts that is not larger.
USUAL = 0.95
# An attempt shorter than this says little about cores.
_WORTH_S = 0.1
# So often more than is used, or less, is worth a word.
_FAR = 2.0
# Below these nobody asks for less.
_LITTLE_MEMORY = 128 << 20
_LITTLE_CORES = 0.5
# Of containers, what is measured is the client of their runtime.
_NOT_MEASURED = frozenset({"container", "gate", "member"})


class Sample(msgspec.Struct, frozen=True):
    """One attempt of the past."""

    step: str
    memory_bytes: int
    cpu_s: float
    took_s: float


class StepSize(msgspec.Struct, frozen=True):
    """What a step asks for (None: nothing) and what 95% of its last attempts used at most (None: not measured)."""

    step: str
    attempts: int
    memory_asked: int | None
    memory_used: int | None
    cpu_asked: float | None
    cpu_used: float | None
    # What is far from each other, in words; "" = nothing is.
    hint: str = ""


def step_sizes(steps: Iterable[Step], samples: Iterable[Sample]) -> list[StepSize]:
    """One for each step that asks for something or was measured, in the order of the graph."""
    by_step: dict[str, list[Sample]] = {}
    for sample in samples:
        by_step.setdefault(sample.step, []).append(sample)
    found = [_size(step, by_step.get(step.key, [])) for step in steps if step.kind not in _NOT_MEASURED]
    return [one for one in found if one.attempts or one.memory_asked is not None or one.cpu_asked is not None]


def quantile(values: Sequence[float], share: float = USUAL) -> float:
    """The smallest value that so large a share of them does not exceed.

    >>> quantile([5, 1, 4, 2, 3], 0.95), quantile(list(range(1, 101)), 0.95)
    (5, 95)
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _size(step: Step, samples: list[Sample]) -> StepSize:
    memory = [s.memory_bytes for s in samples if s.memory_bytes]
    cores = [s.cpu_s / s.took_s for s in samples if s.took_s >= _WORTH_S]
    policies = step.policies
    memory_used = int(quantile(memory)) if memory else None
    cpu_used = round(quantile(cores), 2) if cores else None
    hints = (_of_memory(policies.memory_bytes, memory_used), _of_cores(policies.cpu, cpu_used))
    return StepSize(
        step.key,
        len(samples),
        policies.memory_bytes,
        memory_used,
        policies.cpu or None,
        cpu_used,
        "; ".join(hint for hint in hints if hint),
    )


def _of_memory(asked: int | None, used: int | None) -> str:
    if asked is None or used is None or max(asked, used) < _LITTLE_MEMORY:
        return ""
    return _compared(asked, used, f"{size(asked)} of memory", size(used))


def _of_cores(asked: float, used: float | None) -> str:
    if not asked or used is None or max(asked, used) <= _LITTLE_CORES:
        return ""
    return _compared(asked, used, f"{asked:g} core{'' if asked == 1 else 's'}", f"{used:g}")


def _compared(asked: float, used: float, of: str, said: str) -> str:
    if asked >= _FAR * used:
        return f"asks for {of} and uses {said}: what it keeps free, others wait for"
    if asked * _FAR <= used:
        return f"asks for {of} and uses {said}: more may start at once than there is room for"
    return ""
