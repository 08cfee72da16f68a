"""`partita schedules ...`: what starts when, why the last tick was skipped, pause, resume, trigger.

Rule: the same words against a running service and straight at the folder. Instants are computed by `core.timetable`, what
was decided is read from the store.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.cli.words import ago, exact, iso, many, number
from partita.errors import DefinitionError, ScheduleError
from partita.store import opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partita.core.manifest import Manifest, ScheduleSpec
    from partita.engine.schedules import PauseSchedule, ResumeSchedule, ScheduleSaid, TriggerSchedule
    from partita.engine.tick_trial import TickTried
    from partita.settings import Settings
    from partita.store.reading import SqlReader
    from partita.store.schedules import ScheduleRow, TickRow

Name = Annotated[str, Argument("NAME", "A schedule, or the pipeline that it starts")]
_NOT_SERVED = "not served yet"
Count = Annotated[int, Option(("-n", "--count"), "So many", "N", least=1)]


def schedules(
    pipeline: Annotated[str, Argument("PIPELINE", "Only of this pipeline")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List schedules with their next and last ticks."""
    settings = project.settings_of(folder)
    rows = [row for row in _all(settings) if pipeline in ("", row.pipeline)]
    if json:
        terminal.print_json([schedule_object(row) for row in rows])
        return 0
    if not rows:
        terminal.note("there is no schedule" + (f" of pipeline {pipeline}" if pipeline else ""))
        terminal.hint('give a pipeline one: @pt.pipeline(schedule=pt.cron("0 3 * * *", tz="Europe/Berlin"))')
        return 0
    now = time.time()
    print_table(terminal.out(), _COLUMNS, [_line(row, now) for row in rows])
    if not project.has_engine(settings):
        terminal.note(("◌ ", "amber"), "no service is at work here: nothing is started")
        terminal.hint("partita up")
    return 0


def next_(name: Name, count: Count = 20, json: options.Json = False, folder: options.Project = None) -> int:
    """Show the next ticks of a schedule, in its zone and in UTC."""
    settings = project.settings_of(folder)
    row = _one(settings, name)
    instants = _next(settings, row, count)
    if json:
        terminal.print_json([{"instant": iso(i), "local": _local(row.spec, i)} for i in instants])
        return 0
    if not instants:
        terminal.note("it has no tick any more")
    now = time.time()
    columns = (Column("tick"), Column("UTC"), Column("in", right=True))
    print_table(terminal.out(), columns, [[_local(row.spec, i), exact(i), ago(i, now)] for i in instants])
    return 0


def tick(
    name: Name,
    count: Count = 20,
    before: Annotated[str, Option(("--before",), "Only earlier ones than this instant", "TIME")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Show what was decided about the last ticks of a schedule, newest first."""
    from partita.core.timetable import moment
    from partita.core.zones import zone
    from partita.store.schedules import ticks

    settings = project.settings_of(folder)
    row = _one(settings, name)
    limit = moment(before, zone(row.spec.tz)) if before else None
    reader = project.open_memory(settings)
    found = ticks(reader, row.namespace, row.name, before=limit, limit=count)
    if json:
        terminal.print_json([tick_object(t) for t in found])
        return 0
    if not found:
        terminal.note("nothing was decided yet")
        return 0
    numbers = {t.run: run.no for t in found if t.run and (run := reader.run(t.run)) is not None}
    print_table(terminal.out(), _TICK_COLUMNS, [_tick_line(row.spec, t, numbers) for t in found])
    return 0


def explain(name: Name, json: options.Json = False, folder: options.Project = None) -> int:
    """Say in words when a schedule starts its pipeline, and why its last tick was skipped."""
    from partita.store.schedules import ticks

    settings = project.settings_of(folder)
    row = _one(settings, name)
    last: TickRow | None = None
    if opening.exists(settings.home):
        found = ticks(project.open_memory(settings), row.namespace, row.name, limit=1)
        last = found[0] if found else None
    lines = _explained(row, last, _safely(lambda: _next(settings, row, 1), []))
    if json:
        terminal.print_json({**schedule_object(row), "last_tick": tick_object(last) if last else None, "words": lines})
        return 0
    for line in lines:
        terminal.out().line(line)
    return 0


def would(
    name: Name,
    at: Annotated[str, Option(("--at",), "At this instant (default: its next tick)", "TIME")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Show what a tick of a schedule would do, without doing it."""
    from partita.cli.asking import answer
    from partita.core.timetable import moment
    from partita.core.zones import zone
    from partita.engine.tick_trial import TickTried, TryTick

    settings = project.settings_of(folder)
    row = _one(settings, name)
    instant = moment(at, zone(row.spec.tz)) if at else None
    declared = project.load(settings) if row.reason == _NOT_SERVED and not project.has_engine(settings) else None
    said = answer(settings, TryTick(row.name, instant, row.namespace), TickTried, declared=declared)
    if json:
        others = {"instant": iso(said.instant), "start_at": iso(said.start_at), "params": _given(said)}
        terminal.print_json({name: getattr(said, name) for name in said.__struct_fields__} | others)
        return 0
    for line in _tried(row, said):
        terminal.out().line(line)
    return 0


def pause(name: Name, reason: options.Reason = "", folder: options.Project = None) -> int:
    """Start no more runs by a schedule; what runs goes on."""
    from partita.engine.schedules import PauseSchedule

    settings = project.settings_of(folder)
    row = _one(settings, name)
    _told(settings, row, PauseSchedule(row.name, project.user_name(), reason, row.namespace))
    terminal.out().line(("○ ", "violet"), f"schedule {row.name} is paused: its ticks are skipped until it is resumed")
    terminal.hint(f"partita schedules resume {row.name}")
    return 0


def resume(name: Name, folder: options.Project = None) -> int:
    """Let a schedule go on, from its next tick."""
    from partita.engine.schedules import ResumeSchedule

    settings = project.settings_of(folder)
    row = _one(settings, name)
    said = _told(settings, row, ResumeSchedule(row.name, project.user_name(), row.namespace))
    then = f"; next: {_local(row.spec, said.next_at)}" if said.next_at is not None else ""
    terminal.out().line(("✓ ", "green"), f"schedule {row.name} goes on{then}")
    return 0


def trigger(name: Name, json: options.Json = False, folder: options.Project = None) -> int:
    """Start a run as the schedule would, now; it is no tick."""
    from partita.engine.schedules import TriggerSchedule

    settings = project.settings_of(folder)
    row = _one(settings, name)
    said = _told(settings, row, TriggerSchedule(row.name, project.user_name(), row.namespace))
    run = project.open_memory(settings).run(said.run)
    if json:
        from partita.cli.objects import run_object

        terminal.print_json(run_object(run) if run is not None else {"id": said.run})
        return 0
    terminal.out().line(("✓ ", "green"), f"run {run.no if run is not None else said.run} of {row.pipeline} is made")
    if not project.has_engine(settings):
        terminal.hint("it waits until there is an engine: partita up")
    return 0


def _told(
    settings: Settings, row: ScheduleRow, request: PauseSchedule | ResumeSchedule | TriggerSchedule
) -> ScheduleSaid:
    """What the service says, or the same straight at the folder; there also about a schedule that was never served."""
    from partita.cli.asking import answer
    from partita.engine.schedules import ScheduleSaid

    declared = project.load(settings) if row.reason == _NOT_SERVED and not project.has_engine(settings) else None
    return answer(settings, request, ScheduleSaid, declared=declared)


# --- finding ------------------------------------------------------------------------------------------------------------


def _all(settings: Settings) -> list[ScheduleRow]:
    """The schedules that the store knows; of a folder that was never served, those that its definitions declare."""
    from partita.store.schedules import all_schedules

    found: list[ScheduleRow] = []
    if opening.exists(settings.home):
        reader: SqlReader = project.open_memory(settings)
        found = [row for row in all_schedules(reader) if row.active]
        reader.close()
    return found or _declared(project.load(settings))


def _declared(manifest: Manifest) -> list[ScheduleRow]:
    from partita.store.schedules import ScheduleRow

    now = time.time()
    return [
        ScheduleRow(
            namespace=manifest.namespace, name=spec.name, project=manifest.project, pipeline=pipeline.name, version=0,
            spec=spec, effective_from=now, active=True, paused=spec.paused, automatic=False, reason=_NOT_SERVED,
            next_at=_safely(lambda spec=spec: next(spec.timetable().ticks(int(now)), None), None), last_at=None,
            last_decision="", decided_at=None, failures=0, tzdata="",
        )
        for pipeline in manifest.pipelines
        for spec in pipeline.schedules
    ]  # fmt: skip


def _one(settings: Settings, name: str) -> ScheduleRow:
    """The schedule of a name, or the only one of a pipeline."""
    rows = _all(settings)
    exact_ones = [row for row in rows if row.name == name]
    found = exact_ones or [row for row in rows if row.pipeline == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise DefinitionError(f"{name} has several schedules: {', '.join(r.name for r in found)}", hint="say which one")
    import difflib

    near = difflib.get_close_matches(name, [row.name for row in rows], 1)
    hint = f"did you mean {near[0]}?" if near else "`partita schedules` shows what there is"
    raise ScheduleError(f"there is no schedule {name!r}", hint=hint)


def _next(settings: Settings, row: ScheduleRow, count: int) -> list[float]:
    from partita.core.timetable import is_own

    if is_own(row.spec.rule):
        from partita.cli.asking import answer_of_service
        from partita.engine.schedules import NextTicks, ScheduleSaid

        return list(answer_of_service(settings, NextTicks(row.name, count, None, row.namespace), ScheduleSaid).ticks)
    return [float(i) for i in islice(row.spec.timetable().ticks(int(time.time())), count)]


def _safely(ask: Any, otherwise: Any) -> Any:
    """The answer; a rule that cannot be read, or a service that is not there, is told elsewhere."""
    try:
        return ask()
    except DefinitionError:
        return otherwise


# --- showing --------------------------------------------------------------------------------------------------------------

_COLUMNS = (
    Column("schedule"),
    Column("pipeline"),
    Column("when", flexible=True),
    Column("next"),
    Column("in", right=True),
    Column("last"),
    Column("", flexible=True),
)
_TICK_COLUMNS = (Column("tick"), Column("decision"), Column("run", right=True), Column("why", flexible=True))


def _line(row: ScheduleRow, now: float) -> list[Any]:
    shows_next = row.next_at is not None and not row.paused
    note: Any = ""
    if row.paused:
        note = (f"○ paused{f': {row.reason}' if row.reason else ''}", "violet")
    elif row.reason:
        note = (row.reason, "dim")
    elif row.failures:
        note = (f"■ {many(row.failures, 'failure')} in a row", "red")
    return [
        row.name,
        row.pipeline if row.pipeline != row.name else "",
        _safely(row.spec.words, row.spec.rule),
        _local(row.spec, row.next_at) if shows_next and row.next_at is not None else "",
        ago(row.next_at, now) if shows_next and row.next_at is not None else "",
        f"{_local(row.spec, row.last_at)} {row.last_decision}" if row.last_at is not None else "",
        note,
    ]


def _tick_line(spec: ScheduleSpec, tick: TickRow, numbers: dict[str, int]) -> list[Any]:
    what = _local(spec, tick.instant)
    if tick.until is not None and tick.count > 1:
        what = f"{what} .. {_local(spec, tick.until)}"
    decision = ("● run", "green") if tick.decision == "run" else (f"– skipped {number(tick.count)}", "grey")
    return [what, decision, str(numbers.get(tick.run, tick.run[:8])), tick.reason]


def _explained(row: ScheduleRow, last: TickRow | None, coming: list[float]) -> list[str]:
    spec = row.spec
    land = "lands by" if spec.land else "starts"
    lines = [f"{row.name} {land} {row.pipeline} {_safely(spec.words, spec.rule)}."]
    missed = {
        "none": "missed ticks are skipped",
        "latest": "of missed ticks the newest is run",
        "all": "all missed ticks are run",
    }
    lines.append(f"If nobody was there: {missed.get(spec.catchup, f'of missed ticks the {spec.catchup} are run')}.")
    overlaps = {
        "queue": "the new one waits for it",
        "skip": "the tick is skipped",
        "cancel_running": "it is cancelled for the new one",
        "allow": "both run",
    }
    lines.append(f"If its last run is still going: {overlaps[spec.overlap]}.")
    if row.paused:
        who = "It paused itself" if row.automatic else "It is paused"
        lines.append(f"{who}{f': {row.reason}' if row.reason else ''}. Resume it: partita schedules resume {row.name}")
    elif coming:
        lines.append(f"Next: {_local(spec, coming[0])}.")
    if last is None:
        lines.append("Nothing was decided yet.")
    elif last.decision == "run":
        made = f"made run {last.run}" if last.run else "made a run that is not kept any more"
        lines.append(f"The last tick, {_local(spec, last.instant)}, {made}.")
    else:
        where = _local(spec, last.until or last.instant)
        what = (
            f"The last {number(last.count)} ticks, until {where}, were"
            if last.count > 1
            else f"The last tick, {where}, was"
        )
        lines.append(f"{what} skipped: {last.reason}.")
    return lines


def _local(spec: ScheduleSpec, instant: float) -> str:
    from partita.core.timetable import at
    from partita.core.zones import zone

    offset = _safely(lambda: zone(spec.tz).offset(int(instant)), 0)
    hours, rest = divmod(abs(offset), 3600)
    sign = "-" if offset < 0 else "+"
    shown = at(int(instant) + offset)
    return f"{shown:%a %Y-%m-%d %H:%M}{f':{shown:%S}' if shown.second else ''} {sign}{hours:02}:{rest // 60:02}"


def schedule_object(row: ScheduleRow) -> dict[str, Any]:
    """A schedule as data."""
    from partita.cli.objects import _schedule

    return {
        "name": row.name,
        "pipeline": row.pipeline,
        "project": row.project,
        "namespace": row.namespace,
        "version": row.version,
        "spec": _schedule(row.spec),
        "words": _safely(row.spec.words, row.spec.rule),
        "active": row.active,
        "paused": row.paused,
        "automatic": row.automatic,
        "reason": row.reason,
        "next_at": iso(row.next_at),
        "last_at": iso(row.last_at),
        "last_decision": row.last_decision or None,
        "failures": row.failures,
        "effective_from": iso(row.effective_from),
        "tzdata": row.tzdata,
    }


def tick_object(tick: TickRow) -> dict[str, Any]:
    """A decision as data."""
    return {
        "schedule": tick.schedule,
        "instant": iso(tick.instant),
        "decision": tick.decision,
        "reason": tick.reason,
        "run": tick.run or None,
        "until": iso(tick.until),
        "count": tick.count,
        "version": tick.version,
        "tzdata": tick.tzdata,
        "decided_at": iso(tick.decided_at),
        "start_at": iso(tick.start_at or tick.instant),
        "since": iso(tick.since),
    }


def _tried(row: ScheduleRow, said: TickTried) -> Iterator[str]:
    """What a tick would do, in sentences."""
    where = _local(row.spec, said.instant)
    if said.is_tick is False:
        yield f"{row.name} has no tick at {where}; if it had:"
    if said.decision == "run":
        given = ", ".join(f"{key}={value!r}" for key, value in _given(said).items())
        of = f" for {said.partition}" if said.partition else ""
        yield f"The tick of {where} would run {said.pipeline}{of}{f' with {given}' if given else ''}."
        if said.start_at != said.instant:
            yield f"It would start at {_local(row.spec, said.start_at)}."
    else:
        yield f"The tick of {where} would be skipped: {said.problem or said.reason}."
    if said.reason and said.decision == "run":
        yield f"{said.reason[0].upper()}{said.reason[1:]}."
    if said.decided:
        yield f"It was decided already: {said.decided}."


def _given(said: TickTried) -> dict[str, Any]:
    from msgspec import msgpack

    return {name: msgpack.decode(data) for name, data in said.params.items()}
