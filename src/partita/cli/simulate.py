"""`partita simulate`: what the schedules will do in the days to come, before they do it.

Rule: the decisions are those that the service will make (`core.scheduling`), on a clock that runs ahead; nothing is written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.cli.words import duration, iso, many, size
from partita.errors import DefinitionError
from partita.store import opening

if TYPE_CHECKING:
    from partita.core.forecast import Forecast, ForecastTick, Planned
    from partita.core.manifest import Manifest
    from partita.settings import Settings


def simulate(
    pipeline: Annotated[str, Argument("PIPELINE", "Show only the ticks of this pipeline")] = "",
    days: Annotated[int, Option(("--days",), "So many days", "N", least=1)] = 30,
    start: Annotated[str, Option(("--from",), "From this instant on, instead of now", "TIME")] = "",
    slow: Annotated[bool, Option(("--slow",), "With slow runs: nine of ten were faster")] = False,
    all_: Annotated[bool, Option(("--all",), "Every tick, and not only the first hundred")] = False,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Play the schedules ahead: each tick, when its run will have landed, and which deadlines it misses.

    Exits with 1 if a deadline will be missed, or a schedule cannot be computed.
    """
    from partita.core.forecast import WORKERS, forecast, machine_slots
    from partita.core.placement import declared
    from partita.core.timetable import moment
    from partita.core.zones import zone
    from partita.executors.capacity import of_machine

    if days > 3660:
        raise DefinitionError(f"--days {days} is more than ten years", hint="take fewer")
    settings = project.settings_of(folder)
    manifest = project.load(settings)
    begin = float(moment(start, zone("UTC"))) if start else time.time()
    planned = _planned(settings, manifest, slow=slow, is_now=not start)
    machine = machine_slots(declared(of_machine(), [dict(manifest.capacity)]))
    slots = {WORKERS: settings.workers, **dict(manifest.pools), **machine}
    found = forecast(planned, slots=slots, start=begin, end=begin + days * 86_400)
    shown = [tick for tick in found.ticks if pipeline in ("", tick.pipeline)]
    if json:
        terminal.print_json(_object(found, shown, begin, days))
    else:
        _print(found, shown, days, all_=all_)
    return 1 if any(t.late_s for t in shown) or _broken(found) else 0


def _planned(settings: Settings, manifest: Manifest, *, slow: bool, is_now: bool) -> list[Planned]:
    from partita.core.forecast import Planned
    from partita.store.schedules import schedule, usual_of

    reader = project.open_memory(settings) if opening.exists(settings.home) else None
    found = []
    for pipeline in manifest.pipelines:
        if not pipeline.schedules:
            continue
        usual = reader.usual(pipeline.name) if reader is not None else {}
        run_s = usual_of(reader, pipeline.name)[1] if reader is not None else 0.0
        for spec in pipeline.schedules:
            row = schedule(reader, manifest.namespace, spec.name) if reader is not None else None
            found.append(
                Planned(
                    spec=spec,
                    pipeline=pipeline,
                    usual={key: p90 if slow else median for key, (median, p90, _) in usual.items()},
                    usual_run_s=run_s,
                    paused=row.paused if row is not None and is_now else spec.paused,
                )
            )
    return found


def _broken(found: Forecast) -> list[str]:
    """Schedules that will never start anything, and not because somebody wanted it so."""
    return [name for name, why in found.left_out.items() if why != "it is paused" and "function" not in why]


_COLUMNS = (
    Column("tick"),
    Column("schedule", flexible=True),
    Column("decision"),
    Column("starts"),
    Column("lands"),
    Column("took", right=True),
    Column("", flexible=True),
)
_MOST = 100


def _print(found: Forecast, shown: list[ForecastTick], days: int, *, all_: bool) -> None:
    rows = shown if all_ else shown[:_MOST]
    print_table(terminal.out(), _COLUMNS, [_line(tick) for tick in rows])
    if len(rows) < len(shown):
        terminal.note((f"{len(shown) - len(rows)} more: --all", "dim"))
    runs = [t for t in shown if t.decision == "run"]
    late = [t for t in shown if t.late_s]
    skipped = sum(t.count for t in shown if t.decision == "skipped")
    told = f"{many(days, 'day')}: {many(len(runs), 'run')}, {many(skipped, 'tick')} skipped, "
    terminal.out().line()
    terminal.out().line(told, (f"{many(len(late), 'deadline')} missed", "red" if late else "green"))
    for pool, most in sorted(found.peaks.items()):
        slots = found.slots.get(pool)
        waited = sum(t.waited.get(pool, 0.0) for t in shown)
        wait = f", {duration(waited)} waited for it in all" if waited else ""
        of = f" of {_amount(pool, slots)}" if slots else ""
        terminal.out().line((f"{pool}: at most {_amount(pool, most)}{of} in use{wait}", "dim"))
    for name, why in sorted(found.left_out.items()):
        terminal.note(f"{name} is left out: {why}")
    unknown = {t.pipeline for t in runs if t.unknown}
    if unknown:
        terminal.note(f"no duration is known of some steps of {', '.join(sorted(unknown))}: they count as nothing")


def _amount(pool: str, slots: int) -> str:
    from partita.core.forecast import amount_of

    return size(slots) if pool == "machine memory" else f"{amount_of(pool, slots):g}"


def _line(tick: ForecastTick) -> list[Any]:
    notes = []
    if tick.late_s:
        notes.append(f"misses its deadline by {duration(tick.late_s)}")
    if tick.clocks:
        notes.append(f"clocks change {tick.clocks}")
    if tick.cancelled:
        notes.append("cancelled for the next one")
    if tick.queued_s >= 1:
        notes.append(f"queued {duration(tick.queued_s)}")
    notes += [f"waits {duration(s)} for {pool}" for pool, s in tick.waited.items() if s >= 1]
    if tick.reason:
        notes.append(tick.reason)
    decision = ("● run", "green") if tick.decision == "run" else (f"– skipped {tick.count}", "grey")
    took = (
        duration(tick.landed_at - tick.started_at) if tick.landed_at is not None and tick.started_at is not None else ""
    )
    note = ("; ".join(notes), "red" if tick.late_s else "")
    return [
        tick.local,
        tick.schedule,
        decision,
        _clock(tick, tick.started_at),
        _clock(tick, tick.landed_at),
        took,
        note,
    ]


def _clock(tick: ForecastTick, instant: float | None) -> str:
    """The reading of the clock in the zone of the tick's schedule; its date too, if that is another one."""
    import datetime as dt

    if instant is None:
        return ""
    zone = dt.datetime.fromisoformat(tick.local)
    local = dt.datetime.fromtimestamp(instant, zone.tzinfo)
    return f"{local:%H:%M:%S}" if local.date() == zone.date() else f"{local:%m-%d %H:%M:%S}"


def _pool(pool: str, slots: int | None, most: int) -> dict[str, float | None]:
    from partita.core.forecast import amount_of

    return {"slots": None if slots is None else amount_of(pool, slots), "most": amount_of(pool, most)}


def _object(found: Forecast, shown: list[ForecastTick], begin: float, days: int) -> dict[str, Any]:
    return {
        "from": iso(begin),
        "until": iso(begin + days * 86_400),
        "ticks": [
            {
                "schedule": t.schedule,
                "pipeline": t.pipeline,
                "instant": iso(t.instant),
                "local": t.local,
                "decision": t.decision,
                "reason": t.reason,
                "count": t.count,
                "until": iso(t.until),
                "clocks": t.clocks or None,
                "start_at": iso(t.start_at),
                "started_at": iso(t.started_at),
                "landed_at": iso(t.landed_at),
                "queued_s": t.queued_s,
                "waited_s": t.waited,
                "overlaps": t.overlaps,
                "cancelled": t.cancelled,
                "deadline_at": iso(t.deadline_at),
                "late_s": t.late_s,
                "steps_without_duration": t.unknown,
            }
            for t in shown
        ],
        "missed": sum(1 for t in shown if t.late_s),
        "pools": {p: _pool(p, found.slots.get(p), most) for p, most in found.peaks.items()},
        "left_out": found.left_out,
    }
