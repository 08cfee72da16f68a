"""Deadlines of runs, steps and assets: told when they will be missed, and when they are.

A deadline after so long counts from the creation of the run. One at a time of day holds each day for the pipeline: whether a
run is late, or was never made, it is missed just the same.

Rule: looked at when one is due, and once a minute for those that may be missed; what takes how long is asked of the store
once for each run.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from partita.core.alerts import Happening
from partita.core.deadlines import Usual, due_at, late_text, next_daily, predicted_end
from partita.core.events import Event, RunEnded, RunStarted
from partita.core.facts import Fact
from partita.core.facts.messages import AlertMoved
from partita.core.manifest import DeadlineSpec, Manifest, PipelineSpec
from partita.core.states import TERMINAL_STEP
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.control import Handler
from partita.engine.loop import Engine
from partita.store import messages
from partita.store.writing import SqlStore

RULE = "deadline"
"""Under this name open causes for alarm are kept, whether anybody is told or not."""

_LOOK_S = 60.0
_NEVER = float("inf")


class _Watched:
    """A run with deadlines."""

    __slots__ = ("due", "predicted", "run", "usual")

    def __init__(self, run: ActiveRun, due: list[tuple[float, DeadlineSpec]], usual: Usual) -> None:
        self.run = run
        self.due = due
        self.usual = usual
        self.predicted: set[DeadlineSpec] = set()


class Deadlines:
    """The part of the service that watches deadlines. `tell` hears of each once."""

    name = "deadlines"

    def __init__(
        self, engine: Engine, store: SqlStore, catalog: Catalog, tell: Callable[[Iterable[Happening]], None]
    ) -> None:
        self._engine = engine
        self._store = store
        self._catalog = catalog
        self._tell = tell
        self._watched: dict[str, _Watched] = {}
        self._daily: list[tuple[float, int, str, str, DeadlineSpec]] = []
        self._alarms: set[str] = set()
        self._look_at = _NEVER
        self._now = 0.0

    def start(self, now: float) -> None:
        """Watch the runs that are open."""
        self._now = now
        self._alarms = {a.subject for a in messages.alerts(self._store) if a.rule == RULE}
        self._plan_daily()
        for run in self._engine.active.values():
            self._watch(run)

    def due_at(self) -> float:
        return min(self._look_at, self._daily[0][0] if self._daily else _NEVER)

    def turn(self, now: float) -> None:
        """Look at what may be missed, and at the times of day that have come."""
        self._now = now
        while self._daily and self._daily[0][0] <= now:
            at, number, project, pipeline, spec = heapq.heappop(self._daily)
            self._look_at_day(at, project, pipeline, spec)
            heapq.heappush(self._daily, (next_daily(spec, at), number, project, pipeline, spec))
        if self._look_at <= now:
            for watched in list(self._watched.values()):
                self._look(watched, now)
            self._plan_look(now)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) is RunStarted:
                self._now = event.at
                self._watch(run)
            elif type(event) is RunEnded:
                self._close(run, event)

    def recorded(self, facts: Sequence[Fact]) -> None: ...

    def loaded(self, manifest: Manifest) -> None:
        self._plan_daily()
        for run in self._engine.active.values():
            self._watch(run)

    def handlers(self) -> Mapping[type, Handler]:
        return {}

    # --- runs -------------------------------------------------------------------------------------------------------

    def _watch(self, run: ActiveRun) -> None:
        if run.id in self._watched or run.machine.state != "running":
            return
        pipeline = self._pipeline(run.run.project, run.run.pipeline)
        if pipeline is None or not pipeline.deadlines:
            return
        due = [(due_at(spec, run.run.at), spec) for spec in pipeline.deadlines]
        self._watched[run.id] = _Watched(run, due, self._store.usual(run.run.pipeline, before_no=run.no))
        # A run that waited for its turn may be late as it starts; those that are watched are not looked at later for it.
        self._look_at = min([self._look_at, self._now + _LOOK_S, *(at for at, _ in due)])

    def _plan_look(self, now: float) -> None:
        dues = [at for watched in self._watched.values() for at, _ in watched.due]
        self._look_at = min([now + _LOOK_S, *dues]) if dues else _NEVER

    def _look(self, watched: _Watched, now: float) -> None:
        run = watched.run
        left: list[tuple[float, DeadlineSpec]] = []
        for at, spec in watched.due:
            step = _step_of(run, spec)
            if step is not None and _has_ended(run, step):
                continue
            if at <= now:
                if spec.after_s is not None or spec.of != "run":
                    self._missed(run, spec, at)
                continue
            left.append((at, spec))
            if spec not in watched.predicted:
                late_s = predicted_end(run.machine, watched.usual, now, step=step or "") - at
                if late_s > 0:
                    watched.predicted.add(spec)
                    self._predicted(run, spec, late_s)
        watched.due = left
        if not left:
            del self._watched[run.id]

    def _predicted(self, run: ActiveRun, spec: DeadlineSpec, late_s: float) -> None:
        held_up = self._held_up(run)
        title = f"{_subject(run, spec)} will be late by {late_text(late_s)}" + (f": {held_up}" if held_up else "")
        self._alarm(run, spec, "deadline.predicted", title, "warn")

    def _missed(self, run: ActiveRun, spec: DeadlineSpec, at: float) -> None:
        open_steps = [
            node.key
            for node in run.machine.plan.nodes.values()
            if any(i.state not in TERMINAL_STEP for i in node.instances.values())
        ]
        title = f"{_subject(run, spec)} is not done by its deadline ({_text(spec)})"
        lines: tuple[str, ...] = (
            f"still to be done: {', '.join(open_steps[:10])}" + (" ..." if len(open_steps) > 10 else ""),
        )
        if held_up := self._held_up(run):
            lines += (held_up,)
        self._alarm(run, spec, "deadline.missed", title, "error", lines)

    def _held_up(self, run: ActiveRun) -> str:
        """What the first of its ready steps waits for: "extract waits because pool warehouse is full: 2 of 2 slots taken"."""
        for instance in run.machine.instances():
            if instance.offered and (refusal := self._engine.admission.refusal(run.lane_of(instance))) is not None:
                # Of what the machine has, a refusal says by itself that it waits.
                because = "" if str(refusal).startswith("waits ") else "waits because "
                return f"{instance.node.key} {because}{refusal}"
        return ""

    def _alarm(
        self, run: ActiveRun, spec: DeadlineSpec, topic: str, title: str, severity: str, lines: tuple[str, ...] = ()
    ) -> None:
        created = run.run
        subject = f"run:{run.no}:{spec.of}:{spec.subject}"
        self._raise(created.namespace, subject, title, run.id)
        self._tell(
            [
                Happening(
                    topic,
                    f"pipeline:{created.pipeline}",
                    self._now,
                    title,
                    f"{created.run}:{spec.of}:{spec.subject}",
                    severity,  # type: ignore[arg-type]
                    lines,
                    namespace=created.namespace,
                    project=created.project,
                    cause=title if topic == "deadline.missed" else "",
                    run=created.run,
                    run_no=run.no,
                    tags=created.tags,
                )
            ]
        )

    def _close(self, run: ActiveRun, event: RunEnded) -> None:
        self._watched.pop(run.id, None)
        over = [alarm for alarm in self._alarms if alarm.startswith(f"run:{run.no}:")]
        if event.state == "succeeded":
            over += [alarm for alarm in self._alarms if alarm.startswith(f"pipeline:{run.run.pipeline}:")]
        for alarm in over:
            self._alarms.discard(alarm)
            self._engine.record(AlertMoved(event.at, run.run.namespace, RULE, alarm, open=False))

    def _raise(self, namespace: str, subject: str, title: str, run: str = "") -> None:
        self._alarms.add(subject)
        self._engine.record(AlertMoved(self._now, namespace, RULE, subject, True, title, run))

    # --- times of day -----------------------------------------------------------------------------------------------

    def _plan_daily(self) -> None:
        numbers = itertools.count()
        self._daily = [
            (next_daily(spec, self._now), next(numbers), manifest.project, pipeline.name, spec)
            for manifest in self._catalog.manifests.values()
            for pipeline in manifest.pipelines
            for spec in pipeline.deadlines
            if spec.at and spec.of == "run"
        ]
        heapq.heapify(self._daily)

    def _look_at_day(self, at: float, project: str, pipeline: str, spec: DeadlineSpec) -> None:
        """Has a run of the pipeline succeeded since the day before?"""
        since = at - 86_400.0
        runs = self._store.runs(pipeline=pipeline, limit=20)
        if any(r.state == "succeeded" and since < (r.finished_at or 0.0) <= at for r in runs):
            return
        open_run = next((r for r in runs if r.state in ("queued", "running") and r.created_at > since), None)
        failed = next((r for r in runs if r.state == "failed" and r.created_at > since), None)
        if open_run is not None:
            how = f"run {open_run.no} is still {open_run.state}"
        elif failed is not None:
            how = f"run {failed.no} failed"
        else:
            how = "no run was made"
        manifest = self._catalog.manifests[project]
        title = f"{pipeline} is not done by {spec.at} {spec.tz}: {how}"
        self._raise(manifest.namespace, f"pipeline:{pipeline}:{spec.at}", title)
        happening = Happening(
            "deadline.missed",
            f"pipeline:{pipeline}",
            self._now,
            title,
            f"{pipeline}:{spec.at}:{at}",
            "error",
            namespace=manifest.namespace,
            project=project,
            cause=how,
        )
        self._tell([happening])

    def _pipeline(self, project: str, name: str) -> PipelineSpec | None:
        manifest = self._catalog.manifests.get(project)
        return next((p for p in manifest.pipelines if p.name == name), None) if manifest is not None else None


def _step_of(run: ActiveRun, spec: DeadlineSpec) -> str | None:
    """The step that a deadline is about; None = the whole run."""
    if spec.of == "task":
        return spec.subject
    if spec.of == "asset":
        return next((s.key for s in run.graph.steps if s.asset == spec.subject), spec.subject)
    return None


def _has_ended(run: ActiveRun, step: str) -> bool:
    node = run.machine.plan.nodes.get(step)
    if node is None:
        return True
    return bool(node.instances) and all(i.state in TERMINAL_STEP for i in node.instances.values())


def _subject(run: ActiveRun, spec: DeadlineSpec) -> str:
    whole = f"run {run.no} of {run.run.pipeline}"
    return whole if spec.of == "run" else f"{spec.subject} of {whole}"


def _text(spec: DeadlineSpec) -> str:
    return f"{late_text(spec.after_s)} after its start" if spec.after_s is not None else f"{spec.at} {spec.tz}"
