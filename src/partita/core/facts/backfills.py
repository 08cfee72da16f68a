"""Facts about backfills."""

from __future__ import annotations

from typing import Literal

from partita.core.facts.fact import FactBase


class BackfillCreated(FactBase, frozen=True, array_like=True, tag="backfill_created"):
    """A planned set of partitions is to be run. `spec` is a packed `core.backfill.BackfillSpec`; `parts` are its units
    of work in their order, each one or several partition keys (joined by newline) of one run.
    """

    id: str
    namespace: str
    project: str
    target: str
    by: str
    spec: bytes
    parts: tuple[str, ...]
    priority: int = 0


class BackfillAsked(FactBase, frozen=True, array_like=True, tag="backfill_asked"):
    """Somebody paused, resumed or cancelled it."""

    id: str
    what: Literal["pause", "resume", "cancel"]
    by: str
    reason: str = ""


class PartStarted(FactBase, frozen=True, array_like=True, tag="part_started"):
    """The run of a part was made (in this commit). `stage` counts the pipelines of a cascade from 0."""

    id: str
    part: int
    run: str
    stage: int = 0


class PartEnded(FactBase, frozen=True, array_like=True, tag="part_ended"):
    """A part is done with."""

    id: str
    part: int
    state: Literal["succeeded", "failed", "cancelled", "skipped"]
    run: str = ""
    reason: str = ""
    stage: int = 0


class BackfillEnded(FactBase, frozen=True, array_like=True, tag="backfill_ended"):
    """All parts are done with."""

    id: str
    state: Literal["succeeded", "failed", "cancelled"]
    reason: str = ""


BackfillFact = BackfillCreated | BackfillAsked | PartStarted | PartEnded | BackfillEnded
