"""How the instances of maps are called in lists: `extract[AA-JFK]` where the task has a label, else by index.

A label is a template over the step's arguments: `{source}`, or `{feed[carrier]}` for a field. Arguments that are no
plain data, or not known yet, leave the index.

Rule: a template names arguments and nothing else; no code of the user's is run.
"""

from __future__ import annotations

import re
from typing import Any

from partita.core.inputs import Inputs
from partita.core.machine import RunMachine
from partita.core.plain import unpack
from partita.core.plan import Instance
from partita.core.values import Input, Many, Named, Part, Whole

_FIELD = re.compile(r"\{(\w+)((?:\[\w+\])*)\}")
_LONGEST = 60


class Labels:
    """The labels of one run's instances."""

    def __init__(self, machine: RunMachine, no: int) -> None:
        self.machine = machine
        self.no = no
        self._inputs = Inputs(machine, lambda asset: None)
        self._known: dict[tuple[str, str], str] = {}

    def name(self, step: str, index: str) -> str:
        """The step instance as people know it."""
        if not index:
            return step
        return f"{step}[{self.label(step, index) or index}]"

    def label(self, step: str, index: str) -> str:
        """The label of an instance, "" if it has none."""
        known = self._known.get((step, index))
        if known is None:
            instance = self.machine.instance(step, index)
            known = self._made(instance) if instance is not None else ""
            if instance is None or known:
                self._known[step, index] = known
        return known

    def index_of(self, step: str, label: str) -> str | None:
        """The index of the instance with this label."""
        node = self.machine.plan.nodes[step]
        return next((i.index for i in node.instances.values() if i.index and self.label(step, i.index) == label), None)

    def _made(self, instance: Instance) -> str:
        template = instance.node.step.label
        if not template or not instance.path:
            return ""
        try:
            inputs = {**self._inputs.shared(instance.node), **self._inputs.own(instance)}
            text = _FIELD.sub(lambda match: str(_field(inputs, match)), template)
        except (LookupError, ValueError, TypeError, AssertionError):
            return ""  # not known (yet), or no plain data: the index says it too
        return text[:_LONGEST]


def _field(inputs: dict[str, Input], match: re.Match[str]) -> Any:
    value = _plain(inputs[match[1]])
    for key in re.findall(r"\w+", match[2]):
        value = value[int(key)] if isinstance(value, list | tuple) else value[key]
    return value


def _plain(given: Input) -> Any:
    """The value of an input that is plain data and inline. Raises `LookupError` for any other."""
    match given:
        case Whole(value=value, path=path) | Part(value=value, path=path):
            if value.codec != "plain" or value.data is None:
                raise LookupError("not inline")
            found = unpack(value.data)
            if isinstance(given, Part):
                found = found[given.at]
            for step in path:
                found = found[step]
            return found
        case Many(items=items):
            return [_plain(item) for item in items]
        case Named(items=pairs):
            return {name: _plain(item) for name, item in pairs}
        case _:
            raise LookupError("missing")
