"""What workers have in hand now, over all runs.

Rule: functions over a reader (`reader.fetch(name, params)`); the statement is in `sql/working.sql`.
"""

from __future__ import annotations

import msgspec

from partita.store.named import Fetching


class WorkingRow(msgspec.Struct, frozen=True):
    """An open attempt: of which step instance of which run, and who has it."""

    run_no: int
    step: str
    index: str
    attempt: int
    state: str
    worker: str
    started_at: float
    run: str
    pipeline: str
    project: str
    namespace: str
    partition: str | None


def working(reader: Fetching, *, after: tuple[int, str, str] | None = None, limit: int = 100) -> list[WorkingRow]:
    """Open attempts by run and step; `after` is the cursor."""
    return [WorkingRow(*row) for row in reader.fetch("working", (*(after or (0, "", "")), limit))]
