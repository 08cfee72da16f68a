"""Trying a sensor: it looks without consequences.

Rule: the cursor stays, no run is made, nothing is kept. Its function is called, and what that does is done.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec

from partita.core import plain
from partita.core.sensing import Event, Memory, remembered, to_remember
from partita.engine.absence import event_of
from partita.engine.deliveries import fields_of
from partita.engine.sensor import Sensor
from partita.engine.sensor_requests import TestedRun, TestSensor, TestSensorAnswer
from partita.executors.evaluator import Evaluator
from partita.store import sensors as rows
from partita.worker.questions import Answered, EvaluateSensor, SensorLook, WantedRun

_encode = msgspec.msgpack.Encoder().encode
_MOST_TRIED = 200


class Trial:
    """Tries sensors over what a store knows of them."""

    def __init__(self, store: Any, evaluator: Evaluator, now: Callable[[], float]) -> None:
        self._store = store
        self._evaluator = evaluator
        self._now = now

    def begin(self, sensor: Sensor, request: TestSensor) -> Future[TestSensorAnswer]:
        """Let it look; the answer is what it would do."""
        state = sensor.state if request.cursor is None else to_remember(Memory(cursor=request.cursor))
        now = self._now()
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
