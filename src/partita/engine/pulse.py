"""How the engine is just now, in numbers, and where queued runs stand in line: the requests and their answers.

Rule: asking changes nothing; light to import, for the web process sends these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from partita.engine.loop import Engine


class TakePulse(msgspec.Struct, frozen=True, tag="take_pulse"):
    """How is the engine?"""


class Pulse(msgspec.Struct, frozen=True):
    """Numbers of this engine since it started. `busy_s` is the time of its `turns`, without waiting for something to do."""

    queued_runs: int
    active_runs: int
    open_attempts: int
    # Ready steps that no worker has yet.
    ready_steps: int
    turns: int
    busy_s: float
    slowest_s: float
    blocked: bool
    troubles: int


class AskPlaces(msgspec.Struct, frozen=True, tag="ask_places"):
    """Where do these runs stand in line?"""

    runs: tuple[str, ...]


class Place(msgspec.Struct, frozen=True):
    """A queued run: how many of its namespace come `before` it, and what it waits for ("" = only its turn)."""

    run: str
    before: int
    refusal: str = ""


def pulse(engine: Engine) -> Pulse:
    """How the engine is."""
    return Pulse(
        queued_runs=len(engine.queue),
        active_runs=len(engine.active),
        open_attempts=engine.open_attempts,
        ready_steps=sum(len(lane.queue) for run in engine.active.values() for lane in run.lanes.values()),
        turns=engine.turns,
        busy_s=round(engine.busy_s, 6),
        slowest_s=round(engine.slowest_s, 6),
        blocked=bool(engine.blocked),
        troubles=len(engine.troubles),
    )


def places(engine: Engine, request: AskPlaces) -> tuple[Place, ...]:
    """Where the runs stand that are queued; the others are left out."""
    found = []
    for run, before in engine.queue.places_in_line(request.runs).items():
        full = engine.queue.refusal(run)
        found.append(Place(run, before, str(full) if full is not None else ""))
    return tuple(found)
