"""Facts about sensors: what they saw, and the runs that they asked for."""

from __future__ import annotations

import msgspec

from partita.core.facts.fact import FactBase


class SensorChanged(FactBase, frozen=True, array_like=True, tag="sensor_changed"):
    """A sensor was declared, edited, or (`active` false) is declared no more. `spec` is a packed `SensorSpec`."""

    namespace: str
    name: str
    project: str
    spec: bytes
    active: bool = True


class SensorPaused(FactBase, frozen=True, array_like=True, tag="sensor_paused"):
    """A sensor was paused or resumed."""

    namespace: str
    name: str
    paused: bool
    by: str
    reason: str = ""


class Requested(msgspec.Struct, frozen=True, array_like=True):
    """A run that a sensor asked for: made now (`run`), or known already under its key (`repeated`)."""

    key: str
    run: str
    pipeline: str = ""
    repeated: bool = False
    error: str = ""


class SensorEvaluated(FactBase, frozen=True, array_like=True, tag="sensor_evaluated"):
    """A look at the world: the cursor moves and the runs are made in one commit.

    Looks that saw nothing are not kept one by one: `quiet` such looks before this one are only counted.
    """

    namespace: str
    name: str
    took_s: float
    cursor: bytes | None
    requests: tuple[Requested, ...] = ()
    skipped: str = ""
    error: str = ""
    failures: int = 0
    quiet: int = 0
    output: str = ""


class DeliveryTaken(FactBase, frozen=True, array_like=True, tag="delivery_taken"):
    """A webhook's delivery was taken in; a second one with the same id is not. `body` is kept until it was looked at."""

    namespace: str
    name: str
    delivery: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


SensorFact = SensorChanged | SensorPaused | SensorEvaluated | DeliveryTaken
