"""Gates and votes: rows, how they are read, and which rows each fact writes.

That a gate opened, was voted on and answered are events of its run (`rows.py`, `fold.py`); facts add what people are shown.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/gates.sql`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from partita.core.events import GateReported, Meta
from partita.core.facts.gates import GateReminded, GateShown, Shown
from partita.store.contract import GateRow, VoteRow
from partita.store.database import Row
from partita.store.named import Fetching

_FIRST: Final = (-1.0e308, 0, "", "")
_shown = msgspec.msgpack.Decoder(tuple[Shown, ...]).decode
_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_metadata = msgspec.msgpack.Decoder(tuple[Meta, ...]).decode
_report = msgspec.msgpack.Decoder(GateReported).decode
_pack = msgspec.msgpack.encode

Cursor = tuple[float, int, str, str]


class OpenGate(msgspec.Struct, frozen=True):
    """A gate with its run, as lists show it; `cursor` finds the page after it."""

    run: str
    run_no: int
    pipeline: str
    project: str
    namespace: str
    started_by: str
    graph: str
    step: str
    index: str
    of: str
    opened_at: float | None
    due_at: float | None
    heard_at: float | None
    message: str
    # None: not put together yet.
    material: tuple[Shown, ...] | None
    reminded: int
    remind_at: float | None

    @property
    def cursor(self) -> Cursor:
        return (self.opened_at or 0.0, self.run_no, self.step, self.index)


def open_gates(
    reader: Fetching, of: str = "approval", *, after: Cursor | None = None, limit: int = 50
) -> list[OpenGate]:
    """Gates of a kind that wait, those that wait longest first; `after` is the cursor of the last one of a page."""
    return [_open_gate(row) for row in reader.fetch("open_gates", (of, *(after or _FIRST), limit))]


def gate(reader: Fetching, run: str, step: str, index: str = "") -> OpenGate | None:
    """One gate, open or answered."""
    rows = reader.fetch("gate", (run, step, index))
    return _open_gate(rows[0]) if rows else None


def votes_of(reader: Fetching, run: str, step: str, index: str = "") -> list[VoteRow]:
    """What people have answered to one gate."""
    return [vote_row(row) for row in reader.fetch("votes_of_gate", (run, step, index))]


def by_token(reader: Fetching, digest: bytes) -> tuple[str, str, str] | None:
    """Run, step and index of the gate whose token has this SHA-256."""
    rows = reader.fetch("gate_of_token", (digest,))
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


def gate_row(row: Row) -> GateRow:
    """A row of `gates_of_run`."""
    (step, index, of, opened_at, due_at, heard_at, message, report, answered_at, how, accepted, choice, by, comment,
     metadata) = row  # fmt: skip
    return GateRow(
        step=step,
        index=index,
        of=of,
        opened_at=opened_at,
        due_at=due_at,
        heard_at=heard_at,
        message=message,
        report=_report(report) if report else None,
        answered_at=answered_at,
        how=how,
        accepted=None if accepted is None else bool(accepted),
        choice=choice,
        by=_names(by) if by else (),
        comment=comment,
        metadata=_metadata(metadata) if metadata else (),
    )


def vote_row(row: Row) -> VoteRow:
    """A row of `votes_of_run`."""
    step, index, by, at, choice, roles, comment, answer = row
    return VoteRow(step, index, by, at, choice, _names(roles) if roles else (), comment, answer)


def _open_gate(row: Row) -> OpenGate:
    (run, no, pipeline, project, namespace, by, graph, step, index, of, opened_at, due_at, heard_at, message, material,
     reminded, remind_at) = row  # fmt: skip
    return OpenGate(
        run=run,
        run_no=no,
        pipeline=pipeline,
        project=project,
        namespace=namespace,
        started_by=by,
        graph=graph,
        step=step,
        index=index,
        of=of,
        opened_at=opened_at,
        due_at=due_at,
        heard_at=heard_at,
        message=message,
        material=None if material is None else _shown(material),
        reminded=reminded,
        remind_at=remind_at,
    )


# --- what facts write ---------------------------------------------------------------------------------------------


def _write_shown(execute: Callable[..., Any], fact: GateShown) -> None:
    execute("show_gate", (_pack(fact.material), fact.token, fact.remind_at, fact.run, fact.step, fact.index))


def _write_reminded(execute: Callable[..., Any], fact: GateReminded) -> None:
    execute("remind_of_gate", (fact.count, fact.next_at, fact.run, fact.step, fact.index))


WRITES: Final[dict[type, Callable[..., Any]]] = {GateShown: _write_shown, GateReminded: _write_reminded}
