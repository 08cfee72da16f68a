"""The digest: what happened since the last one, over all pipelines, as a title and lines.

Rule: reading only, bounded: the newest runs of the time, and of each that failed its first causes.
"""

from __future__ import annotations

from partita.core.alerts import Happening, is_wanted
from partita.core.explain import causes
from partita.core.graph import decode as decode_graph
from partita.core.manifest import AlertSpec
from partita.engine.catalog import Catalog
from partita.engine.restore import rebuilt
from partita.store.contract import RunRow
from partita.store.gates import open_gates
from partita.store.messages import alerts
from partita.store.reading import SqlReader

_MOST_RUNS = 5_000
_SHOWN_FAILED = 20
_SHOWN_CAUSES = 5


def digest_of(
    reader: SqlReader, catalog: Catalog, rule: AlertSpec, namespace: str, *, since: float, now: float
) -> Happening:
    """What happened after `since`, for a digest's rule."""
    ended = [row for row in _runs_since(reader, since) if _is_about(rule, row)]
    # A failed run whose pipeline has succeeded later is history.
    newest = {}
    for row in reversed(ended):
        newest[row.pipeline, row.partition] = row
    failed = [row for row in newest.values() if row.state == "failed"]
    recovered = sum(row.state == "failed" for row in ended) - len(failed)
    open_alerts = [alert for alert in alerts(reader, namespace) if not alert.subject.startswith("pipeline:")]
    waiting = [gate for gate in open_gates(reader) if gate.of == "approval"]
    lines = [f"{len(ended)} runs ended, {sum(r.state == 'succeeded' for r in ended)} of them well"]
    for row in failed[:_SHOWN_FAILED]:
        lines += _failed_lines(reader, row)
    if len(failed) > _SHOWN_FAILED:
        lines.append(f"and {len(failed) - _SHOWN_FAILED} more failed runs")
    if recovered > 0:
        lines.append(f"{recovered} that failed have succeeded since")
    lines += [f"▲ {alert.message}" for alert in open_alerts[:_SHOWN_FAILED]]
    if waiting:
        lines.append(f"◐ {len(waiting)} steps wait for a person")
    title = f"{len(failed)} pipelines are broken" if failed else "all is well"
    if len(failed) == 1:
        title = f"{failed[0].pipeline} is broken"
    return Happening(
        "digest", "service:digest", now, f"morning report: {title}", f"{rule.name}:{now}", "error" if failed else "ok",
        tuple(lines), namespace=namespace,
    )  # fmt: skip


def _runs_since(reader: SqlReader, since: float) -> list[RunRow]:
    rows = reader.runs(states=("succeeded", "failed", "cancelled"), limit=_MOST_RUNS)
    return [row for row in rows if row.finished_at is not None and row.finished_at > since]


def _is_about(rule: AlertSpec, row: RunRow) -> bool:
    happening = Happening("digest", f"pipeline:{row.pipeline}", 0.0, "", "", tags=row.tags)
    return is_wanted(rule, happening)


def _failed_lines(reader: SqlReader, row: RunRow) -> list[str]:
    name = row.pipeline + (f" {row.partition}" if row.partition else "")
    lines = [f"■ run {row.no} of {name} failed" + (f": {row.reason}" if row.reason else "")]
    data = reader.graph(row.graph)
    if data is None:
        return lines
    machine = rebuilt(decode_graph(data), row, reader.steps(row.id), reader.attempts(row.id))
    found = causes(machine)
    for cause in found[:_SHOWN_CAUSES]:
        behind = f", which holds up {len(cause.blocks)}" if cause.blocks else ""
        owner = f" ({cause.owner})" if cause.owner else ""
        lines.append(f"   {cause.step}{owner}: {cause.message.strip().partition(chr(10))[0][:200]}{behind}")
    if len(found) > _SHOWN_CAUSES:
        lines.append(f"   and {len(found) - _SHOWN_CAUSES} more causes")
    return lines
