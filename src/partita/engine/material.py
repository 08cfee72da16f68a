"""What people are shown to decide on: the arguments of a gate, and the metadata of the steps that made them.

Rule: plain data, bounded, made without importing user code; what cannot be read here is shown as its preview.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from partita.core import plain
from partita.core.events import Meta
from partita.core.facts.gates import Shown
from partita.core.gates import plain_input
from partita.core.graph import steps_read
from partita.core.plan import Instance, index_of, shared_depth
from partita.core.values import Input, Many, Missing, Named, Part, Whole
from partita.define.metadata import Typed, meta
from partita.engine.active import ActiveRun
from partita.store.contract import Reader

_MAX_TEXT: Final = 20_000
_MAX_ROWS: Final = 200
_MAX_PIECES: Final = 200
_MAX_BYTES: Final = 512 << 10
_TYPED: Final = "partita.define.metadata:Typed"


def material(run: ActiveRun, gate: Instance, reader: Reader) -> tuple[Shown, ...]:
    """All that there is to decide on, the gate's own arguments first."""
    pieces: list[Shown] = []
    size = 0
    for piece in _pieces(run, gate, reader):
        size += len(piece.data)
        if size > _MAX_BYTES or len(pieces) >= _MAX_PIECES:
            pieces.append(Shown("…", "text", plain.pack("there is more than can be shown here")))
            break
        pieces.append(piece)
    return tuple(pieces)


def texts(pieces: tuple[Shown, ...]) -> dict[str, str]:
    """The short ones as texts, by name, to be filled into the question."""
    found: dict[str, str] = {}
    for piece in pieces:
        value = plain.unpack(piece.data)
        if not piece.of and isinstance(value, str | int | float) and len(str(value)) <= 200:
            found[piece.name] = str(value)
    return found


def filled(text: str, pieces: tuple[Shown, ...]) -> str:
    """The question with what is known filled in: "deploy {version}?" is "deploy 1.4?".

    >>> filled("deploy {version} to {where}?", (Shown("version", "text", plain.pack("1.4")),))
    'deploy 1.4 to {where}?'
    """
    for name, value in texts(pieces).items() if "{" in text else ():
        text = text.replace("{" + name + "}", value)
    return text


def _pieces(run: ActiveRun, gate: Instance, reader: Reader) -> Iterator[Shown]:
    for name, binding in gate.node.step.args:
        yield _shown(name, run.inputs.one(gate, binding))
    for step in dict.fromkeys(s for _, binding in gate.node.step.args for s in steps_read(binding)):
        for entry in _metadata(run, gate, step, reader):
            yield Shown(entry.name, entry.kind, entry.data, of=step)


def _metadata(run: ActiveRun, gate: Instance, step: str, reader: Reader) -> tuple[Meta, ...]:
    """What the successful attempt of a step that is no list of instances has reported."""
    node = run.machine.plan.nodes.get(step)
    if node is None:
        return ()
    depth = shared_depth(node.step.axes, gate.node.step.axes)
    if depth < node.axis_count:
        return ()
    attempts = reader.attempts(run.id, step=step, index=index_of(gate.path[:depth]))
    return attempts[-1].metadata if attempts and attempts[-1].state == "succeeded" else ()


def _shown(name: str, given: Input) -> Shown:
    found, value = _read(given)
    if not found:
        return Shown(name, "text", plain.pack(_preview(given)))
    entry = meta(name, _cut(value))
    return Shown(name, entry.kind, entry.data)


def _read(given: Input) -> tuple[bool, Any]:
    """The value of an input, with the kinds of `pt.md` kept."""
    if isinstance(given, Whole) and given.value.codec == "plain" and given.value.data is not None:
        try:
            value = plain.unpack(given.value.data, _resolve)
            for part in given.path:
                value = value[part]
            return True, value
        except (LookupError, TypeError, ValueError):
            return False, None
    if isinstance(given, Missing):
        return True, None
    return plain_input(given)


def _resolve(name: str) -> Any:
    return Typed if name == _TYPED else _Fields


class _Fields:
    """Stands for any class of the user's: its fields, or the name of an enum's member."""

    def __class_getitem__(cls, name: str) -> Any:
        return name

    def __new__(cls, *args: Any, **fields: Any) -> Any:
        return fields or list(args)


def _cut(value: Any) -> Any:
    """At most so much of it."""
    if isinstance(value, Typed):
        return Typed(value.kind, _cut(value.value))
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else value[: _MAX_TEXT - 1] + "…"
    if isinstance(value, dict) and set(value) == {"columns", "rows"} and isinstance(value["rows"], list):
        return {"columns": value["columns"], "rows": value["rows"][:_MAX_ROWS]}
    if isinstance(value, list) and len(value) > _MAX_ROWS:
        return [*value[:_MAX_ROWS], f"… and {len(value) - _MAX_ROWS:,} more"]
    if isinstance(value, dt.datetime | dt.date | dt.timedelta):
        return str(value)
    return value


def _preview(given: Input) -> str:
    match given:
        case Whole(value=value) | Part(value=value):
            return value.preview or f"{value.size:,} bytes of {value.codec}"
        case Many(items=items):
            return "\n".join(_preview(item) for item in items[:20])
        case Named(items=pairs):
            return "\n".join(f"{name}: {_preview(item)}" for name, item in pairs[:20])
        case _:
            return "nothing"
