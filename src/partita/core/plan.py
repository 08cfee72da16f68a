"""A graph prepared for running: who waits for whom, along which part of the map axes.

Rule: built once per machine from the graph alone; only `instances`, `groups` and `under` change afterwards, and only by
the machine.

A path is the tuple of positions of an instance, one per axis; a prefix is its beginning. An instance whose path is
shorter than its step's axes is a placeholder: the map it stands in has not been unfolded yet (or never could be).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from partita.core.gates import GateState
from partita.core.graph import Axis, FirstOf, Graph, Output, Step, axes_read, steps_read
from partita.core.rules import EAGER, Tally
from partita.core.states import StepState
from partita.core.values import Value

Positions = tuple[int, ...]


class Instance:
    """One step instance as the machine holds it."""

    __slots__ = (
        "again",
        "attempt",
        "because",
        "choice",
        "dispatched",
        "epoch",
        "failures",
        "gate",
        "granted",
        "grown",
        "losses",
        "node",
        "not_before",
        "offered",
        "open",
        "open_needs",
        "past",
        "path",
        "queued",
        "reason",
        "settled",
        "since",
        "state",
        "value",
    )

    def __init__(self, node: Node, path: Positions, since: float) -> None:
        self.node = node
        self.path = path
        self.state: StepState = "waiting"
        self.since = since
        # The number of the current or last attempt; whether it is open; the epoch it was started under.
        self.attempt = 0
        self.open = False
        # Open, but it has not passed the start gate of an engine of others.
        self.dispatched = False
        self.epoch = 0
        # What the user's budget and ours have spent.
        self.failures = 0
        self.losses = 0
        # How often its memory has grown after it ran out of it.
        self.grown = 0
        self.not_before = 0.0
        self.open_needs = 0
        self.offered = False
        # It stands in its lane of the admission; withdrawn and offered again, it keeps its place.
        self.queued = False
        # Its end has been told to everyone who waits for it.
        self.settled = False
        # Of a bundle's member: its bundle may perform it now.
        self.granted = False
        self.value: Value | None = None
        self.choice: bytes | None = None
        self.again: bool | None = None
        self.reason = ""
        self.because: tuple[str, ...] = ()
        # Ended attempts: (number, state, reason); None until there is one that did not succeed.
        self.past: list[tuple[int, str, str]] | None = None
        # Of a gate: how it stands, from when it opens (or is reported to, if that comes first).
        self.gate: GateState | None = None

    @property
    def index(self) -> str:
        """The index as written everywhere outside: "", "17", "3.17"."""
        return index_of(self.path)

    def remember(self, state: str, message: str) -> None:
        """Note how its current attempt ended."""
        if self.past is None:
            self.past = []
        self.past.append((self.attempt, state, message))

    def __repr__(self) -> str:
        return f"<{self.node.step.key}[{self.index}] {self.state} attempt={self.attempt}>"


def index_of(path: Positions) -> str:
    """The written form of a path."""
    return str(path[0]) if len(path) == 1 else ".".join(map(str, path))


def path_of(index: str) -> Positions:
    """The path of a written index."""
    if not index:
        return ()
    return tuple(map(int, index.split("."))) if "." in index else (int(index),)


def shared_depth(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """How many axes two steps (or a step and a map) stand in together, from the outermost on."""
    depth = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        depth += 1
    return depth


class Group(Tally):
    """The ends of all instances of a step under one prefix; complete when `open` is 0, `settled` when all know it."""

    __slots__ = ("settled",)

    def __init__(self, open: int = 0) -> None:
        super().__init__(open)
        self.settled = False


class Edge:
    """One need of a step: `depth` positions of the path are shared; `many` = it waits for a group, not one instance."""

    __slots__ = ("depth", "many", "need", "user")

    def __init__(self, need: Node, user: Node) -> None:
        self.need = need
        self.user = user
        self.depth = shared_depth(need.step.axes, user.step.axes)
        self.many = self.depth < len(need.step.axes)


# Most steps of a large graph gather nothing and are gathered by nobody: they share this.
_NONE: Mapping[int, Any] = {}


class Node:
    """A step with its edges and its instances."""

    __slots__ = (
        "axis_count",
        "bundle",
        "decides",
        "direct",
        "eager",
        "gatherers",
        "groups",
        "instances",
        "is_awaited_eagerly",
        "key",
        "members",
        "needs",
        "number",
        "starts_at_once",
        "step",
        "under",
        "unfolds",
        "users",
    )

    def __init__(self, step: Step, number: int) -> None:
        self.step = step
        self.key = step.key
        self.axis_count = len(step.axes)
        self.number = number
        self.needs: list[Edge] = []
        # Who waits for it: all, those that wait for one instance, those that wait for a group.
        self.users: list[Edge] = []
        self.direct: Sequence[Edge] = self.users
        self.gatherers: Sequence[Edge] = ()
        # A bundle waits for all: its members are granted by how everything before them ended.
        is_patient = bool(step.guards) or step.kind == "bundle"
        self.eager = EAGER.get(step.when) if isinstance(step.when, str) and not is_patient else None
        self.starts_at_once = step.when == "always" and not is_patient
        # Some step with an eager rule gathers this one: it is told of the first end of each kind.
        self.is_awaited_eagerly = False
        self.members: Sequence[Node] = ()
        self.bundle: Node | None = None
        # The maps over its result, each with the number of axes that it shares with the places where they stand.
        self.unfolds: Sequence[tuple[int, AxisNode]] = ()
        # The loop that this step decides about, if it does.
        self.decides: AxisNode | None = None
        self.instances: dict[Positions, Instance] = {}
        # Groups by depth and prefix, kept for the depths at which some other step gathers this one.
        self.groups: Mapping[int, dict[Positions, Group]] = _NONE
        # Instances by depth and prefix, kept for the depths at which one event reaches several of them.
        self.under: Mapping[int, dict[Positions, list[Instance]]] = _NONE

    def keep_groups(self, depth: int) -> None:
        """Somebody gathers this step at that depth."""
        if depth not in self.groups:
            self.groups = {**self.groups, depth: {}}

    def keep_under(self, depth: int) -> None:
        """One event at that depth reaches all instances below it."""
        if depth not in self.under:
            self.under = {**self.under, depth: {}}

    def at(self, prefix: Positions) -> list[Instance]:
        """The unfolded instances under a prefix (of a depth that is kept)."""
        if len(prefix) == self.axis_count:
            instance = self.instances.get(prefix)
            return [instance] if instance is not None else []
        return self.under[len(prefix)].get(prefix, [])


class AxisNode:
    """A map with the steps that stand in it, in the order of the graph."""

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        self.depth = len(axis.outer)
        self.nodes: list[Node] = []
        self.inner: list[AxisNode] = []
        # Prefixes that have been unfolded, with the length (of a loop: so far).
        self.lengths: dict[Positions, int] = {}

    @property
    def name(self) -> str:
        return self.axis.name


class Plan:
    """The nodes and axes of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: dict[str, Node] = {s.key: Node(s, i) for i, s in enumerate(graph.steps)}
        self.axes: dict[str, AxisNode] = {a.name: AxisNode(a) for a in graph.axes}
        self._join_bundles()
        self._connect()
        self._place_in_axes()

    def _join_bundles(self) -> None:
        members: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            if node.step.bundle:
                node.bundle = self.nodes[node.step.bundle]
                members.setdefault(node.step.bundle, []).append(node)
        for key, inside in members.items():
            self.nodes[key].members = inside

    def _connect(self) -> None:
        for node in self.nodes.values():
            for key in self._needs_of(node):
                edge = Edge(self.nodes[key], node)
                node.needs.append(edge)
                edge.need.users.append(edge)
                if edge.many:
                    edge.need.keep_groups(edge.depth)
                    if node.eager is not None:
                        edge.need.is_awaited_eagerly = True
                if edge.depth < node.axis_count:
                    node.keep_under(edge.depth)
        for node in self.nodes.values():
            if any(edge.many for edge in node.users):
                node.direct = [edge for edge in node.users if not edge.many]
                node.gatherers = [edge for edge in node.users if edge.many]

    def _needs_of(self, node: Node) -> list[str]:
        """Every step whose end the node waits for, in order, each once."""
        step = node.step
        keys = dict.fromkeys(step.needs)
        for _, binding in step.args:
            keys.update(dict.fromkeys(steps_read(binding)))
            for name in axes_read(binding):
                # Round 0 of a loop reads the initial state, so it waits for whoever makes it.
                if self.axes[name].axis.loop is not None:
                    keys.update(dict.fromkeys(steps_read(self.axes[name].axis.sources[0])))
        keys.update(dict.fromkeys(guard.step for guard in step.guards))
        inside = {m.key for m in node.members}
        for member in node.members:
            keys.update(dict.fromkeys(k for k in member.step.needs if k not in inside))
        # A member's bundle is no need of it: the bundle performs it.
        return [k for k in keys if k in self.nodes and k not in (step.key, step.bundle)]

    def _place_in_axes(self) -> None:
        for node in self.nodes.values():
            for name in node.step.axes:
                self.axes[name].nodes.append(node)
        for axis in self.axes.values():
            self._await_sources(axis)
            if axis.axis.outer:
                self.axes[axis.axis.outer[-1]].inner.append(axis)
            if axis.axis.loop is not None:
                self.nodes[axis.axis.loop.decider].decides = axis

    def _await_sources(self, axis: AxisNode) -> None:
        for source in axis.axis.sources if axis.axis.loop is None else ():
            # How long a list written by the user is, is known; only what a step returns is waited for.
            for key in steps_read(source) if isinstance(source, Output | FirstOf) else ():
                need = self.nodes.get(key)
                if need is None:
                    continue
                depth = shared_depth(need.step.axes, axis.axis.outer)
                need.unfolds = (*need.unfolds, (depth, axis))
                if depth < need.axis_count:
                    need.keep_groups(depth)

    def prefixes(self, axis: AxisNode, prefix: Positions) -> Iterator[Positions]:
        """The places under a prefix at which a map stands, as far as the maps around it are unfolded."""
        if len(prefix) == axis.depth:
            yield prefix
            return
        around = self.axes[axis.axis.outer[len(prefix)]]
        for position in range(around.lengths.get(prefix, 0)):
            yield from self.prefixes(axis, (*prefix, position))
