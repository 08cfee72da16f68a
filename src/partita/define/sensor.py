"""Sensors as declared: `@pt.sensor`, and what it shares with the ready-made ones (`ready_sensors.py`).

Rule: only what is written is checked here; looking is done by the project's evaluator (`worker/looking.py`), and what is
made of it decided in the engine (`engine/sensing.py`).
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from partita.core.manifest import SensorSpec
from partita.core.plain import NotPlain, pack
from partita.define.calls import Call, Calls, call_base
from partita.define.durations import Duration, seconds
from partita.define.guess import did_you_mean
from partita.define.names import name_problem
from partita.define.recording import Declared, declare, forgiving
from partita.define.where import Place, caller, place_of, wrong
from partita.errors import DefinitionError

SECRET_IN_TEXT: Final = re.compile(r"\{secret:([A-Za-z][\w.-]*)\}")
"""How headers name a secret."""

Target = Any
"""A pipeline, or the name of one, or a selection of assets."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run that a sensor asks for. The same `key` from the same sensor is one run, however often it is asked for.

    >>> RunRequest(key="order-17", params={"order": 17}).key
    'order-17'
    """

    key: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    pipeline: Target = None
    partition: str = ""
    tags: Sequence[str] = ()
    priority: int = 0


@dataclass(frozen=True)
class SkipReason:
    """Why a sensor asks for nothing this time: `return pt.SkipReason("the market is closed")`."""

    text: str


class SensorContext:
    """What a sensor's function is given. Set `cursor` to plain data, and the next look finds it.

    >>> ctx = SensorContext(cursor=17)
    >>> ctx.cursor += 1
    >>> ctx.cursor
    18
    """

    def __init__(self, cursor: Any = None, *, now: dt.datetime | None = None, name: str = "") -> None:
        self.name = name
        self.cursor = cursor
        self.now = now if now is not None else dt.datetime.now(dt.UTC)

    def __repr__(self) -> str:
        return f"<context of sensor {self.name} at {self.now.isoformat()}>"


class SensorDef(Declared):
    """A sensor as written. A ready-made one may decorate a function that turns what it saw into `RunRequest`s."""

    def __init__(self, spec: SensorSpec, options: Mapping[str, Any], function: Any, place: Place) -> None:
        self.name = spec.name
        self.place = place
        self.function: Callable[..., Any] | None = None
        self._spec = spec
        self._options = dict(options)
        if function is not None:
            self._take(function)
        declare(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Decorate the function of a ready-made sensor; or call the function, as it is."""
        if self.function is None and len(args) == 1 and callable(args[0]) and not kwargs:
            return forgiving(lambda: self._take(args[0]), lambda error: self._break(error))
        if self.function is None:
            raise wrong(f"sensor `{self.name}` has no function to call", place=self.place)
        return self.function(*args, **kwargs)

    def spec(self, calls: Calls) -> SensorSpec:
        """The sensor as plain data; its functions are kept in `calls`."""
        import msgspec

        options = {
            name: calls.add(_call(value), user=f"sensor.{self.name}") if callable(value) else value
            for name, value in self._options.items()
        }
        call = calls.add(_call(self.function), user=f"sensor.{self.name}") if self.function is not None else ""
        return msgspec.structs.replace(self._spec, call=call, options=pack(options), written_at=str(self.place))

    def _take(self, function: Any) -> SensorDef:
        if not callable(function) or isinstance(function, type):
            raise wrong(f"sensor `{self.name}` is for functions, not for {function!r}", place=self.place)
        most = 1 if self._spec.of == "function" else 2
        parameters = inspect.signature(function).parameters.values()
        required = [
            p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)
        ]
        if len(required) > most:
            raise wrong(
                f"sensor `{self.name}` calls its function with {'the context' if most == 1 else 'the event, context'} "
                f"only, and `{function.__name__}` wants {', '.join(p.name for p in required)}",
                hint="write `def new_orders(ctx): ...`" if most == 1 else "write `def new_file(event): ...`",
                place=place_of(function),
            )
        self.function = function
        return self

    def _break(self, error: DefinitionError) -> SensorDef:
        self.broken = error
        return self

    def __repr__(self) -> str:
        return f"<sensor {self.name} at {self.place}>"


def _call(function: Callable[..., Any]) -> Call:
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    return Call(call_base(function), function, asynchronous=is_async)


def sensor_specs(
    declared: Sequence[Declared], calls: Calls, targets: set[str]
) -> tuple[tuple[SensorSpec, ...], list[DefinitionError]]:
    """The sensors among what a project declares, and what is wrong with them. `targets`: its pipelines and assets."""
    problems: list[DefinitionError] = []
    found: dict[str, SensorDef] = {}
    specs: list[SensorSpec] = []
    for defn in declared:
        if not isinstance(defn, SensorDef) or defn.broken is not None:
            continue
        if (earlier := found.get(defn.name)) is not None:
            message = f"sensor `{defn.name}` is defined twice: at {earlier.place} and at {defn.place}"
            problems.append(wrong(message, hint="give one of them another name", place=defn.place))
            continue
        found[defn.name] = defn
        specs.append(spec := defn.spec(calls))
        for target in spec.targets:
            if target not in targets and not any(c in target for c in ":+*,|&-!( /"):
                hint = did_you_mean(target, targets) or "define it, or name another project's as project/pipeline"
                message = f"sensor `{defn.name}` starts `{target}`, and there is no such pipeline or asset"
                problems.append(wrong(message, hint=hint, place=defn.place))
    return tuple(specs), problems


# --- a function of the user's -------------------------------------------------------------------------------------


def sensor(
    *start: Target,
    name: str = "",
    interval: Duration = "30s",
    timeout: Duration = "60s",
    debounce: Duration = 0,
    paused: bool = False,
    description: str = "",
    owner: str = "",
) -> Any:
    """A function that looks at the world every `interval` and says which runs there should be.

    It may take a context with a `cursor`, and returns or yields `RunRequest`s, or returns a `SkipReason`, or nothing.

        @pt.sensor("load_orders", interval="1m")
        def new_orders(ctx):
            for order in api.orders_after(ctx.cursor or 0):
                yield pt.RunRequest(key=f"order-{order.id}", params={"order": order.id})
                ctx.cursor = order.id
    """
    bare = start[0] if len(start) == 1 and inspect.isfunction(start[0]) else None
    targets = () if bare is not None else start

    def decorate(function: Any) -> SensorDef:
        place = place_of(function)
        common = {"interval": interval, "timeout": timeout, "debounce": debounce, "paused": paused, "owner": owner}
        called = name or str(getattr(function, "__name__", ""))
        told = description or inspect.cleandoc(getattr(function, "__doc__", "") or "")
        return _made(called, "function", targets, {}, {**common, "description": told}, place, function)

    return decorate if bare is None else decorate(bare)


# --- what all have in common --------------------------------------------------------------------------------------

_COMMON = {
    "interval": "30s",
    "timeout": "60s",
    "debounce": 0,
    "paused": False,
    "description": "",
    "owner": "",
}


def ready_made(
    name: str,
    of: str,
    start: Any,
    options: Mapping[str, Any],
    common: Mapping[str, Any],
    *,
    batch: int = 1,
    check: Callable[[], None] | None = None,
    **durations: Any,
) -> SensorDef:
    """A ready-made sensor; what is wrong with it is recorded while a project is loaded."""
    place = caller()

    def made() -> SensorDef:
        if check is not None:
            check()
        read = {f"{option}_s": duration_of(name, option, value) for option, value in durations.items()}
        given = {**{k: v for k, v in options.items() if v is not None}, **read}
        return _made(name, of, several(start), given, common, place, None, batch)

    return forgiving(made, lambda error: broken_sensor(name, error))


def _made(
    name: str,
    of: str,
    targets: Sequence[Any],
    options: Mapping[str, Any],
    common: Mapping[str, Any],
    place: Place,
    function: Any,
    batch: int = 1,
) -> SensorDef:
    def build() -> SensorDef:
        for option in common:
            if option not in _COMMON:
                raise wrong(
                    f"sensor `{name}` has no option `{option}`", hint=did_you_mean(option, _COMMON), place=place
                )
        if problem := name_problem(name):
            raise wrong(f"sensor {name!r}: {problem}", place=place)
        if not isinstance(batch, int) or isinstance(batch, bool) or not 1 <= batch <= 10_000:
            raise wrong(f"sensor `{name}`: batch must be from 1 to 10000, not {batch!r}", place=place)
        _check_plain(name, options, place)
        return SensorDef(_spec(name, of, targets, {**_COMMON, **common}, batch), options, function, place)

    return forgiving(build, lambda error: broken_sensor(name, error))


def _spec(name: str, of: str, targets: Sequence[Any], common: Mapping[str, Any], batch: int) -> SensorSpec:
    interval_s = duration_of(name, "interval", common["interval"])
    timeout_s = duration_of(name, "timeout", common["timeout"])
    if interval_s < 0.1:
        raise wrong(f"sensor `{name}`: an interval of {interval_s:g} s is too short", hint="100 ms is the shortest")
    if not 0 < timeout_s <= 3600:
        raise wrong(f"sensor `{name}`: the timeout must be up to 1h", hint="long work belongs into a run")
    return SensorSpec(
        name=name,
        of=of,
        targets=tuple(dict.fromkeys(target_name(target) for target in targets)),
        interval_s=interval_s,
        timeout_s=timeout_s,
        debounce_s=duration_of(name, "debounce", common["debounce"]),
        batch=batch,
        paused=bool(common["paused"]),
        description=str(common["description"]),
        owner=str(common["owner"]),
    )


def broken_sensor(name: Any, error: DefinitionError) -> SensorDef:
    """What stands in for a sensor that is wrong."""
    bare = SensorDef(SensorSpec(str(name), "function"), {}, None, Place("", 0))
    bare.broken = error
    return bare


def _check_plain(name: str, options: Mapping[str, Any], place: Place) -> None:
    for option, value in options.items():
        try:
            if not callable(value):
                pack(value)
        except NotPlain as error:
            raise wrong(f"sensor `{name}`: option `{option}` must be plain data: {error}", place=place) from None


def duration_of(name: str, option: str, value: Any) -> float:
    """The seconds of an option. Raises `DefinitionError`."""
    try:
        return seconds(value)
    except ValueError as error:
        raise wrong(f"sensor `{name}`: option `{option}`: {error}") from None


def several(value: Any) -> Sequence[Any]:
    """One or many, as many."""
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)


def target_name(value: Any) -> str:
    """The name of what is to be started. Raises `DefinitionError` for what is none."""
    if isinstance(value, str) and value:
        return value
    name = getattr(value, "name", None)
    if isinstance(value, Declared) and isinstance(name, str):
        return name
    raise wrong(f"{value!r} is no pipeline", hint="give a pipeline, its name, or a selection of assets")
