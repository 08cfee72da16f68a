"""What a sensor makes of what it has seen: events gathered into requests, conditions over assets, matching of runs.

Rule: pure. Where an event comes from and what becomes of a request is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

MOST_REQUESTS: Final = 1000
"""So many runs one look may ask for."""

# The longest that a burst without end can put off its run, in debounce times.
_PATIENCE = 10
_FIELD = re.compile(r"\{(\w+)\}", re.ASCII)


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that a sensor has seen, under a key of its own. `data`: packed plain data."""

    key: str
    data: bytes


class Memory(msgspec.Struct, frozen=True, array_like=True):
    """What a sensor keeps from look to look: its cursor (packed), and events that wait for more."""

    cursor: bytes | None = None
    pending: tuple[Event, ...] = ()
    first_at: float = 0.0
    last_at: float = 0.0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Memory)


def remembered(state: bytes | None) -> Memory:
    """The memory of its bytes."""
    return _decoder.decode(state) if state else Memory()


def to_remember(memory: Memory) -> bytes:
    """The bytes of a memory."""
    return _encoder.encode(memory)


def gathered(
    memory: Memory, seen: Sequence[Event], now: float, *, debounce_s: float, batch: int
) -> tuple[Memory, list[tuple[Event, ...]]]:
    """The groups of events that are to become a request each, and the memory with those that wait.

    Without debounce nothing waits: each event is a group, or up to `batch` of them. With it they wait until nothing has
    come for so long, and are one group then (or groups of `batch`); a burst without end is not put off for ever.
    """
    pending = (*memory.pending, *seen)
    first_at = memory.first_at if memory.pending else now
    last_at = now if seen or not memory.pending else memory.last_at
    if debounce_s <= 0:
        return msgspec.structs.replace(memory, pending=()), list(_groups(pending, max(batch, 1)))
    if pending and now < min(last_at + debounce_s, first_at + _PATIENCE * debounce_s):
        full = len(pending) // batch * batch if batch else 0
        rest = msgspec.structs.replace(memory, pending=pending[full:], first_at=first_at, last_at=last_at)
        return rest, list(_groups(pending[:full], max(batch, 1)))
    return msgspec.structs.replace(memory, pending=()), list(_groups(pending, batch or len(pending) or 1))


def waits_until(memory: Memory, debounce_s: float) -> float | None:
    """When the events that wait become a request, if nothing more comes."""
    if not memory.pending:
        return None
    return min(memory.last_at + debounce_s, memory.first_at + _PATIENCE * debounce_s)


def _groups(events: Sequence[Event], size: int) -> Iterable[tuple[Event, ...]]:
    return (tuple(events[start : start + size]) for start in range(0, len(events), size))


def filled(template: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with the fields of an event: "{path}" alone is the field itself, in a longer text its text.

    >>> filled({"file": "{path}", "note": "size {size}", "full": True}, {"path": "a.csv", "size": 3})
    {'file': 'a.csv', 'note': 'size 3', 'full': True}
    """
    return {name: _filled(value, fields) for name, value in template.items()}


def _filled(value: Any, fields: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    whole = _FIELD.fullmatch(value)
    if whole:
        return _field(whole[1], fields)
    return _FIELD.sub(lambda match: str(_field(match[1], fields)), value)


def _field(name: str, fields: Mapping[str, Any]) -> Any:
    if name not in fields:
        raise LookupError(f"there is no {{{name}}} here, there is {', '.join(f'{{{f}}}' for f in fields)}")
    return fields[name]


# --- runs and assets ------------------------------------------------------------------------------------------------


def wants_run(options: Mapping[str, Any], pipeline: str, state: str, tags: Sequence[str] = ()) -> bool:
    """Whether the end of a run is what a sensor listens for."""
    pipelines, states, wanted = options.get("pipelines"), options.get("states"), options.get("tags")
    return (
        (not pipelines or pipeline in pipelines)
        and (not states or state in states)
        and (not wanted or bool(set(wanted) & set(tags)))
    )


def assets_of(condition: Any) -> set[str]:
    """The assets in a condition: a name, or ["all" | "any", condition, ...]."""
    if isinstance(condition, str):
        return {condition}
    return {asset for part in condition[1:] for asset in assets_of(part)}


def is_satisfied(condition: Any, updated: set[str]) -> bool:
    """Whether these updates are enough.

    >>> is_satisfied(["all", "orders", ["any", "eu", "us"]], {"orders", "us"})
    True
    """
    if isinstance(condition, str):
        return condition in updated
    kind = all if condition[0] == "all" else any
    return kind(is_satisfied(part, updated) for part in condition[1:])


def backoff_s(interval_s: float, failures: int) -> float:
    """How long a sensor rests that has failed so often in a row: doubled each time, up to a quarter of an hour."""
    if failures <= 0:
        return interval_s
    return max(interval_s, min(900.0, max(interval_s, 1.0) * 2.0 ** min(failures - 1, 20)))
