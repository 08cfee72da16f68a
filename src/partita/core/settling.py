"""What follows from an end: those who wait for it are told, maps over it unfold, loops go on.

Rule: one queue, worked off here and nowhere else, so that a chain of ten thousand skipped steps is ten thousand turns of
a loop and no recursion.
"""

from __future__ import annotations

from partita.core.course import Course
from partita.core.joining import tell, tell_gatherers
from partita.core.plan import Group, Instance, Node, Positions
from partita.core.states import StepState
from partita.core.unfolding import next_round, unfold_over


def settle(course: Course) -> None:
    """Tell of every end that nobody has been told of, and of those that follow."""
    ended, completed = course.ended, course.completed
    while ended or completed:
        if ended:
            _settle(course, ended.popleft())
        else:
            _complete(course, *completed.popleft(), None)


def _settle(course: Course, instance: Instance) -> None:
    instance.settled = True
    node, path, state = instance.node, instance.path, instance.state
    for depth, groups in node.groups.items():
        if depth <= len(path):
            _count(course, node, path[:depth], groups[path[:depth]], state)
    for edge in node.direct:
        if edge.depth <= len(path):
            tell(course, edge.user.at(path), state, is_complete=True)
    if node.unfolds and len(path) == node.axis_count:
        unfold_over(course, node, path)
    if node.decides is not None and len(path) == node.axis_count:
        next_round(course, instance)


def _count(course: Course, node: Node, prefix: Positions, group: Group, state: StepState) -> None:
    is_news = node.is_awaited_eagerly and not group.has(state)
    group.open -= 1
    group.count(state)
    if group.open == 0:
        _complete(course, node, prefix, group, state)
    elif is_news:
        tell_gatherers(course, node, prefix, state, is_complete=False)


def _complete(course: Course, node: Node, prefix: Positions, group: Group, state: StepState | None) -> None:
    """All under a prefix have ended; `state` is the end of the last of them (None: there was none, or not just now)."""
    group.settled = True
    tell_gatherers(course, node, prefix, state, is_complete=True)
    unfold_over(course, node, prefix)
