"""Numbers for whoever watches the service: how many there are of what.

Rule: counts only, no names; each costs an index or what is declared, never the history of what was declared.
"""

from __future__ import annotations

from typing import Any

import msgspec

from partita.core.states import RUN_MOVES
from partita.store.database import Row
from partita.store.named import Fetching

_NONE = -1e300


class Declared(msgspec.Struct, frozen=True):
    """Schedules or sensors that are declared: how many, how many of them paused or failing; `next_at` of the first tick to
    come, `looks` of all sensors."""

    count: int
    paused: int
    failing: int
    next_at: float | None = None
    looks: int = 0


def runs_by_state(reader: Fetching) -> dict[str, int]:
    """How many runs are in each state."""
    return {state: _one(reader, "count_runs_in_state", state)[0] for state in RUN_MOVES}


def running_backfills(reader: Fetching) -> int:
    """How many backfills have not ended."""
    return int(_one(reader, "count_backfills_in_state", "running")[0])


def open_gates(reader: Fetching, of: str) -> int:
    """How many steps wait for people ("approval"), another system ("external"), the world ("condition")."""
    return int(_one(reader, "count_open_gates", of)[0])


def outbox(reader: Fetching) -> tuple[int, float | None]:
    """How many messages are still to be sent, and when the first of them is due."""
    count, due_at = _one(reader, "numbers_of_outbox", _NONE)
    return count, due_at


def schedules(reader: Fetching) -> Declared:
    """Schedules that are declared."""
    count, paused, failing, next_at = _one(reader, "numbers_of_schedules", "")
    return Declared(count, paused, failing, next_at=next_at)


def sensors(reader: Fetching) -> Declared:
    """Sensors that are declared."""
    count, paused, failing, looks = _one(reader, "numbers_of_sensors", "")
    return Declared(count, paused, failing, looks=looks)


def _one(reader: Fetching, name: str, param: Any) -> Row:
    return reader.fetch(name, (param,))[0]
