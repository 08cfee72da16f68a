"""What people do with sensors: pause, resume, begin anew, look at once, and try what a look would do.

Rule: each is a fact of who did it, but for a try, which leaves nothing behind.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from partita.core.facts.sensors import SensorPaused, SensorReset
from partita.core.sensing import Memory, to_remember
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.engine.sensor import LISTENING, NEVER, Sensor
from partita.engine.sensor_requests import (
    LookNow,
    PauseSensor,
    ResetSensor,
    SensorDone,
    SensorNow,
    SensorsNow,
    TestSensor,
)
from partita.engine.sensor_trial import Trial
from partita.errors import DefinitionError
from partita.executors.evaluator import Evaluator
from partita.store import sensors as rows


class Planner(Protocol):
    """What is asked of `engine.sensing.Sensing`."""

    def plan(self, sensor: Sensor, at: float) -> None: ...
    def take_up(self, sensor: Sensor, now: float) -> None: ...


class SensorCare:
    """Answers people."""

    def __init__(
        self,
        engine: Engine,
        evaluator: Evaluator,
        now: Callable[[], float],
        sensors: Mapping[tuple[str, str], Sensor],
        planner: Planner,
    ) -> None:
        self._engine = engine
        self._store: Any = engine.store
        self._trial = Trial(self._store, evaluator, now)
        self._clock = now
        self._sensors = sensors
        self._planner = planner

    def handlers(self) -> Mapping[type, Handler]:
        return {
            PauseSensor: self._pause,
            ResetSensor: self._reset,
            LookNow: self._look_now,
            TestSensor: lambda request: self._trial.begin(self._find(request.namespace, request.sensor), request),
            SensorsNow: lambda request: self._now(),
        }

    def _find(self, namespace: str, name: str) -> Sensor:
        sensor = self._sensors.get((namespace, name))
        row = rows.sensor(self._store, namespace, name) if sensor is None else None
        if row is not None and row.active:
            # Its project is not loaded here, or not yet.
            sensor = Sensor.of(row)
        if sensor is None:
            near = difflib.get_close_matches(name, [n for ns, n in self._sensors if ns == namespace], 1)
            hint = f"did you mean {near[0]!r}?" if near else "`partita sensors` lists them"
            raise DefinitionError(f"there is no sensor {name!r}", hint=hint)
        return sensor

    def _pause(self, request: PauseSensor) -> SensorDone:
        sensor = self._find(request.namespace, request.sensor)
        if sensor.paused == request.paused:
            return SensorDone(changed=False)
        now = self._clock()
        sensor.paused, sensor.reason = request.paused, request.reason if request.paused else ""
        sensor.version += 1
        if sensor.spec.of != "webhook":
            # What happens meanwhile is not its business; deliveries are kept, for nobody sends them again.
            sensor.told.clear()
        heard = 0 if sensor.paused else self._store.end_of_stream()
        self._engine.record(SensorPaused(now, *sensor.id, sensor.paused, request.by, sensor.reason, heard))
        if sensor.paused:
            self._planner.plan(sensor, NEVER)
        else:
            self._planner.take_up(sensor, now)
        return SensorDone()

    def _reset(self, request: ResetSensor) -> SensorDone:
        sensor = self._find(request.namespace, request.sensor)
        sensor.state = None if request.cursor is None else to_remember(Memory(cursor=request.cursor))
        sensor.version += 1
        sensor.failures, sensor.skipped = 0, ""
        now = self._clock()
        self._engine.record(SensorReset(now, *sensor.id, sensor.state, request.by))
        if not sensor.paused and not sensor.looking and sensor.spec.of not in LISTENING:
            self._planner.plan(sensor, now)
        return SensorDone()

    def _look_now(self, request: LookNow) -> SensorDone:
        sensor = self._find(request.namespace, request.sensor)
        if sensor.paused:
            raise DefinitionError(f"sensor {sensor.name} is paused", hint=f"partita sensors resume {sensor.name}")
        if sensor.spec.of == "absence":
            raise DefinitionError(
                f"sensor {sensor.name} decides at its times only", hint=f"partita sensors test {sensor.name}"
            )
        if not sensor.looking:
            self._planner.plan(sensor, self._clock())
        return SensorDone()

    def _now(self) -> tuple[SensorNow, ...]:
        return tuple(
            SensorNow(
                s.namespace,
                s.name,
                next_at=None if s.next_at == NEVER else s.next_at,
                last_at=s.last_at,
                looking=s.looking,
                waiting=len(s.told),
                quiet=s.quiet,
                skipped=s.skipped,
                failures=s.failures,
            )
            for s in self._sensors.values()
        )
