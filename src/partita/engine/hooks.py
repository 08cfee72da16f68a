"""Deliveries of webhooks on their way in: verified, told apart, durable before they are acknowledged.

The key of a signature is read by the project's own process (it may lie in a vault), and kept here for a minute.

Rule: a delivery is accepted when its fact is committed, and not before; everything else is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from partita.core import plain
from partita.core.facts.sensors import DeliveryTaken
from partita.core.sensing import Event
from partita.engine.deliveries import delivery_id, fields_of, is_told, refusal
from partita.engine.loop import Engine
from partita.engine.sensor import Sensor
from partita.engine.sensor_requests import DeliveryAnswer, DeliveryArrived
from partita.executors.evaluator import Evaluator
from partita.store import sensors as rows
from partita.worker.questions import Answered, ReadSecret, Returned

MOST_WAITING: Final = 10_000
"""Deliveries that wait for a webhook's looks; further ones are asked to come again later."""
_FRESH_S = 60.0


class Hooks:
    """Takes deliveries in. `tell` gives a sensor what was delivered to it."""

    def __init__(
        self, engine: Engine, evaluator: Evaluator, now: Callable[[], float], tell: Callable[[Sensor, Event], None]
    ) -> None:
        self._engine = engine
        self._store: Any = engine.store
        self._evaluator = evaluator
        self._now = now
        self._tell = tell
        # Values of secrets by project and name, with when they are read again.
        self._keys: dict[tuple[str, str], tuple[bytes, float]] = {}
        # Staged deliveries, which the store does not know yet, and who waits for each to be durable.
        self._staged: dict[tuple[str, str, str], Future[DeliveryAnswer]] = {}

    def arrive(self, sensor: Sensor, request: DeliveryArrived) -> DeliveryAnswer | Future[DeliveryAnswer]:
        """Take a delivery in."""
        most = int(sensor.options["max_bytes"])
        if len(request.body) > most:
            return DeliveryAnswer("too_large", reason=f"more than {most} bytes")
        secret = sensor.options.get("secret")
        if not secret:
            return self._verified(sensor, request, None)
        value, until = self._keys.get((sensor.project, secret), (b"", 0.0))
        if value and 0 <= until - self._now() <= _FRESH_S:
            return self._verified(sensor, request, value)
        answer: Future[DeliveryAnswer] = Future()
        asked = self._evaluator.ask(sensor.project, ReadSecret(secret), timeout_s=15.0)
        asked.add_done_callback(lambda done: self._with_key(sensor, request, secret, done, answer))
        return answer

    def committed(self) -> None:
        """What was staged is durable."""
        staged, self._staged = self._staged, {}
        for (_, _, delivery), answer in staged.items():
            answer.set_result(DeliveryAnswer("accepted", delivery))

    def _with_key(
        self,
        sensor: Sensor,
        request: DeliveryArrived,
        secret: str,
        asked: Future[Answered],
        answer: Future[DeliveryAnswer],
    ) -> None:
        if asked.exception() is not None:
            answer.set_result(DeliveryAnswer("busy", reason=str(asked.exception())))
            return
        answered = asked.result()
        if not isinstance(answered.answer, Returned):
            reason = answered.failure.message if answered.failure else f"the secret {secret} cannot be read"
            answer.set_result(DeliveryAnswer("refused", reason=reason))
            return
        value = str(plain.unpack(answered.answer.value)).encode("utf-8", "surrogatepass")
        self._keys[sensor.project, secret] = (value, self._now() + _FRESH_S)
        found = self._verified(sensor, request, value)
        if isinstance(found, Future):
            found.add_done_callback(lambda done: answer.set_result(done.result()))
        else:
            answer.set_result(found)

    def _verified(
        self, sensor: Sensor, request: DeliveryArrived, key: bytes | None
    ) -> DeliveryAnswer | Future[DeliveryAnswer]:
        now = self._now()
        headers = {name.lower(): value for name, value in request.headers}
        if reason := refusal(sensor.options, request.body, headers, key, now):
            return DeliveryAnswer("refused", reason=reason)
        delivery = delivery_id(sensor.options, request.body, headers)
        known = (*sensor.id, delivery)
        if known in self._staged:
            # It is not durable yet, so this is no duplicate of one that is: both hear of it together.
            return self._staged[known]
        if rows.is_delivered(self._store, *known):
            return DeliveryAnswer("duplicate", delivery)
        if len(sensor.told) >= MOST_WAITING:
            return DeliveryAnswer("busy", delivery, reason=f"{MOST_WAITING} deliveries wait already")
        kept = tuple(sorted((name, value) for name, value in headers.items() if is_told(name, sensor.options)))
        self._engine.record(DeliveryTaken(now, *known, request.body, kept))
        self._tell(sensor, delivered(delivery, request.body, kept, now))
        self._staged[known] = Future()
        return self._staged[known]


def delivered(delivery: str, body: bytes, headers: Sequence[tuple[str, str]], at: float) -> Event:
    """A delivery as its sensor is told of it."""
    return Event(delivery, plain.pack(fields_of(delivery, body, headers, at)))
