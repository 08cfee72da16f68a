"""The morning report of a run: what ran, what broke first, what that blocks and whose it is, what was slow, what recovered.

    report = report_of(reader, row)
    report.causes[0].error, report.causes[0].blocks

Rule: reading only, and plain frozen values: how it looks is said where it is shown. Forty steps behind one failure are
one cause; a step is named with the names that `why` and `retry` take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from partita.core.events import failure_line
from partita.core.explain import Cause, causes
from partita.core.graph import Graph, Step
from partita.core.graph import decode as decode_graph
from partita.core.machine import RunMachine
from partita.core.manifest import AssetSpec, Manifest
from partita.core.plan import Instance
from partita.core.states import OPEN_ATTEMPT, USER_FAILURE
from partita.engine.restore import rebuilt
from partita.engine.timeline import Leg, Span, critical_path, spans
from partita.errors import PartitaError
from partita.store.contract import AttemptRow, Reader, RunRow

# The kinds of an asset that say what it is to people; the first of these among its kinds is what it is called.
NOUNS = ("dashboard", "report", "predictor", "model", "seed", "snapshot", "feature", "source", "table", "view")

_ENOUGH_RUNS = 3
_HISTORY = 14
# Of so many causes the runs before are looked into; nobody reads more.
_WITH_HISTORY = 50
# Runs of so few steps are looked into to find those that did as much work.
_SMALL = 2_000
# Slower than nine in ten, and by so much that somebody may care.
_SLOWER_BY = 1.5
_SLOWER_BY_S = 1.0


class Count(msgspec.Struct, frozen=True):
    """So many things of one sort: "model", "check", "dashboard", "step" ..., and which."""

    noun: str
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.names)


class Broken(msgspec.Struct, frozen=True):
    """What broke by itself: a first cause."""

    step: str
    indexes: tuple[str, ...]
    noun: str
    state: str
    # The first line of the error, with the name of its class; all of it; what ended it ("exception", "out_of_memory" ...).
    error: str
    message: str
    traceback: str
    cause: str
    owner: str
    description: str
    written_at: str
    attempts: int
    first_at: float
    # What did not run because of it, by sort; those of it that nothing else is made of: what people miss.
    blocks: tuple[Count, ...]
    missed: tuple[str, ...]
    # How the step ended in the runs before, oldest first ("" = it was not tried in that run).
    history: tuple[str, ...]
    # The steps that it holds up: two causes may hold up the same one.
    behind: tuple[str, ...] = ()
    # What it makes, or looks at if it is a check: then `check` is its name there.
    asset: str = ""
    check: str = ""

    @property
    def index(self) -> str:
        return self.indexes[0]

    @property
    def blocked(self) -> int:
        return sum(c.count for c in self.blocks)


class Warned(msgspec.Struct, frozen=True):
    """A check that failed and only warns."""

    asset: str
    check: str
    step: str
    message: str
    owner: str
    description: str


class Slow(msgspec.Struct, frozen=True):
    """A step that took longer than it usually does. Seconds."""

    step: str
    index: str
    owner: str
    took_s: float
    median_s: float
    p90_s: float
    count: int


class Recovered(msgspec.Struct, frozen=True):
    """A step that failed at first, was tried again, and succeeded. `error` is what it failed with last."""

    step: str
    index: str
    owner: str
    attempts: int
    error: str


class NotRun(msgspec.Struct, frozen=True):
    """Steps that did not run for one reason, other than because of something that broke."""

    state: str
    reason: str
    names: tuple[str, ...]


class Made(msgspec.Struct, frozen=True):
    """Assets of one sort: how many the run was to make, made anew, and found unchanged."""

    noun: str
    planned: int
    made: int
    cached: int


class Checked(msgspec.Struct, frozen=True):
    """The checks of the run."""

    planned: int
    passed: int
    warned: int
    failed: int


class Report(msgspec.Struct, frozen=True):
    """Everything that somebody wants to know about a run the morning after. Instants are seconds since the epoch."""

    no: int
    run: str
    project: str
    pipeline: str
    description: str
    owner: str
    partition: str
    selection: tuple[str, ...]
    state: str
    reason: str
    by: str
    rerun_of: str
    started_at: float | None
    finished_at: float | None
    took_s: float | None
    # Of earlier successful runs; None with fewer than three.
    usually_s: float | None
    steps: int
    counts: dict[str, int]
    attempts: int
    cached: int
    reused: int
    made: tuple[Made, ...]
    checks: Checked
    causes: tuple[Broken, ...]
    warnings: tuple[Warned, ...]
    slow: tuple[Slow, ...]
    recovered: tuple[Recovered, ...]
    not_run: tuple[NotRun, ...]
    # The chain of steps that made the run as long as it was, and what ran when.
    critical_path: tuple[Leg, ...]
    spans: tuple[Span, ...]

    @property
    def all_well(self) -> bool:
        return self.state == "succeeded" and not (self.causes or self.warnings or self.slow or self.recovered)


def report_of(reader: Reader, row: RunRow) -> Report:
    """The report of a run, finished or not."""
    facts = _Facts(reader, row)
    machine = facts.machine
    manifest = reader.manifest(row.project)
    spec = next((p for p in manifest.pipelines if p.name == row.pipeline), None) if manifest is not None else None
    earlier = reader.runs(pipeline=row.pipeline, before_no=row.no, limit=_HISTORY)
    took_s = None if row.started_at is None or row.finished_at is None else row.finished_at - row.started_at
    states: Counter[str] = Counter(i.state for i in machine.instances())
    return Report(
        no=row.no,
        run=row.id,
        project=row.project,
        pipeline=row.pipeline,
        description=spec.description if spec is not None else "",
        owner=spec.owner if spec is not None else "",
        partition=row.partition,
        selection=row.selection,
        state=row.state,
        reason=row.reason,
        by=row.by,
        rerun_of=row.rerun_of,
        started_at=row.started_at,
        finished_at=row.finished_at,
        took_s=took_s,
        usually_s=_usual_run(facts),
        steps=sum(states.values()),
        counts=dict(states),
        attempts=sum(len(tries) for tries in facts.tries.values()),
        cached=sum(bool(tries[-1].cached_from) for tries in facts.tries.values()),
        reused=sum(bool(s.reused_from) for s in facts.steps.values()),
        made=_made(facts),
        checks=_checked(facts),
        causes=tuple(
            _broken(facts, cause, earlier if at < _WITH_HISTORY else []) for at, cause in enumerate(causes(machine))
        ),
        warnings=_warnings(facts),
        slow=_slow(facts),
        recovered=tuple(_recovered(facts)),
        not_run=_not_run(machine),
        critical_path=critical_path(machine, facts.steps, facts.tries),
        spans=spans(machine, facts.tries),
    )


def broken_in(
    reader: Reader, row: RunRow, *, graph: Graph | None = None, manifest: Manifest | None = None, runs_before: int = 30
) -> tuple[Broken, ...]:
    """What broke by itself in a run, finished or not; the cause that blocks the most first.

    Whoever has the graph or the manifest at hand saves reading it.
    """
    facts = _Facts(reader, row, graph, manifest)
    earlier = reader.runs(pipeline=row.pipeline, before_no=row.no, limit=runs_before)
    return tuple(
        _broken(facts, cause, earlier if at < _WITH_HISTORY else []) for at, cause in enumerate(causes(facts.machine))
    )


class _Facts:
    """What the store knows of the run, each row found by its step instance."""

    def __init__(
        self, reader: Reader, row: RunRow, graph: Graph | None = None, manifest: Manifest | None = None
    ) -> None:
        graph = graph or _graph_of(reader, row)
        self.reader = reader
        self.row = row
        steps, attempts = reader.steps(row.id), reader.attempts(row.id)
        self.machine: RunMachine = rebuilt(
            graph, row, steps, attempts, reader.gates(row.id, open_only=True), reader.votes(row.id)
        )
        self.steps = {(s.step, s.index): s for s in steps}
        self.tries: dict[tuple[str, str], list[AttemptRow]] = {}
        for attempt in attempts:
            self.tries.setdefault((attempt.step, attempt.index), []).append(attempt)
        self.checks = reader.checks(run=row.id, limit=100_000)
        manifest = manifest or reader.manifest(row.project)
        self.assets: Mapping[str, AssetSpec] = {a.name: a for a in manifest.assets} if manifest is not None else {}

    def step(self, key: str) -> Step:
        return self.machine.plan.nodes[key].step

    def noun(self, step: Step) -> str:
        """What people call it."""
        if step.check is not None:
            return "check"
        if step.asset is None:
            return "step"
        kinds = self.assets[step.asset].kinds if step.asset in self.assets else ()
        return next((kind for kind in kinds if kind in NOUNS), "asset")

    def counted(self, keys: Iterable[str]) -> tuple[Count, ...]:
        """Steps by what they are, the most frequent first."""
        found: dict[str, list[str]] = {}
        for key in keys:
            found.setdefault(self.noun(self.step(key)), []).append(key)
        return tuple(Count(n, tuple(names)) for n, names in sorted(found.items(), key=lambda f: -len(f[1])))


def _graph_of(reader: Reader, row: RunRow) -> Graph:
    data = reader.graph(row.graph)
    if data is None:
        raise PartitaError(f"the graph of run {row.no} is missing in the store", hint="partita db audit")
    return decode_graph(data)


# --- what ran -----------------------------------------------------------------------------------------------------


def _made(facts: _Facts) -> tuple[Made, ...]:
    found: dict[str, list[int]] = {}
    for instance in facts.machine.instances():
        step = instance.node.step
        if step.asset is None:
            continue
        tally = found.setdefault(facts.noun(step), [0, 0, 0])
        tally[0] += 1
        if instance.state == "succeeded":
            tries = facts.tries.get((step.key, instance.index))
            is_old = tries is None or bool(tries[-1].cached_from)
            tally[2 if is_old else 1] += 1
    return tuple(Made(noun, *tally) for noun, tally in found.items())


def _checked(facts: _Facts) -> Checked:
    states = [i.state for i in facts.machine.instances() if i.node.step.check is not None]
    failed = [c.report for c in facts.checks if not c.report.passed]
    warned = sum(r.severity == "warn" for r in failed)
    # One that was taken over from an earlier run has no evaluation here, and succeeded all the same.
    return Checked(len(states), states.count("succeeded") - warned, warned, len(failed) - warned)


def _usual_run(facts: _Facts) -> float | None:
    """The median of the last successful runs of all of the pipeline that did as much work as this one."""
    row, reader = facts.row, facts.reader
    runs = reader.runs(pipeline=row.pipeline, states=("succeeded",), before_no=row.no, limit=_HISTORY)
    alike = [r for r in runs if r.selection == row.selection and not r.rerun_of]
    if len(facts.tries) <= _SMALL:
        idle = _is_idle(facts.tries.values())
        alike = [r for r in alike if _is_idle([[a] for a in reader.attempts(r.id)]) == idle]
    took = sorted(r.finished_at - r.started_at for r in alike if r.finished_at is not None and r.started_at is not None)
    return took[len(took) // 2] if len(took) >= _ENOUGH_RUNS else None


def _is_idle(tries: Collection[Sequence[AttemptRow]]) -> bool:
    """Did most of it come from the cache?"""
    return 2 * sum(bool(of_step[-1].cached_from) for of_step in tries) > len(tries)


# --- what broke ---------------------------------------------------------------------------------------------------


def _broken(facts: _Facts, cause: Cause, earlier: list[RunRow]) -> Broken:
    step = facts.step(cause.step)
    tries = facts.tries.get((cause.step, cause.indexes[0]), [])
    begun = [a for a in tries if a.state != "refused"]
    failure = next((a.failure for a in reversed(tries) if a.failure is not None), None)
    row = facts.steps.get((cause.step, cause.indexes[0]))
    return Broken(
        step=cause.step,
        indexes=cause.indexes,
        noun=facts.noun(step),
        state=cause.state,
        error=failure_line(failure, cause.message),
        message=failure.message if failure is not None else cause.message,
        traceback=failure.traceback if failure is not None else "",
        cause=failure.cause if failure is not None else "",
        owner=cause.owner,
        description=step.description.partition("\n")[0],
        written_at=step.written_at,
        attempts=len(begun),
        first_at=next((a.finished_at for a in begun if a.finished_at), (row.finished_at if row else None) or 0.0),
        blocks=facts.counted(cause.blocks),
        missed=_missed(facts, cause.blocks),
        history=tuple(_end_in(facts.reader, run, cause.step, cause.indexes[0]) for run in reversed(earlier)),
        behind=tuple(cause.blocks),
        asset=step.check.asset if step.check is not None else step.asset or "",
        check=step.check.name if step.check is not None else "",
    )


def _missed(facts: _Facts, blocked: Iterable[str]) -> tuple[str, ...]:
    """Of the blocked assets those that nothing else is made of; dashboards alone if there are any among them."""
    nodes = facts.machine.plan.nodes
    last = [
        key
        for key in blocked
        if nodes[key].step.asset is not None and all(e.user.step.check is not None for e in nodes[key].users)
    ]
    rank = {key: NOUNS.index(noun) if (noun := facts.noun(nodes[key].step)) in NOUNS else len(NOUNS) for key in last}
    return tuple(key for key in last if rank[key] == min(rank.values()))


def _end_in(reader: Reader, run: RunRow, step: str, index: str) -> str:
    tries = reader.attempts(run.id, step=step, index=index)
    if not tries or tries[-1].state in OPEN_ATTEMPT:
        return ""
    return tries[-1].state if tries[-1].state in ("succeeded", "cancelled") else "failed"


def _warnings(facts: _Facts) -> tuple[Warned, ...]:
    found = []
    for row in reversed(facts.checks):
        report = row.report
        if report.passed or report.severity != "warn" or row.step not in facts.machine.plan.nodes:
            continue
        step = facts.step(row.step)
        message = report.message or "it did not hold"
        found.append(Warned(report.asset, report.check, row.step, message, step.owner, step.description))
    return tuple(found)


# --- what was slow, what recovered, what did not run ----------------------------------------------------------------


def _slow(facts: _Facts) -> tuple[Slow, ...]:
    row = facts.row
    before = facts.reader.runs(pipeline=row.pipeline, states=("succeeded",), before_no=row.no, limit=_ENOUGH_RUNS)
    if len(before) < _ENOUGH_RUNS:
        return ()
    usual = facts.reader.usual(row.pipeline, before_no=row.no)
    found: dict[str, Slow] = {}
    for (key, index), tries in facts.tries.items():
        last = tries[-1]
        median_s, p90_s, count = usual.get(key, (0.0, 0.0, 0))
        if last.state != "succeeded" or count < _ENOUGH_RUNS:
            continue
        took_s = (last.ended_at - last.began_at) if last.ended_at else (last.finished_at or 0.0) - last.started_at
        if took_s <= max(p90_s, _SLOWER_BY * median_s) or took_s - median_s < _SLOWER_BY_S:
            continue
        if key not in found or found[key].took_s < took_s:
            owner = facts.step(key).owner
            found[key] = Slow(key, index, owner, took_s, median_s, p90_s, count)
    return tuple(sorted(found.values(), key=lambda s: s.median_s - s.took_s))


def _recovered(facts: _Facts) -> Iterable[Recovered]:
    for (key, index), tries in facts.tries.items():
        failed = [a for a in tries if a.state in USER_FAILURE or a.state == "lost"]
        if tries[-1].state == "succeeded" and failed:
            error = failure_line(failed[-1].failure, failed[-1].state.replace("_", " "))
            yield Recovered(key, index, facts.step(key).owner, len(failed) + 1, error)


def _not_run(machine: RunMachine) -> tuple[NotRun, ...]:
    """What ended without having been tried, by state and reason; what a cause blocks is told with the cause."""
    found: dict[tuple[str, str], list[str]] = {}
    for instance in machine.instances():
        if instance.state in ("skipped", "cancelled"):
            found.setdefault((instance.state, instance.reason), []).append(_name(instance))
    return tuple(NotRun(state, reason, tuple(names)) for (state, reason), names in found.items())


def _name(instance: Instance) -> str:
    return f"{instance.node.key}[{instance.index}]" if instance.path else instance.node.key
