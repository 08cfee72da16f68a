"""Facts about backfills."""

from __future__ import annotations

from typing import Literal

from partita.core.facts.fact import FactBase


class BackfillCreated(FactBase, frozen=True, array_like=True, tag="backfill_created"):
    """A planned set of partitions is to be run. `spec` and `work` are packed (`core.backfill`): what was asked for, and
    what was planned; `total` counts the parts (runs), `partitions` the partitions.
    """

    id: str
    namespace: str
    project: str
    target: str
    by: str
    spec: bytes
    work: bytes
    total: int
    partitions: int
    priority: int = 0


class BackfillAsked(FactBase, frozen=True, array_like=True, tag="backfill_asked"):
    """Somebody paused, resumed or cancelled it."""

    id: str
    what: Literal["pause", "resume", "cancel"]
    by: str
    reason: str = ""


class BackfillWaits(FactBase, frozen=True, array_like=True, tag="backfill_waits"):
    """It cannot go on for now, and why; or it goes on (`reason` empty)."""

    id: str
    reason: str = ""


class BackfillRetried(FactBase, frozen=True, array_like=True, tag="backfill_retried"):
    """Somebody had what failed, was skipped or was cancelled run again: such parts wait anew."""

    id: str
    by: str


class PartStarted(FactBase, frozen=True, array_like=True, tag="part_started"):
    """The run of a part was made (in this commit). `stage` counts what a cascade makes, one after the other, from 0."""

    id: str
    stage: int
    part: int
    partition: str
    run: str


class PartEnded(FactBase, frozen=True, array_like=True, tag="part_ended"):
    """A part is done with."""

    id: str
    stage: int
    part: int
    partition: str
    state: Literal["succeeded", "failed", "cancelled", "skipped"]
    run: str = ""
    reason: str = ""


class BackfillEnded(FactBase, frozen=True, array_like=True, tag="backfill_ended"):
    """All parts are done with."""

    id: str
    state: Literal["succeeded", "failed", "cancelled"]
    reason: str = ""


BackfillFact = (
    BackfillCreated | BackfillAsked | BackfillWaits | BackfillRetried | PartStarted | PartEnded | BackfillEnded
)
