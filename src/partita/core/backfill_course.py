"""A running backfill: which part comes next, and what the end of one means for those that wait for it.

A part has no row and costs a byte until it does something. Ready parts of later stages come first, so that what was begun
is finished before more is begun; within a stage the order is the plan's.

Rule: pure, and quick at any size: an end costs those that wait for it, starting costs what is started.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from partita.core.backfill import Work, part_keys

PartState = Literal["waiting", "running", "succeeded", "failed", "cancelled", "skipped"]
STATES: Final[tuple[PartState, ...]] = ("waiting", "running", "succeeded", "failed", "cancelled", "skipped")
_CODE: Final = {state: code for code, state in enumerate(STATES)}
_WAITING, _RUNNING, _SUCCEEDED = 0, 1, 2
BackfillState = Literal["running", "succeeded", "failed", "cancelled"]


class Part(NamedTuple):
    """One run of a stage."""

    stage: int
    part: int


class BackfillCourse:
    """The parts of a running backfill. `known` are those that have done something, with their states."""

    def __init__(self, work: Work, max_runs: int, known: Iterable[tuple[Part, PartState]] = ()) -> None:
        self.work = work
        self.max_runs = max_runs
        self.paused = False
        self.cancelled = False
        self.counts: dict[PartState, int] = dict.fromkeys(STATES, 0)
        self.counts["waiting"] = work.total
        self._states = [bytearray(work.count(i)) for i in range(len(work.stages))]
        self._keys = [part_keys(work, i) for i in range(len(work.stages))]
        self._readers = _readers(work)
        # Parts of stages that wait for others, once they need wait no more; the others come in their order.
        self._ready: list[list[int]] = [[] for _ in work.stages]
        self._next = [0 for _ in work.stages]
        for part, state in known:
            self._set(part, state)
        for stage, found in enumerate(work.stages):
            if found.needs:
                waiting = (p for p in range(work.count(stage)) if self._states[stage][p] == _WAITING)
                self._ready[stage] = [p for p in waiting if self._may_start(Part(stage, p))]

    def state(self, part: Part) -> PartState:
        """How far a part is."""
        return STATES[self._states[part.stage][part.part]]

    def keys(self, part: Part) -> tuple[str, ...]:
        """The partitions of a part."""
        return self._keys[part.stage](part.part)

    def target(self, part: Part) -> str:
        """What the run of a part is asked for by."""
        stage = self.work.stages[part.stage]
        return stage.variants[stage.chosen[part.part] if stage.chosen else 0]

    @property
    def is_finished(self) -> bool:
        """Whether nothing runs and nothing will."""
        return not self.counts["running"] and (self.cancelled or not self.counts["waiting"])

    @property
    def end(self) -> Literal["succeeded", "failed", "cancelled"]:
        """The state in which it ends."""
        if self.cancelled:
            return "cancelled"
        lost = self.counts["failed"] + self.counts["skipped"] + self.counts["cancelled"]
        return "failed" if lost else "succeeded"

    @property
    def room(self) -> int:
        """How many more runs may be open."""
        return 0 if self.paused or self.cancelled else self.max_runs - self.counts["running"]

    def next_part(self) -> Part | None:
        """The part that comes next, as far as there is room; it is not started by being asked for."""
        if self.room <= 0 or not self.counts["waiting"]:
            return None
        for stage in reversed(range(len(self._states))):
            part = self._next_of(stage)
            if part is not None:
                return Part(stage, part)
        return None

    def missing(self, part: Part) -> list[Part]:
        """The parts of earlier stages that a part waits for."""
        needs = self.work.stages[part.stage].needs
        read = [Part(n.stage, other) for n in needs for other in (n.table[part.part] if n.table else (part.part,))]
        return [other for other in read if self.state(other) != "succeeded"]

    def start(self, part: Part) -> None:
        """The run of a part was made."""
        self._set(part, "running")

    def finish(self, part: Part, state: PartState) -> list[Part]:
        """A part has ended; the parts that are skipped because they need it."""
        self._set(part, state)
        if state == "succeeded":
            for reader in self._readers_of(part):
                if self._states[reader.stage][reader.part] == _WAITING and self._may_start(reader):
                    heapq.heappush(self._ready[reader.stage], reader.part)
            return []
        skipped: list[Part] = []
        todo = [part]
        while todo:
            for reader in self._readers_of(todo.pop()):
                if self._states[reader.stage][reader.part] == _WAITING:
                    self._set(reader, "skipped")
                    skipped.append(reader)
                    todo.append(reader)
        return skipped

    def _next_of(self, stage: int) -> int | None:
        states = self._states[stage]
        if self.work.stages[stage].needs:
            ready = self._ready[stage]
            while ready and states[ready[0]] != _WAITING:
                heapq.heappop(ready)
            return ready[0] if ready else None
        at = states.find(_WAITING, self._next[stage])
        self._next[stage] = len(states) if at < 0 else at
        return None if at < 0 else at

    def _set(self, part: Part, state: PartState) -> None:
        states = self._states[part.stage]
        self.counts[STATES[states[part.part]]] -= 1
        states[part.part] = _CODE[state]
        self.counts[state] += 1

    def _may_start(self, part: Part) -> bool:
        return all(
            self._states[need.stage][other] == _SUCCEEDED
            for need in self.work.stages[part.stage].needs
            for other in (need.table[part.part] if need.table else (part.part,))
        )

    def _readers_of(self, part: Part) -> Iterator[Part]:
        for stage, table in self._readers[part.stage]:
            for reader in (part.part,) if table is None else table.get(part.part, ()):
                yield Part(stage, reader)


def _readers(work: Work) -> list[list[tuple[int, dict[int, Sequence[int]] | None]]]:
    """For each stage: the stages that wait for it, and which of their parts wait for which of its own (None: the same)."""
    found: list[list[tuple[int, dict[int, Sequence[int]] | None]]] = [[] for _ in work.stages]
    for stage, spec in enumerate(work.stages):
        for need in spec.needs:
            if not need.table:
                found[need.stage].append((stage, None))
                continue
            table: dict[int, list[int]] = {}
            for part, others in enumerate(need.table):
                for other in others:
                    table.setdefault(other, []).append(part)
            found[need.stage].append((stage, {other: tuple(parts) for other, parts in table.items()}))
    return found
