"""`@group`: several steps under one name, mapped as a unit if wanted; and how a pipeline stands in another one.

Rule: the body is called once while the graph is built; mapped, it is called once with elements in place of values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from partita.core.graph import Carry, Element, FirstOf
from partita.define.binding import Constant
from partita.define.handles import GroupHandle, Handle
from partita.define.mapping import map_arguments, plain_map, spread
from partita.define.names import name_problem
from partita.define.signature import Signature, WrongCall
from partita.define.task import Partial
from partita.define.tracer import Tracer, current_tracer
from partita.define.where import Place, place_of, wrong


class GroupDef:
    """A group of steps as written."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.place: Place = place_of(function)
        self.name = name or function.__name__
        if problem := name_problem(self.name):
            raise wrong(f"group: {problem}", place=self.place)
        functools.update_wrapper(self, function)

    @functools.cached_property
    def signature(self) -> Signature:
        return Signature(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """In a pipeline: the group's steps, and what its function returns. Elsewhere: the plain function."""
        tracer = current_tracer()
        if tracer is None:
            return self.function(*args, **kwargs)
        return tracer.keeping(lambda: self._traced(tracer, args, kwargs))

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """The group's steps once per element: each element's steps run on without waiting for the other elements."""
        return self._map(args, kwargs, {})

    def partial(self, **fixed: Any) -> Partial:
        """Some arguments given."""
        return Partial(self, fixed)

    def named(self, name: str) -> GroupDef:
        """A copy with another name."""
        return GroupDef(self.function, name)

    def _traced(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            arguments = self.signature.bind(args, kwargs)
        except WrongCall as error:
            raise wrong(f"`{self.name}` is called wrongly: {error}", hint=error.hint) from None
        key = tracer.unique(self.name)
        with tracer.inside(group=last_part(tracer, key)):
            return trace_body(tracer, self.name, self.function, arguments)

    def _map(self, args: tuple[Any, ...], kwargs: dict[str, Any], fixed: dict[str, Any]) -> Any:
        tracer = current_tracer()
        if tracer is None:
            return plain_map(self.function, map_arguments(self.signature, self.name, args, kwargs, fixed))
        return tracer.keeping(lambda: self._mapped(tracer, args, kwargs, fixed))

    def _mapped(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any], fixed: dict[str, Any]) -> Any:
        key = tracer.unique(self.name)
        found = spread(tracer, self.signature, self.name, args, kwargs, fixed, lambda: key)
        with tracer.inside(group=last_part(tracer, key), axis=found.axis):
            arguments = {n: v.value if isinstance(v, Constant) else v for n, v in found.arguments.items()}
            return trace_body(tracer, self.name, self.function, arguments, mapped=True)


def group(function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Make a function a group: its steps are named `group.step`, and `.map` runs all of it per element."""
    if function is None:
        return lambda f: GroupDef(f, name)
    return GroupDef(function, name)


def trace_body(
    tracer: Tracer, name: str, function: Callable[..., Any], arguments: dict[str, Any], *, mapped: bool = False
) -> Any:
    """Call a body that makes steps; its result can be put in order as a whole."""
    count = len(tracer.drafts)
    result = function(**arguments)
    made = tracer.made_since(count)
    firsts, lasts = tracer.ends_of(made)
    if result is None:
        return GroupHandle(tracer, firsts, lasts)
    if mapped:
        result = _leaving(tracer, result, name)
    if isinstance(result, Handle) and made:
        return Handle(tracer, result._binding, result._axes, firsts=firsts, lasts=lasts, declared=result._declared)
    return result


def _leaving(tracer: Tracer, result: Any, name: str) -> Any:
    """What leaves a mapped body, as results of steps.

    An element itself is none, and the arms of a branch would be gathered arm by arm instead of element by element.
    """
    if isinstance(result, Handle) and isinstance(result._binding, Element | Carry | FirstOf):
        return tracer.same(result, f"{name.rpartition('.')[2]}_result")
    if isinstance(result, list | tuple) and not hasattr(result, "_fields"):
        return type(result)(_leaving(tracer, item, name) for item in result)
    if isinstance(result, dict):
        return {key: _leaving(tracer, item, name) for key, item in result.items()}
    return result


def last_part(tracer: Tracer, key: str) -> str:
    """The part of a key that is behind the groups in which we stand."""
    prefix = ".".join(tracer.group)
    return key[len(prefix) + 1 :] if prefix else key
