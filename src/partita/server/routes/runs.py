"""Runs: list, see, wait for, start, cancel, pause, resume, retry; one or many."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec

from partita.core import explain as explain_
from partita.core.explain import causes, explain
from partita.core.machine import RunMachine
from partita.core.states import TERMINAL_RUN, RunState
from partita.engine.control import Cancel, Pause, Resume, Why
from partita.engine.pulse import AskPlaces, Place
from partita.errors import PartitaError, WorldError
from partita.server import examples, objects
from partita.server.calling import Because, Call, Cursor, Limit, Name, Reply, has_engine, make_cursor, read_cursor
from partita.server.jsonable import as_json, plain
from partita.server.objects import Cause, Check, Explanation, Materialization, Page, Run
from partita.server.problems import Refused, refusal_of
from partita.server.remembering import machine
from partita.server.routing import route
from partita.server.starting import Retried, Started, retry, start
from partita.store.contract import RunRow

_LONGEST_WAIT_S = 60.0
_MOST = 500
_EXPLAINED = 20
# By origin or words: runs that are looked through at once, and how often, before the list goes on by its cursor.
_LOOKED_THROUGH = 500
_LOOKS = 20

Wait = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]{1,6}(s|ms|m)?$",
        description='Answer when the run has ended, or after so long ("30s", at most a minute)',
        examples=["30s"],
    ),
]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Moment = Annotated[str, msgspec.Meta(max_length=40, description="An instant: 2026-11-22T03:00:00Z")]
Origin = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=500,
        description="What made the run, or how that begins: `sched:nightly:`, `sensor:`, `backfill:`",
        examples=["sched:nightly:"],
    ),
]

Words = Annotated[
    str,
    msgspec.Meta(
        max_length=200,
        description="Words that are all to be found: in the number, id, pipeline, partition, tags, who asked, origin, "
        "reason or parameters (`region=eu`)",
        examples=["nightly region=eu"],
    ),
]


class Again(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """From which steps or groups on (none: what failed), and on which version of the code."""

    from_: Annotated[list[Name], msgspec.Meta(max_length=1000)] = []
    version: Literal["latest", "same"] = "latest"


class Bulk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to do to many runs."""

    action: Literal["cancel", "pause", "resume", "retry"]
    runs: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=_MOST)]
    reason: Text = ""
    # Of a retry: on which version of the code.
    version: Literal["latest", "same"] = "latest"


class BulkItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one of them. `status` is what asking for it alone would have been answered with."""

    run: str
    status: int
    detail: str = ""
    # Of a retry: the new run.
    made: str = ""


class BulkResult(msgspec.Struct, frozen=True):
    """What became of each, in the order asked."""

    items: list[BulkItem]


class InLine(msgspec.Struct, frozen=True):
    """A queued run: how many of its namespace come `before` it, and what it waits for ("" = only its turn).

    `before` is null when no engine is there to ask.
    """

    before: int | None
    refusal: str


class Queued(msgspec.Struct, frozen=True):
    """An entry of the queue."""

    run: Run
    line: InLine


class RunWhy(msgspec.Struct, frozen=True):
    """Why a run is as it is: how many steps are in which state, what broke first, why open steps are open.

    `engine`: the engine was asked, which knows the queue and the workers; without one the rows tell what they can. `line` is
    there while the run is queued.
    """

    run: Run
    counts: dict[str, int]
    causes: list[Cause]
    open: list[Explanation]
    engine: bool
    line: InLine | None = None


@route(
    "GET",
    "/runs",
    permission="view",
    summary="Runs, newest first",
    errors=(422,),
    example=Page([examples.RUN], "MTE"),
)
def runs(
    call: Call,
    pipeline: Name | None = None,
    state: list[RunState] = [],  # noqa: B006
    partition: Text | None = None,
    project: Name | None = None,
    namespace: Name | None = None,
    by: Name | None = None,
    tag: Name | None = None,
    origin: Origin | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    q: Words = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> Page[Run]:
    begin, end = instant("since", since), instant("until", until)

    def fetch(before: int | None, count: int) -> Sequence[RunRow]:
        return call.reader.runs(
            pipeline=pipeline,
            states=state,
            partition=partition,
            project=project,
            namespace=namespace,
            by=by,
            tag=tag,
            since=begin,
            until=end,
            before_no=before,
            limit=count,
        )

    if origin is not None or q.strip():
        words = q.casefold().split()
        return _looked_through(
            call,
            fetch,
            lambda row: row.origin.startswith(origin or "") and (not words or _has(row, words)),
            cursor,
            limit,
        )
    return call.page(
        fetch,
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=objects.run,
        namespace_of=lambda row: row.namespace,
    )


@route(
    "GET",
    "/queue",
    permission="view",
    summary="Runs that wait for their start, newest first: what each waits for, and its place in line",
    errors=(422,),
    example=Page([Queued(examples.RUN, InLine(3, "the limit of runs of pipeline nightly: 1 of 1 running"))]),
)
def queue(call: Call, pipeline: Name | None = None, limit: Limit = 50, cursor: Cursor = "") -> Page[Queued]:
    page = call.page(
        lambda before, count: call.reader.runs(pipeline=pipeline, states=("queued",), before_no=before, limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.no,
        shown=lambda row: row,
        namespace_of=lambda row: row.namespace,
    )
    lines = _lines(call, page.items)
    return Page([Queued(objects.run(row), lines[row.id]) for row in page.items if row.id in lines], page.next)


@route(
    "GET",
    "/runs/{run}",
    permission="view",
    summary="A run, by id, number, or the beginning of its id; with `wait`, when it has ended",
    errors=(404, 422),
    example=examples.RUN,
)
async def run(call: Call, run: Name, wait: Wait = "") -> Run:
    row: RunRow = await call.in_thread(call.run, run)
    left_s = min(_seconds(wait), _LONGEST_WAIT_S)
    if left_s <= 0 or row.state in TERMINAL_RUN:
        return objects.run(row)
    return objects.run(await _ended(call, row.id, left_s))


@route(
    "POST",
    "/runs",
    permission="operate",
    summary="Start a run of a pipeline, or of a selection of assets",
    errors=(404, 409, 422),
    status=201,
    example=examples.RUN,
    body_example={"pipeline": "nightly", "params": {"region": "eu"}},
)
def start_run(call: Call, body: Started) -> Run | Reply:
    return start(call, body)


@route(
    "POST",
    "/runs/{run}/cancel",
    permission="operate",
    summary="End a run",
    errors=(404, 409),
    example=examples.RUN,
    body_example={"reason": "wrong day"},
)
def cancel(call: Call, run: Name, body: Because) -> Run:
    return _asked_of(call, run, lambda row: Cancel(row.id, call.principal.name, body.reason))


@route(
    "POST",
    "/runs/{run}/pause",
    permission="operate",
    summary="Start nothing new in a run",
    errors=(404, 409),
    example=examples.RUN,
    body_example={"reason": "the source is down"},
)
def pause(call: Call, run: Name, body: Because) -> Run:
    return _asked_of(call, run, lambda row: Pause(row.id, call.principal.name, body.reason))


@route(
    "POST",
    "/runs/{run}/resume",
    permission="operate",
    summary="Let a paused run go on",
    errors=(404, 409),
    example=examples.RUN,
    body_example={},
)
def resume(call: Call, run: Name, body: Because) -> Run:
    return _asked_of(call, run, lambda row: Resume(row.id, call.principal.name))


@route(
    "POST",
    "/runs/{run}/retry",
    permission="operate",
    summary="Run a finished run again: what failed, or from steps on; it is a new run",
    errors=(404, 409, 422),
    status=201,
    example=examples.RUN,
    body_example={"from": ["load"], "version": "latest"},
)
def retry_run(call: Call, run: Name, body: Again) -> Run:
    return retry(call, call.run(run), Retried(tuple(body.from_), body.version))


@route(
    "POST",
    "/runs/bulk",
    permission="operate",
    summary="Cancel, pause, resume or retry many runs; each is checked and answered for by itself",
    errors=(422,),
    example=BulkResult([BulkItem(examples.RUN.id, 200), BulkItem("13", 404, "there is no run '13'")]),
    body_example={"action": "cancel", "runs": [examples.RUN.id, "13"], "reason": "wrong day"},
)
def bulk(call: Call, body: Bulk) -> BulkResult:
    return BulkResult([_one_of_many(call, name, body) for name in body.runs])


@route(
    "GET",
    "/runs/{run}/why",
    permission="view",
    summary="Why a run is as it is: what broke first, and why what is open is open",
    errors=(404,),
    example=RunWhy(examples.RUN, {"succeeded": 3, "ready": 1}, [], [examples.EXPLANATION], engine=True),
)
def why(call: Call, run: Name) -> RunWhy:
    row = call.run(run)
    rebuilt = machine(call.reader, row)
    counts: dict[str, int] = {}
    for instance in rebuilt.instances():
        counts[instance.state] = counts.get(instance.state, 0) + 1
    is_open = row.state not in TERMINAL_RUN
    lines = _lines(call, [row]) if row.state == "queued" else {}
    asking = _Asking(call, row)
    return RunWhy(
        objects.run(row),
        counts,
        [objects.cause(c) for c in causes(rebuilt)],
        [objects.explanation(e) for e in (asking.open_steps(rebuilt) if is_open else [])],
        engine=asking.has_engine,
        line=lines.get(row.id),
    )


@route(
    "GET",
    "/runs/{run}/reruns",
    permission="view",
    summary="The runs that repeat a run, newest first (at most 100)",
    errors=(404,),
    example=Page([examples.RUN]),
)
def reruns(call: Call, run: Name) -> Page[Run]:
    return Page([objects.run(row) for row in call.reader.reruns(call.run(run).id) if call.sees(row.namespace)])


@route(
    "GET",
    "/runs/{run}/materializations",
    permission="view",
    summary="What a run has made, oldest first",
    errors=(404, 422),
    example=Page([examples.MATERIALIZATION]),
)
def materializations(call: Call, run: Name, limit: Limit = 100, cursor: Cursor = "") -> Page[Materialization]:
    from partita.server.calling import page_of

    made = call.reader.materialized_in(call.run(run).id)
    page = page_of(made, cursor, limit)
    return Page([objects.materialization(m) for m in page.items], page.next)


@route(
    "GET",
    "/runs/{run}/checks",
    permission="view",
    summary="How the checks of a run went, newest first (at most 1,000)",
    errors=(404,),
    example=Page([examples.CHECK]),
)
def checks(call: Call, run: Name) -> Page[Check]:
    return Page([objects.check(row) for row in call.reader.checks(run=call.run(run).id, limit=1000)])


# --- helpers --------------------------------------------------------------------------------------------------------


def instant(name: str, text: str | None) -> float | None:
    """An instant as it is asked for. Raises `Refused`."""
    if text is None:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refused(422, f"`{name}` is no instant", hint="2026-11-22T03:00:00Z") from None


class _Asking:
    """Why steps of a run are open: by the engine, which knows the queue and the workers, else by the rows."""

    def __init__(self, call: Call, row: RunRow) -> None:
        self._call = call
        self._row = row
        self.has_engine = has_engine(call)

    def open_steps(self, rebuilt: RunMachine) -> list[explain_.Explanation]:
        """One answer a step, for the first ones."""
        found: list[explain_.Explanation] = []
        for node in rebuilt.plan.nodes.values():
            first = next((i for i in node.instances.values() if i.state in ("running", "ready", "waiting")), None)
            if first is None:
                continue
            told = self._told(node.key, first.index) if first.state == "ready" else None
            told = told or explain(rebuilt, node.key, first.index)
            found += [told] if told is not None else []
            if len(found) == _EXPLAINED:
                break
        return found

    def _told(self, step: str, index: str) -> explain_.Explanation | None:
        if not self.has_engine:
            return None
        with contextlib.suppress(WorldError):
            return self._call.ask(Why(self._row.id, step, index)).explanation
        return None


def _lines(call: Call, queued: Sequence[RunRow]) -> dict[str, InLine]:
    """Where queued runs stand; those that have started meanwhile are left out."""
    if not queued:
        return {}
    try:
        places = call.ask(AskPlaces(tuple(row.id for row in queued)), tuple[Place, ...])
    except WorldError:
        told = "no engine is there to start it"
        return {row.id: InLine(None, "it is paused" if row.paused else told) for row in queued}
    lines = {place.run: InLine(place.before, place.refusal) for place in places}
    return {**{row.id: InLine(None, "it is paused") for row in queued if row.paused}, **lines}


def _has(row: RunRow, words: Sequence[str]) -> bool:
    """Whether each word is somewhere in what people know a run by; a number is its number."""
    params = " ".join(f"{name}={as_json(plain(data))}" for name, data in row.params.items())
    fields = (row.id, row.pipeline, row.partition, *row.tags, row.by, row.origin, row.reason, row.state, params)
    text = "\n".join(fields).casefold()
    return all(word in text or word.lstrip("#") == str(row.no) for word in words)


def _looked_through(
    call: Call,
    fetch: Callable[[int | None, int], Sequence[RunRow]],
    fits: Callable[[RunRow], bool],
    cursor: str,
    limit: int,
) -> Page[Run]:
    """Runs that fit. So many are looked through at once; then the list goes on by its cursor."""
    before = read_cursor(cursor) if cursor else None
    found: list[RunRow] = []
    for _ in range(_LOOKS):
        rows = fetch(before, _LOOKED_THROUGH)
        for row in call.visible(rows, lambda row: row.namespace):
            if fits(row):
                found.append(row)
                if len(found) == limit:
                    return Page([objects.run(r) for r in found], make_cursor(row.no))
        if len(rows) < _LOOKED_THROUGH:
            return Page([objects.run(r) for r in found], None)
        before = rows[-1].no
    return Page([objects.run(r) for r in found], make_cursor(before))


def _asked_of(call: Call, name: str, request: Callable[[RunRow], msgspec.Struct]) -> Run:
    """Ask the engine something for a run that is active; the run as it is then."""
    row = call.run(name)
    if row.state in TERMINAL_RUN:
        raise Refused(409, f"run {row.no} has ended: it {row.state}")
    if not call.change(request(row), namespace=row.namespace, object=f"run:{row.id}").found:
        raise Refused(409, f"no engine executes run {row.no}", hint="it may just have ended")
    return objects.run(call.reader.run(row.id) or row)


def _one_of_many(call: Call, name: str, body: Bulk) -> BulkItem:
    by = call.principal.name
    try:
        if body.action == "retry":
            return BulkItem(name, 201, made=retry(call, call.run(name), Retried(version=body.version)).id)
        _asked_of(
            call,
            name,
            lambda row: {
                "cancel": Cancel(row.id, by, body.reason),
                "pause": Pause(row.id, by, body.reason),
                "resume": Resume(row.id, by),
            }[body.action],
        )
        return BulkItem(name, 200)
    except Refused as refused:
        return BulkItem(name, refused.status, refused.problem.detail)
    except PartitaError as error:
        answer = refusal_of(error)
        return BulkItem(name, answer.status, answer.problem.detail)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]+)(s|ms|m)?", text)
    return int(match[1]) * {"ms": 0.001, "m": 60.0}.get(match[2] or "s", 1.0) if match else 0.0


async def _ended(call: Call, run: str, left_s: float) -> RunRow:
    """The run when it has ended, or as it is when the time is over. No thread is held meanwhile."""
    import asyncio

    clock = asyncio.get_running_loop().time
    until = clock() + left_s
    async with call.follower.listening() as end:
        # Only now: it may have ended between the first look and the beginning of the listening.
        row: Any = await call.in_thread(call.run, run)
        while row.state not in TERMINAL_RUN and clock() < until and not call.follower.is_closing:
            page = await call.follower.page(end, until - clock())
            if page is None:
                break
            end = page.end
            if run in page.runs:
                row = await call.in_thread(call.run, run)
    return row  # type: ignore[no-any-return]
