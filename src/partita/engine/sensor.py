"""One sensor that is served: what is declared, and how it stands.

Rule: plain state, changed by the part of the service that lets sensors look, in the engine's thread.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

from partita.core import plain
from partita.core.manifest import SensorSpec
from partita.core.sensing import Event
from partita.store.sensors import SensorRow

LISTENING: Final = ("run_end", "asset", "absence", "webhook")
"""Kinds that look when there is something for them, and not at intervals."""
HEARING: Final = ("run_end", "asset")
"""Kinds that are told what was committed."""
QUARANTINED: Final = 5
"""So many failures in a row: then it is shown as failing, and tried only now and then."""
NEVER: Final = math.inf


class Sensor:
    """A sensor that is served. `told` is what it is to look at, in order; `version` counts its changes."""

    __slots__ = (
        "failures",
        "last_at",
        "looking",
        "namespace",
        "next_at",
        "options",
        "paused",
        "project",
        "quiet",
        "reason",
        "skipped",
        "spec",
        "state",
        "told",
        "version",
    )

    def __init__(self, namespace: str, project: str, spec: SensorSpec) -> None:
        self.namespace = namespace
        self.project = project
        self.paused = spec.paused
        self.reason = ""
        self.state: bytes | None = None
        self.failures = 0
        self.looking = False
        self.next_at = NEVER
        self.last_at: float | None = None
        # Looks that saw nothing since the last one that is kept, and why they did not.
        self.quiet = 0
        self.skipped = ""
        self.told: deque[Event] = deque()
        self.version = 0
        self.declare(spec)

    @staticmethod
    def of(row: SensorRow) -> Sensor:
        """A sensor as the store knows it."""
        sensor = Sensor(row.namespace, row.project, row.spec)
        sensor.state, sensor.last_at = row.state, row.evaluated_at
        sensor.paused, sensor.reason, sensor.failures = row.paused, row.reason, row.failures
        return sensor

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def id(self) -> tuple[str, str]:
        return self.namespace, self.spec.name

    def declare(self, spec: SensorSpec) -> None:
        """It is as `spec` says from now on."""
        self.spec = spec
        self.options: dict[str, Any] = plain.unpack(spec.options) if spec.options else {}
        self.version += 1
