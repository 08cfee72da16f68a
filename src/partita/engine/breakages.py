"""What broke in runs, kept, and what came after: whether a later run has mended it.

Rule: reading only. What broke in a run that has ended is found once, for it changes no more; what came after is asked
each time.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable

from partita.core.graph import Graph
from partita.core.manifest import Manifest
from partita.core.states import TERMINAL_RUN
from partita.engine.report import Broken, broken_in
from partita.store.contract import RunRow
from partita.store.reading import SqlReader

_RUNS_BEFORE = 29
_KEPT = 2_000
_LATER = 50
_NUMBER = re.compile(r"\d[\d.,]*")


class Breakages:
    """What broke in runs, kept: one look for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[object, ...], tuple[Broken, ...]] = {}

    def of(
        self, reader: SqlReader, row: RunRow, graph_of: Callable[[RunRow], Graph], manifest: Manifest | None
    ) -> tuple[Broken, ...]:
        """What broke by itself in a run."""
        # A run at work has other causes only when other steps have ended badly.
        key = (row.id, row.state, *(bad_ends(reader, row) if row.state not in TERMINAL_RUN else ()))
        with self._lock:
            found = self._found.get(key)
        if found is None:
            found = broken_in(reader, row, graph=graph_of(row), manifest=manifest, runs_before=_RUNS_BEFORE)
            with self._lock:
                while len(self._found) >= _KEPT:
                    del self._found[next(iter(self._found))]
                self._found[key] = found
        return found


def bad_ends(reader: SqlReader, row: RunRow) -> tuple[int, ...]:
    counts: dict[str, int] = dict(reader.fetch("count_steps_by_state", (row.id,)))
    return tuple(counts.get(state, 0) for state in ("failed", "needs_attention", "upstream_failed"))


class Later:
    """What came after runs that failed: whether it mended them, whether something tries."""

    def __init__(self, reader: SqlReader, failed: Iterable[RunRow]) -> None:
        self._reader = reader
        self._since: dict[tuple[str, str, str], float] = {}
        for row in failed:
            key = (row.project, row.pipeline, row.partition)
            self._since[key] = min(self._since.get(key, row.created_at), row.created_at)
        self._runs: dict[tuple[str, str, str], list[RunRow]] = {}

    def mended(self, row: RunRow, step: str, index: str) -> int | None:
        """The number of the newest later run in which the step succeeded."""
        for after in self._after(row):
            if after.state == "succeeded" or (after.state == "failed" and step and self._succeeded(after, step, index)):
                return after.no
        return None

    def trying(self, row: RunRow) -> int | None:
        """The number of a later run that is on its way."""
        return next((after.no for after in self._after(row) if after.state not in TERMINAL_RUN), None)

    def _after(self, row: RunRow) -> list[RunRow]:
        key = (row.project, row.pipeline, row.partition)
        if key not in self._runs:
            project, pipeline, partition = key
            self._runs[key] = self._reader.runs(
                project=project, pipeline=pipeline, partition=partition, since=self._since[key], limit=_LATER
            )
        return [after for after in self._runs[key] if after.no > row.no]

    def _succeeded(self, row: RunRow, step: str, index: str) -> bool:
        found = self._reader.steps(row.id, step=step, states=("succeeded",))
        return any(s.index == index for s in found)


def whole(row: RunRow) -> Broken:
    """A run that failed as a whole; it has no step."""
    return Broken(
        step="",
        indexes=("",),
        noun="run",
        state="failed",
        error=row.reason or "the run failed",
        message=row.reason,
        traceback="",
        cause="",
        owner="",
        description="",
        written_at="",
        attempts=0,
        first_at=row.finished_at or row.created_at,
        blocks=(),
        missed=(),
        history=(),
    )


def kind_of(error: str) -> str:
    """What an error is apart from its figures: killed at 1,306 MB and at 1,395 MB is one cause."""
    return _NUMBER.sub("#", error)
