"""What a step instance gets as arguments: bindings of the graph made into references to stored values.

Rule: nothing is decoded here but the framing of plain lists; a user's value stays the bytes that it is.
"""

from __future__ import annotations

from collections.abc import Callable

from partita.core import plain
from partita.core.course import Course
from partita.core.graph import (
    Binding,
    Carry,
    Const,
    DictOf,
    Element,
    FirstOf,
    ListOf,
    Output,
    Param,
    Path,
    Stored,
    Token,
    steps_read,
)
from partita.core.plan import Instance, Node, Positions, index_of, shared_depth
from partita.core.values import Input, Many, Missing, Named, Part, Value, Whole

_MISSING = Missing()
_NONE = Value("plain", 1, b"\xc0")

StoredValue = Callable[[str], Value | None]
"""Gives the latest stored value of an asset that the run does not make."""

Mapped = Callable[[Stored], Input]
"""Gives what is stored of an asset, by the partitions that the binding's mapping says."""

TokenOf = Callable[[str, str], str]
"""Gives the token of an external gate, by step and index."""


class Inputs:
    """The inputs of the instances of one run."""

    def __init__(
        self, machine: Course, stored: StoredValue, token: TokenOf | None = None, mapped: Mapped | None = None
    ) -> None:
        self._machine = machine
        self._plan = machine.plan
        self._stored = stored
        self._token = token
        self._mapped = mapped
        # Inline lists that are mapped over, cut into elements once.
        self._elements: dict[bytes, list[Value]] = {}
        self._constants: dict[bytes, Value] = {}

    def shared(self, node: Node) -> dict[str, Input]:
        """The arguments that are the same for all instances of a step."""
        return {
            name: self._resolve(binding, node, ())
            for name, binding in node.step.args
            if not self._varies(binding, node)
        }

    def own(self, instance: Instance) -> dict[str, Input]:
        """The arguments that only this instance has."""
        node = instance.node
        if not node.step.axes:
            return {}
        return {
            name: self._resolve(binding, node, instance.path)
            for name, binding in node.step.args
            if self._varies(binding, node)
        }

    def one(self, instance: Instance, binding: Binding) -> Input:
        """What a binding stands for, seen from an instance."""
        return self._resolve(binding, instance.node, instance.path)

    def _varies(self, binding: Binding, node: Node) -> bool:
        if not node.step.axes:
            return False
        if isinstance(binding, Element | Carry | Token):
            return True
        if isinstance(binding, ListOf):
            return any(self._varies(item, node) for item in binding.items)
        if isinstance(binding, DictOf):
            return any(self._varies(item, node) for _, item in binding.items)
        needs = (self._plan.nodes.get(key) for key in steps_read(binding))
        return any(need is not None and shared_depth(need.step.axes, node.step.axes) for need in needs)

    def _resolve(self, binding: Binding, node: Node, path: Positions) -> Input:
        match binding:
            case Element():
                return self._element(binding, node, path)
            case Const(data=data):
                return Whole(self._constant(data))
            case Output():
                return self._output(binding, node, path)
            case Param(name=name, path=inside):
                return Whole(self._constant(self._machine.run.params.get(name, b"\xc0")), inside)
            case ListOf(items=items):
                return Many(tuple(self._resolve(item, node, path) for item in items))
            case DictOf(items=pairs):
                return Named(tuple((key, self._resolve(item, node, path)) for key, item in pairs))
            case Carry():
                return self._carried(binding, node, path)
            case FirstOf(steps=steps, path=inside):
                found = (self._output(Output(step, inside), node, path) for step in steps)
                return next((f for f in found if not isinstance(f, Missing)), _MISSING)
            case Stored() if self._mapped is not None:
                return self._mapped(binding)
            case Stored(asset=asset):
                value = self._stored(asset)
                return Whole(value) if value is not None else _MISSING
            case Token(step=step):
                return self._token_of(step, node, path)

    def _token_of(self, step: str, node: Node, path: Positions) -> Input:
        gate = self._plan.nodes.get(step)
        if gate is None or self._token is None:
            return _MISSING
        depth = shared_depth(gate.step.axes, node.step.axes)
        data = plain.pack(self._token(step, index_of(path[:depth])))
        return Whole(Value("plain", len(data), data))

    def _constant(self, data: bytes) -> Value:
        value = self._constants.get(data)
        if value is None:
            value = self._constants[data] = Value("plain", len(data), data, length=plain.length(data))
        return value

    def _output(self, binding: Output, node: Node, path: Positions) -> Input:
        need = self._plan.nodes.get(binding.step)
        if need is None:
            return _MISSING
        depth = shared_depth(need.step.axes, node.step.axes)
        return self._gather(need, path[:depth], binding.path, last=binding.last)

    def _gather(self, need: Node, prefix: Positions, inside: Path, *, last: bool = False) -> Input:
        if len(prefix) == need.axis_count:
            instance = need.instances.get(prefix)
            if instance is None or instance.state != "succeeded":
                return _MISSING
            return Whole(instance.value or _NONE, inside)
        length = self._plan.axes[need.step.axes[len(prefix)]].lengths.get(prefix, 0)
        if last and len(prefix) + 1 == need.axis_count:
            return self._gather(need, (*prefix, length - 1), inside)
        return Many(tuple(self._gather(need, (*prefix, i), inside, last=last) for i in range(length)))

    def _element(self, binding: Element, node: Node, path: Positions) -> Input:
        axis = self._plan.axes[binding.axis]
        outer, position = path[: axis.depth], path[axis.depth]
        source = axis.axis.sources[binding.source]
        if isinstance(source, ListOf):
            item = self._resolve(source.items[position], axis.nodes[0], path)
            return _within(item, binding.path)
        if isinstance(source, Output):
            need = self._plan.nodes[source.step]
            shared = shared_depth(need.step.axes, axis.axis.outer)
            if shared < need.axis_count:
                return self._gather(need, (*outer[:shared], position), (*source.path, *binding.path))
        value = self._resolve(source, axis.nodes[0], outer)
        return self._part(value, position, binding.path)

    def _part(self, source: Input, position: int, inside: Path) -> Input:
        if not isinstance(source, Whole):
            return _MISSING
        value = source.value
        if value.codec != "plain" or value.data is None or source.path:
            return Part(value, position, inside)
        cut = self._elements.get(value.data)
        if cut is None:
            parts = plain.elements(value.data) or []
            cut = self._elements[value.data] = [Value("plain", len(p), p, length=plain.length(p)) for p in parts]
        # A worker that miscounted its list must not stop the engine.
        return Whole(cut[position], inside) if position < len(cut) else _MISSING

    def _carried(self, binding: Carry, node: Node, path: Positions) -> Input:
        axis = self._plan.axes[binding.axis]
        assert axis.axis.loop is not None
        outer, round_no = path[: axis.depth], path[axis.depth]
        if round_no == 0:
            return _within(self._resolve(axis.axis.sources[0], node, path), binding.path)
        return self._gather(self._plan.nodes[axis.axis.loop.decider], (*outer, round_no - 1), binding.path)


def _within(item: Input, inside: Path) -> Input:
    if not inside:
        return item
    if isinstance(item, Whole):
        return Whole(item.value, (*item.path, *inside))
    if isinstance(item, Part):
        return Part(item.value, item.at, (*item.path, *inside))
    if isinstance(item, Many) and isinstance(inside[0], int):
        return _within(item.items[inside[0]], inside[1:])
    if isinstance(item, Named):
        return next((_within(i, inside[1:]) for key, i in item.items if key == inside[0]), _MISSING)
    return _MISSING
