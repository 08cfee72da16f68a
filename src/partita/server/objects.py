"""The API's own objects: what goes over HTTP, what the Python client gives, what `--json` prints.

Rule: names are the glossary's, and a field keeps its name and meaning for ever; new ones are added. Instants are ISO 8601
in UTC. Light to import: plain data out of rows, nothing of the server's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec

from partita.core import events
from partita.server.jsonable import field, fields_of, iso, plain

if TYPE_CHECKING:
    from partita.core import explain, manifest
    from partita.core.values import Value
    from partita.store.contract import AttemptRow, CheckRow, MaterializationRow, RunRow, StepRow

__all__ = ["fields_of", "iso", "plain"]

T = TypeVar("T")

Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Part of a list. `next` is the cursor of the part that follows; null = this is the last one."""

    items: list[T]
    next: str | None = None


class Metadata(msgspec.Struct, frozen=True):
    """One entry of metadata. `kind`: "number", "text", "markdown", "table", "path", "url", "json"."""

    name: str
    kind: str
    value: Any


class StoredValue(msgspec.Struct, frozen=True):
    """A stored value: what it is and where; its content only if it is small and plain."""

    codec: str
    size: int
    length: int | None
    preview: str
    ref: str | None
    digest: str | None
    content: Any = msgspec.UNSET


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt did not succeed."""

    message: str
    types: list[str]
    cause: str
    traceback: str
    signal: int | None
    exit_code: int | None


class Usage(msgspec.Struct, frozen=True):
    """What an attempt used."""

    cpu_s: float
    peak_rss_bytes: int


class Run(msgspec.Struct, frozen=True):
    """A run. `no` is its number in this store, `id` its UUID."""

    id: str
    no: int
    pipeline: str
    partition: str | None
    state: str
    reason: str
    created_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    paused: bool
    cancel_requested: bool
    by: str
    origin: str
    rerun_of: str | None
    params: dict[str, Any]
    selection: list[str] | None
    priority: int
    fail_fast: bool
    timeout_s: float | None
    tags: list[str]
    namespace: str
    project: str
    graph: str
    code: str


class Attempt(msgspec.Struct, frozen=True):
    """One try of a step instance."""

    attempt: int
    state: str
    started_at: Instant | None
    finished_at: Instant | None
    duration_s: float | None
    worker: str
    failure: Failure | None
    usage: Usage | None
    metadata: list[Metadata]
    cached_from: str | None


class Step(msgspec.Struct, frozen=True):
    """A step instance that has done something, with its attempts."""

    step: str
    index: str
    state: str
    reason: str
    because: list[str]
    started_at: Instant | None
    finished_at: Instant | None
    not_before: Instant | None
    reused_from: str | None
    value: StoredValue | None
    attempts: list[Attempt]


class Materialization(msgspec.Struct, frozen=True):
    """An asset (partition) was made. `run` is empty when another tool made it and told; `step` then says who."""

    asset: str
    partition: str | None
    at: Instant | None
    run: str
    step: str
    index: str
    attempt: int
    data_version: str
    code_version: str
    metadata: list[Metadata]


class Check(msgspec.Struct, frozen=True):
    """One evaluation of a check."""

    at: Instant | None
    run: str
    step: str
    index: str
    asset: str
    check: str
    passed: bool
    severity: str
    message: str
    partition: str
    metadata: list[Metadata]


class Reason(msgspec.Struct, frozen=True):
    """One cause. `code` is stable for programs, `text` for people."""

    code: str
    text: str
    subjects: list[str] = []
    at: Instant | None = None


class Explanation(msgspec.Struct, frozen=True):
    """Why a step is as it is; `change` says what would move it."""

    step: str
    index: str
    state: str
    since: Instant | None
    reasons: list[Reason]
    change: str | None


class Cause(msgspec.Struct, frozen=True):
    """What broke first, and what it blocks."""

    step: str
    indexes: list[str]
    state: str
    message: str
    owner: str | None
    blocks: list[str]


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a definition."""

    message: str
    hint: str | None
    file: str | None
    line: int | None
    traceback: str | None


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a pipeline; `schema` is JSON Schema (2020-12)."""

    name: str
    schema: dict[str, Any]
    required: bool
    default: Any
    description: str


class Pipeline(msgspec.Struct, frozen=True):
    """A pipeline as it is defined."""

    name: str
    description: str
    owner: str | None
    tags: list[str]
    steps: list[str]
    params: list[Parameter]
    schedules: list[dict[str, Any]]
    partitions: dict[str, Any] | None
    fail_fast: bool
    timeout_s: float | None
    max_runs: int | None
    max_steps: int | None
    written_at: str
    project: str = ""
    namespace: str = ""
    priority: int = 0
    # Limits of runs at once by a key, and by when what is to be done, as declared.
    concurrency: list[dict[str, Any]] = []
    deadlines: list[dict[str, Any]] = []


class Column(msgspec.Struct, frozen=True):
    """A column that an asset declares."""

    name: str
    type: str


class Asset(msgspec.Struct, frozen=True):
    """An asset as it is defined."""

    name: str
    deps: list[str]
    step: str
    group: str
    owner: str
    tags: list[str]
    kinds: list[str]
    description: str
    partitions: dict[str, Any] | None
    external: bool
    code_version: str
    columns: list[Column]
    written_at: str
    freshness: dict[str, Any] | None = None
    mappings: list[dict[str, Any]] = []
    backfill_batch: int = 1
    project: str = ""
    namespace: str = ""


def run(row: RunRow) -> Run:
    """A run."""
    return Run(
        id=row.id,
        no=row.no,
        pipeline=row.pipeline,
        partition=row.partition or None,
        state=row.state,
        reason=row.reason,
        created_at=iso(row.created_at),
        started_at=iso(row.started_at),
        finished_at=iso(row.finished_at),
        paused=row.paused,
        cancel_requested=row.cancel_requested,
        by=row.by,
        origin=row.origin,
        rerun_of=row.rerun_of or None,
        params={name: plain(data) for name, data in row.params.items()},
        selection=list(row.selection) or None,
        priority=row.priority,
        fail_fast=row.fail_fast,
        timeout_s=row.timeout_s,
        tags=list(row.tags),
        namespace=row.namespace,
        project=row.project,
        graph=row.graph,
        code=row.code,
    )


def step(row: StepRow, attempts: Sequence[AttemptRow]) -> Step:
    """A step instance that has done something, with its attempts."""
    began = [a.started_at for a in attempts]
    return Step(
        step=row.step,
        index=row.index,
        state=row.state,
        reason=row.reason,
        because=list(row.because),
        started_at=iso(min(began)) if began else None,
        finished_at=iso(row.finished_at),
        not_before=iso(row.not_before) if row.not_before else None,
        reused_from=row.reused_from or None,
        value=value(row.value),
        attempts=[attempt(a) for a in attempts],
    )


def attempt(row: AttemptRow) -> Attempt:
    """One try of a step instance."""
    return Attempt(
        attempt=row.attempt,
        state=row.state,
        started_at=iso(row.started_at),
        finished_at=iso(row.finished_at),
        duration_s=round(row.ended_at - row.began_at, 6) if row.began_at and row.ended_at else None,
        worker=row.worker,
        failure=failure(row.failure),
        usage=None if row.usage is None else Usage(row.usage.cpu_s, row.usage.peak_rss_bytes),
        metadata=metadata(row.metadata),
        cached_from=row.cached_from or None,
    )


def failure(found: events.Failure | None) -> Failure | None:
    """Why an attempt did not succeed."""
    if found is None:
        return None
    return Failure(
        message=found.message,
        types=list(found.types),
        cause=found.cause,
        traceback=found.traceback,
        signal=found.signal,
        exit_code=found.exit_code,
    )


def value(stored: Value | None) -> StoredValue | None:
    """A stored value."""
    if stored is None:
        return None
    inline = stored.codec == "plain" and stored.data is not None
    return StoredValue(
        codec=stored.codec,
        size=stored.size,
        length=stored.length,
        preview=stored.preview,
        ref=stored.ref,
        digest=stored.digest or None,
        content=plain(stored.data or b"") if inline else msgspec.UNSET,
    )


def metadata(found: Sequence[events.Meta]) -> list[Metadata]:
    """Entries of metadata."""
    return [Metadata(m.name, m.kind, plain(m.data)) for m in found]


def materialization(row: MaterializationRow) -> Materialization:
    """One materialization of an asset (partition)."""
    return Materialization(
        asset=row.asset,
        partition=row.partition or None,
        at=iso(row.at),
        run=row.run,
        step=row.step,
        index=row.index,
        attempt=row.attempt,
        data_version=row.data_version,
        code_version=row.code_version,
        metadata=metadata(row.metadata),
    )


def check(row: CheckRow) -> Check:
    """One evaluation of a check."""
    report = row.report
    return Check(
        at=iso(row.at),
        run=row.run,
        step=row.step,
        index=row.index,
        asset=report.asset,
        check=report.check,
        passed=report.passed,
        severity=report.severity,
        message=report.message,
        partition=report.partition,
        metadata=metadata(report.metadata),
    )


def explanation(found: explain.Explanation) -> Explanation:
    """Why a step is as it is."""
    return Explanation(
        step=found.step,
        index=found.index,
        state=found.state,
        since=iso(found.since) if found.since else None,
        reasons=[Reason(r.code, r.text, list(r.subjects), iso(r.at) if r.at else None) for r in found.reasons],
        change=found.change or None,
    )


def cause(found: explain.Cause) -> Cause:
    """What broke first, and what it blocks."""
    return Cause(
        step=found.step,
        indexes=[i for i in found.indexes if i],
        state=found.state,
        message=found.message,
        owner=found.owner or None,
        blocks=list(found.blocks),
    )


def problem(found: manifest.Problem) -> Problem:
    """What is wrong with a definition."""
    return Problem(
        message=found.message,
        hint=found.hint or None,
        file=found.file or None,
        line=found.line or None,
        traceback=found.traceback or None,
    )


_packed = msgspec.msgpack.Decoder(dict[str, bytes]).decode


def pipeline(spec: manifest.PipelineSpec, project: str = "", namespace: str = "") -> Pipeline:
    """A pipeline as it is defined."""
    return Pipeline(
        name=spec.name,
        description=spec.description,
        owner=spec.owner or None,
        tags=list(spec.tags),
        steps=[s.key for s in spec.graph.steps],
        params=[
            Parameter(
                name=p.name,
                schema=msgspec.json.decode(p.schema),
                required=p.required,
                default=_default(p),
                description=p.description,
            )
            for p in spec.params
        ],
        schedules=[schedule_spec(s) for s in spec.schedules],
        partitions=partitions(spec.partitions),
        fail_fast=spec.fail_fast,
        timeout_s=spec.timeout_s,
        max_runs=spec.max_runs,
        max_steps=spec.max_steps,
        written_at=spec.written_at,
        project=project,
        namespace=namespace,
        priority=spec.priority,
        concurrency=[fields_of(c) for c in spec.concurrency],
        deadlines=[fields_of(d) for d in spec.deadlines],
    )


def _default(param: manifest.ParamSpec) -> Any:
    """The default of a parameter, as its schema says that a value is written."""
    found = plain(param.default) if param.default is not None else None
    if isinstance(found, int | float) and msgspec.json.decode(param.schema).get("format") == "duration":
        return iso_duration(found)
    return found


def iso_duration(seconds: float) -> str:
    """A length of time as ISO 8601 has it: "PT15M", "P1DT0.5S"."""
    rest = round(abs(seconds), 6)
    found = "-P" if seconds < 0 else "P"
    days, rest = divmod(rest, 86_400)
    found += f"{days:.0f}D" if days else ""
    if rest or not days:
        hours, rest = divmod(rest, 3600)
        minutes, rest = divmod(rest, 60)
        found += "T" + (f"{hours:.0f}H" if hours else "") + (f"{minutes:.0f}M" if minutes else "")
        found += f"{round(rest, 6):g}S" if rest or not (hours or minutes) else ""
    return found


def schedule_spec(spec: manifest.ScheduleSpec) -> dict[str, Any]:
    """A schedule as it is declared."""
    fields: dict[str, Any] = fields_of(spec)
    fields["params"] = {name: plain(data) for name, data in _packed(spec.params).items()} if spec.params else {}
    return fields


def asset(spec: manifest.AssetSpec, project: str = "", namespace: str = "") -> Asset:
    """An asset as it is defined."""
    return Asset(
        name=spec.name,
        deps=list(spec.deps),
        step=spec.step,
        group=spec.group,
        owner=spec.owner,
        tags=list(spec.tags),
        kinds=list(spec.kinds),
        description=spec.description,
        partitions=partitions(spec.partitions),
        external=spec.external,
        code_version=spec.code_version,
        columns=[Column(name, kind) for name, kind in spec.columns],
        written_at=spec.written_at,
        freshness=None if spec.freshness is None else fields_of(spec.freshness),
        mappings=[fields_of(m) for m in spec.mappings],
        backfill_batch=spec.backfill_batch,
        project=project,
        namespace=namespace,
    )


def partitions(spec: manifest.PartitionSpec | None) -> dict[str, Any] | None:
    """A partition definition."""
    found: dict[str, Any] | None = None if spec is None else fields_of(spec)
    return found


S = TypeVar("S", bound=msgspec.Struct)
_INSTANTS = frozenset({"at", "since", "until", "instant"})


def shaped(kind: type[S], row: Any, **others: Any) -> S:
    """An object of the API from a row that has its fields, or `others`. Fields named like instants are."""
    found = {}
    for name in kind.__struct_fields__:
        if name in others:
            found[name] = others[name]
            continue
        raw = getattr(row, name)
        is_instant = name.endswith("_at") or name in _INSTANTS
        found[name] = iso(raw) if is_instant and isinstance(raw, float | int) else field(raw)
    return kind(**found)
