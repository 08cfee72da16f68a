"""Deployments: rows, how they are read, and which rows each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/deployments.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from partita.core.facts.deployments import DeploymentBegun, DeploymentRefused, DeploymentTaken
from partita.core.manifest import Problem

_problems = msgspec.msgpack.Decoder(tuple[Problem, ...])
_LAST = 2**62
# So many of a project are remembered.
_KEPT = 1_000


class DeploymentRow(msgspec.Struct, frozen=True):
    """One deployment. `lock` names the file that says which packages the project wants, with the SHA-256 of it."""

    project: str
    no: int
    namespace: str
    digest: str
    size: int
    rollback: bool
    reason: str
    by: str
    at: float
    state: Literal["trying", "taken", "refused"]
    ended_at: float | None
    code: str
    lock: str
    warnings: tuple[str, ...]
    error: str
    problems: tuple[Problem, ...]


class _Reader(Protocol):
    def fetch(self, name: str, params: Any = ()) -> Sequence[tuple[Any, ...]]: ...


def deployments(reader: _Reader, project: str, *, before: int | None = None, limit: int = 50) -> list[DeploymentRow]:
    """The deployments of a project, newest first, those before a number."""
    return [_row(row) for row in reader.fetch("deployments", (project, _LAST if before is None else before, limit))]


def deployment(reader: _Reader, project: str, no: int) -> DeploymentRow | None:
    """One deployment."""
    rows = reader.fetch("deployment", (project, no))
    return _row(rows[0]) if rows else None


def deployed(reader: _Reader, *, after: str = "", limit: int = 1000) -> list[DeploymentRow]:
    """What is to be served of each project that was deployed, by name; those after a name."""
    return [_row(row) for row in reader.fetch("deployed", (after, limit))]


def deployed_project(reader: _Reader, project: str) -> DeploymentRow | None:
    """What is to be served of a project; None if none of its deployments was ever taken."""
    rows = reader.fetch("deployed_project", (project,))
    return _row(rows[0]) if rows else None


def earlier(reader: _Reader, served: DeploymentRow) -> DeploymentRow | None:
    """The last deployment before the one that is served, of another bundle; None if there is none."""
    before = deployments(reader, served.project, before=served.no, limit=500)
    return next((row for row in before if row.state == "taken" and row.digest != served.digest), None)


def open_deployments(reader: _Reader) -> list[DeploymentRow]:
    """Those that have not ended."""
    return [_row(row) for row in reader.fetch("open_deployments")]


def last_no(reader: _Reader, project: str) -> int:
    """The number of a project's last deployment; 0 = it has none."""
    return int(reader.fetch("last_deployment_no", (project,))[0][0])


def _row(row: tuple[Any, ...]) -> DeploymentRow:
    warnings = tuple(msgspec.json.decode(row[13], type=list[str])) if row[13] else ()
    problems = _problems.decode(row[15]) if row[15] else ()
    project, no, namespace, digest, size, rollback, reason, by, at, state, ended_at, code, lock, _, error, _ = row
    return DeploymentRow(
        project,
        no,
        namespace,
        digest,
        size,
        bool(rollback),
        reason,
        by,
        at,
        state,
        ended_at,
        code,
        lock,
        warnings,
        error,
        problems,
    )


def _begun(execute: Callable[[str, Any], Any], fact: DeploymentBegun) -> None:
    rollback = int(fact.rollback)
    execute(
        "begin_deployment",
        (
            fact.project,
            fact.no,
            fact.namespace,
            fact.digest,
            fact.size,
            rollback,
            fact.reason,
            fact.by,
            fact.at,
        ),
    )
    execute("forget_deployments", (fact.project, fact.no - _KEPT))


def _taken(execute: Callable[[str, Any], Any], fact: DeploymentTaken) -> None:
    warnings = msgspec.json.encode(fact.warnings).decode() if fact.warnings else ""
    execute("take_deployment", (fact.at, fact.code, fact.lock, warnings, fact.project, fact.no))


def _refused(execute: Callable[[str, Any], Any], fact: DeploymentRefused) -> None:
    execute("refuse_deployment", (fact.at, fact.error, fact.problems or None, fact.project, fact.no))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    DeploymentBegun: _begun,
    DeploymentTaken: _taken,
    DeploymentRefused: _refused,
}
