"""What becomes of the due instants of a schedule: which are run, which are skipped and why, and which is next.

Rule: pure, and asked by the engine and by `partita simulate` alike. Every due instant gets exactly one decision; a row of
skipped ones is one decision about a range. Nothing is decided about instants that are not due.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Literal

import msgspec

from partita.core import partitions
from partita.core.manifest import PartitionSpec, ScheduleSpec
from partita.core.timetable import at
from partita.errors import ParamError, ScheduleError

HICCUP_S: Final = 10.0
"""A tick that is late by no more was not missed at all."""
GRACE_S: Final = 300.0
"""With catchup "none", the newest tick still runs if it is late by no more: a restart takes a while."""
MOST_CAUGHT_UP: Final = 1_000
"""Ticks that are caught up on at once; earlier ones are skipped, and it is recorded that they were."""
_MOST_COUNTED: Final = 10_000
_PREFIX: Final = "sched:"


class Decision(msgspec.Struct, frozen=True):
    """About one instant; or, with `until`, about `count` skipped ones from `instant` to `until`."""

    instant: int
    decision: Literal["run", "skipped"]
    reason: str = ""
    until: int | None = None
    count: int = 1


class Decided(msgspec.Struct, frozen=True):
    """In order of time. `next_at` is the first instant that is not decided yet; None = there is none.

    `cancel`: the schedule's runs that are still going are to be cancelled for the new one.
    """

    decisions: tuple[Decision, ...]
    next_at: int | None
    cancel: bool = False


class Instants:
    """Where the instants of a schedule come from: `after(i)` in order, `before(i)` newest first."""

    def __init__(self, after: Callable[[int], Iterator[int]], before: Callable[[int], Iterator[int]]) -> None:
        self.after = after
        self.before = before

    @classmethod
    def of(cls, spec: ScheduleSpec) -> Instants:
        """Of a rule that can be computed here. Raises `ScheduleError`."""
        table = spec.timetable()
        return cls(table.ticks, table.ticks_before)

    @classmethod
    def listed(cls, known: list[int]) -> Instants:
        """Those that somebody else has computed."""
        return cls(lambda i: (t for t in known if t > i), lambda i: (t for t in reversed(known) if t < i))


def decide(
    spec: ScheduleSpec, key: str, instants: Instants, *, next_at: int, now: float, lead_s: float = 0.0, running: int = 0
) -> Decided:
    """Decide about all instants from `next_at` on that are due at `now`.

    `key` names the schedule (for its jitter), `lead_s` is how long before an instant its run is to start ("land by"),
    `running` how many of its runs are still going.
    """
    due, following, left_out = _due(spec, key, instants, next_at, now, lead_s)
    if not due:
        return Decided((), following)
    kept, why = _caught_up(spec, key, due, now, lead_s)
    blocked: set[int] = set()
    if spec.overlap == "skip" and running:
        blocked, kept = kept, set()
    elif spec.overlap in ("skip", "cancel_running") and len(kept) > 1:
        blocked = kept - {max(kept)}
        kept = kept & {max(kept)}
    decisions = [_of(tick, kept, blocked, why, spec.overlap, running) for tick in due]
    if left_out is not None:
        decisions.insert(0, left_out)
    return Decided(_merged(decisions), following, cancel=spec.overlap == "cancel_running" and bool(kept and running))


def skip_all(instants: Instants, *, next_at: int, now: float, reason: str) -> Decided:
    """Skip every instant from `next_at` until `now`, as one range: the schedule was paused, or is another one now."""
    due: list[int] = []
    following: int | None = None
    for tick in instants.after(next_at - 1):
        if tick > now:
            following = tick
            break
        if len(due) >= _MOST_COUNTED:
            # So many that one is like another: the last of them is asked for, and the count stays a lower bound.
            due[-1] = next(instants.before(int(now) + 1))
            following = next(instants.after(int(now)), None)
            break
        due.append(tick)
    return Decided(_merged([Decision(tick, "skipped", reason) for tick in due]), following)


def due_at(spec: ScheduleSpec, key: str, instant: int, lead_s: float = 0.0) -> float:
    """When an instant is to be decided about: then, a little later (jitter), or earlier so that its run lands in time."""
    return instant - lead_s + jitter(key, instant, spec.jitter_s)


def jitter(key: str, instant: int, most_s: float) -> float:
    """Between 0 and `most_s`, always the same for one instant of one schedule, and different between schedules."""
    if most_s <= 0:
        return 0.0
    digest = hashlib.blake2b(f"{key}@{instant}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return most_s * int.from_bytes(digest) / 2**64


def origin(name: str, instant: float) -> str:
    """The origin of the run of a tick: there is one run of it, ever.

    >>> origin("nightly", 1_800_000_000)
    'sched:nightly:2027-01-15T08:00:00Z'
    """
    return f"{_PREFIX}{name}:{at(instant).strftime('%Y-%m-%dT%H:%M:%SZ')}"


def tick_of(text: str) -> tuple[str, int] | None:
    """The schedule and the instant that an origin names; None if it is no tick's."""
    if not text.startswith(_PREFIX) or len(text) < len(_PREFIX) + 22:
        return None
    name, instant = text[len(_PREFIX) : -21], text[-20:]
    try:
        return name, int(dt.datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp())
    except ValueError:
        return None


def partition_of(wanted: str, spec: PartitionSpec | None, instant: int) -> str:
    """The partition that a tick's run has, as its schedule says (`ScheduleSpec.partition`).

    Raises `ScheduleError` if there is none: partitions have not begun, are over, or a key has to be said.
    """
    if spec is None:
        if wanted:
            raise ScheduleError(f"the pipeline has no partitions, so none is {wanted!r}", hint="leave partition= out")
        return ""
    if spec.kind == "product":
        words = wanted.split("|") if wanted else [""] * len(spec.dimensions)
        if len(words) != len(spec.dimensions):
            raise ScheduleError(
                f"the partition {wanted!r} of a schedule needs one part for each of {len(spec.dimensions)} dimensions",
                hint='write partition="previous|JFK"',
            )
        pairs = zip(words, spec.dimensions, strict=True)
        return "|".join(partition_of(word, inner, instant) for word, (_, inner) in pairs)
    if wanted not in ("", "previous", "current"):
        return wanted
    if not partitions.is_timed(spec):
        raise ScheduleError(
            f"its pipeline has {spec.kind} partitions: the schedule has to say which", hint='write partition="eu"'
        )
    key = _timed(spec, instant, is_current=wanted == "current")
    if key is None:
        raise ScheduleError(
            f"at {at(instant).isoformat()} there is no partition that has {'begun' if wanted == 'current' else 'ended'}"
        )
    return key


def _timed(spec: PartitionSpec, instant: int, *, is_current: bool) -> str | None:
    try:
        if is_current:
            return partitions.key_at(spec, at(instant))
        # The last that has ended: the one before that in which the tick lies, or the one that holds the second before.
        key = partitions.key_at(spec, at(instant))
        if key is not None:
            return partitions.previous_key(spec, key)
        ended = partitions.key_at(spec, at(instant - 1))
        if ended is None or partitions.window(spec, ended)[1] > at(instant):
            return None
        return ended
    except ParamError:
        return None


# --- deciding -------------------------------------------------------------------------------------------------------


def _due(
    spec: ScheduleSpec, key: str, instants: Instants, next_at: int, now: float, lead_s: float
) -> tuple[list[int], int | None, Decision | None]:
    """The due instants, the one after them, and (if there were too many to look at each) one decision about the oldest."""
    horizon = int(now + lead_s)
    coming = instants.after(next_at - 1)
    due: list[int] = []
    following: int | None = None
    left_out: Decision | None = None
    for tick in coming:
        if tick > horizon or due_at(spec, key, tick, lead_s) > now:
            following = tick
            break
        due.append(tick)
        if len(due) > _MOST_COUNTED:
            newest = list(islice(instants.before(horizon + 1), MOST_CAUGHT_UP))[::-1]
            older = instants.before(newest[0])
            reason = f"missed: more than {_MOST_COUNTED:,} ticks are due at once, the newest {MOST_CAUGHT_UP:,} count"
            left_out = Decision(due[0], "skipped", reason, next(older), _MOST_COUNTED)
            following = next(instants.after(horizon), None)
            while newest and due_at(spec, key, newest[-1], lead_s) > now:
                following = newest.pop()
            return newest, following, left_out
    return due, following, left_out


def _caught_up(spec: ScheduleSpec, key: str, due: list[int], now: float, lead_s: float) -> tuple[set[int], str]:
    """Which of them run, and why the others do not."""
    late = {tick: now - max(due_at(spec, key, tick, lead_s), tick if spec.land else 0.0) for tick in due}
    kept = {tick for tick in due if late[tick] <= HICCUP_S}
    newest = due[-1]
    rule = spec.catchup or "none"
    if rule == "none":
        kept |= {newest} if late[newest] <= GRACE_S else set()
        return kept, 'missed: nobody was there to start it (catchup "none")'
    if rule == "latest":
        return kept | {newest}, 'missed: only the newest is caught up on (catchup "latest")'
    if rule == "all":
        return kept | set(due[-MOST_CAUGHT_UP:]), f"missed: at most {MOST_CAUGHT_UP:,} ticks are caught up on at once"
    count = min(int(rule.removeprefix("last ")), MOST_CAUGHT_UP)
    wanted = set(due[-count:]) if count else set()
    return kept | wanted, f'missed: only the newest {count} are caught up on (catchup "last {count}")'


def _of(tick: int, kept: set[int], blocked: set[int], why: str, overlap: str, running: int) -> Decision:
    if tick in kept:
        return Decision(tick, "run")
    if tick in blocked and running and overlap == "skip":
        return Decision(tick, "skipped", 'overlap: its last run is still going (overlap "skip")')
    if tick in blocked:
        return Decision(tick, "skipped", f'overlap: a newer tick was due as well (overlap "{overlap}")')
    return Decision(tick, "skipped", why)


def _merged(decisions: list[Decision]) -> tuple[Decision, ...]:
    """Neighbours that were skipped for the same reason are one range."""
    found: list[Decision] = []
    for decision in decisions:
        last = found[-1] if found else None
        if last is not None and last.decision == decision.decision == "skipped" and last.reason == decision.reason:
            until = decision.until or decision.instant
            found[-1] = Decision(last.instant, "skipped", last.reason, until, last.count + decision.count)
        else:
            found.append(decision)
    return tuple(found)
