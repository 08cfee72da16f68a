"""Judges one schedule: I1 each due instant has one decision, I2 none is left out, and each is what its options say.

Rule: what is due comes from `service_reference.py`; what became of it from facts, in the order in which they were committed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from partita.core.facts.schedules import ScheduleChanged, ScheduleMoved, SchedulePaused, TickDecided
from partita.core.invariants import Violation
from partita.core.manifest import ScheduleSpec
from partita.core.scheduling import jitter

from .service_reference import instants

_HICCUP_S = 10.0
_GRACE_S = 300.0
_spec = msgspec.msgpack.Decoder(ScheduleSpec).decode


class ScheduleJudge:
    """One schedule over all its versions."""

    def __init__(self, name: str, window: tuple[int, int], marks: Counter[str]) -> None:
        self.name = name
        self.window = window
        self.marks = marks
        self.spec = ScheduleSpec("", "")
        self.version = 0
        self.effective_from = -1.0
        self.active = False
        self.paused = False
        # All instants of this version, and the first of them without a decision.
        self.instants: tuple[int, ...] = ()
        self.next: int | None = None
        self.decided: set[int] = set()
        self.ranges: list[tuple[int, int]] = []
        self.runs: dict[int, str] = {}

    @property
    def is_own(self) -> bool:
        return self.spec.rule.startswith("own ")

    # --- facts --------------------------------------------------------------------------------------------------------

    def change(self, fact: ScheduleChanged) -> None:
        """It was declared, edited, or is declared no more."""
        spec = _spec(fact.spec)
        self._need(fact.version >= self.version, f"its version went from {self.version} to {fact.version}")
        # Two edits may come at one reading of the clock.
        is_another = fact.active and (not self.active or _when(spec) != _when(self.spec))
        if fact.effective_from != self.effective_from or is_another:
            self._begin_anew(fact, spec)
        elif self.active and not fact.active:
            self.marks["a schedule was declared no more"] += 1
        elif self.version and fact.version != self.version:
            self.marks["an edit left the instants as they were"] += 1
        if fact.active and self.active and spec.paused == self.spec.paused:
            self._need(fact.paused == self.paused, "an edit of something else paused it, or resumed it")
        if fact.active and fact.version == self.version and self.active:
            self._need(spec == self.spec, "it is another one, and its version is the same")
        self.spec, self.version, self.effective_from = spec, fact.version, fact.effective_from
        self.active, self.paused = fact.active, fact.paused
        if not fact.active:
            self.next = None
        if fact.active and not self.is_own:
            self._need(
                fact.next_at == self.next, f"I2: its next instant is {_told(self.next)}, it says {_told(fact.next_at)}"
            )

    def _begin_anew(self, fact: ScheduleChanged, spec: ScheduleSpec) -> None:
        self._need(
            fact.effective_from == fact.at, f"an edit holds from {fact.effective_from}, and was made at {fact.at}"
        )
        if self.version:
            self.marks["a schedule was edited"] += 1
            is_due = self.active and not self.paused and self.next is not None and self.next <= fact.at
            self._need(not is_due or self.is_own, f"I2: {_told(self.next)} was due before the edit and has no decision")
        first, last = self.window
        end = datetime.fromisoformat(spec.end).timestamp() if spec.end else last
        known = instants(spec.rule, spec.tz, first, last)
        self.instants = known[: bisect_right(known, end)]
        # Also not for what is decided: the clock may have been set back since.
        self.next = self._after(max([fact.effective_from, *self.decided]))

    def pause(self, fact: SchedulePaused) -> None:
        """It was paused or resumed."""
        if self.paused and not fact.paused:
            self.marks["a schedule was resumed"] += 1
            late = self.next is not None and self.next <= fact.at
            self._need(not late or self.is_own, f"I2: {_told(self.next)} came in the pause and has no decision")
        self.marks["a schedule paused itself"] += fact.automatic
        self.paused = fact.paused

    def move(self, fact: ScheduleMoved) -> None:
        """Its next instant was found, by its function or by other tz data."""
        if self.is_own and fact.next_at is not None:
            self._need(
                fact.next_at == self.next, f"I2: next is {_told(self.next)}, its function says {_told(fact.next_at)}"
            )

    def decide(self, fact: TickDecided) -> None:
        """A due instant, or a range of them, has its decision."""
        first, last = int(fact.instant), int(fact.until or fact.instant)
        told = f"{_told(first)}..{_told(last)} {fact.decision} ({fact.reason})"
        again = first in self.decided or any(a <= first <= b or first <= a <= last for a, b in self.ranges)
        self._need(not again, f"I1: decided twice: {told}")
        self._need(first > self.effective_from, f"it fires for the past: {told}, it holds from {self.effective_from}")
        self._need(first == self.next, f"I2: {_told(self.next)} is due next, decided was {told}")
        i, j = bisect_right(self.instants, first) - 1, bisect_right(self.instants, last) - 1
        self._need(self.instants[j] == last, f"there is no instant {_told(last)}")
        self._need(fact.count == j - i + 1, f"{told} is about {fact.count} instants, and there are {j - i + 1}")
        self._need(fact.decision == "skipped" or not self.paused, f"it is paused, and fires: {told}")
        self._need(self.active, f"it is declared no more, and decides: {told}")
        self._need(self.spec.land or first <= fact.at, f"{told} at {_told(fact.at)}, too early")
        if fact.decision == "run" and not self.spec.land:
            at = last + jitter(f"default/{self.name}", last, self.spec.jitter_s)
            self._need(at <= fact.at + 1e-3, f"{told} at {_told(fact.at)}, before its jitter")
        if fact.until is not None:
            self.ranges.append((first, last))
            self.marks["several instants were skipped as one range"] += 1
        self.decided.add(first)
        self.decided.add(last)
        if fact.decision == "run":
            self._need(first not in self.runs, f"I1: two runs: {told}")
            self.runs[first] = fact.run
        self.next = self.instants[j + 1] if j + 1 < len(self.instants) else None
        if not self.is_own:
            self._need(
                fact.next_at == self.next, f"I2: after {told} comes {_told(self.next)}, it says {_told(fact.next_at)}"
            )

    # --- what its options say -----------------------------------------------------------------------------------------

    def check_batch(self, facts: Sequence[TickDecided], still_open: set[str]) -> None:
        """What was decided together is what catchup and overlap say. `still_open` are its runs from before."""
        facts = [f for f in facts if not f.reason.startswith(("the schedule was edited", "it was paused"))]
        if not facts or self.spec.land or any(f.reason.startswith(("error", "missed: more than")) for f in facts):
            return
        due = [i for f in facts for i in self._within(int(f.instant), int(f.until or f.instant))]
        kept = self._caught_up(due, facts[0].at)
        if len(due) > 1:
            self.marks[f'ticks were caught up on as "{self.spec.catchup.partition(" ")[0]}" says'] += 1
        if self.spec.overlap == "skip" and still_open and kept:
            self.marks["a tick was skipped because its last run was still going"] += 1
            kept = set()
        elif self.spec.overlap in ("skip", "cancel_running") and kept:
            kept = {max(kept)}
        if self.spec.overlap == "cancel_running" and still_open and kept:
            self.marks["a run was cancelled for the next tick"] += 1
        ran = {int(f.instant) for f in facts if f.decision == "run"}
        self._need(
            ran == kept,
            f"{self.spec.catchup}/{self.spec.overlap} at {_told(facts[0].at)} with {len(still_open)} open: "
            f"{[_told(i) for i in sorted(ran)]} ran, and {[_told(i) for i in sorted(kept)]} should have",
        )

    def _caught_up(self, due: list[int], now: float) -> set[int]:
        late = {i: now - i - jitter(f"default/{self.name}", i, self.spec.jitter_s) for i in due}
        fresh = {i for i in due if late[i] <= _HICCUP_S}
        rule = self.spec.catchup or "none"
        if rule == "all":
            return set(due)
        if rule == "none":
            return fresh | ({due[-1]} if late[due[-1]] <= _GRACE_S else set())
        return fresh | set(due[-1 if rule == "latest" else -int(rule.removeprefix("last ")) :])

    def is_behind(self, now: float) -> bool:
        """Is something due that has no decision?"""
        if not self.active or self.paused or self.next is None or self.spec.land:
            return False
        return self.next + jitter(f"default/{self.name}", self.next, self.spec.jitter_s) <= now

    def _within(self, first: int, last: int) -> tuple[int, ...]:
        return self.instants[bisect_right(self.instants, first) - 1 : bisect_right(self.instants, last)]

    def _after(self, instant: float) -> int | None:
        at = bisect_right(self.instants, instant)
        return self.instants[at] if at < len(self.instants) else None

    def _need(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(f"schedule {self.name} ({self.spec.rule[:40]} {self.spec.tz} v{self.version}): {what}")


def _when(spec: ScheduleSpec) -> tuple[object, ...]:
    return spec.rule, spec.tz, spec.start, spec.end


def _told(instant: float | None) -> str:
    return "never" if instant is None else datetime.fromtimestamp(instant, UTC).strftime("%m-%dT%H:%M:%S")
