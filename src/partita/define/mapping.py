"""`.map`: which arguments are mapped over, and the axis that comes of it.

Rule: lists (and values that may be lists at run time) are mapped, everything else is passed to each instance. Inputs that
stand on the same axis already are taken element by element on it; any other mix is zipped on a new axis.
"""

from __future__ import annotations

import collections.abc as abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_origin

from partita.core.graph import Axis, Binding, Element, ListOf, Param
from partita.define.binding import Constant, bind
from partita.define.guess import did_you_mean
from partita.define.handles import Handle, StandIn
from partita.define.recording import Follows
from partita.define.signature import Signature, WrongCall
from partita.define.tracer import Tracer, whole_step
from partita.define.where import wrong

_NO_LISTS: frozenset[object] = frozenset({str, int, float, bool, bytes, dict, None, type(None)})
_NO_LIST_NAMES = frozenset({"str", "int", "float", "bool", "bytes", "dict", "None"})


@dataclass(frozen=True, slots=True)
class Spread:
    """A map that was understood: its axis and the arguments of one instance."""

    axis: str
    arguments: dict[str, Any]


def spread(
    tracer: Tracer,
    signature: Signature,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    fixed: dict[str, Any],
    key: Callable[[], str],
) -> Spread:
    """Understand `name.map(*args, **kwargs)`; `key` gives the name of a new axis if there must be one."""
    arguments = map_arguments(signature, name, args, kwargs, fixed)
    mapped = _to_map(tracer, {n: v for n, v in arguments.items() if n not in fixed and is_mapped(v)})
    if not mapped:
        raise _nothing_to_map(name, {n: v for n, v in arguments.items() if n not in fixed})
    common = _common_axis(tracer, list(mapped.values()))
    if common is not None:
        return Spread(common, arguments)
    axis = key()
    _check_lengths(name, mapped)
    sources = tuple(_source(tracer, value, f"`{n}` of `{name}.map`", axis) for n, value in mapped.items())
    tracer.axes[axis] = Axis(axis, sources, tracer.scope)
    inner = (*tracer.scope, axis)
    elements = {n: Handle(tracer, Element(axis, i), inner) for i, n in enumerate(mapped)}
    return Spread(axis, {**arguments, **elements})


def map_arguments(
    signature: Signature, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], fixed: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a map by parameter, generators made lists. Raises `DefinitionError` if they do not fit."""
    twice = sorted(set(kwargs) & set(fixed))
    if twice:
        raise wrong(f"`{name}.map`: `{twice[0]}` was given by `partial` already")
    try:
        arguments = {**fixed, **signature.bind_some(args, {**kwargs})}
    except WrongCall as error:
        raise wrong(f"`{name}.map`: {error}", hint=error.hint) from None
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL and parameter.name in arguments:
            raise wrong(f"`{name}.map` cannot map over `*{parameter.name}`", hint="give the task named parameters")
    if missing := signature.missing(arguments):
        raise wrong(f"`{name}.map` needs an argument for `{missing[0]}`", hint=did_you_mean(missing[0], kwargs))
    return {n: _listed(value) for n, value in arguments.items()}


def is_mapped(value: Any) -> bool:
    """Is an argument of `.map` mapped over (and not passed as it is)?"""
    return isinstance(value, list | tuple | Handle) and not isinstance(value, StandIn)


def _to_map(tracer: Tracer, found: dict[str, Any]) -> dict[str, Any]:
    """Those that are mapped over: beside a list, a value that is declared as none goes to every instance as it is."""
    lists = {
        n: v
        for n, v in found.items()
        if not (isinstance(v, Handle) and tracer.rank(v) == 0 and is_no_list(v._declared))
    }
    return lists or found


def _listed(value: Any) -> Any:
    if isinstance(value, range | abc.Generator | abc.KeysView | abc.ValuesView | abc.ItemsView | map | filter | zip):
        return list(value)
    return value


def _nothing_to_map(name: str, arguments: dict[str, Any]) -> Exception:
    if any(isinstance(value, StandIn) for value in arguments.values()):
        return Follows(f"`{name}.map` maps over a call that is wrong")
    if not arguments:
        return wrong(f"`{name}.map` has nothing to map over", hint=f"give it a list: `{name}.map([...])`")
    parameter, value = next(iter(arguments.items()))
    if isinstance(value, Constant):
        return wrong(f"`{name}.map` has only constants", hint=f"call it without map: `{name}(...)`")
    kind = type(value).__name__
    hints = {
        "dict": "map over `list(d.items())` or `list(d.values())`",
        "set": "a set has no order: map over `sorted(...)`",
        "frozenset": "a set has no order: map over `sorted(...)`",
        "str": f"call it without map, or give a list: `{name}.map([...])`",
    }
    return wrong(
        f"`{name}.map`: `{parameter}` is no list but {kind} ({_shown(value)})",
        hint=hints.get(kind, f"give it a list, or a step's result that is one: `{name}.map([...])`"),
    )


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        return "a value whose repr raises"
    return text if len(text) <= 60 else text[:57] + "..."


def _common_axis(tracer: Tracer, values: list[Any]) -> str | None:
    """The axis just inside the current scope on which all of these stand, if there is one."""
    depth = len(tracer.scope)
    found: set[str] = set()
    for value in values:
        if not isinstance(value, Handle) or len(value._axes) <= depth or value._axes[:depth] != tracer.scope:
            return None
        found.add(value._axes[depth])
    return found.pop() if len(found) == 1 else None


def _check_lengths(name: str, mapped: dict[str, Any]) -> None:
    lengths = {n: len(v) for n, v in mapped.items() if not isinstance(v, Handle)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"`{n}` has {length}" for n, length in lengths.items())
        raise wrong(
            f"`{name}.map` maps over lists of different lengths: {listed}",
            hint="lists are zipped; for every combination give itertools.product(...) as one list",
        )


def _source(tracer: Tracer, value: Any, of: str, axis: str) -> Binding:
    if not isinstance(value, Handle):
        return ListOf(tuple(bind(tracer, item, f"element {i} of {of}") for i, item in enumerate(value)))
    binding = tracer.readable(value, of)
    depth = tracer.rank(value)
    if depth == 0 and is_no_list(value._declared):
        shown = getattr(value._declared, "__name__", value._declared)
        raise wrong(
            f"{of} is no list: {value!r} is declared as `{shown}`",
            hint="to pass it to every instance as it is, use pt.const(...) or partial",
        )
    if whole_step(value) or (isinstance(binding, Param) and not binding.path):
        return binding
    # The engine sees the length of a whole stored result only, so anything else becomes one first.
    name = f"{axis.rpartition('.')[2]}_items"
    whole = tracer.same(value, name, axes=value._axes if depth else None)
    return tracer.readable(whole, of)


def is_no_list(declared: Any) -> bool:
    """Does a declared type say that the value is no list?"""
    if isinstance(declared, str):
        return declared.partition("[")[0].strip() in _NO_LIST_NAMES
    try:
        return declared in _NO_LISTS or get_origin(declared) is dict
    except TypeError:  # an annotation that cannot be hashed
        return False


def plain_map(function: Callable[..., Any], arguments: dict[str, Any]) -> list[Any]:
    """What `.map` means outside of a pipeline: the function called for each element."""
    mapped = {n: v for n, v in arguments.items() if isinstance(v, list | tuple)}
    constants = {n: v.value if isinstance(v, Constant) else v for n, v in arguments.items() if n not in mapped}
    return [
        function(**constants, **dict(zip(mapped, items, strict=True))) for items in zip(*mapped.values(), strict=True)
    ]
