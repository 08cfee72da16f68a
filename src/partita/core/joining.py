"""Who waits for whom: an instance counts its open needs, and is decided when there are none.

Rule: an end costs its neighbours. Nobody looks through the run to find out what may start.
"""

from __future__ import annotations

from partita.core import moves, waiting
from partita.core.bundles import end_members, members_of, open_bundle, reopen_bundle
from partita.core.course import Course
from partita.core.needs import culprits, is_met, own_needs, tallies, tally, why_not
from partita.core.plan import Instance, Node, Positions, shared_depth
from partita.core.rules import decide as decide_by_rule
from partita.core.states import StepState


def connect(course: Course, fresh: list[Instance]) -> None:
    """Count what each new instance waits for; decide those that wait for nothing."""
    unfolded = [i for i in fresh if len(i.path) == i.node.axis_count]
    for instance in unfolded:
        path, open_needs = instance.path, 0
        for edge in instance.node.needs:
            if not is_met(edge, path):
                open_needs += 1
        instance.open_needs = open_needs
    for instance in unfolded:
        if instance.node.members and instance.state in ("ready", "running"):
            reopen_bundle(course, instance)
        if instance.node.bundle is not None:
            continue
        if instance.state == "waiting":
            _look(course, instance)
        elif instance.state == "ready" and not instance.offered:
            moves.offer(course, instance)


def tell(course: Course, users: list[Instance], state: StepState | None, *, is_complete: bool) -> None:
    """A need of these has ended so (None: without an end of its own); `is_complete`: all of it."""
    for user in users:
        if is_complete:
            user.open_needs -= 1
        if user.state != "waiting" or user.node.bundle is not None:
            continue
        if user.open_needs == 0:
            decide(course, user)
        elif user.node.eager is not None and state in user.node.eager:
            _proceed(course, user)


def tell_gatherers(
    course: Course, node: Node, prefix: Positions, state: StepState | None, *, is_complete: bool
) -> None:
    """Of the instances under a prefix one has ended so (`is_complete`: the last one); tell those that gather them."""
    for edge in node.gatherers:
        if edge.depth == len(prefix) and (is_complete or edge.user.eager is not None):
            tell(course, edge.user.at(prefix), state, is_complete=is_complete)


def decide(course: Course, instance: Instance) -> None:
    """All needs have ended (or do not matter): run, or end otherwise."""
    node = instance.node
    step = node.step
    if course.ending and not step.teardown_of:
        moves.end(course, instance, "cancelled", course.ending)
        return
    if node.needs and not node.starts_at_once:
        found = tallies(instance)
        if node.members:
            own = own_needs(node)
            found = {key: t for key, t in found.items() if key in own}
        verdict = decide_by_rule(step.when, found, step.teardown_of)
        if verdict != "run":
            moves.end(course, instance, verdict, why_not(instance, verdict, found), culprits(found))
            end_members(course, instance)
            return
    if step.guards and (reason := _barred_by(course, instance)) is not None:
        moves.end(course, instance, "skipped", *reason)
        end_members(course, instance)
        return
    if node.members and not open_bundle(course, instance):
        _end_empty_bundle(course, instance)
        return
    _proceed(course, instance)


def _look(course: Course, instance: Instance) -> None:
    """A new instance: its needs may have ended before it was there."""
    node = instance.node
    if instance.open_needs == 0 or node.starts_at_once:
        decide(course, instance)
    elif node.eager is not None:
        ends = [tally(edge, instance.path) for edge in node.needs]
        if any(t.has(state) for t in ends for state in node.eager):
            _proceed(course, instance)


def _proceed(course: Course, instance: Instance) -> None:
    """Nothing holds it back: a gate opens, all else asks for a slot."""
    if instance.node.step.gate is None or (course.ending and not instance.node.step.teardown_of):
        moves.make_ready(course, instance)
    elif (instance.node.key, instance.index) not in course.gates:
        waiting.open_gate(course, instance)


def _barred_by(course: Course, instance: Instance) -> tuple[str, tuple[str, ...]] | None:
    """The branch that was not taken, as reason and cause."""
    for guard in instance.node.step.guards:
        source = course.plan.nodes.get(guard.step)
        if source is None:
            return f"{guard.step}, which chooses its branch, is not part of this run", ()
        depth = shared_depth(source.step.axes, instance.node.step.axes)
        decider = source.instances.get(instance.path[:depth])
        choice = decider.choice if decider is not None else None
        if choice is None:
            return f"{guard.step} chose no branch", (guard.step,)
        if (choice in guard.choices) == guard.unless:
            return f"{guard.step} chose another branch", (guard.step,)
    return None


def _end_empty_bundle(course: Course, bundle: Instance) -> None:
    is_blocked = any(m.state == "upstream_failed" for m in members_of(bundle))
    because = culprits(tallies(bundle)) if is_blocked else ()
    state: StepState = "upstream_failed" if is_blocked else "skipped"
    moves.end(course, bundle, state, "none of its members can be made", because)
