"""What people do with sensors: pause, resume, begin anew, look at once, and try what a look would do.

Rule: each is a fact of who did it, but for a try, which leaves nothing behind.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from partita.core import plain
from partita.core.facts.sensors import SensorPaused, SensorReset
from partita.core.sensing import Event, Memory, remembered, to_remember
from partita.engine.control import Handler
from partita.engine.deliveries import fields_of
from partita.engine.loop import Engine
from partita.engine.sensor import LISTENING, NEVER, Sensor
from partita.engine.sensor_requests import (
    LookNow,
    PauseSensor,
    ResetSensor,
    SensorDone,
    SensorNow,
    SensorsNow,
    TestedRun,
    TestSensor,
    TestSensorAnswer,
)
from partita.errors import DefinitionError
from partita.executors.evaluator import Evaluator
from partita.store import sensors as rows
from partita.worker.questions import Answered, EvaluateSensor, SensorLook, WantedRun

_encode = msgspec.msgpack.Encoder().encode
_MOST_TRIED = 200


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
        self._evaluator = evaluator
        self._clock = now
        self._sensors = sensors
        self._planner = planner

    def handlers(self) -> Mapping[type, Handler]:
        return {
            PauseSensor: self._pause,
            ResetSensor: self._reset,
            LookNow: self._look_now,
            TestSensor: self._test,
            SensorsNow: lambda request: self._now(),
        }

    def _find(self, namespace: str, name: str) -> Sensor:
        sensor = self._sensors.get((namespace, name))
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

    # --- trying ---------------------------------------------------------------------------------------------------

    def _test(self, request: TestSensor) -> Future[TestSensorAnswer]:
        """Let it look without consequences: the cursor stays, no run is made, nothing is kept."""
        sensor = self._find(request.namespace, request.sensor)
        state = sensor.state if request.cursor is None else to_remember(Memory(cursor=request.cursor))
        now = self._clock()
        events = self._events(sensor, request.event, now)
        question = EvaluateSensor(sensor.spec, state, now, tuple(_encode(event) for event in events))
        asked = self._evaluator.ask(sensor.project, question, timeout_s=min(sensor.spec.timeout_s, 25.0))
        answer: Future[TestSensorAnswer] = Future()
        asked.add_done_callback(lambda done: answer.set_result(self._told(sensor, done)))
        return answer

    def _events(self, sensor: Sensor, given: bytes | None, now: float) -> list[Event]:
        if given is not None:
            data = plain.unpack(given)
            if sensor.spec.of == "webhook":
                data = fields_of("test", _body(data), (), now)
            return [Event("test", plain.pack(data))]
        if sensor.spec.of == "absence" and not sensor.told:
            from partita.engine.absence import event_of

            found = event_of(sensor, self._store, now)
            return [found] if found is not None else []
        return list(itertools.islice(sensor.told, _MOST_TRIED))

    def _told(self, sensor: Sensor, asked: Future[Answered]) -> TestSensorAnswer:
        error = asked.exception()
        if error is not None:
            return TestSensorAnswer(error=getattr(error, "message", str(error)))
        answered = asked.result()
        look, failure = answered.answer, answered.failure
        if not isinstance(look, SensorLook):
            return TestSensorAnswer(
                error=failure.message if failure else "no answer",
                traceback=failure.traceback if failure else "",
                output=answered.output,
                took_s=answered.took_s,
            )
        memory = remembered(look.state)
        return TestSensorAnswer(
            runs=tuple(self._tried(sensor, run) for run in look.requests),
            skipped=look.skipped,
            cursor=memory.cursor,
            waiting=len(memory.pending),
            output=answered.output,
            took_s=answered.took_s,
        )

    def _tried(self, sensor: Sensor, run: WantedRun) -> TestedRun:
        is_known = bool(run.keys) and all(rows.run_of_key(self._store, *sensor.id, key) for key in run.keys)
        params = plain.unpack(run.raw) if run.raw else {n: plain.unpack(v) for n, v in run.params.items()}
        return TestedRun(run.pipeline, run.keys, plain.pack(params), run.partition, run.tags, is_known)


def _body(data: Any) -> bytes:
    """What a test gives as a delivery, as the body of one."""
    if isinstance(data, bytes):
        return data
    return data.encode() if isinstance(data, str) else msgspec.json.encode(data)
