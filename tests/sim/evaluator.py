"""The world outside, and the evaluators through which engines look at it: sensors, timetables, messages.

The world (`Outside`) outlives engines: things arrive in it, and what was sent has been sent. Each engine has an evaluator of
its own (`SimEvaluator`), whose answers take their time, fail now and then, or never come because the engine is dead.

Rule: an answer says what the world was when it was asked; asking changes nothing, but for messages, which are sent.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from concurrent.futures import Future
from random import Random

import msgspec

from partita.core.events import Failure
from partita.core.plain import pack, unpack
from partita.core.sensing import Event
from partita.errors import ExecutorError
from partita.executors.evaluator import DEFAULT_TIMEOUT_S
from partita.worker.questions import (
    Answer,
    Answered,
    EvaluateSensor,
    Instants,
    MessageSent,
    NextInstants,
    ReadSecret,
    Request,
    Returned,
    SendMessage,
    SensorLook,
    WantedRun,
)

from .clock import SimClock
from .faults import Faults

AT_ONCE = 4
# What webhooks are signed with.
SIGNING_KEY = "between us"


class Outside:
    """What there is beside the service: items that arrive, and a place that messages go to."""

    def __init__(self) -> None:
        self.items = 0
        self.sent: Counter[str] = Counter()


class SimEvaluator:
    """The evaluator of one engine. Answers are given in its thread, while its executor is polled (`deliver`)."""

    def __init__(self, outside: Outside, clock: SimClock, rng: Random, faults: Faults, marks: Counter[str]) -> None:
        self.outside = outside
        self.clock = clock
        self.rng = rng
        self.faults = faults
        self.marks = marks
        self._open: list[tuple[float, int, Request, Future[Answered]]] = []
        self._counter = itertools.count()

    def ask(self, project: str, request: Request, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Future[Answered]:
        future: Future[Answered] = Future()
        late = self.rng.uniform(0.0, 50.0) if self.rng.random() < self.faults.late else self.rng.choice((0.0, 0.2, 4.0))
        heapq.heappush(self._open, (self.clock.true + late, next(self._counter), request, future))
        return future

    @property
    def next_at(self) -> float:
        """When (true time) the next answer comes."""
        return self._open[0][0] if self._open else float("inf")

    def deliver(self) -> bool:
        """Give the answers that are there; were there any?"""
        given = False
        while self._open and self._open[0][0] <= self.clock.true:
            _, _, request, future = heapq.heappop(self._open)
            given = True
            chance = self.rng.random()
            if chance < self.faults.lose / 3:
                self.marks["an evaluator died over a question"] += 1
                future.set_exception(ExecutorError("the evaluator died"))
            elif chance < self.faults.lose:
                future.set_result(Answered(1, failure=Failure("boom", ("ValueError",))))
            else:
                future.set_result(Answered(1, self._answer(request)))
        return given

    def _answer(self, request: Request) -> Answer:
        match request:
            case EvaluateSensor():
                return self._look(request)
            case NextInstants(call=call, after=after, count=count):
                step = int(call.partition(":")[2])
                first = int(after) + step - int(after) % step
                return Instants(tuple(float(first + n * step) for n in range(count)))
            case ReadSecret():
                return Returned(pack(SIGNING_KEY))
            case SendMessage(message=message):
                if self.rng.random() < self.faults.lose:
                    self.marks["a message was not taken and was sent again"] += 1
                    return MessageSent(error="503")
                self.outside.sent[message.key] += 1
                return MessageSent("ok")
            case _:
                raise AssertionError(f"nobody here answers {request}")

    def _look(self, request: EvaluateSensor) -> SensorLook:
        target = request.spec.targets[0]
        if request.spec.of == "function":
            seen = unpack(request.state) if request.state else 0
            upto = min(self.outside.items, seen + AT_ONCE)
            wanted = tuple(WantedRun(target, (f"item-{n}",)) for n in range(seen, upto))
            return SensorLook(pack(upto), wanted, "" if wanted else "nothing new", more=upto < self.outside.items)
        keys = [msgspec.msgpack.decode(event, type=Event).key for event in request.events]
        return SensorLook(request.state, tuple(WantedRun(target, (key,)) for key in keys))
