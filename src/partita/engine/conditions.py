"""Conditions that steps wait for: when each is looked at, by whom, and what came of it.

Files, addresses, queries and the user's own functions are looked at by the project's evaluator; ends of runs and updates
of assets are known to the store, and are looked at again as soon as one happens.

Rule: no look is a transition. Only that a condition holds (or never will) is told to the run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from partita.core import plain
from partita.core.events import Event, GateReported, Materialized, RunEnded
from partita.core.gates import plain_input, value_of
from partita.core.plan import Instance
from partita.engine.active import ActiveRun
from partita.executors.evaluator import Evaluator
from partita.store.contract import Reader
from partita.worker.questions import Answered, ConditionMet, EvaluateCondition

Address = tuple[str, str, str]

_MIN_POKE_S: Final = 0.1
# Of what is looked at again when it happens; only a window of time may pass meanwhile.
_KNOWN_POKE_S: Final = 30.0
_DAY_S: Final = 86_400.0
# So many failed looks in a row, and the step fails with what the last one said.
_MAX_FAILURES: Final = 5
# Asked at once of all evaluators; the rest waits for answers.
_MAX_ASKED: Final = 1_000


class _Watch:
    """One step that waits for a condition."""

    __slots__ = ("address", "asked", "due_at", "failures", "instance", "memory", "reason", "run", "subject")

    def __init__(self, run: ActiveRun, instance: Instance, now: float) -> None:
        self.run = run
        self.instance = instance
        self.address: Address = (run.id, instance.node.key, instance.index)
        self.memory: bytes | None = None
        self.failures = 0
        self.reason = ""
        self.asked = False
        self.due_at = now
        self.subject: tuple[str, str] | None = None


class Conditions:
    """All conditions that steps wait for. `tell` hands a report to a run."""

    def __init__(
        self,
        reader: Reader,
        evaluator: Evaluator | None,
        *,
        tell: Callable[[str, GateReported], Any],
        now: Callable[[], float],
    ) -> None:
        self._reader = reader
        self._evaluator = evaluator
        self._tell = tell
        self._now = now
        self._watches: dict[Address, _Watch] = {}
        self._due: list[tuple[float, Address]] = []
        # Who waits for which pipeline or asset.
        self._by_subject: dict[tuple[str, str], set[Address]] = {}
        self._asked = 0

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, run: ActiveRun, instance: Instance, now: float) -> None:
        """A step waits for a condition from now on."""
        watch = _Watch(run, instance, now)
        if watch.address in self._watches:
            return
        self._watches[watch.address] = watch
        spec = instance.node.step.gate
        assert spec is not None
        if spec.condition in ("run", "asset"):
            name = str(self._options(watch).get("name", ""))
            watch.subject = (spec.condition, name)
            self._by_subject.setdefault(watch.subject, set()).add(watch.address)
        heapq.heappush(self._due, (now, watch.address))

    def remove(self, address: Address) -> None:
        """It waits no longer."""
        watch = self._watches.pop(address, None)
        if watch is not None and watch.subject is not None:
            waiting = self._by_subject[watch.subject]
            waiting.discard(address)
            if not waiting:
                del self._by_subject[watch.subject]

    def happened(self, pipeline: str, event: Event) -> None:
        """A run has ended or an asset was made: who waits for it looks at once."""
        if type(event) is RunEnded:
            waiting = self._by_subject.get(("run", pipeline), ())
        elif type(event) is Materialized:
            waiting = self._by_subject.get(("asset", event.asset), ())
        else:
            return
        for address in waiting:
            heapq.heappush(self._due, (0.0, address))
            self._watches[address].due_at = 0.0

    def due_at(self) -> float:
        """When the next one is to be looked at."""
        return self._due[0][0] if self._due and self._asked < _MAX_ASKED else float("inf")

    def reason(self, address: Address) -> str:
        """What the last look at it said; "" before the first."""
        watch = self._watches.get(address)
        return watch.reason if watch is not None else ""

    def turn(self, now: float) -> None:
        """Look at what is due."""
        while self._due and self._due[0][0] <= now and self._asked < _MAX_ASKED:
            at, address = heapq.heappop(self._due)
            watch = self._watches.get(address)
            if watch is None or watch.asked or watch.due_at != at:
                continue
            if watch.run.machine.is_finished:
                self.remove(address)
            elif watch.run.machine.paused:
                self._again(watch, now)
            else:
                self._look(watch, now)

    # --- looking ----------------------------------------------------------------------------------------------------

    def _look(self, watch: _Watch, now: float) -> None:
        spec = watch.instance.node.step.gate
        assert spec is not None
        if spec.condition == "run":
            self._take(watch, self._run_is_there(watch, now))
        elif spec.condition == "asset":
            self._take(watch, self._asset_is_there(watch, now))
        elif self._evaluator is None:
            self._fail(watch, "there is no evaluator here to look at it")
        else:
            self._ask(watch, self._evaluator, spec.condition, now)

    def _ask(self, watch: _Watch, evaluator: Evaluator, of: str, now: float) -> None:
        step = watch.instance.node.step
        options = plain.pack(self._options(watch))
        is_function = of == "function"
        question = EvaluateCondition(
            of=of,
            options=b"" if is_function else options,
            call=step.call,
            args=options if is_function else b"",
            memory=watch.memory,
            at=now,
        )
        watch.asked = True
        self._asked += 1
        evaluator.ask(watch.run.run.project, question).add_done_callback(lambda done: self._answered(watch, done))

    def _answered(self, watch: _Watch, done: Future[Answered]) -> None:
        self._asked -= 1
        watch.asked = False
        if watch.address not in self._watches:
            return
        error = done.exception()
        if error is not None:
            self._fail(watch, str(error))
            return
        answered = done.result()
        if isinstance(answered.answer, ConditionMet):
            self._take(watch, answered.answer)
        else:
            self._fail(watch, answered.failure.message if answered.failure is not None else "it gave no answer")

    def _take(self, watch: _Watch, found: ConditionMet) -> None:
        watch.failures = 0
        watch.memory = found.memory
        watch.reason = found.reason
        if not found.met:
            self._again(watch, self._now())
            return
        self._report(watch, "succeeded", found.value, found.reason)

    def _fail(self, watch: _Watch, message: str) -> None:
        """A look that failed is tried again, some times."""
        watch.failures += 1
        watch.reason = f"the last look failed: {message}"
        if watch.failures >= _MAX_FAILURES:
            self._report(watch, "failed", None, f"{_MAX_FAILURES} looks in a row failed: {message}")
        else:
            self._again(watch, self._now())

    def _report(self, watch: _Watch, state: Any, data: bytes | None, message: str) -> None:
        run, step, index = watch.address
        self.remove(watch.address)
        value = value_of(data) if data is not None else None
        self._tell(run, GateReported(self._now(), step, index, state, value=value, message=message))

    def _again(self, watch: _Watch, now: float) -> None:
        spec = watch.instance.node.step.gate
        assert spec is not None
        least = _KNOWN_POKE_S if watch.subject is not None else _MIN_POKE_S
        watch.due_at = now + max(spec.poke_s, least)
        heapq.heappush(self._due, (watch.due_at, watch.address))

    def _options(self, watch: _Watch) -> dict[str, Any]:
        """The options of a condition, as the step's arguments give them."""
        found: dict[str, Any] = {}
        for name, binding in watch.instance.node.step.args:
            is_plain, value = plain_input(watch.run.inputs.one(watch.instance, binding))
            found[name] = value if is_plain else None
        return found

    # --- what the store knows -----------------------------------------------------------------------------------------

    def _run_is_there(self, watch: _Watch, now: float) -> ConditionMet:
        options = self._options(watch)
        name, state = str(options["name"]), str(options.get("state") or "succeeded")
        states = ("succeeded", "failed", "cancelled") if state == "ended" else (state,)
        for partition in self._partitions(watch, options):
            since = _since(options, partition, now)
            for row in self._reader.runs(pipeline=name, states=states, partition=partition, limit=20):
                if row.id != watch.run.id and (row.finished_at or 0.0) >= since:
                    value = {"run": row.id, "no": row.no, "state": row.state, "partition": row.partition}
                    return ConditionMet(True, f"run {row.no} of {name} has {_ended(row.state)}", plain.pack(value))
        return ConditionMet(False, f"no run of {name} has {_ended(state)} yet")

    def _asset_is_there(self, watch: _Watch, now: float) -> ConditionMet:
        options = self._options(watch)
        name = str(options["name"])
        for partition in self._partitions(watch, options):
            since = _since(options, partition, now)
            row = self._reader.materialization(name, partition or "")
            if row is not None and row.at >= since:
                value = {"asset": name, "partition": row.partition, "run": row.run, "data_version": row.data_version}
                return ConditionMet(True, f"{name} {row.partition}".rstrip() + " was made", plain.pack(value))
        return ConditionMet(False, f"{name} was not made yet")

    def _partitions(self, watch: _Watch, options: dict[str, Any]) -> list[str | None]:
        """Of what may be meant: the partition that is named, else that of the run, else what has none."""
        named = options.get("partition")
        if named:
            return [str(named)]
        own = watch.run.run.partition
        return [own, ""] if own else [None]


def _since(options: dict[str, Any], partition: str | None, now: float) -> float:
    """From when on it counts. What has a partition is known by it; of all else only the last day is meant."""
    within = options.get("within")
    if within is None:
        return 0.0 if partition else now - _DAY_S
    return now - float(within)


def _ended(state: str) -> str:
    return {"cancelled": "been cancelled"}.get(state, state)
