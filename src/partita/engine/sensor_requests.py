"""What the engine can be asked about sensors, and its answers (`engine.control`).

Rule: plain data, light to import.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class PauseSensor(msgspec.Struct, frozen=True, tag="pause_sensor"):
    """Let a sensor look no more, or again."""

    sensor: str
    by: str
    paused: bool = True
    reason: str = ""
    namespace: str = "default"


class ResetSensor(msgspec.Struct, frozen=True, tag="reset_sensor"):
    """Set what a sensor remembers: a packed cursor, or None to begin anew. Keys of runs stay known."""

    sensor: str
    by: str
    cursor: bytes | None = None
    namespace: str = "default"


class LookNow(msgspec.Struct, frozen=True, tag="look_now"):
    """Let a sensor look at once, whatever its interval says."""

    sensor: str
    namespace: str = "default"


class SensorDone(msgspec.Struct, frozen=True):
    """It was done. `changed` False: it was so already."""

    changed: bool = True


class TestSensor(msgspec.Struct, frozen=True, tag="test_sensor"):
    """Let a sensor look without consequences. `cursor` (packed) instead of its own; `event` (packed): what it is told."""

    # No class of tests, whatever pytest thinks.
    __test__ = False

    sensor: str
    cursor: bytes | None = None
    event: bytes | None = None
    namespace: str = "default"


class TestedRun(msgspec.Struct, frozen=True):
    """A run that there would be. `params` is a packed dict; `repeated`: its key is known, so there would be none."""

    __test__ = False

    pipeline: str
    keys: tuple[str, ...]
    params: bytes
    partition: str = ""
    tags: tuple[str, ...] = ()
    repeated: bool = False


class TestSensorAnswer(msgspec.Struct, frozen=True):
    """What a look would do. `cursor` (packed) as it would be; `waiting` events would wait for more; or the error."""

    __test__ = False

    runs: tuple[TestedRun, ...] = ()
    skipped: str = ""
    cursor: bytes | None = None
    waiting: int = 0
    error: str = ""
    traceback: str = ""
    output: str = ""
    took_s: float = 0.0


class SensorsNow(msgspec.Struct, frozen=True, tag="sensors_now"):
    """How all sensors stand in the engine, beyond what the store says."""


class SensorNow(msgspec.Struct, frozen=True):
    """One sensor: when it looks next (None: when it is told of something), and what waits for it."""

    namespace: str
    name: str
    next_at: float | None = None
    last_at: float | None = None
    looking: bool = False
    waiting: int = 0
    # Looks that saw nothing, since the last one that is kept.
    quiet: int = 0
    skipped: str = ""
    failures: int = 0


class DeliveryArrived(msgspec.Struct, frozen=True, tag="delivery_arrived"):
    """A webhook was called: the body's bytes as they came, and its headers."""

    sensor: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    namespace: str = "default"


class DeliveryAnswer(msgspec.Struct, frozen=True):
    """What became of it; `accepted` only when it is durable. For HTTP: 202, 200, 401, 404, 413, 503.

    `reason` is for the log of whoever runs the service; a refused caller is told nothing of it.
    """

    state: Literal["accepted", "duplicate", "refused", "unknown", "too_large", "busy"]
    delivery: str = ""
    reason: str = ""
