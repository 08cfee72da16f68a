"""Facts about sensors: what they saw, and the runs that they asked for."""

from __future__ import annotations

import msgspec

from partita.core.facts.fact import FactBase


class SensorChanged(FactBase, frozen=True, array_like=True, tag="sensor_changed"):
    """A sensor was declared, edited, or (`active` false) is declared no more. `spec` is a packed `SensorSpec`.

    `paused` and `heard` count for a new one only: a number of the journal, what came up to there is not its business.
    """

    namespace: str
    name: str
    project: str
    spec: bytes
    active: bool = True
    paused: bool = False
    heard: int = 0


class SensorPaused(FactBase, frozen=True, array_like=True, tag="sensor_paused"):
    """A sensor was paused or resumed; what happened meanwhile, up to `heard`, is not its business."""

    namespace: str
    name: str
    paused: bool
    by: str
    reason: str = ""
    heard: int = 0


class SensorReset(FactBase, frozen=True, array_like=True, tag="sensor_reset"):
    """Somebody set what a sensor remembers; None = it begins anew."""

    namespace: str
    name: str
    state: bytes | None
    by: str


class SensorsHeard(FactBase, frozen=True, array_like=True, tag="sensors_heard"):
    """All sensors that listen have heard the journal up to a number."""

    heard: int


class Requested(msgspec.Struct, frozen=True, array_like=True):
    """A key under which a sensor asked for a run: made now (`run`), or known already (`repeated`)."""

    key: str
    run: str
    pipeline: str = ""
    repeated: bool = False
    error: str = ""


class SensorEvaluated(FactBase, frozen=True, array_like=True, tag="sensor_evaluated"):
    """A look at the world: the cursor moves and the runs are made in one commit.

    Looks that saw nothing are not kept one by one: `quiet` such looks before this one are only counted. `cursor` is all
    that the sensor remembers. `delivered` are the deliveries that it has dealt with, `dropped` those that it gave up.
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
    delivered: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    heard: int | None = None


class DeliveryTaken(FactBase, frozen=True, array_like=True, tag="delivery_taken"):
    """A webhook's delivery was taken in; a second one with the same id is not. `body` is kept until it was looked at."""

    namespace: str
    name: str
    delivery: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


SensorFact = SensorChanged | SensorPaused | SensorReset | SensorsHeard | SensorEvaluated | DeliveryTaken
