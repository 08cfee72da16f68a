"""Maps and loops: when it is known how many instances a step has, they take the place of its placeholder.

Rule: a map unfolds under each place of the maps around it once, when all its sources have ended; a loop grows by one
round each time the step that decides about it says so.
"""

from __future__ import annotations

from typing import NamedTuple

from partita.core import moves, plain
from partita.core.course import Course
from partita.core.graph import Binding, FirstOf, ListOf, Output, Param
from partita.core.joining import connect
from partita.core.known import take_over
from partita.core.plan import AxisNode, Group, Instance, Node, Positions, shared_depth
from partita.core.states import TERMINAL_STEP, StepState


class Barred(NamedTuple):
    """There will be no instances: what becomes of the placeholders instead."""

    state: StepState
    reason: str
    because: tuple[str, ...] = ()


def create(course: Course, node: Node, path: Positions) -> Instance:
    """A new instance or placeholder; what is known of it already is taken over."""
    instance = Instance(node, path, course.at)
    node.instances[path] = instance
    course.unended += 1
    depth = len(path)
    if depth < node.axis_count:
        if depth in node.groups:
            node.groups[depth][path] = Group(open=1)
    else:
        for d, by_prefix in node.under.items():
            by_prefix.setdefault(path[:d], []).append(instance)
    known = course.known.get(node.key)
    if known is not None and path in known:
        take_over(instance, known.pop(path))
        if instance.state in TERMINAL_STEP:
            moves.count_end(course, instance)
    return instance


def unfold_over(course: Course, source: Node, path: Positions) -> None:
    """A source has ended at this path, or all of it under this prefix: unfold the maps that waited for that."""
    for depth, axis in source.unfolds:
        if depth == len(path):
            for prefix in course.plan.prefixes(axis, path):
                try_unfold(course, axis, prefix)


def try_unfold(course: Course, axis: AxisNode, prefix: Positions) -> None:
    """Unfold the map under a prefix if all its sources have ended."""
    if prefix in axis.lengths or not axis.nodes:
        return
    if axis.axis.loop is not None:
        _unfold(course, axis, prefix, 0, 1)
        return
    lengths: list[int] = []
    for source in axis.axis.sources:
        length = _length(course, axis, source, prefix)
        if length is None:
            return
        if isinstance(length, Barred):
            _bar(course, axis, prefix, length)
            return
        lengths.append(length)
    if len(set(lengths)) > 1:
        told = ", ".join(str(n) for n in lengths)
        reason = f"the zipped sources of the map have unequal lengths: {told}"
        _bar(course, axis, prefix, Barred("failed", reason))
        return
    _unfold(course, axis, prefix, 0, lengths[0])


def next_round(course: Course, decider: Instance) -> None:
    """The deciding step of a loop has ended: one more round, or the end of the loop."""
    axis = decider.node.decides
    assert axis is not None
    loop = axis.axis.loop
    assert loop is not None
    prefix, round_no = decider.path[:-1], decider.path[-1]
    goes_on = decider.state == "succeeded" and decider.again and round_no + 1 < loop.limit and not course.ending
    if goes_on:
        _unfold(course, axis, prefix, round_no + 1, 1)
        return
    for node in axis.nodes:
        _recount(course, node, prefix, -1)


def _length(course: Course, axis: AxisNode, source: Binding, prefix: Positions) -> int | Barred | None:
    """How many elements a source has, or why there is no answer; None while it is not known yet."""
    match source:
        case ListOf(items=items):
            return len(items)
        case Param(name=name):
            data = course.run.params.get(name)
            length = plain.length(data) if data is not None else None
            return length if length is not None else Barred("failed", f"the parameter {name} is no list to map over")
        case Output(step=step):
            return _length_of_result(course, axis, (step,), prefix)
        case FirstOf(steps=steps):
            return _length_of_result(course, axis, steps, prefix)
        case _:
            return Barred("failed", f"the source of the map is no list: {source}")


def _length_of_result(course: Course, axis: AxisNode, steps: tuple[str, ...], prefix: Positions) -> int | Barred | None:
    """The length of what the first of these steps that succeeded has returned."""
    ends: list[Instance] = []
    for key in steps:
        node = course.plan.nodes.get(key)
        if node is None:
            return Barred("failed", f"{key}, whose result it is mapped over, is not part of this run")
        depth = shared_depth(node.step.axes, axis.axis.outer)
        if depth < node.axis_count:
            return _gathered_length(course, node, prefix[:depth])
        instance = node.instances.get(prefix[:depth])
        if instance is None or not instance.settled:
            return None
        ends.append(instance)
    made = next((i for i in ends if i.state == "succeeded"), None)
    if made is not None:
        return _returned_length(made)
    because = tuple(i.node.key for i in ends[:3])
    if all(i.state == "skipped" for i in ends):
        return Barred("skipped", f"{ends[0].node.key} was skipped, so there is nothing to map over", because)
    reason = f"{ends[0].node.key} did not succeed, so there is nothing to map over"
    return Barred("upstream_failed", reason, because)


def _returned_length(made: Instance) -> int | Barred:
    value = made.value
    if value is not None and value.length is not None:
        return value.length
    kind = value.preview or value.codec if value is not None else "nothing"
    return Barred("failed", f"{made.node.key} returned no list to map over ({kind[:60]})", (made.node.key,))


def _gathered_length(course: Course, node: Node, prefix: Positions) -> int | Barred | None:
    """A map over the results of a map: as many elements as that one has instances."""
    group = node.groups[len(prefix)].get(prefix)
    if group is None or group.open:
        return None
    if group.bad:
        return Barred("upstream_failed", f"{group.bad} of {node.key} did not succeed", (node.key,))
    length = course.plan.axes[node.step.axes[len(prefix)]].lengths.get(prefix, 0)
    if group.skipped and not length:
        return Barred("skipped", f"{node.key} was skipped, so there is nothing to map over", (node.key,))
    return length


def _bar(course: Course, axis: AxisNode, prefix: Positions, barred: Barred) -> None:
    axis.lengths[prefix] = 0
    for node in axis.nodes:
        placeholder = node.instances.get(prefix)
        if placeholder is not None and placeholder.state not in TERMINAL_STEP:
            moves.end(course, placeholder, barred.state, barred.reason, barred.because)


def _unfold(course: Course, axis: AxisNode, prefix: Positions, first: int, count: int) -> None:
    """Put instances `first` to `first + count` in the place of the placeholders under a prefix."""
    # A loop's placeholder stays in the count: it stands for the rounds that may come.
    more = count if first or axis.axis.loop is not None else count - 1
    axis.lengths[prefix] = first + count
    paths = [(*prefix, i) for i in range(first, first + count)]
    fresh: list[Instance] = []
    for node in axis.nodes:
        if first == 0:
            placeholder = node.instances.get(prefix)
            if placeholder is None or placeholder.state in TERMINAL_STEP:
                continue
            del node.instances[prefix]
            course.unended -= 1
        _recount(course, node, prefix, more)
        fresh.extend(create(course, node, path) for path in paths)
    connect(course, fresh)
    for inner in axis.inner:
        for path in paths:
            try_unfold(course, inner, path)


def _recount(course: Course, node: Node, prefix: Positions, by: int) -> None:
    """So many instances more have not ended, in all groups that this prefix is part of."""
    for depth, groups in node.groups.items():
        if depth <= len(prefix):
            group = groups[prefix[:depth]]
            group.open += by
            if group.open == 0:
                course.completed.append((node, prefix[:depth], group))
