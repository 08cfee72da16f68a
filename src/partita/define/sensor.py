"""Sensors as declared: `@pt.sensor`, and the ready-made ones for files, objects, HTTP, SQL, webhooks, runs, assets, absence.

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

from partita.core.manifest import ScheduleSpec, SensorSpec
from partita.core.plain import NotPlain, pack
from partita.define.calls import Call, Calls, call_base
from partita.define.durations import Duration, seconds
from partita.define.guess import did_you_mean
from partita.define.names import name_problem
from partita.define.recording import Declared, declare, forgiving
from partita.define.secret import Secret
from partita.define.secret import secret as mentioned
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


# --- ready-made ---------------------------------------------------------------------------------------------------


def file_sensor(
    name: str,
    path: str,
    *,
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    settle: Duration = "2s",
    changed: bool = True,
    existing: bool = True,
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """One run for each new file under a glob pattern: `{path}`, `{name}`, `{stem}`, `{size}`, `{modified_at}`.

    A file counts when it has not changed for `settle`; one that changes later counts again, unless `changed=False`.
    `existing=False` passes over what is there already at the first look. `batch=100` makes one run of up to 100 files,
    whose fields are lists then.

        pt.file_sensor("arrivals", "inbox/*.csv", start=load, params={"file": "{path}"})
    """
    options = {"path": path, "params": params, "partition": partition, "changed": changed, "existing": existing}
    return _ready(name, "file", start, options, common, batch=batch, settle=settle)


def object_sensor(
    name: str,
    url: str,
    *,
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    settle: Duration = 0,
    changed: bool = True,
    existing: bool = True,
    batch: int = 1,
    options: Mapping[str, Any] | None = None,
    **common: Any,
) -> SensorDef:
    """The same for objects under a URL with a glob pattern. Needs fsspec (its `options` are passed on) or obstore.

    pt.object_sensor("dumps", "s3://exports/day=*/part-*.parquet", start=load, params={"file": "{path}"})
    """
    given = {"url": url, "params": params, "partition": partition, "changed": changed, "existing": existing}
    return _ready(name, "object", start, {**given, "options": dict(options or {})}, common, batch=batch, settle=settle)


def http_sensor(
    name: str,
    url: str,
    *,
    start: Target | Sequence[Target] = (),
    status: int | Sequence[int] = 200,
    json: Mapping[str, Any] | None = None,
    contains: str = "",
    when: Callable[[Any], object] | None = None,
    each_change: bool = False,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str = "",
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    **common: Any,
) -> SensorDef:
    """A run when a server's answer becomes the wanted one: by status, values in its JSON, a text, or a function.

    With `each_change` also whenever the answer is another one while it is wanted. Fields: `{status}`, `{json}`, `{text}`.
    Headers may name secrets: `{"Authorization": "Bearer {secret:EXPORT_TOKEN}"}`.

        pt.http_sensor("export_ready", "https://example.com/export", json={"job.state": "done"}, start=load)
    """
    options = {
        "url": url,
        "status": list(status) if isinstance(status, list | tuple) else [status],
        "json": dict(json or {}),
        "contains": contains,
        "when": when,
        "each_change": each_change,
        "method": method,
        "headers": dict(headers or {}),
        "body": body or None,
        "params": params,
        "partition": partition,
    }

    def check() -> None:
        for value in (headers or {}).values():
            for found in SECRET_IN_TEXT.finditer(value):
                mentioned(found[1])

    return _ready(name, "http", start, options, common, check=check)


def sql_sensor(
    name: str,
    query: str,
    *,
    connect: str | Callable[[], Any],
    start: Target | Sequence[Target] = (),
    cursor: str = "",
    since: Any = None,
    each_change: bool = False,
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """Rows of a database as runs. `connect`: "sqlite:///file.db", or a function that returns a DB-API connection.

    With `cursor` (a column) each row is an event, and the query is given the last one as `:cursor` (or `%(cursor)s`, `?`),
    `since` at first. Without, there is a run when the first column of the first row becomes true. Fields: the columns.

        pt.sql_sensor("orders", "SELECT id, region FROM orders WHERE id > :cursor ORDER BY id",
                      connect="sqlite:///shop.db", cursor="id", since=0, start=load, params={"order": "{id}"})
    """
    options = {
        "query": query,
        "connect_call" if callable(connect) else "connect": connect,
        "cursor": cursor,
        "since": since,
        "each_change": each_change,
        "params": params,
        "partition": partition,
    }
    return _ready(name, "sql", start, options, common, batch=batch)


def webhook(
    name: str,
    *,
    start: Target | Sequence[Target] = (),
    secret: str | Secret = "",
    unsigned: bool = False,
    header: str = "X-Hub-Signature-256",
    signed: str = "{body}",
    timestamp_header: str = "",
    tolerance: Duration = "5m",
    delivery_header: str = "",
    max_bytes: int = 1 << 20,
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """Runs for what another system posts to `/hooks/<namespace>/<name>`, signed with HMAC-SHA256 over the raw bytes.

    `secret` is the name of the secret. The signature stands in `header`, hexadecimal or base64, also after "sha256=" or "v1=".
    `signed="{timestamp}.{body}"` with a `timestamp_header` refuses what is older than `tolerance`. A delivery whose id
    (`delivery_header`; usual ones are known) came before is answered and makes no run. Fields: `{body}` (JSON, or text),
    `{delivery}`, and those of a JSON object; without `params` those that are parameters of the pipeline are passed.

        pt.webhook("pushes", secret="GITHUB_WEBHOOK", start=deploy, params={"ref": "{ref}"})
    """

    signed_with = secret.name if isinstance(secret, Secret) else secret

    def check() -> None:
        if signed_with:
            mentioned(signed_with)
        if not signed_with and not unsigned:
            raise wrong(
                f"webhook `{name}` has no secret, so anybody could start its runs",
                hint='name one: secret="GITHUB_WEBHOOK"; or say unsigned=True where nobody else reaches it',
            )
        if "{body}" not in signed or ("{timestamp}" in signed and not timestamp_header):
            raise wrong(
                f"webhook `{name}`: what is signed must contain {{body}}, and {{timestamp}} needs a timestamp_header",
                hint='write signed="{timestamp}.{body}", timestamp_header="X-Timestamp"',
            )
        if not isinstance(max_bytes, int) or not 0 < max_bytes <= 32 << 20:
            raise wrong(f"webhook `{name}`: max_bytes must be from 1 to 32 MiB, not {max_bytes!r}")

    options = {
        "secret": signed_with,
        "header": header,
        "signed": signed,
        "timestamp_header": timestamp_header,
        "delivery_header": delivery_header,
        "max_bytes": max_bytes,
        "params": params,
        "partition": partition,
    }
    return _ready(name, "webhook", start, options, common, batch=batch, check=check, tolerance=tolerance)


_STATES = ("succeeded", "failed", "cancelled")


def on_run(
    name: str,
    pipelines: Target | Sequence[Target] = (),
    *,
    states: str | Sequence[str] = "succeeded",
    tags: str | Sequence[str] = (),
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    batch: int = 1,
    **common: Any,
) -> SensorDef:
    """A run when a run of other pipelines (all, if none is named) ends in one of the `states`.

    Fields: `{run}`, `{no}`, `{pipeline}`, `{state}`, `{partition}`, `{by}`. Nothing is polled.

        pt.on_run("after_load", load, start=publish)
        pt.on_run("clean_up", [load, train], states="failed", start=tidy, params={"of": "{run}"})
    """
    wanted = _words(states)

    def check() -> None:
        for state in wanted:
            if state not in _STATES:
                raise wrong(f"sensor `{name}`: runs do not end {state!r}", hint=f"they end {', '.join(_STATES)}")

    options = {
        "pipelines": [_target(t) for t in _many(pipelines)],
        "states": wanted,
        "tags": _words(tags),
        "params": params,
        "partition": partition,
    }
    return _ready(name, "run_end", start, options, common, batch=batch, check=check)


class Updates:
    """A condition over updates of assets, joined by `&` and `|`: made by `pt.updated`."""

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    def __and__(self, other: Any) -> Updates:
        return Updates(["all", self.condition, _updates(other).condition])

    def __or__(self, other: Any) -> Updates:
        return Updates(["any", self.condition, _updates(other).condition])


def updated(asset: Any) -> Updates:
    """An asset was made anew, for the condition of `pt.on_assets`.

    >>> (updated("orders") & (updated("eu") | updated("us"))).condition
    ['all', 'orders', ['any', 'eu', 'us']]
    """
    name = asset if isinstance(asset, str) else getattr(asset, "name", None)
    if not isinstance(name, str) or not name:
        raise wrong(f"{asset!r} is no asset and no name of one")
    return Updates(name)


def _updates(value: Any) -> Updates:
    return value if isinstance(value, Updates) else updated(value)


def on_assets(
    name: str,
    condition: Any,
    *,
    start: Target | Sequence[Target] = (),
    by_partition: bool = False,
    params: Mapping[str, Any] | None = None,
    partition: str = "",
    **common: Any,
) -> SensorDef:
    """A run when assets were updated since the last time: `pt.updated(orders) & (pt.updated(eu) | pt.updated(us))`.

    With `by_partition` the condition holds for each partition on its own, and the run has that partition. Fields:
    `{assets}`, `{partition}`.

        pt.on_assets("report", pt.updated(orders) & pt.updated(customers), start=report)
    """

    def made() -> SensorDef:
        options = {
            "condition": _updates(condition).condition,
            "by_partition": by_partition,
            "params": params,
            "partition": partition or ("{partition}" if by_partition else ""),
        }
        return _ready(name, "asset", start, options, common)

    return forgiving(made, lambda error: _broken(name, error))


def absent(
    name: str,
    *,
    by: str | ScheduleSpec,
    file: str = "",
    run: Target = None,
    asset: Any = None,
    within: Duration | None = None,
    tz: str = "UTC",
    start: Target | Sequence[Target] = (),
    params: Mapping[str, Any] | None = None,
    **common: Any,
) -> SensorDef:
    """A run when something has not happened by a time: no new file, no successful run, no update of an asset.

    `by` is "07:00" (in `tz`) or a schedule; it counts what came since the time before, or `within` so long before it.
    Fields: `{what}`, `{by}`, `{since}`.

        pt.absent("no_delivery", by="07:00", tz="Europe/Berlin", file="inbox/*.csv", start=call_the_supplier)
    """

    def made() -> SensorDef:
        given = [what for what in (file, run, asset) if what is not None and what != ""]
        if len(given) != 1:
            raise wrong(f"sensor `{name}` needs one of file=, run=, asset=", hint='write file="inbox/*.csv"')
        schedule = _times(name, by, tz)
        options = {
            "rule": schedule.rule,
            "tz": schedule.tz,
            "file": file,
            "run": _target(run) if run is not None else "",
            "asset": updated(asset).condition if asset is not None else "",
            "within_s": None if within is None else _seconds(name, "within", within),
            "params": params,
        }
        return _ready(name, "absence", start, options, common)

    return forgiving(made, lambda error: _broken(name, error))


def _times(name: str, by: Any, tz: str) -> ScheduleSpec:
    from partita.define.schedule import cron

    if isinstance(by, ScheduleSpec):
        return by
    try:
        hour, minute = (int(part) for part in str(by).split(":"))
        dt.time(hour, minute)
    except ValueError:
        raise wrong(
            f"sensor `{name}`: {by!r} is no time", hint='write by="07:00", or by=pt.cron("0 7 * * 1-5")'
        ) from None
    return cron(f"{minute} {hour} * * *", tz=tz)


# --- what all have in common --------------------------------------------------------------------------------------

_COMMON = {
    "interval": "30s",
    "timeout": "60s",
    "debounce": 0,
    "paused": False,
    "description": "",
    "owner": "",
}


def _ready(
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
    place = caller()

    def made() -> SensorDef:
        if check is not None:
            check()
        read = {f"{option}_s": _seconds(name, option, value) for option, value in durations.items()}
        given = {**{k: v for k, v in options.items() if v is not None}, **read}
        return _made(name, of, _many(start), given, common, place, None, batch)

    return forgiving(made, lambda error: _broken(name, error))


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

    return forgiving(build, lambda error: _broken(name, error))


def _spec(name: str, of: str, targets: Sequence[Any], common: Mapping[str, Any], batch: int) -> SensorSpec:
    interval_s = _seconds(name, "interval", common["interval"])
    timeout_s = _seconds(name, "timeout", common["timeout"])
    if interval_s < 0.1:
        raise wrong(f"sensor `{name}`: an interval of {interval_s:g} s is too short", hint="100 ms is the shortest")
    if not 0 < timeout_s <= 3600:
        raise wrong(f"sensor `{name}`: the timeout must be up to 1h", hint="long work belongs into a run")
    return SensorSpec(
        name=name,
        of=of,
        targets=tuple(dict.fromkeys(_target(target) for target in targets)),
        interval_s=interval_s,
        timeout_s=timeout_s,
        debounce_s=_seconds(name, "debounce", common["debounce"]),
        batch=batch,
        paused=bool(common["paused"]),
        description=str(common["description"]),
        owner=str(common["owner"]),
    )


def _broken(name: Any, error: DefinitionError) -> SensorDef:
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


def _seconds(name: str, option: str, value: Any) -> float:
    try:
        return seconds(value)
    except ValueError as error:
        raise wrong(f"sensor `{name}`: option `{option}`: {error}") from None


def _many(value: Any) -> Sequence[Any]:
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)


def _words(value: Any) -> list[str]:
    return [str(item) for item in _many(value)]


def _target(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    name = getattr(value, "name", None)
    if isinstance(value, Declared) and isinstance(name, str):
        return name
    raise wrong(f"{value!r} is no pipeline", hint="give a pipeline, its name, or a selection of assets")
