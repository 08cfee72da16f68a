"""A run in time: when each step waited, for what, and when it worked, attempt by attempt."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from partita.core.events import failure_line
from partita.core.explain import Explanation
from partita.core.machine import RunMachine
from partita.core.plan import Instance, Node
from partita.engine.control import Why
from partita.engine.restore import rebuilt
from partita.engine.timeline import at_work, critical_path
from partita.engine.waits import Key, Row, ends_of, row_of
from partita.errors import WorldError
from partita.server import examples
from partita.server.calling import Call, Name, has_engine
from partita.server.objects import Instant, iso
from partita.server.remembering import graph
from partita.server.routing import route
from partita.store.contract import AttemptRow, GateRow, RunRow, StepRow

# Instances of one mapped step that have bars of their own; the rest is counted.
_SHOWN = 40
_ASKED = 10
_ORDER = ("failed", "needs_attention", "running", "ready", "upstream_failed", "cancelled", "waiting", "skipped")

Most = Annotated[int, msgspec.Meta(ge=1, le=2000, description="At most so many instances of each mapped step")]


class Worked(msgspec.Struct, frozen=True):
    """One attempt at work, in seconds since the run began. `to` is null while it goes on."""

    attempt: int
    state: str
    from_: float = msgspec.field(name="from")
    to: float | None
    reason: str


class Waited(msgspec.Struct, frozen=True):
    """It waited. `reason`: "upstreams", "queue", "limits" (pools and rates, named by `of`), "retry", "gate",
    "bundle" (the one that makes it together with others had not come to it). `to` is null while it does."""

    reason: str
    from_: float = msgspec.field(name="from")
    to: float | None
    of: list[str]
    text: str


class TimelineRow(msgspec.Struct, frozen=True):
    """An instance in time. `critical`: it lies on the longest way through the run."""

    step: str
    index: str
    group: list[str]
    state: str
    critical: bool
    work: list[Worked]
    waits: list[Waited]


class Folded(msgspec.Struct, frozen=True):
    """Instances of a mapped step that have no row of their own, together: how many, from when to when they worked."""

    step: str
    counts: dict[str, int]
    from_: float | None = msgspec.field(name="from")
    to: float | None


class Timeline(msgspec.Struct, frozen=True):
    """A run in time. All numbers are seconds since `zero`; `end` is the last of them."""

    run: str
    zero: Instant | None
    end: float
    rows: list[TimelineRow]
    folded: list[Folded]


_EXAMPLE = Timeline(
    examples.RUN.id,
    "2026-11-22T03:00:00.100Z",
    61.2,
    [
        TimelineRow(
            "load",
            "",
            [],
            "succeeded",
            True,
            [Worked(1, "succeeded", 42.0, 61.2, "")],
            [Waited("limits", 30.5, 42.0, ["warehouse"], "")],
        )
    ],
    [],
)


@route(
    "GET",
    "/runs/{run}/timeline",
    permission="view",
    summary="A run in time: what each step waited for, when it worked, and the longest way through",
    errors=(404, 422),
    example=_EXAMPLE,
)
def timeline(call: Call, run: Name, step: Name | None = None, most: Most = _SHOWN) -> Timeline:
    row = call.run(run)
    reader = call.reader
    steps, attempts, gates = reader.steps(row.id), reader.attempts(row.id), reader.gates(row.id)
    machine = rebuilt(graph(reader, row), row, steps, attempts, gates, reader.votes(row.id))
    picture = _Picture(machine, row, steps, attempts, gates)
    rows: list[Row] = []
    folded: list[Folded] = []
    for node in machine.plan.nodes.values():
        if step in (None, node.key):
            shown, rest = _cut(list(node.instances.values()), picture.critical, most)
            rows += [picture.row(instance) for instance in shown]
            folded += [picture.folded(node, rest)] if rest else []
    told = _refusals(call, row, rows)
    shown_rows = [picture.told(r, told.get((r.instance.node.key, r.instance.index), "")) for r in rows]
    return Timeline(row.id, iso(picture.zero), picture.end, shown_rows, folded)


class _Picture:
    """Rows of a run, made into bars."""

    def __init__(
        self,
        machine: RunMachine,
        row: RunRow,
        steps: Sequence[StepRow],
        attempts: Sequence[AttemptRow],
        gates: Sequence[GateRow],
    ) -> None:
        self.zero = row.started_at or row.created_at
        self._machine = machine
        self._ends = ends_of(steps)
        self._gates = {(g.step, g.index): g for g in gates}
        self._tries: dict[Key, list[AttemptRow]] = {}
        for attempt in attempts:
            self._tries.setdefault((attempt.step, attempt.index), []).append(attempt)
        legs = critical_path(machine, {(s.step, s.index): s for s in steps}, self._tries)
        self.critical = {(key, leg.index) for leg in legs for key in (leg.through or (leg.step,))}
        last = max((at_work(a)[1] for a in attempts), default=self.zero)
        self.end = _s(max(row.finished_at or last, last) - self.zero)

    def row(self, instance: Instance) -> Row:
        key = (instance.node.key, instance.index)
        return row_of(self._machine, instance, self._tries.get(key, ()), self._ends, self._gates.get(key))

    def told(self, row: Row, refusal: str) -> TimelineRow:
        instance = row.instance
        key = (instance.node.key, instance.index)
        state = "retrying" if instance.state == "ready" and row.tries else instance.state
        waits = [
            Waited(w.reason, _s(w.from_s), _s(w.to_s), list(w.of), refusal if w.to_s is None else "") for w in row.waits
        ]
        work = [self._work(attempt) for attempt in row.tries]
        return TimelineRow(*key, list(instance.node.step.group), state, key in self.critical, work, waits)

    def _work(self, attempt: AttemptRow) -> Worked:
        began, ended = at_work(attempt)
        is_open = attempt.finished_at is None
        reason = failure_line(attempt.failure)[:300]
        ended_s = None if is_open else _s(ended - self.zero)
        return Worked(attempt.attempt, attempt.state, _s(began - self.zero), ended_s, reason)

    def folded(self, node: Node, rest: Sequence[Instance]) -> Folded:
        counts: dict[str, int] = {}
        times: list[float] = []
        for instance in rest:
            counts[instance.state] = counts.get(instance.state, 0) + 1
            for attempt in self._tries.get((node.key, instance.index), ()):
                times += at_work(attempt)
        if not times:
            return Folded(node.key, counts, None, None)
        return Folded(node.key, counts, _s(min(times) - self.zero), _s(max(times) - self.zero))


def _cut(instances: list[Instance], critical: set[Key], most: int) -> tuple[list[Instance], list[Instance]]:
    """Those that say most: on the longest way, failed, at work; and the others."""
    if len(instances) <= most:
        return instances, []
    rank = {state: place for place, state in enumerate(_ORDER)}
    by_worth = sorted(
        instances,
        key=lambda i: ((i.node.key, i.index) not in critical, rank.get(i.state, len(rank))),
    )
    return sorted(by_worth[:most], key=lambda i: i.path), by_worth[most:]


def _refusals(call: Call, row: RunRow, rows: Sequence[Row]) -> dict[Key, str]:
    """What the admission says of the first steps that stand in the queue now."""
    waiting = [r.instance for r in rows if r.instance.state == "ready"][:_ASKED]
    told: dict[Key, str] = {}
    if waiting and has_engine(call):
        with contextlib.suppress(WorldError):
            for instance in waiting:
                found: Explanation | None = call.ask(Why(row.id, instance.node.key, instance.index)).explanation
                if found is not None and found.reasons:
                    told[instance.node.key, instance.index] = found.reasons[-1].text
    return told


def _s(seconds: float | None) -> Any:
    return None if seconds is None else round(max(0.0, seconds), 3)
