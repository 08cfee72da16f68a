"""What a worker needs to perform a step: the user's function and all that goes with it, found by name.

Rule: a name means the same in the process that compiled the graph and in the worker that loads the project again; it
is made of module, qualified name and, for variants, pipeline and step, never of the order in which things happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from partita.define.io import BoundIO


@dataclass(frozen=True, slots=True)
class CheckInfo:
    """What the worker needs to report a check."""

    asset: str
    name: str
    severity: Literal["warn", "error"] = "error"


@dataclass(frozen=True, slots=True)
class Call:
    """The runtime side of a step. `function` is called with keyword arguments only.

    `context_param` names the parameter that takes the `Context`. `cache_key` is called with the step's arguments by
    keyword, `retry_if` with the exception, `until` with the new state of a loop (the loop goes on while it is false).
    `io` stores the step's result, `input_io` loads inputs by parameter. `outs` are the assets of a multi-asset in the
    order in which the function returns them, `outs_io` stores them. `members_param` takes the members to perform.
    """

    name: str
    function: Callable[..., Any]
    context_param: str | None = None
    asynchronous: bool = False
    cache_key: Callable[..., object] | None = None
    retry_if: Callable[[BaseException], object] | None = None
    until: Callable[[Any], object] | None = None
    io: BoundIO | None = None
    input_io: Mapping[str, BoundIO] = field(default_factory=dict)
    outs: tuple[str, ...] = ()
    outs_io: Mapping[str, BoundIO] = field(default_factory=dict)
    members_param: str | None = None
    check: CheckInfo | None = None


class Calls:
    """The calls of a project by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Call] = {}

    def add(self, call: Call, *, user: str) -> str:
        """Keep a call and say its name; a variant of a known one is named after its user ("pipeline.step")."""
        known = self.by_name.get(call.name)
        if known is None and not _is_anonymous(call):
            self.by_name[call.name] = call
            return call.name
        if known is not None and known == call:
            return call.name
        variant = replace(call, name=f"{call.name}~{user}")
        self.by_name[variant.name] = variant
        return variant.name


def _is_anonymous(call: Call) -> bool:
    # Such names come again and again, and the bare form would go to whoever happens to be compiled first.
    return call.until is not None or "<l" in call.name


def call_base(function: object) -> str:
    """The name of a function's call: "module:qualname"."""
    target = function
    while hasattr(target, "func"):  # functools.partial
        target = target.func
    module = getattr(target, "__module__", None) or type(target).__module__
    qualname = getattr(target, "__qualname__", None) or type(target).__qualname__
    return f"{module}:{qualname}"
