"""Running a finished run again: what is done anew, and what is taken over from it.

Terminal is final, so a rerun is a new run: it takes over what it does not repeat, by reference, and says whose it is. What
is repeated is closed over its consequences: whoever read something that is made again is made again too, instance by
instance along a map. A setup is repeated with its teardown, a bundle with any of its members.

Rule: pure. A machine rebuilt from the old run's rows goes in, events for the new run come out.
"""

from __future__ import annotations

from collections.abc import Collection

from partita.core.events import StepReused
from partita.core.graph import Graph, steps_read
from partita.core.machine import RunMachine
from partita.core.plan import Edge, Instance, Node

_KEPT = frozenset({"succeeded", "skipped"})


def reused_steps(
    machine: RunMachine, graph: Graph, *, at: float, again: Collection[str] | None = None
) -> list[StepReused]:
    """What a rerun of the machine's run takes over from it.

    `again` names steps (or groups, as a unit) to repeat from; None repeats what did not succeed. `graph` is the one that
    the new run executes: steps that it does not have, or has in other maps, are not taken over.
    """
    repeated = _Repeated(machine, again)
    kept = {s.key: s for s in graph.steps}
    return [
        StepReused(
            at=at,
            step=instance.node.key,
            index=instance.index,
            from_run=machine.run.run,
            state=instance.state,
            value=instance.value,
            choice=instance.choice,
            again=instance.again,
        )
        for instance in machine.instances()
        if instance not in repeated
        and instance.state in _KEPT
        and instance.node.key in kept
        and kept[instance.node.key].axes == instance.node.step.axes
        and len(instance.path) == len(instance.node.step.axes)
    ]


def steps_named(graph: Graph, name: str) -> list[str]:
    """The steps that a name means: one step, or all of a group."""
    group = tuple(name.split("."))
    return [s.key for s in graph.steps if s.key == name or s.group[: len(group)] == group]


class _Repeated:
    """The instances of a run that are to be repeated."""

    def __init__(self, machine: RunMachine, again: Collection[str] | None) -> None:
        self._machine = machine
        self._marked: set[int] = set()
        self._grew = True
        for instance in machine.instances():
            # What did not succeed is never taken over, so it is repeated (with all that hangs on it) whatever was chosen.
            if instance.state not in _KEPT or (again is not None and _is_chosen(instance, again)):
                self._mark(instance)
        while self._grew:
            self._grew = False
            for node in machine.plan.nodes.values():
                self._spread_to(node)

    def __contains__(self, instance: Instance) -> bool:
        return id(instance) in self._marked

    def _mark(self, instance: Instance) -> None:
        if id(instance) not in self._marked:
            self._marked.add(id(instance))
            self._grew = True

    def _spread_to(self, node: Node) -> None:
        all_again = self._map_is_made_again(node)
        for instance in node.instances.values():
            if instance in self:
                self._spread_from(instance)
            elif all_again or any(self._is_repeated(edge, instance) for edge in node.needs):
                self._mark(instance)

    def _is_repeated(self, edge: Edge, instance: Instance) -> bool:
        prefix = instance.path[: edge.depth]
        if not edge.many:
            need = edge.need.instances.get(prefix)
            return need is not None and need in self
        return any(i in self for path, i in edge.need.instances.items() if path[: edge.depth] == prefix)

    def _map_is_made_again(self, node: Node) -> bool:
        """The list that it is mapped over is made again, so it may have other elements."""
        for name in node.step.axes:
            axis = self._machine.plan.axes[name].axis
            sources = [key for source in axis.sources for key in steps_read(source)] if axis.loop is None else []
            for key in sources:
                if any(i in self for i in self._machine.plan.nodes[key].instances.values()):
                    return True
        return False

    def _spread_from(self, instance: Instance) -> None:
        """What must be repeated with this one though it does not read it."""
        node = instance.node
        if node.bundle is not None and instance.path in node.bundle.instances:
            self._mark(node.bundle.instances[instance.path])
        for setup in node.step.teardown_of:
            for made in self._machine.plan.nodes[setup].instances.values():
                self._mark(made)
        self._spread_to_later_rounds(instance)

    def _spread_to_later_rounds(self, instance: Instance) -> None:
        for depth, name in enumerate(instance.node.step.axes):
            axis = self._machine.plan.axes[name]
            if axis.axis.loop is None or depth >= len(instance.path):
                continue
            prefix, round_no = instance.path[:depth], instance.path[depth]
            for node in axis.nodes:
                for path, other in node.instances.items():
                    if path[:depth] == prefix and len(path) > depth and path[depth] > round_no:
                        self._mark(other)


def _is_chosen(instance: Instance, again: Collection[str]) -> bool:
    key = instance.node.key
    return key in again or (instance.node.bundle is not None and instance.node.bundle.key in again)
