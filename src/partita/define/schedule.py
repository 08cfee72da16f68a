"""When a pipeline is to start, as declared: `pt.cron("0 3 * * *", tz="UTC")`, `pt.every("15m")`, `pt.land_by("06:00")` ...

Rule: what is written becomes the text of a rule; instants are computed by `core.timetable`, which also says what is wrong.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

from partita.core import zones
from partita.core.manifest import ScheduleSpec
from partita.core.plain import NotPlain, pack, unpack
from partita.core.timetable import declare_own, own_function
from partita.define.durations import Duration
from partita.define.durations import seconds as seconds_of
from partita.define.guess import did_you_mean
from partita.define.names import name_problem
from partita.define.recording import Follows, forgiving
from partita.define.where import caller, short
from partita.errors import DefinitionError, ParamError, ScheduleError

if TYPE_CHECKING:
    from partita.define.calls import Calls
    from partita.define.pipeline import PipelineDef

T = TypeVar("T")
Instant = str | dt.date | dt.datetime


class ScheduleOptions(TypedDict, total=False):
    """What every schedule may say.

    `name`: by which it is known for ever (default: that of its pipeline). `tz`: its time zone. `catchup`: which missed ticks
    are run, "none", "latest", "all", "last 3". `overlap`: what happens while its last run is still going, "queue", "skip",
    "cancel_running", "allow". `jitter`: each tick starts later by up to so much, always the same for the same tick.
    `start`, `end`: the first and the last instant. `paused`: declared paused. `pause_after`: it pauses itself after so many
    failed runs in a row. `params`: of its runs. `partition`: "previous", "current" or a key. `description`: in words.
    """

    name: str
    tz: str
    catchup: str
    overlap: Literal["queue", "skip", "cancel_running", "allow"]
    jitter: Duration
    start: Instant
    end: Instant
    paused: bool
    pause_after: int
    params: Mapping[str, Any]
    partition: str
    description: str


def cron(
    rule: str | Sequence[str], *, seconds: str | int | None = None, **options: Unpack[ScheduleOptions]
) -> ScheduleSpec:
    """A schedule by five cron fields (minute, hour, day of month, month, day of week), "@daily" and the like, or several.

    `seconds` is a field of its own: `pt.cron("* * * * *", seconds="*/15")`.

    >>> cron("0 3 * * *").rule
    'cron 0 3 * * *'
    """
    return _declared(lambda: _cron(rule, seconds), options)


def every(period: Duration, *, anchor: Instant | None = None, **options: Unpack[ScheduleOptions]) -> ScheduleSpec:
    """A schedule by an interval of real time, counted from `anchor` (default: 1970-01-01 UTC).

    >>> every("15m").rule
    'every 900'
    """
    return _declared(lambda: _every(period, anchor), options)


def dates(instants: Iterable[Instant], **options: Unpack[ScheduleOptions]) -> ScheduleSpec:
    """A schedule of the listed dates and times: `pt.dates(["2026-12-24T12:00", "2026-12-31T12:00"], tz="Europe/Berlin")`.

    >>> dates(["2026-12-24T12:00"]).rule
    'dates 2026-12-24T12:00'
    """
    return _declared(lambda: f"dates {' '.join(_texts(instants))}", options)


def business_days(
    at: str | Sequence[str],
    *,
    holidays: str | Sequence[str] = (),
    days: str = "mon-fri",
    closed: Iterable[Instant] = (),
    opened: Iterable[Instant] = (),
    nth: int | Sequence[int] = (),
    **options: Unpack[ScheduleOptions],
) -> ScheduleSpec:
    """A schedule on the days on which people work: `pt.business_days("06:00", holidays="US-NY", tz="America/New_York")`.

    `holidays` names places ("DE", "US-NY") or markets ("XNYS") and needs the extra `calendars`; `closed` and `opened` are
    days of your own; `nth=1` is the first business day of each month, `nth=-1` the last.
    """
    return _declared(lambda: _business_days(at, holidays, days, closed, opened, nth), options)


def rrule(text: str, *, begin: Instant, **options: Unpack[ScheduleOptions]) -> ScheduleSpec:
    """A schedule by a recurrence rule (RFC 5545) from a local `begin`; needs the extra `calendars`.

    `pt.rrule("FREQ=MONTHLY;BYDAY=-1FR", begin="2026-01-01T06:00", tz="Europe/Berlin")` is the last Friday of each month.
    """
    return _declared(lambda: f"rrule {_text(begin)} {text}", options)


def timetable(function: Callable[[dt.datetime], Any], **options: Unpack[ScheduleOptions]) -> ScheduleSpec:
    """A schedule by a function of your own: given an instant (UTC), it returns the next one (or several), or None.

    It must be pure: the same answer for the same instant, whenever it is asked. It is called in a process of the project.
    """
    return _declared(lambda: f"own {declare_own(_function(function))}", options)


def land_by(
    at: str | ScheduleSpec, *, margin: Duration = 0, days: str = "*", **options: Unpack[ScheduleOptions]
) -> ScheduleSpec:
    """A schedule whose runs are to be *finished* at a time: `pt.land_by("06:00", margin="10m", tz="Europe/Berlin")`.

    A run starts earlier by its usual duration (nine of ten of the last runs were faster) and `margin`, but not before its
    partition has ended. `at` is a time of the day (on `days`), or another schedule of which each tick is a deadline.
    """
    return forgiving(lambda: _placed(lambda: _land_by(at, margin, days, options)), _stand_in)


def schedules(value: Any, pipeline: str, catchup: str) -> tuple[ScheduleSpec, ...]:
    """The schedules of a pipeline, each with a stable name."""
    import msgspec

    items = value if isinstance(value, list | tuple) else () if value is None else (value,)
    found: list[ScheduleSpec] = []
    for i, item in enumerate(items):
        spec = cron(item) if isinstance(item, str) else item
        if not isinstance(spec, ScheduleSpec):
            raise ValueError(f'{item!r} is no schedule: write pt.cron("0 3 * * *", tz="UTC")')
        if not spec.rule:
            raise Follows(f"a schedule of pipeline `{pipeline}` is wrong itself")
        name = spec.name or (pipeline if i == 0 else f"{pipeline}-{i + 1}")
        if any(name == other.name for other in found):
            raise ValueError(f"two of its schedules have the name {name!r}: give one of them another name=...")
        found.append(msgspec.structs.replace(spec, name=name, catchup=spec.catchup or catchup))
    return tuple(found)


def bound_schedules(defn: PipelineDef, calls: Calls | None = None) -> tuple[ScheduleSpec, ...]:
    """The schedules of a pipeline with their parameters checked against its signature, and their functions known.

    Raises `DefinitionError`.
    """
    import msgspec

    found = []
    for spec in defn.schedules:
        if spec.params or any(p.required for p in defn.params):
            spec = msgspec.structs.replace(spec, params=_bound(defn, spec))
        if spec.rule.startswith("own ") and calls is not None:
            _keep_function(spec.rule.removeprefix("own "), calls)
        found.append(spec)
    return tuple(found)


def zone(tz: str) -> str:
    """The name of a time zone, if there is such a zone."""
    return _placed(lambda: zones.check(tz))


# --- what each kind writes --------------------------------------------------------------------------------------------


def _cron(rule: Any, seconds: Any) -> str:
    from partita.core.cron import Cron

    rules = [rule] if isinstance(rule, str) or not isinstance(rule, Sequence) else list(rule)
    if not rules:
        raise ScheduleError("cron: there is no expression", hint='write pt.cron("0 3 * * *")')
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, str | int) or not str(seconds)):
        raise ScheduleError(f"cron: seconds are {seconds!r}", hint='write seconds="*/15" or seconds=30')
    second = "" if seconds is None else str(seconds)
    text = "; ".join(Cron(one, second).text for one in rules)
    return f"cron {text}" + (f" seconds {second}" if second else "")


def _every(period: Duration, anchor: Instant | None) -> str:
    try:
        length = seconds_of(period)
    except ValueError as error:
        raise ScheduleError(f"every: {error}") from None
    if length < 1 or length != int(length):
        raise ScheduleError(f"every: {period!r} is no whole number of seconds from 1 on")
    return f"every {int(length)}" + (f" from {_text(anchor)}" if anchor is not None else "")


def _business_days(at: Any, holidays: Any, days: str, closed: Any, opened: Any, nth: Any) -> str:
    times = [at] if isinstance(at, str) else list(at)
    places = [holidays] if isinstance(holidays, str) else list(holidays)
    numbers = [nth] if isinstance(nth, int) else list(nth)
    parts = {
        "days": days.replace(" ", ""),
        "holidays": ",".join(places),
        "closed": ",".join(sorted(_texts(closed))),
        "open": ",".join(sorted(_texts(opened))),
        "nth": ",".join(str(n) for n in numbers),
    }
    return " ".join(["business", ",".join(times), *(f"{name}={value}" for name, value in parts.items() if value)])


def _land_by(at: Any, margin: Duration, days: str, options: ScheduleOptions) -> ScheduleSpec:
    import msgspec

    if isinstance(at, ScheduleSpec):
        if options:
            raise ScheduleError(
                f"land_by: {', '.join(options)} belongs to the schedule that was given", hint="say it there"
            )
        if not at.rule:
            raise Follows("the schedule of land_by is wrong itself")
        spec = at
    else:
        hour, colon, minute = str(at).partition(":")
        if not (colon and hour.isdecimal() and minute.isdecimal() and len(str(at)) <= 5):
            raise ScheduleError(f"land_by: {at!r} is no time of the day", hint='write "06:00"')
        spec = _spec(_cron(f"{int(minute)} {int(hour)} * * {days}", None), options)
    return msgspec.structs.replace(spec, land=True, land_margin_s=_seconds("margin", margin))


def _function(function: Callable[[dt.datetime], Any]) -> Callable[[dt.datetime], Any]:
    if not callable(function) or isinstance(function, type):
        raise ScheduleError(f"timetable: {function!r} is no function", hint="give one that takes an instant")
    if "<lambda>" in getattr(function, "__qualname__", "") or "<locals>" in getattr(function, "__qualname__", ""):
        raise ScheduleError(
            "timetable: the function must stand in a module, by its own name", hint="write it with def, at the top"
        )
    return function


# --- what all kinds share -----------------------------------------------------------------------------------------------


def _declared(rule: Callable[[], str], options: ScheduleOptions) -> ScheduleSpec:
    return forgiving(lambda: _placed(lambda: _spec(rule(), options)), _stand_in)


def _stand_in(error: DefinitionError) -> ScheduleSpec:
    return ScheduleSpec(name="", rule="")


def _spec(rule: str, options: ScheduleOptions) -> ScheduleSpec:
    for option in options:
        if option not in _OPTIONS:
            raise ScheduleError(f"a schedule has no option `{option}`", hint=did_you_mean(option, _OPTIONS))
    name, params, pause_after = options.get("name", ""), options.get("params") or {}, options.get("pause_after", 0)
    if name and (problem := name_problem(name)):
        raise ScheduleError(f"schedule {name!r}: {problem}")
    if not isinstance(pause_after, int) or isinstance(pause_after, bool) or pause_after < 0:
        raise ScheduleError(f"pause_after is {pause_after!r}", hint="a number of failed runs, or 0 for never")
    spec = ScheduleSpec(
        name=name,
        rule=rule,
        tz=options.get("tz", "UTC"),
        catchup=_catchup(options.get("catchup", "")),
        overlap=_overlap(options.get("overlap", "queue")),
        jitter_s=_seconds("jitter", options.get("jitter", 0)),
        start=_text(options["start"]) if options.get("start") else "",
        end=_text(options["end"]) if options.get("end") else "",
        paused=bool(options.get("paused", False)),
        pause_after=pause_after,
        params=_packed(params),
        partition=str(options.get("partition", "")),
        description=str(options.get("description", "")),
    )
    # Reads all of it: rule, zone, start and end.
    spec.timetable()
    return spec


_OPTIONS = frozenset(ScheduleOptions.__annotations__)
_OVERLAPS = ("queue", "skip", "cancel_running", "allow")


def _catchup(value: Any) -> str:
    text = str(value)
    if text in ("", "none", "latest", "all"):
        return text
    if text.startswith("last ") and text[5:].isdecimal() and len(text) < 12:
        return text
    raise ScheduleError(f"there is no catchup {value!r}", hint='there is "none", "latest", "all", "last 3"')


def _overlap(value: Any) -> Any:
    if value not in _OVERLAPS:
        raise ScheduleError(f"there is no overlap {value!r}", hint=f"there is {', '.join(map(repr, _OVERLAPS))}")
    return value


def _seconds(option: str, value: Any) -> float:
    try:
        return seconds_of(value)
    except ValueError as error:
        raise ScheduleError(f"{option}: {error}") from None


def _texts(instants: Any) -> list[str]:
    if isinstance(instants, str) or not isinstance(instants, Iterable):
        raise ScheduleError(f"{instants!r} is no list of dates", hint='write ["2026-12-24"]')
    return [_text(instant) for instant in instants]


def _text(instant: Any) -> str:
    """A date or time as ISO 8601 without spaces: in UTC if it has a zone, else as the clock shows it."""
    if isinstance(instant, dt.datetime):
        if instant.tzinfo is not None:
            return instant.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return instant.isoformat(timespec="seconds")
    if isinstance(instant, dt.date):
        return instant.isoformat()
    if isinstance(instant, str) and instant.strip():
        return instant.strip().replace(" ", "T")
    raise ScheduleError(f"{instant!r} is no date or time", hint='write "2026-01-01" or "2026-01-01T06:00"')


def _packed(params: Any) -> bytes:
    if not isinstance(params, Mapping):
        raise ScheduleError(f"params are {params!r}", hint='write params={"region": "eu"}')
    try:
        return _encoded({str(name): pack(value) for name, value in params.items()})
    except NotPlain as error:
        raise ScheduleError(f"a parameter cannot be stored: {error}", hint="use plain data") from None


def _encoded(params: dict[str, bytes]) -> bytes:
    import msgspec

    return msgspec.msgpack.encode(params) if params else b""


def _bound(defn: PipelineDef, spec: ScheduleSpec) -> bytes:
    from partita.define.params import bind_params

    given = {name: unpack(data, _resolve) for name, data in spec.given().items()}
    try:
        bound = bind_params(defn, given)
    except ParamError as error:
        error.message = f"schedule `{spec.name}`: {error.message}"
        error.hint = error.hint or 'give them to the schedule: pt.cron(..., params={"region": "eu"})'
        error.file, error.line = short(defn.place.file), defn.place.line
        raise
    return _encoded({name: bound[name] for name in given})


def _resolve(name: str) -> Any:
    """The class of a parameter's value; it was used here a moment ago, so it is imported."""
    module, _, qualname = name.partition(":")
    return functools.reduce(getattr, qualname.split("."), importlib.import_module(module))


def _keep_function(name: str, calls: Calls) -> None:
    from partita.define.calls import Call

    function = own_function(name)
    if function is not None:
        calls.add(Call(name=name, function=function), user="timetable")


def _placed(build: Callable[[], T]) -> T:
    """Say where in the user's files it is written, if it is wrong."""
    try:
        return build()
    except ScheduleError as error:
        file, line = caller()
        error.file, error.line = short(file), line
        raise
