"""The invariants of a store, checked on any store through its reader: what must hold and where it does not.

I1 origins are unique            I7  one open attempt a step, epochs only grow    I13 nothing starts after a cancel
I3 one accepted outcome          I8  no acknowledged commit is missing             I14 only accepted successes publish
I4 terminal is final             I9  nothing waits without a reason                I17 what is decided from is kept
I5 user code after its start     I10 limits hold, ended runs hold nothing
I6 needs ended before the start  I12 the journal folds to the rows
I2 no due tick is without a decision (with I1 of ticks, in store/schedules.py)
I16 backfills make nothing twice (in store/backfills.py); I17 also in store/house.py
I15 what sensors ask for is kept under its key (in store/sensors.py); I11 comes with the outbox.

Rule: one small function per invariant over the picture of one run; a run is read in one snapshot, and only one run is
held at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from partita.core import graph as graphs
from partita.core.events import (
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Event,
    GateAnswered,
    GateOpened,
    GateVoted,
    Materialized,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
)
from partita.core.facts.assets import AssetReported
from partita.core.graph import Graph, Step
from partita.core.states import OPEN_ATTEMPT, TERMINAL_RUN, TERMINAL_STEP
from partita.errors import StoreError
from partita.store.contract import (
    AttemptRow,
    CheckRow,
    Finding,
    GateRow,
    JournalRow,
    MaterializationRow,
    Reader,
    RunRow,
    StepRow,
    VoteRow,
)
from partita.store.fold import ENDS_OF_STARTED, folded
from partita.store.order import by_instance, by_voter

_PAGE = 500


@dataclass(frozen=True)
class Picture:
    """All that a store says about one run, at one moment."""

    run: RunRow
    steps: list[StepRow]
    attempts: list[AttemptRow]
    journal: list[JournalRow]
    materializations: list[MaterializationRow]
    checks: list[CheckRow]
    graph: Graph | None
    gates: list[GateRow] = field(default_factory=list)
    votes: list[VoteRow] = field(default_factory=list)

    @cached_property
    def events(self) -> list[Event]:
        """Every event of the journal in order."""
        return [event for row in self.journal for event in row.events]

    @cached_property
    def by_key(self) -> dict[str, Step]:
        """The steps of the graph, as far as it is there."""
        return {step.key: step for step in self.graph.steps} if self.graph else {}

    @cached_property
    def members(self) -> frozenset[str]:
        """Steps that start and end within the attempt of their bundle, whose limits and epoch are the bundle's."""
        return frozenset(key for key, step in self.by_key.items() if step.bundle is not None)


def audit(
    reader: Reader,
    *,
    snapshot: Callable[[], AbstractContextManager[None]] = nullcontext,
    own_check: Callable[[], list[Finding]] = list,
) -> Iterator[Finding]:
    """Check every invariant on every run, newest first; `own_check` is what the database finds by itself."""
    yield from own_check()
    before: int | None = None
    seen: set[tuple[str, str]] = set()
    while page := reader.runs(before_no=before, limit=_PAGE):
        before = page[-1].no
        for row in page:
            with snapshot():
                found = _audit_run(reader, row.id, seen)
            yield from found
    try:
        yield from _reports(reader, seen)
    except (msgspec.MsgspecError, ValueError) as error:
        yield Finding("I12", f"the journal cannot be read: {type(error).__name__}: {error}")


def check(picture: Picture) -> Iterator[Finding]:
    """Every invariant that the picture of one run can show."""
    for name, invariant in INVARIANTS:
        for message in invariant(picture):
            yield Finding(name, f"run {picture.run.no} ({picture.run.id}): {message}")


def _audit_run(reader: Reader, run: str, seen: set[tuple[str, str]]) -> list[Finding]:
    try:
        picture = _picture(reader, run)
        return [] if picture is None else [*check(picture), *_latest(reader, picture, seen)]
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        return [Finding("I12", f"run {run}: its rows cannot be read: {type(error).__name__}: {error}")]


def _picture(reader: Reader, run: str) -> Picture | None:
    row = reader.run(run)
    if row is None:
        return None
    journal: list[JournalRow] = []
    while page := reader.journal(run, after_seq=journal[-1].seq if journal else 0):
        journal += page
    data = reader.graph(row.graph)
    return Picture(
        run=row,
        steps=reader.steps(run),
        attempts=reader.attempts(run),
        journal=journal,
        materializations=reader.materialized_in(run),
        checks=reader.checks(run=run, limit=2**31),
        graph=None if data is None else graphs.decode(data),
        gates=reader.gates(run),
        votes=reader.votes(run),
    )


# --- the run and its journal --------------------------------------------------------------------------------------


def _one_outcome(p: Picture) -> Iterator[str]:
    """I3: an attempt has ended if and only if an end of its epoch was journaled, and in that state."""
    ends: defaultdict[tuple[str, str, int, int], list[str]] = defaultdict(list)
    for e in p.events:
        if type(e) is AttemptEnded:
            ends[(e.step, e.index, e.attempt, e.epoch)].append(e.state)
    for a in p.attempts:
        states = ends.get((a.step, a.index, a.attempt, a.epoch), [])
        if a.state not in OPEN_ATTEMPT and a.state not in states:
            yield f"{_name(a)} is {a.state}, and no such outcome was journaled"
        if a.state == "started" and states:
            yield f"{_name(a)} is open, and it has ended {states[0]} in the journal"


def _terminal_is_final(p: Picture) -> Iterator[str]:
    """I4: nothing that decides about a step or run comes after its end."""
    ended: dict[tuple[str, str], str] = {}
    run_ended = ""
    started = False
    for e in p.events:
        if run_ended and isinstance(e, _DECIDES):
            yield f"{type(e).__name__} after the run had ended {run_ended}"
        if type(e) is RunStarted:
            if started:
                yield "the run started twice"
            started = True
        elif type(e) is RunEnded:
            run_ended = e.state
        elif isinstance(e, StepEnded | StepReused | StepRetried):
            known = ended.get((e.step, e.index))
            if known:
                yield f"{type(e).__name__} of step {e.step} {e.index} after it had ended {known}"
            if not isinstance(e, StepRetried) and e.state in TERMINAL_STEP:
                ended[(e.step, e.index)] = e.state
        elif (type(e) is AttemptEnded and e.state == "succeeded") or (type(e) is GateAnswered and e.accepted):
            ended.setdefault((e.step, e.index), "succeeded")


_DECIDES = (RunStarted, RunEnded, StepRetried, StepEnded, AttemptDispatched, AttemptStarted, Materialized, GateOpened,
            GateVoted, GateAnswered)  # fmt: skip


def _no_gap(p: Picture) -> Iterator[str]:
    """I8: the journal counts from 1 without a gap; a hole would be an acknowledged commit that is gone."""
    for place, row in enumerate(p.journal, start=1):
        if row.seq != place:
            yield f"journal row {place} is missing"
            return
    if not p.journal:
        yield "the journal is empty"


def _folds(p: Picture) -> Iterator[str]:
    """I12: the journal folds to the rows."""
    try:
        fold = folded(p.run.no, p.journal) if p.journal else None
    except StoreError as error:
        yield f"the journal does not fold: {error.message}"
        return
    if fold is None:
        return
    if fold.run != p.run:
        yield f"the run's row is not what its journal says: {_difference(fold.run, p.run)}"
    yield from _unequal("step", sorted(fold.steps.values(), key=by_instance), p.steps)
    yield from _unequal("attempt", sorted(fold.attempts.values(), key=by_instance), p.attempts)
    yield from _unequal("materialization", fold.materializations, p.materializations)
    yield from _unequal("check", fold.checks, p.checks[::-1])
    yield from _unequal("gate", sorted(fold.gates.values(), key=by_instance), p.gates)
    yield from _unequal("vote", sorted(fold.votes.values(), key=by_voter), p.votes)


def _unequal(what: str, folded_rows: list[Any], rows: list[Any]) -> Iterator[str]:
    if folded_rows == rows:
        return
    if len(folded_rows) != len(rows):
        yield f"there are {len(rows)} {what} rows, and {len(folded_rows)} by the journal"
    for one, other in zip(folded_rows, rows, strict=False):
        if one != other:
            yield f"a {what} row is not what the journal says: {_difference(one, other)}"
            return


def _difference(folded_row: Any, row: Any) -> str:
    """The fields that differ, with the key of the row in front."""
    fields = [f for f in row.__struct_fields__ if getattr(row, f) != getattr(folded_row, f)]
    key = " ".join(str(getattr(folded_row, f, "")) for f in ("step", "index", "asset", "partition")).strip()
    shown = ", ".join(f"{f} is {getattr(row, f)!r:.80}, not {getattr(folded_row, f)!r:.80}" for f in fields)
    return f"{key}: {shown}" if key else shown


# --- attempts -----------------------------------------------------------------------------------------------------


def _start_gate(p: Picture) -> Iterator[str]:
    """I5: no attempt ran user code without a journaled start, and no two workers started one attempt."""
    workers: dict[tuple[str, str, int], str] = {}
    for e in p.events:
        if type(e) is AttemptStarted and workers.setdefault((e.step, e.index, e.attempt), e.worker) != e.worker:
            yield f"attempt {e.attempt} of step {e.step} {e.index} was started by two workers"
    for a in p.attempts:
        if (a.state == "started" or a.state in ENDS_OF_STARTED) and (a.step, a.index, a.attempt) not in workers:
            yield f"{_name(a)} is {a.state} without a journaled start"


def _one_open(p: Picture) -> Iterator[str]:
    """I7: a step instance has at most one open attempt, and epochs only grow."""
    open_attempts = Counter((a.step, a.index) for a in p.attempts if a.state in OPEN_ATTEMPT)
    for (step, index), count in open_attempts.items():
        if count > 1:
            yield f"step {step} {index} has {count} open attempts"
    epoch = 0
    known: set[tuple[str, str, int]] = set()
    for e in p.events:
        if type(e) is AttemptStarted or type(e) is AttemptDispatched:
            key = (e.step, e.index, e.attempt)
            # What was begun under an earlier engine keeps its epoch: a dispatched attempt, a bundle with its members.
            if key not in known and e.epoch < epoch and e.step not in p.members:
                yield f"attempt {e.attempt} of step {e.step} {e.index} is of epoch {e.epoch}, after one of epoch {epoch}"
            known.add(key)
            epoch = max(epoch, e.epoch)


def _nothing_stuck(p: Picture) -> Iterator[str]:
    """I9: a run that goes on has something that can move it. Maps are left out: the rows do not show what waits."""
    if p.run.state != "running" or p.graph is None or any(step.axes for step in p.graph.steps):
        return
    ended = {s.step for s in p.steps if s.state in TERMINAL_STEP}
    waiting = [s for s in p.by_key if s not in ended and _is_part(p, s)]
    if not waiting:
        yield "every step has ended, and the run has not"


def _gates_can_end(p: Picture) -> Iterator[str]:
    """I9: an open gate is a reason to wait as long as its run goes on and its step has not ended, and a timer has a time."""
    ended = {(s.step, s.index) for s in p.steps if s.state in TERMINAL_STEP}
    for gate in p.gates:
        if gate.answered_at is not None:
            continue
        who = f"gate {gate.step} {gate.index}".rstrip()
        if p.run.state in TERMINAL_RUN:
            yield f"{who} is open in a run that is {p.run.state}"
        elif (gate.step, gate.index) in ended:
            yield f"{who} is open, and its step has ended"
        elif gate.of == "timer" and gate.due_at is None:
            yield f"{who} waits for a time, and has none"


def _limits(p: Picture) -> Iterator[str]:
    """I10: after each commit, no more open attempts than the run and its tasks allow; none in an ended run."""
    if p.run.state in TERMINAL_RUN:
        for a in p.attempts:
            if a.state in OPEN_ATTEMPT:
                yield f"{_name(a)} is open in a run that is {p.run.state}"
    of_task = {key: step.policies.limit_per_run for key, step in p.by_key.items()}
    if p.run.limit is None and not any(of_task.values()):
        return
    opened: set[tuple[str, str, int]] = set()
    counts: Counter[str] = Counter()
    for row in p.journal:
        for e in row.events:
            if isinstance(e, AttemptStarted | AttemptDispatched | AttemptEnded) and e.step not in p.members:
                key = (e.step, e.index, e.attempt)
                if (key in opened) != isinstance(e, AttemptEnded):
                    continue
                opened ^= {key}
                counts[e.step] += -1 if isinstance(e, AttemptEnded) else 1
        if p.run.limit is not None and len(opened) > p.run.limit:
            yield f"{len(opened)} open attempts after journal row {row.seq}, where {p.run.limit} are allowed"
        for step in {e.step for e in row.events if isinstance(e, AttemptStarted | AttemptDispatched)}:
            limit = of_task.get(step)
            if limit is not None and counts[step] > limit:
                yield f"{counts[step]} open attempts of {step} after journal row {row.seq}, where {limit} are allowed"


def _nothing_after_cancel(p: Picture) -> Iterator[str]:
    """I13: after a cancel no attempt starts, but for those that clean up and the members of an open bundle."""
    cancelled = False
    for e in p.events:
        if type(e) is CancelRequested:
            cancelled = True
        elif cancelled and type(e) is AttemptStarted and e.step not in p.members:
            step = p.by_key.get(e.step)
            if step is None or not step.teardown_of:
                yield f"attempt {e.attempt} of step {e.step} {e.index} started after the cancel"


# --- the graph ----------------------------------------------------------------------------------------------------

_WAITS_FOR_ALL = frozenset(
    {
        "all_succeeded",
        "all_failed",
        "all_done",
        "all_done_any_succeeded",
        "all_done_setup_succeeded",
        "none_failed",
        "none_skipped",
        "none_failed_any_succeeded",
        "all_skipped",
    }
)


def _needs_ended(p: Picture) -> Iterator[str]:
    """I6: when an attempt starts, the steps it needs have ended, in the state that its join rule asks for."""
    if p.graph is None:
        return
    ends, starts = _moments(p)
    for step in p.graph.steps:
        if step.when not in _WAITS_FOR_ALL or step.key not in starts:
            continue
        for need in step.needs:
            shared = _shared(step, p.by_key[need])
            of_need = ends.get(need, {})
            groups = _grouped(of_need, shared)
            whole = len(p.by_key[need].axes) == shared and _is_part(p, need)
            for index, at in starts[step.key].items():
                yield from _too_early(step, index, at, need, groups.get(_beginning(index, shared), []), whole)


def _too_early(step: Step, index: str, at: int, need: str, ends: list[tuple[int, str]], whole: bool) -> Iterator[str]:
    who = f"step {step.key} {index}".rstrip()
    if whole and not ends:
        yield f"{who} started, and {need} that it needs never ended"
    for ended_at, state in ends:
        if ended_at > at:
            yield f"{who} started before {need} that it needs had ended"
        elif step.when == "all_succeeded" and state != "succeeded":
            yield f"{who} started although {need} that it needs ended {state}"


def _moments(p: Picture) -> tuple[dict[str, dict[str, tuple[int, str]]], dict[str, dict[str, int]]]:
    """By step and index: when and how it ended, and when its first attempt started (as places in the journal)."""
    ends: defaultdict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
    starts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for at, e in enumerate(p.events):
        if type(e) is AttemptStarted or type(e) is GateOpened:
            starts[e.step].setdefault(e.index, at)
        elif isinstance(e, StepEnded | StepReused):
            ends[e.step].setdefault(e.index, (at, e.state))
        elif (type(e) is AttemptEnded and e.state == "succeeded") or (type(e) is GateAnswered and e.accepted):
            ends[e.step].setdefault(e.index, (at, "succeeded"))
    return ends, starts


def _shared(one: Step, other: Step) -> int:
    """How many axes two steps have in common from the outside in."""
    shared = 0
    for a, b in zip(one.axes, other.axes, strict=False):
        if a != b:
            break
        shared += 1
    return shared


def _grouped(ends: dict[str, tuple[int, str]], shared: int) -> dict[str, list[tuple[int, str]]]:
    groups: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for index, end in ends.items():
        groups[_beginning(index, shared)].append(end)
    return groups


def _beginning(index: str, places: int) -> str:
    return ".".join(index.split(".")[:places])


def _is_part(p: Picture, step: str) -> bool:
    """Whether the run executes the step at all."""
    return not p.run.selection or step in p.run.selection


# --- assets -------------------------------------------------------------------------------------------------------


def _published(p: Picture) -> Iterator[str]:
    """I14: what was materialized stands in the journal row that accepted its attempt's success."""
    for row in p.journal:
        accepted = {
            (e.step, e.index, e.attempt) for e in row.events if type(e) is AttemptEnded and e.state == "succeeded"
        }
        for e in row.events:
            if type(e) is Materialized and (e.step, e.index, e.attempt) not in accepted:
                yield f"{e.asset} {e.partition} was materialized apart from the success of its attempt"
    succeeded = {(a.step, a.index, a.attempt) for a in p.attempts if a.state == "succeeded"}
    for m in p.materializations:
        if (m.step, m.index, m.attempt) not in succeeded:
            yield f"{m.asset} {m.partition} was materialized by an attempt that did not succeed"


def _graph_is_kept(p: Picture) -> Iterator[str]:
    """I17: a run that has not ended still has its graph."""
    if p.run.state not in TERMINAL_RUN and p.graph is None:
        yield f"graph {p.run.graph} is not there"


def _latest(reader: Reader, picture: Picture, seen: set[tuple[str, str]]) -> Iterator[Finding]:
    """I17: the pointer to the newest materialization of an asset (partition) is there and right."""
    for key in {(m.asset, m.partition) for m in picture.materializations} - seen:
        seen.add(key)
        newest = reader.materializations(key[0], partition=key[1], limit=1)
        if [reader.materialization(*key)] != newest:
            yield Finding("I17", f"asset {' '.join(key).rstrip()}: its latest materialization is not the newest one")


def _reports(reader: Reader, seen: set[tuple[str, str]]) -> Iterator[Finding]:
    """I14, I17: what other tools reported is there without a run, once under its key, and pointed to."""
    after = 0
    keys: set[tuple[str, str, str, str]] = set()
    while page := reader.stream(after_no=after, limit=_PAGE):
        after = page[-1].no
        for fact in (fact for row in page for fact in row.facts if isinstance(fact, AssetReported)):
            key = (fact.asset, fact.partition, fact.by, fact.key)
            if fact.key and key in keys:
                yield Finding("I14", f"asset {fact.asset}: {fact.by} reported it twice under the key {fact.key}")
            keys.add(key)
            if key[:2] in seen:
                continue
            seen.add(key[:2])
            newest = reader.materializations(fact.asset, partition=fact.partition, limit=1)
            latest = reader.materialization(fact.asset, fact.partition)
            if [latest] != newest:
                name = f"{fact.asset} {fact.partition}".rstrip()
                yield Finding("I17", f"asset {name}: its latest materialization is not the newest one")
            if latest is not None and (latest.run != "") != (latest.attempt > 0):
                yield Finding("I14", f"asset {fact.asset}: a report names a run, or a materialization of a run none")


def _name(a: AttemptRow) -> str:
    return f"attempt {a.attempt} of step {a.step} {a.index}".rstrip()


INVARIANTS: tuple[tuple[str, Callable[[Picture], Iterator[str]]], ...] = (
    ("I3", _one_outcome),
    ("I4", _terminal_is_final),
    ("I5", _start_gate),
    ("I6", _needs_ended),
    ("I7", _one_open),
    ("I8", _no_gap),
    ("I9", _nothing_stuck),
    ("I9", _gates_can_end),
    ("I10", _limits),
    ("I12", _folds),
    ("I13", _nothing_after_cancel),
    ("I14", _published),
    ("I17", _graph_is_kept),
)
