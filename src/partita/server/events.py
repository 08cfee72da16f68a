"""What happened, as it goes over the wire: a row of the journal, with its events or facts as JSON.

Rule: packed bytes are shown by name or not at all. What is about who may do what (users, tokens, secrets, answers) is not
shown here; the audit is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from partita.core.events import Event, Meta
from partita.core.facts import Fact
from partita.core.facts.access import AccessFact
from partita.core.values import Value
from partita.server import objects
from partita.store.contract import StreamRow

_HIDDEN: Final = AccessFact.__args__
# Packed plain data that may be shown.
_PLAIN: Final = {("gate_voted", "answer"), ("attempt_ended", "choice")}
_SEALED: Final = {"headers"}


class Happened(msgspec.Struct, frozen=True):
    """One row of the journal: what was committed together. `no` is its place and the cursor, `run` the run's id ("" = it is
    about none); each event has `kind`, `at` and its own fields."""

    no: int
    run: str
    at: str | None
    events: list[dict[str, Any]]


def happened(row: StreamRow, wanted: Callable[[Event | Fact], bool] = lambda event: True) -> Happened | None:
    """A row with those of its events that are wanted and may be shown; None if there are none."""
    events = [
        event_object(event) for event in (*row.events, *row.facts) if not isinstance(event, _HIDDEN) and wanted(event)
    ]
    return Happened(row.no, row.run, objects.iso(row.at), events) if events else None


def kind_of(event: Event | Fact) -> str:
    """The kind of an event: "run_created"."""
    return str(type(event).__struct_config__.tag)


def event_object(event: Event | Fact) -> dict[str, Any]:
    """An event or fact as JSON."""
    kind = kind_of(event)
    found: dict[str, Any] = {"kind": kind}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "at":
            found[name] = objects.iso(value)
        elif name == "params" and isinstance(value, dict):
            found[name] = {key: objects.plain(data) for key, data in value.items()}
        elif isinstance(value, Value):
            found[name] = msgspec.to_builtins(objects.value(value))
        elif isinstance(value, bytes):
            if (kind, name) in _PLAIN:
                found[name] = objects.plain(value)
        elif name not in _SEALED:
            found[name] = _field(value)
    return found


def _field(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        if isinstance(value, Meta):
            return {"name": value.name, "kind": value.kind, "value": objects.plain(value.data)}
        return {
            name: _field(getattr(value, name))
            for name in value.__struct_fields__
            if not isinstance(getattr(value, name), bytes)
        }
    if isinstance(value, list | tuple):
        return [_field(v) for v in value if not isinstance(v, bytes)]
    return value
