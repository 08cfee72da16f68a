"""Arguments as the user wrote them, turned into bindings of the graph.

Rule: constants become packed plain data here, at definition time, so what cannot be stored is found before any run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from partita.core.graph import Binding, Const, DictOf, ListOf
from partita.core.plain import NotPlain, pack
from partita.define.handles import GroupHandle, Handle
from partita.define.where import wrong

if TYPE_CHECKING:
    from partita.define.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that `.map` passes to every instance as it is; made by `pt.const`."""

    value: Any


def const(value: Any) -> Any:
    """A constant beside mapped arguments: `load.map(tables, columns=pt.const(["a", "b"]))`."""
    return Constant(value)


def bind(tracer: Tracer, value: Any, of: str) -> Binding:
    """The binding of an argument; `of` says which one, for errors."""
    try:
        return _bind(tracer, value, of)
    except RecursionError:
        raise wrong(f"{of} cannot be stored: it contains itself") from None


def _bind(tracer: Tracer, value: Any, of: str) -> Binding:
    if isinstance(value, Handle):
        return tracer.readable(value, of)
    if isinstance(value, Constant):
        return _bind(tracer, value.value, of)
    if isinstance(value, GroupHandle):
        raise wrong(f"{of}: the group {value!r} returns no value", hint="return one from the group's function")
    if isinstance(value, list | tuple | dict) and any(True for _ in handles_in(value)):
        if isinstance(value, dict):
            return DictOf(
                tuple((_text_key(key, of), _bind(tracer, item, f"{of}[{key!r}]")) for key, item in value.items())
            )
        return ListOf(tuple(_bind(tracer, item, f"{of}[{i}]") for i, item in enumerate(value)))
    return Const(packed(value, of))


def packed(value: Any, of: str) -> bytes:
    """The constant as plain data. Raises `DefinitionError` if it cannot be stored."""
    try:
        return pack(value)
    except NotPlain as error:
        place = f" at {error.path}" if error.path else ""
        raise wrong(
            f"{of} cannot be stored: {error.type_name}{place} is not plain data",
            hint="pass numbers, texts, dates, lists, dicts, dataclasses or pydantic models; make other objects inside of a task",
        ) from None


def handles_in(value: Any) -> Iterator[Handle | GroupHandle]:
    """The handles in a value, lists, tuples and dicts included."""
    if isinstance(value, Handle | GroupHandle):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from handles_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from handles_in(item)


def _text_key(key: object, of: str) -> str:
    if isinstance(key, str):
        return key
    raise wrong(f"{of}: a dict with results of steps in it must have strings as keys, not {key!r}")
