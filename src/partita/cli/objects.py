"""The API's own objects, as `--json` prints them: `id`, `no`, `state`, instants as ISO 8601 in UTC.

Rule: names are the glossary's, and a field keeps its name and meaning for ever; new ones are added.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import msgspec

from partita.cli.words import iso
from partita.core.events import AssetReport, CheckReport, Failure, Meta
from partita.core.explain import Cause, Explanation
from partita.core.manifest import AssetSpec, PartitionSpec, PipelineSpec, Problem, ScheduleSpec
from partita.core.plain import unpack
from partita.core.values import Value

if TYPE_CHECKING:
    from partita.store.contract import AttemptRow, CheckRow, MaterializationRow, RunRow, StepRow

Object = dict[str, Any]


def run_object(row: RunRow) -> Object:
    """A run."""
    return {
        "id": row.id,
        "no": row.no,
        "pipeline": row.pipeline,
        "partition": row.partition or None,
        "state": row.state,
        "reason": row.reason,
        "created_at": iso(row.created_at),
        "started_at": iso(row.started_at),
        "finished_at": iso(row.finished_at),
        "paused": row.paused,
        "cancel_requested": row.cancel_requested,
        "by": row.by,
        "origin": row.origin,
        "rerun_of": row.rerun_of or None,
        "params": {name: plain(data) for name, data in row.params.items()},
        "selection": list(row.selection) or None,
        "priority": row.priority,
        "fail_fast": row.fail_fast,
        "timeout_s": row.timeout_s,
        "tags": list(row.tags),
        "namespace": row.namespace,
        "project": row.project,
        "graph": row.graph,
        "code": row.code,
    }


def step_object(row: StepRow, attempts: list[AttemptRow]) -> Object:
    """A step instance that has done something, with its attempts."""
    began = [a.started_at for a in attempts]
    return {
        "step": row.step,
        "index": row.index,
        "state": row.state,
        "reason": row.reason,
        "because": list(row.because),
        "started_at": iso(min(began)) if began else None,
        "finished_at": iso(row.finished_at),
        "not_before": iso(row.not_before) if row.not_before else None,
        "reused_from": row.reused_from or None,
        "value": value_object(row.value),
        "attempts": [attempt_object(a) for a in attempts],
    }


def attempt_object(row: AttemptRow) -> Object:
    """One try of a step instance."""
    return {
        "attempt": row.attempt,
        "state": row.state,
        "started_at": iso(row.started_at),
        "finished_at": iso(row.finished_at),
        "duration_s": round(row.ended_at - row.began_at, 6) if row.began_at and row.ended_at else None,
        "worker": row.worker,
        "failure": failure_object(row.failure),
        "usage": None if row.usage is None else {"cpu_s": row.usage.cpu_s, "peak_rss_bytes": row.usage.peak_rss_bytes},
        "metadata": [meta_object(m) for m in row.metadata],
        "cached_from": row.cached_from or None,
    }


def failure_object(failure: Failure | None) -> Object | None:
    """Why an attempt did not succeed."""
    if failure is None:
        return None
    return {
        "message": failure.message,
        "types": list(failure.types),
        "cause": failure.cause,
        "traceback": failure.traceback,
        "signal": failure.signal,
        "exit_code": failure.exit_code,
    }


def value_object(value: Value | None) -> Object | None:
    """A stored value: what it is and where; its content only if it is small and plain."""
    if value is None:
        return None
    content: Object = {"codec": value.codec, "size": value.size, "length": value.length, "preview": value.preview}
    if value.codec == "plain" and value.data is not None:
        content["content"] = plain(value.data)
    return {**content, "ref": value.ref, "digest": value.digest or None}


def meta_object(meta: Meta) -> Object:
    """One entry of metadata."""
    return {"name": meta.name, "kind": meta.kind, "value": plain(meta.data)}


def materialization_object(row: MaterializationRow) -> Object:
    """One materialization of an asset (partition)."""
    return {
        "asset": row.asset,
        "partition": row.partition or None,
        "at": iso(row.at),
        "run": row.run,
        "step": row.step,
        "index": row.index,
        "attempt": row.attempt,
        "data_version": row.data_version,
        "code_version": row.code_version,
        "metadata": [meta_object(m) for m in row.metadata],
    }


def check_object(row: CheckRow) -> Object:
    """One evaluation of a check."""
    return {"at": iso(row.at), "run": row.run, "step": row.step, "index": row.index, **report_object(row.report)}


def report_object(report: CheckReport | AssetReport) -> Object:
    """What user code reported."""
    plain_fields: Object = msgspec.structs.asdict(report)
    return {**plain_fields, "metadata": [meta_object(m) for m in report.metadata]}


def explanation_object(found: Explanation) -> Object:
    """Why a step is as it is."""
    return {
        "step": found.step,
        "index": found.index,
        "state": found.state,
        "since": iso(found.since) if found.since else None,
        "reasons": [
            {"code": r.code, "text": r.text, "subjects": list(r.subjects), "at": iso(r.at) if r.at else None}
            for r in found.reasons
        ],
        "change": found.change or None,
    }


def cause_object(cause: Cause) -> Object:
    """What broke first, and what it blocks."""
    return {
        "step": cause.step,
        "indexes": [i for i in cause.indexes if i],
        "state": cause.state,
        "message": cause.message,
        "owner": cause.owner or None,
        "blocks": list(cause.blocks),
    }


def problem_object(problem: Problem) -> Object:
    """What is wrong with a definition."""
    return {
        "message": problem.message,
        "hint": problem.hint or None,
        "file": problem.file or None,
        "line": problem.line or None,
        "traceback": problem.traceback or None,
    }


_packed = msgspec.msgpack.Decoder(dict[str, bytes]).decode


def pipeline_object(spec: PipelineSpec) -> Object:
    """A pipeline as it is defined."""
    return {
        "name": spec.name,
        "description": spec.description,
        "owner": spec.owner or None,
        "tags": list(spec.tags),
        "steps": [s.key for s in spec.graph.steps],
        "params": [
            {
                "name": p.name,
                "schema": msgspec.json.decode(p.schema),
                "required": p.required,
                "default": plain(p.default) if p.default is not None else None,
                "description": p.description,
            }
            for p in spec.params
        ],
        "schedules": [_schedule(s) for s in spec.schedules],
        "partitions": partitions_object(spec.partitions),
        "fail_fast": spec.fail_fast,
        "timeout_s": spec.timeout_s,
        "max_runs": spec.max_runs,
        "max_steps": spec.max_steps,
        "written_at": spec.written_at,
    }


def _schedule(spec: ScheduleSpec) -> Object:
    fields: Object = msgspec.to_builtins(spec)
    fields["params"] = {name: plain(data) for name, data in _packed(spec.params).items()} if spec.params else {}
    return fields


def asset_object(spec: AssetSpec) -> Object:
    """An asset as it is defined."""
    fields: Object = msgspec.to_builtins(spec)
    del fields["automation"]
    fields["columns"] = [{"name": name, "type": kind} for name, kind in spec.columns]
    fields["partitions"] = partitions_object(spec.partitions)
    return fields


def partitions_object(spec: PartitionSpec | None) -> Object | None:
    """A partition definition."""
    return None if spec is None else msgspec.to_builtins(spec)


def plain(data: bytes) -> Any:
    """Packed plain data as JSON; classes of the user's are their fields."""
    return _json(unpack(data, lambda name: _Foreign))


class _Foreign:
    """Stands for any class of the user's: its fields, or the name of an enum's member."""

    def __class_getitem__(cls, name: str) -> Any:
        return name

    def __new__(cls, *args: Any, **fields: Any) -> Any:
        return fields or list(args)


def _json(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # JSON has no NaN and no infinity.
            return value if math.isfinite(value) else str(value)
        case dict():
            return {k if isinstance(k, str) else str(_json(k)): _json(v) for k, v in value.items()}
        case list() | tuple():
            return [_json(v) for v in value]
        case set() | frozenset():
            return sorted((_json(v) for v in value), key=str)
        case bytes():
            return value.hex()
        case dt.timedelta():
            return value.total_seconds()
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value)
