"""How each kind of sensor looks at the world, in the project's evaluator.

What it sees are events, each under a key; gathered (`core.sensing`), they become requests, by the sensor's own function
or by its `params`. The engine moves the cursor and makes the runs in one commit, or nothing of it.

Rule: a look changes nothing; whatever it remembers is in its answer.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec

from partita.core.manifest import SensorSpec
from partita.core.plain import pack, unpack
from partita.core.sensing import (
    MOST_REQUESTS,
    Event,
    Memory,
    filled,
    gathered,
    is_satisfied,
    remembered,
    to_remember,
    waits_until,
)
from partita.define.sensor import RunRequest, SensorContext, SkipReason
from partita.errors import DefinitionError, WorldError
from partita.worker.answering import Functions, bound, called
from partita.worker.arrivals import Arrival, files, objects, settled
from partita.worker.conditions import Response, fetch, http_reason, plain_row, query
from partita.worker.questions import EvaluateSensor, SensorLook, WantedRun

_MOST_EVENTS = 1000


class Seen(NamedTuple):
    """What a look saw. `cursor` (plain data) is what it wants to remember; `skipped` says why it saw nothing."""

    events: list[Event]
    cursor: Any
    skipped: str = ""
    more: bool = False
    due_at: float | None = None


async def look(request: EvaluateSensor, functions: Functions) -> SensorLook:
    """Let a sensor look."""
    memory = remembered(request.state)
    cursor = unpack(memory.cursor) if memory.cursor else None
    options = unpack(request.spec.options) if request.spec.options else {}
    if request.spec.of == "function":
        return await _look_with_function(request, memory, cursor, functions)
    seen = await _KINDS[request.spec.of](_Look(request, options, cursor, functions))
    remember = msgspec.structs.replace(memory, cursor=pack(seen.cursor))
    remember, groups = gathered(
        remember, seen.events, request.at, debounce_s=request.spec.debounce_s, batch=request.spec.batch
    )
    wanted: list[WantedRun] = []
    skipped = seen.skipped
    for group in groups:
        found, reason = await _requests_of(request, options, group, functions)
        wanted += found
        skipped = reason or skipped
    due_at = _first(seen.due_at, waits_until(remember, request.spec.debounce_s))
    return _answer(request.spec, remember, wanted, skipped, seen.more, due_at)


def _answer(
    spec: SensorSpec, memory: Memory, wanted: list[WantedRun], skipped: str, more: bool, due_at: float | None
) -> SensorLook:
    if len(wanted) > MOST_REQUESTS:
        raise WorldError(
            f"sensor {spec.name} asks for {len(wanted)} runs at once, {MOST_REQUESTS} is the most",
            hint="move the cursor less far, or ask for one run with a list",
        )
    return SensorLook(to_remember(memory), tuple(wanted), "" if wanted else skipped[:1000], more, due_at)


def _first(*times: float | None) -> float | None:
    return min((at for at in times if at is not None), default=None)


# --- a function of the user's -------------------------------------------------------------------------------------


async def _look_with_function(request: EvaluateSensor, memory: Memory, cursor: Any, functions: Functions) -> SensorLook:
    spec = request.spec
    context = SensorContext(cursor, now=dt.datetime.fromtimestamp(request.at, dt.UTC), name=spec.name)
    requests, skipped = await _asked(functions.find(spec.call).function, [], context)
    wanted = [run for one in requests for run in _wanted(spec, one, (), functions)]
    memory = msgspec.structs.replace(memory, cursor=pack(context.cursor))
    if spec.debounce_s > 0:
        seen = [Event(run.keys[0] if run.keys else "", msgspec.msgpack.encode(run)) for run in wanted]
        memory, groups = gathered(memory, seen, request.at, debounce_s=spec.debounce_s, batch=0)
        wanted = [run for group in groups for run in _merged(group)]
    return _answer(spec, memory, wanted, skipped, False, waits_until(memory, spec.debounce_s))


def _merged(group: Sequence[Event]) -> list[WantedRun]:
    """One run for each pipeline and partition: as the last request says, for the keys of all."""
    last: dict[tuple[str, str], WantedRun] = {}
    for event in group:
        run = msgspec.msgpack.decode(event.data, type=WantedRun)
        before = last.pop((run.pipeline, run.partition), None)
        keys = tuple(dict.fromkeys([*(before.keys if before else ()), *run.keys]))
        last[run.pipeline, run.partition] = msgspec.structs.replace(run, keys=keys)
    return list(last.values())


async def _asked(
    function: Callable[..., Any], first: list[Any], context: SensorContext
) -> tuple[list[RunRequest], str]:
    """What a user's function asks for, called with what it has parameters for."""
    parameters = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    wants_context = [_is_context(p) or (not first and i == 0) for i, p in enumerate(parameters)]
    rest = iter(first)
    given = [context if is_context else next(rest, _NONE) for is_context in wants_context]
    result = await called(function, *[value for value in given if value is not _NONE])
    requests: list[RunRequest] = []
    skipped = ""
    for item in _items(result):
        if isinstance(item, SkipReason):
            skipped = item.text
        elif isinstance(item, RunRequest):
            requests.append(item)
        elif item is not None:
            raise TypeError(f"a sensor gives pt.RunRequest or pt.SkipReason, not {item!r:.200}")
        if len(requests) > MOST_REQUESTS:
            break
    return requests, skipped


_NONE = object()


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    return annotation is SensorContext or "SensorContext" in str(annotation) or parameter.name in ("ctx", "context")


def _items(result: Any) -> Iterable[Any]:
    if isinstance(result, RunRequest | SkipReason) or result is None:
        return (result,)
    if isinstance(result, str | bytes | Mapping) or not isinstance(result, Iterable):
        raise TypeError(f"a sensor gives pt.RunRequest or pt.SkipReason, not {result!r:.200}")
    items: Iterable[Any] = result
    return items


# --- from events to requests ----------------------------------------------------------------------------------------


async def _requests_of(
    request: EvaluateSensor, options: Mapping[str, Any], group: tuple[Event, ...], functions: Functions
) -> tuple[list[WantedRun], str]:
    spec = request.spec
    several = spec.batch != 1 or spec.debounce_s > 0
    datas = [unpack(event.data) for event in group]
    keys = tuple(event.key for event in group)
    if spec.call:
        context = SensorContext(None, now=dt.datetime.fromtimestamp(request.at, dt.UTC), name=spec.name)
        asked, skipped = await _asked(functions.find(spec.call).function, [datas if several else datas[0]], context)
        # Several runs of one event are several runs, also if its function names no keys.
        of_each = [keys if len(asked) == 1 else tuple(f"{key}#{i}" for key in keys) for i in range(len(asked))]
        runs = [run for one, own in zip(asked, of_each, strict=True) for run in _wanted(spec, one, own, functions)]
        return runs, skipped
    fields = _as_lists(datas) if several else datas[0]
    template = options.get("params")
    params = filled(template, fields) if template is not None else None
    partition = str(filled({"partition": options.get("partition") or ""}, datas[-1])["partition"] or "")
    made: list[WantedRun] = []
    for target in spec.targets:
        given = params
        if given is None:
            given = _fitting(datas[-1], target, functions) if spec.of == "webhook" and not several else {}
        one = RunRequest(params=given, pipeline=target, partition=partition)
        made += _wanted(spec, one, _keyed(keys, target, len(spec.targets)), functions)
    return made, "" if made else "it starts nothing: it has no `start` and no function"


def _as_lists(datas: list[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for data in datas for name in data)
    return {name: [data.get(name) for data in datas] for name in names}


def _fitting(data: Mapping[str, Any], target: str, functions: Functions) -> dict[str, Any]:
    """The fields of a delivery that are parameters of the pipeline."""
    pipeline = functions.pipelines.get(target)
    body = data.get("body")
    if pipeline is None or not isinstance(body, dict):
        return {}
    names = {param.name for param in pipeline.params}
    return {name: value for name, value in body.items() if name in names}


def _wanted(spec: SensorSpec, request: RunRequest, keys: tuple[str, ...], functions: Functions) -> list[WantedRun]:
    """The runs that a request means: of its pipeline, or of each that the sensor starts."""
    named = request.pipeline
    name = named if isinstance(named, str) else getattr(named, "name", "")
    targets = (name,) if name else spec.targets
    if not targets:
        raise DefinitionError(
            f"sensor {spec.name} asks for a run and does not say of what",
            hint="name the pipeline: @pt.sensor(load), or pt.RunRequest(pipeline=load)",
        )
    if spec.targets and name and name not in spec.targets:
        raise DefinitionError(
            f"sensor {spec.name} asks for a run of {name!r}, which it does not name",
            hint=f"it starts {', '.join(spec.targets)}; name all of them in its definition",
        )
    own = (request.key,) if request.key else keys
    return [_one(request, target, _keyed(own, target, len(targets)), functions) for target in targets]


def _keyed(keys: tuple[str, ...], target: str, targets: int) -> tuple[str, ...]:
    return keys if targets == 1 else tuple(f"{target}:{key}" for key in keys)


def _one(request: RunRequest, target: str, keys: tuple[str, ...], functions: Functions) -> WantedRun:
    params: dict[str, bytes] = {}
    raw = b""
    if target in functions.pipelines:
        params = bound(functions, target, dict(request.params))
    elif request.params:
        # Another project's: its own evaluator checks them.
        raw = pack(dict(request.params))
    tags = (request.tags,) if isinstance(request.tags, str) else tuple(map(str, request.tags))
    return WantedRun(target, keys, params, raw, str(request.partition or ""), tags, int(request.priority))


# --- what there is to see -------------------------------------------------------------------------------------------


class _Look(NamedTuple):
    """A look of a ready-made sensor."""

    request: EvaluateSensor
    options: dict[str, Any]
    cursor: Any
    functions: Functions


def _event(key: str, data: Mapping[str, Any]) -> Event:
    return Event(key, pack(dict(data)))


async def _see_files(look: _Look) -> Seen:
    return _see_arrivals(look, files(look.options["path"]), look.options["path"])


async def _see_objects(look: _Look) -> Seen:
    url = look.options["url"]
    return _see_arrivals(look, objects(url, look.options.get("options") or {}), url)


def _see_arrivals(look: _Look, found: list[Arrival], what: str) -> Seen:
    cursor = look.cursor if isinstance(look.cursor, dict) else None
    changed = look.options.get("changed", True)
    marks = {(a.mark if changed else _mark(a.path)): a for a in found}
    if cursor is None and not look.options.get("existing", True):
        return Seen([], {"known": b"".join(marks), "waiting": {}}, "what is there already is passed over")
    known = set() if cursor is None else {cursor["known"][i : i + 8] for i in range(0, len(cursor["known"]), 8)}
    new = [a for mark, a in marks.items() if mark not in known]
    waiting = None if cursor is None else cursor["waiting"]
    settling = settled(new, waiting, float(look.options.get("settle_s", 0.0)), look.request.at)
    chosen, more = settling.there[:_MOST_EVENTS], len(settling.there) > _MOST_EVENTS
    taken = {a.path for a in chosen}
    # What is gone is forgotten, so this stays as small as what lies there; one that comes back counts again.
    kept = b"".join(mark for mark, a in marks.items() if mark in known or a.path in taken)
    events = [_event(f"{a.path}@{a.stamp}" if changed else a.path, _arrived(a)) for a in chosen]
    skipped = f"{len(settling.waiting)} files are still being written" if settling.waiting else f"no new file in {what}"
    return Seen(events, {"known": kept, "waiting": settling.waiting}, skipped, more, settling.due_at)


def _mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()


def _arrived(one: Arrival) -> dict[str, Any]:
    path = PurePath(one.path)
    modified = dt.datetime.fromtimestamp(one.modified_at, dt.UTC).isoformat()
    return {"path": one.path, "name": path.name, "stem": path.stem, "size": one.size, "modified_at": modified}


async def _see_http(look: _Look) -> Seen:
    response = fetch(look.options)
    if isinstance(response, str):
        raise WorldError(response)
    reason = await http_reason(response, look.options, look.functions)
    # What changes with every look must not be remembered with every look.
    digest = b""
    if look.options.get("each_change"):
        digest = _mark(str(response.status) + response.body.decode("utf-8", "replace"))
    return _edge(look, reason, digest, _answered(response))


def _answered(response: Response) -> dict[str, Any]:
    text = response.body[:65_536].decode("utf-8", "replace")
    return {"status": response.status, "json": response.json, "text": text}


def _edge(look: _Look, reason: str, digest: bytes, data: dict[str, Any]) -> Seen:
    """An event when something becomes true, and with `each_change` whenever it is true in another way."""
    before = look.cursor or {"met": False, "digest": b""}
    now = {"met": not reason, "digest": digest}
    if reason:
        return Seen([], now, reason)
    if before["met"] and not (look.options.get("each_change") and before["digest"] != digest):
        return Seen([], now, "it is as it was at the last look")
    moment = dt.datetime.fromtimestamp(look.request.at, dt.UTC).isoformat()
    return Seen([_event(f"{moment}:{digest.hex()}", data)], now)


async def _see_sql(look: _Look) -> Seen:
    options, column = look.options, look.options.get("cursor", "")
    if not column:
        rows = await query(options, {}, look.functions, limit=1)
        row = plain_row(rows[0]) if rows else {}
        met = bool(next(iter(row.values()), None))
        reason = (
            "" if met else "the query gives no row" if not rows else "the first column of its first row is not true"
        )
        return _edge(look, reason, _mark(repr(row)), row)
    last = look.cursor["last"] if look.cursor else options.get("since")
    rows = await query(options, {"cursor": last}, look.functions, limit=_MOST_EVENTS)
    if not rows:
        return Seen([], {"last": last}, "no new row")
    if column not in rows[0]:
        raise WorldError(f"the query gives no column {column!r}", hint=f"it gives {', '.join(rows[0])}")
    plain = [plain_row(row) for row in rows]
    events = [_event(f"{row[column]}:{_mark(repr(row)).hex()}", row) for row in plain]
    return Seen(events, {"last": rows[-1][column]}, more=len(rows) == _MOST_EVENTS)


async def _see_events(look: _Look) -> Seen:
    """What the engine took in: deliveries, ends of runs."""
    return Seen([msgspec.msgpack.decode(event, type=Event) for event in look.request.events], None)


async def _see_updates(look: _Look) -> Seen:
    """Updates of assets, until they are enough: for each partition on its own, or all together."""
    by_partition, condition = look.options.get("by_partition", False), look.options["condition"]
    updated: dict[str, list[str]] = dict(look.cursor or {})
    events: list[Event] = []
    for packed in look.request.events:
        event = msgspec.msgpack.decode(packed, type=Event)
        data = unpack(event.data)
        slot = data["partition"] if by_partition else ""
        updated[slot] = sorted({*updated.get(slot, ()), data["asset"]})
        if is_satisfied(condition, set(updated[slot])):
            events.append(_event(event.key, {"assets": updated.pop(slot), "partition": data["partition"]}))
    waits = "; ".join(f"{', '.join(names)}{f' of {slot}' if slot else ''}" for slot, names in list(updated.items())[:3])
    return Seen(events, updated, f"updated so far: {waits}" if waits else "")


async def _see_absence(look: _Look) -> Seen:
    """The engine says which time has come; for a file the look is here."""
    events: list[Event] = []
    skipped = ""
    cursor = look.cursor
    for packed in look.request.events:
        event = msgspec.msgpack.decode(packed, type=Event)
        data = unpack(event.data)
        found = data.pop("found", "")
        if look.options.get("file"):
            newest = max(files(look.options["file"]), key=lambda a: a.modified_at, default=None)
            found = newest.path if newest is not None and newest.modified_at >= data["since_s"] else ""
        cursor = {"decided": data["by_s"]}
        if found:
            skipped = f"{found} is there"
        else:
            events.append(Event(event.key, pack({k: v for k, v in data.items() if not k.endswith("_s")})))
    return Seen(events, cursor, skipped)


_KINDS: dict[str, Callable[[_Look], Coroutine[Any, Any, Seen]]] = {
    "file": _see_files,
    "object": _see_objects,
    "http": _see_http,
    "sql": _see_sql,
    "webhook": _see_events,
    "run_end": _see_events,
    "asset": _see_updates,
    "absence": _see_absence,
}
