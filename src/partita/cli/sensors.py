"""`partita sensors ...`: what looks at the world and what it saw; pause, resume, reset, and a look without consequences.

Rule: the same words against a running service and straight at the folder.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.cli.words import ago, duration, iso, listed, many, number
from partita.errors import DefinitionError
from partita.store import opening

if TYPE_CHECKING:
    from concurrent.futures import Future

    from partita.cli.styled import Span
    from partita.engine.sensor_requests import SensorNow, TestSensor, TestSensorAnswer
    from partita.settings import Settings
    from partita.store.sensors import EvaluationRow, SensorRow

Name = Annotated[str, Argument("NAME", "A sensor")]
Cursor = Annotated[str, Option(("--cursor",), "What it is to remember, as JSON", "JSON")]
_WATCHES = {
    "function": "its function",
    "file": "files",
    "object": "objects",
    "http": "an address",
    "sql": "a query",
    "webhook": "deliveries",
    "run_end": "ends of runs",
    "asset": "assets",
    "absence": "absence",
}


def sensors(json: options.Json = False, folder: options.Project = None) -> int:
    """List sensors: what they watch, when they looked, and how they are."""
    settings = project.settings_of(folder)
    rows, live = _all(settings), _live(settings)
    if json:
        terminal.print_json([sensor_object(row, live.get((row.namespace, row.name))) for row in rows])
        return 0
    if not rows:
        terminal.note("there is no sensor")
        terminal.hint("write one: @pt.sensor, or pt.file_sensor(...); then: partita up")
        return 0
    now = time.time()
    print_table(terminal.out(), _COLUMNS, [_line(row, live.get((row.namespace, row.name)), now) for row in rows])
    if not live:
        terminal.note(("◌ ", "amber"), "no service is at work here: nothing is looked at")
        terminal.hint("partita up")
    return 0


def show(
    name: Name,
    count: Annotated[int, Option(("-n", "--count"), "So many looks", "N", least=1)] = 20,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Show a sensor, what it remembers, and its last looks that saw something, failed, or said why not."""
    from partita.store.sensors import evaluations

    settings = project.settings_of(folder)
    row = _one(settings, name)
    live = _live(settings).get((row.namespace, row.name))
    known = opening.exists(settings.home)
    looks = evaluations(project.open_memory(settings), row.namespace, row.name, limit=count) if known else []
    if json:
        looked = [evaluation_object(look) for look in looks]
        terminal.print_json({**sensor_object(row, live), "cursor": _plain(_cursor(row)), "looks": looked})
        return 0
    _tell(row, live)
    terminal.out().blank()
    if not looks:
        terminal.note("no look has seen anything yet")
    now = time.time()
    print_table(terminal.out(), _LOOKS, [_look_line(look, now) for look in looks])
    return 0


def pause(name: Name, reason: options.Reason = "", folder: options.Project = None) -> int:
    """Let a sensor look no more. Deliveries of a webhook are kept until it is resumed."""
    _set_paused(folder, name, True, reason)
    terminal.out().line(("○ ", "violet"), f"sensor {name} is paused: it looks no more until it is resumed")
    terminal.hint(f"partita sensors resume {name}")
    return 0


def resume(name: Name, folder: options.Project = None) -> int:
    """Let a sensor look again."""
    _set_paused(folder, name, False, "")
    terminal.out().line(("◐ ", "blue"), f"sensor {name} looks again")
    return 0


def reset(name: Name, cursor: Cursor = "", folder: options.Project = None) -> int:
    """Let a sensor begin anew, or from a cursor. Runs that it has asked for are known by their keys."""
    from partita.cli.asking import answer
    from partita.engine.sensor_requests import ResetSensor, SensorDone

    settings = project.settings_of(folder)
    row = _one(settings, name)
    answer(settings, ResetSensor(row.name, project.user_name(), _packed(cursor), row.namespace), SensorDone)
    terminal.out().line(("● ", "green"), f"sensor {name} " + (f"goes on from {cursor}" if cursor else "begins anew"))
    return 0


def look(name: Name, folder: options.Project = None) -> int:
    """Let a sensor look at once, whatever its interval says."""
    from partita.cli.asking import answer_of_service
    from partita.engine.sensor_requests import LookNow, SensorDone

    settings = project.settings_of(folder)
    row = _one(settings, name)
    answer_of_service(settings, LookNow(row.name, row.namespace), SensorDone)
    terminal.out().line(("◐ ", "blue"), f"sensor {name} looks")
    terminal.hint(f"partita sensors show {name}")
    return 0


def trial(
    name: Name,
    cursor: Cursor = "",
    event: Annotated[str, Option(("--event",), "What it is told, as JSON (a delivery's body)", "JSON")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Let a sensor look without consequences: show what it would do. Exit code 1 if its look fails."""
    from partita.engine.postbox import reach
    from partita.engine.sensor_requests import TestSensor, TestSensorAnswer

    settings = project.settings_of(folder)
    row = _one(settings, name)
    request = TestSensor(row.name, _packed(cursor), _packed(event), row.namespace)
    told = reach(settings.home, request, TestSensorAnswer)
    answer = told if told is not None else _test_here(settings, row, request)
    if json:
        terminal.print_json(tested_object(answer))
    else:
        _tell_test(row, answer)
    return 1 if answer.error else 0


# --- where it is known -----------------------------------------------------------------------------------------------


def _all(settings: Settings) -> list[SensorRow]:
    """What is served here; before anything was, what the project declares."""
    from partita.store.sensors import all_sensors

    if opening.exists(settings.home):
        rows = [row for row in all_sensors(project.open_memory(settings)) if row.active]
        if rows or project.has_engine(settings):
            return rows
    return _declared(settings)


def _declared(settings: Settings) -> list[SensorRow]:
    from partita.store.sensors import SensorRow

    manifest = project.load(settings)
    return [
        SensorRow(manifest.namespace, s.name, manifest.project, s, True, s.paused, "", None, None, 0, 0, 0, 0)
        for s in manifest.sensors
    ]


def _one(settings: Settings, name: str) -> SensorRow:
    import difflib

    rows = _all(settings)
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        near = difflib.get_close_matches(name, [row.name for row in rows], 1)
        hint = f"did you mean {near[0]!r}?" if near else "`partita sensors` lists them"
        raise DefinitionError(f"there is no sensor {name!r}", hint=hint)
    return found


def _live(settings: Settings) -> dict[tuple[str, str], SensorNow]:
    """How they stand in the service, if there is one."""
    from partita.engine.postbox import reach
    from partita.engine.sensor_requests import SensorNow, SensorsNow
    from partita.errors import WorldError

    try:
        now = reach(settings.home, SensorsNow(), tuple[SensorNow, ...])
    except WorldError:
        return {}  # an engine of `partita run`: it has no sensors
    return {(sensor.namespace, sensor.name): sensor for sensor in now or ()}


def _set_paused(folder: options.Project, name: str, paused: bool, reason: str) -> None:
    from partita.cli.asking import answer
    from partita.engine.sensor_requests import PauseSensor, SensorDone

    settings = project.settings_of(folder)
    row = _one(settings, name)
    answer(settings, PauseSensor(row.name, project.user_name(), paused, reason, row.namespace), SensorDone)


def _test_here(settings: Settings, row: SensorRow, request: TestSensor) -> TestSensorAnswer:
    """Without a service: in a process of the project that ends again."""
    from partita.engine.sensor import Sensor
    from partita.engine.sensor_trial import Trial
    from partita.executors.loading import load_project
    from partita.executors.processes import ProcessExecutor
    from partita.store.sqlite import open_in_memory

    loaded = load_project(settings)
    executor = ProcessExecutor({loaded.manifest.project: loaded.connection})
    try:
        spec = next((s for s in loaded.manifest.sensors if s.name == row.name), row.spec)
        sensor = Sensor.of(row)
        sensor.declare(spec)
        store = project.open_memory(settings) if opening.exists(settings.home) else open_in_memory(clock=time.time)
        asked: Future[TestSensorAnswer] = Trial(store, executor.evaluator, time.time).begin(sensor, request)
        while not asked.done():
            executor.poll(1.0)
        return asked.result()
    finally:
        executor.close(kill=True)


def _packed(text: str) -> bytes | None:
    import json

    from partita.core.plain import pack

    if not text:
        return None
    try:
        return pack(json.loads(text))
    except ValueError as error:
        raise DefinitionError(
            f"{text!r} is no JSON: {error}", hint="""write --cursor 17 or --cursor '"a text"'"""
        ) from None


# --- words -----------------------------------------------------------------------------------------------------------

_COLUMNS = (
    Column("sensor"),
    Column("watches", flexible=True),
    Column("starts", flexible=True),
    Column("every", right=True),
    Column("looked", right=True),
    Column("", flexible=True),
)
_LOOKS = (Column("when", right=True), Column("took", right=True), Column("runs", right=True), Column("", flexible=True))
_LISTENING = ("webhook", "run_end", "asset", "absence")


def _line(row: SensorRow, live: SensorNow | None, now: float) -> list[Any]:
    at = live.last_at if live is not None else row.evaluated_at
    return [
        row.name,
        _watches(row),
        listed(row.spec.targets, 2),
        "" if row.spec.of in _LISTENING else duration(row.spec.interval_s),
        ago(at, now) if at is not None else "",
        _note(row, live),
    ]


def _watches(row: SensorRow) -> str:
    from partita.core.plain import unpack

    given = unpack(row.spec.options) if row.spec.options else {}
    what = given.get("path") or given.get("url") or given.get("file") or given.get("query")
    listened = listed([str(p) for p in given.get("pipelines") or ()], 2)
    return str(what or listened or _WATCHES.get(row.spec.of, row.spec.of))


def _note(row: SensorRow, live: SensorNow | None) -> Any:
    failures = live.failures if live is not None else row.failures
    if row.paused:
        return (f"○ paused{f': {row.reason}' if row.reason else ''}", "violet")
    if failures:
        return (f"■ {many(failures, 'failure')} in a row", "red")
    if live is not None and live.waiting:
        return (f"◐ {number(live.waiting)} waiting", "blue")
    return (live.skipped, "dim") if live is not None and live.skipped else ""


def _tell(row: SensorRow, live: SensorNow | None) -> None:
    out, now = terminal.out(), time.time()
    out.line((row.name, "bold"), f"  watches {_watches(row)}, starts {listed(row.spec.targets) or 'what it names'}")
    if row.spec.description:
        out.line((row.spec.description.partition("\n")[0], "dim"))
    if row.spec.of not in _LISTENING:
        out.line(f"looks every {duration(row.spec.interval_s)}, for {duration(row.spec.timeout_s)} at most")
    if row.spec.debounce_s:
        out.line(f"several requests within {duration(row.spec.debounce_s)} become one")
    quiet = row.quiet + (live.quiet if live is not None else 0)
    looks = row.looks + (live.quiet if live is not None else 0)
    out.line(f"{many(looks, 'look')}, {number(quiet)} of them saw nothing")
    if live is not None and live.next_at is not None and not row.paused:
        out.line(f"looks next {ago(live.next_at, now)}")
    if note := _note(row, live):
        out.line(note)
    cursor = _cursor(row)
    out.line(("cursor  ", "dim"), repr(cursor)[:500] if cursor is not None else "none yet")
    if row.spec.written_at:
        out.line((row.spec.written_at, "dim"))


def _look_line(look: EvaluationRow, now: float) -> list[Any]:
    made = [r for r in look.requests if not r.repeated]
    known = len(look.requests) - len(made)
    words: Any = look.skipped
    if look.error:
        words = (look.error.partition("\n")[0], "red")
    elif look.requests:
        keys = listed([r.key for r in made if r.key], 3)
        words = keys + (f"{'; ' if keys else ''}{number(known)} known already" if known else "")
    runs = len({r.run for r in made})
    return [ago(look.at, now), duration(look.took_s), number(runs) if runs else "", words]


def _tell_test(row: SensorRow, answer: TestSensorAnswer) -> None:
    out = terminal.out()
    for line in answer.output.splitlines():
        out.line(("│ ", "dim"), line)
    if answer.error:
        out.line(("■ ", "red"), f"the look fails: {answer.error}")
        for line in answer.traceback.rstrip().splitlines():
            out.line((line, "dim"))
        return
    for run in answer.runs:
        given = ", ".join(f"{name}={value!r}" for name, value in _params(run.params).items())
        known: list[Span] = [("  known already: there would be no run", "dim")] if run.repeated else []
        keys = f"  [{listed(run.keys, 3)}]" if run.keys else ""
        where = f" for {run.partition}" if run.partition else ""
        mark: Span = ("○ ", "grey") if run.repeated else ("● ", "green")
        out.line(mark, f"{run.pipeline}{where}({given}){keys}", *known)
    if not answer.runs:
        out.line(("– ", "grey"), f"it asks for nothing{f': {answer.skipped}' if answer.skipped else ''}")
    if answer.waiting:
        out.line(f"{many(answer.waiting, 'event')} would wait for more")
    out.line(("cursor  ", "dim"), repr(_unpacked(answer.cursor))[:500])
    out.line((f"it took {duration(answer.took_s)}; nothing was changed", "dim"))


def _cursor(row: SensorRow) -> Any:
    from partita.core.sensing import remembered

    return _unpacked(remembered(row.state).cursor)


def _unpacked(data: bytes | None) -> Any:
    from partita.core.plain import unpack

    return None if data is None else unpack(data)


def _params(data: bytes) -> dict[str, Any]:
    params: dict[str, Any] = _unpacked(data)
    return params


# --- objects ---------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A value as JSON has it; what it does not have, as its text."""
    import msgspec

    return msgspec.to_builtins(value, enc_hook=str, str_keys=True)


def sensor_object(row: SensorRow, live: SensorNow | None = None) -> dict[str, Any]:
    """A sensor as data."""
    return {
        "name": row.name,
        "namespace": row.namespace,
        "project": row.project,
        "of": row.spec.of,
        "targets": list(row.spec.targets),
        "interval_s": row.spec.interval_s,
        "paused": row.paused,
        "reason": row.reason,
        "failures": live.failures if live is not None else row.failures,
        "looks": row.looks + (live.quiet if live is not None else 0),
        "quiet": row.quiet + (live.quiet if live is not None else 0),
        "evaluated_at": iso(live.last_at if live is not None else row.evaluated_at),
        "next_at": iso(live.next_at) if live is not None else None,
        "waiting": live.waiting if live is not None else 0,
        "skipped": live.skipped if live is not None else "",
        "description": row.spec.description,
        "owner": row.spec.owner,
        "written_at": row.spec.written_at,
    }


def evaluation_object(look: EvaluationRow) -> dict[str, Any]:
    """A look as data."""
    return {
        "no": look.no,
        "at": iso(look.at),
        "took_s": look.took_s,
        "skipped": look.skipped,
        "error": look.error,
        "output": look.output,
        "requests": [
            {"key": r.key, "run": r.run, "pipeline": r.pipeline, "repeated": r.repeated} for r in look.requests
        ],
    }


def tested_object(answer: TestSensorAnswer) -> dict[str, Any]:
    """What a look would do, as data."""
    return {
        "runs": [
            {
                "pipeline": run.pipeline,
                "keys": list(run.keys),
                "params": _plain(_params(run.params)),
                "partition": run.partition,
                "tags": list(run.tags),
                "repeated": run.repeated,
            }
            for run in answer.runs
        ],
        "skipped": answer.skipped,
        "cursor": _plain(_unpacked(answer.cursor)),
        "waiting": answer.waiting,
        "error": answer.error,
        "traceback": answer.traceback,
        "output": answer.output,
        "took_s": answer.took_s,
    }
