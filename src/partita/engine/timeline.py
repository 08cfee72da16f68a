"""When the steps of a run were at work, and which of them made it as long as it was.

Rule: by the workers' clocks where they are known, by the commits where not. Nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from partita.core.machine import RunMachine
from partita.core.plan import Edge, Instance
from partita.store.contract import AttemptRow, StepRow

_Tries = Mapping[tuple[str, str], Sequence[AttemptRow]]

# A picture cannot show more than this, and a page should not carry it.
_MAX_SPANS = 4000


class Leg(msgspec.Struct, frozen=True):
    """A part of the longest way through a run: so long it waited after the part before had ended, so long it took.

    Members of one bundle that follow each other are one leg; `through` names them.
    """

    step: str
    index: str
    waited_s: float
    took_s: float
    through: tuple[str, ...] = ()


class Span(msgspec.Struct, frozen=True):
    """One attempt at work, in seconds since the run started; `lane` is the group of its step, or its key."""

    lane: str
    step: str
    index: str
    state: str
    began_s: float
    ended_s: float


def at_work(attempt: AttemptRow) -> tuple[float, float]:
    """When the attempt began and ended; an open one ends when it began."""
    began = attempt.began_at or attempt.started_at
    return began, max(began, attempt.ended_at or attempt.finished_at or began)


def spans(machine: RunMachine, tries: _Tries) -> tuple[Span, ...]:
    """All attempts that took time, by lanes in the order of the graph; the longest ones if they are very many."""
    start = machine.started_at
    if start is None:
        return ()
    found: list[Span] = []
    for node in machine.plan.nodes.values():
        if node.members:
            continue
        lane = node.step.group[0] if node.step.group else node.key
        for instance in node.instances.values():
            for attempt in tries.get((node.key, instance.index), ()):
                began, ended = at_work(attempt)
                if not attempt.cached_from:
                    found.append(Span(lane, node.key, instance.index, attempt.state, began - start, ended - start))
    if len(found) > _MAX_SPANS:
        shortest = sorted(s.ended_s - s.began_s for s in found)[-_MAX_SPANS]
        found = [s for s in found if s.ended_s - s.began_s >= shortest][:_MAX_SPANS]
    return tuple(found)


def critical_path(machine: RunMachine, steps: Mapping[tuple[str, str], StepRow], tries: _Tries) -> tuple[Leg, ...]:
    """From the step that ended last back to the first: each time the need that ended last."""
    ends = {key: row.finished_at for key, row in steps.items() if row.finished_at is not None and key in tries}
    # A bundle stands for its members, which say more.
    last = _latest((i for i in machine.instances() if not i.node.members), ends)
    chain: list[Instance] = []
    while last is not None:
        chain.append(last)
        last = _latest(needs_of(last), ends)
    return tuple(_legs(machine, [i for i in reversed(chain) if not i.node.members], ends, tries))


def _key(instance: Instance) -> tuple[str, str]:
    return instance.node.key, instance.index


def _latest(instances: Iterable[Instance], ends: Mapping[tuple[str, str], float]) -> Instance | None:
    return max((i for i in instances if _key(i) in ends), key=lambda i: ends[_key(i)], default=None)


def needs_of(instance: Instance) -> Iterable[Instance]:
    """What the instance waited for; a member of a bundle that has none in it waited for what its bundle waited for."""
    node = instance.node
    edges: list[Edge] = list(node.needs)
    if node.bundle is not None:
        inside = [e for e in edges if e.need.bundle is node.bundle]
        edges = inside or [e for m in node.bundle.members for e in m.needs if e.need.bundle is not node.bundle]
    for edge in edges:
        prefix = instance.path[: edge.depth]
        if not edge.many:
            found = edge.need.instances.get(prefix)
            if found is not None:
                yield found
            continue
        yield from (i for path, i in edge.need.instances.items() if path[: edge.depth] == prefix)


def _legs(
    machine: RunMachine, chain: list[Instance], ends: Mapping[tuple[str, str], float], tries: _Tries
) -> Iterable[Leg]:
    before = machine.started_at or 0.0
    at = 0
    while at < len(chain):
        first = chain[at]
        together = [first]
        if first.node.bundle is not None:
            while at + len(together) < len(chain) and chain[at + len(together)].node.bundle is first.node.bundle:
                together.append(chain[at + len(together)])
        began = at_work(tries[_key(first)][0])[0]
        ended = ends[_key(together[-1])]
        name = first.node.bundle.key if first.node.bundle is not None else first.node.key
        through = tuple(i.node.key for i in together) if first.node.bundle is not None else ()
        yield Leg(name, first.index, max(0.0, began - before), max(0.0, ended - began), through)
        before = ended
        at += len(together)
