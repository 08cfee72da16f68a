"""The step instances of a run as a screen lists ten thousand of them: little of each, and nothing decoded.

Rule: functions over a reader (`reader.fetch(name, params)`); the statements are in `sql/instances.sql`.
"""

from __future__ import annotations

import msgspec

from partita.store.named import Fetching


class Stand(msgspec.Struct, frozen=True):
    """How an instance stands, by its rows. `attempts`: how many there were, 0 = it ended without one."""

    step: str
    index: str
    state: str
    attempts: int
    started_at: float | None
    finished_at: float | None


def stands(reader: Fetching, run: str) -> list[Stand]:
    """All instances of a run that have done something, each once, in no order."""
    tries = {(step, index): row for step, index, *row in reader.fetch("instance_tries", (run,))}
    found = []
    for step, index, state, finished_at in reader.fetch("instance_ends", (run,)):
        attempts, started_at, tried_until, is_open = tries.pop((step, index), (0, None, None, 0))
        if is_open:
            state, finished_at = "running", None
        elif finished_at is None:
            finished_at = tried_until if state not in ("ready", "waiting") else None
        found.append(Stand(step, index, state, attempts, started_at, finished_at))
    for (step, index), (attempts, started_at, tried_until, is_open) in tries.items():
        state = "running" if is_open else "ready"
        found.append(Stand(step, index, state, attempts, started_at, None if is_open else tried_until))
    return found
