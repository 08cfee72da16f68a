"""Runs that a service executes, asked for and watched from here: the same picture, made of the store's journal.

Ctrl-C asks the service to cancel them politely; a second one leaves, and the service goes on.

Rule: what happens is the service's; here it is only asked for, and read.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from partita.cli import project, terminal
from partita.cli.watching import Watch
from partita.core.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Event,
    GateAnswered,
    GateHeard,
    GateReported,
    GateVoted,
    PauseRequested,
    ResumeRequested,
    RunEnded,
    RunStarted,
)
from partita.core.states import TERMINAL_RUN
from partita.engine.active import ActiveRun
from partita.engine.again import graph_of
from partita.engine.restore import known_of, run_created_of
from partita.errors import PartitaError

if TYPE_CHECKING:
    from partita.cli.lines import Lines
    from partita.cli.live import Live
    from partita.engine.asking import Submitted
    from partita.settings import Settings
    from partita.store.contract import RunRow
    from partita.store.reading import SqlReader

_LOOK_S = 0.05
_PAGE = 500
# What a machine is told; all other events of a journal follow from these.
_INPUTS = (
    RunStarted,
    AttemptStarted,
    AttemptEnded,
    CancelRequested,
    PauseRequested,
    ResumeRequested,
    GateVoted,
    GateReported,
    GateHeard,
)


def followed(settings: Settings, ask: Callable[[], list[Submitted]], *, json: bool, is_range: bool = False) -> int:
    """Ask the service for runs, watch them to their end, say what became of them; the exit code."""
    reader = project.open_memory(settings)
    try:
        after = reader.end_of_stream()
        asked = ask()
        for run in asked:
            if not run.is_new:
                terminal.note(f"run {run.no} is there already")
        following = _Following(settings, reader, [run.run for run in asked], after)
        number = following.to_the_end(quiet=json)
        rows = [row for run in asked if (row := reader.run(run.run)) is not None]
        _print(settings, reader, rows, json=json, is_range=is_range)
        if number:
            return 128 + number
        return 0 if all(row.state == "succeeded" for row in rows) else 1
    finally:
        reader.close()


class _Following:
    """The runs of a service, watched from here."""

    def __init__(self, settings: Settings, reader: SqlReader, runs: Sequence[str], after: int) -> None:
        self._settings = settings
        self._reader = reader
        self._after = after
        self._wanted = set(runs)
        self._active: dict[str, ActiveRun] = {}
        self._watch = Watch()
        self._asked = 0
        self._answered = 0
        self._number = 0
        self._wanted -= {run for run in runs if self._has_ended(run)}

    def to_the_end(self, *, quiet: bool) -> int:
        """Until all have ended, or somebody leaves; the signal that did (0 = none)."""
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        view = self._view(quiet=quiet)
        try:
            with view:
                while self._wanted and self._answered < 2:
                    if not self._read():
                        time.sleep(_LOOK_S)
                    while self._answered < self._asked and self._wanted:
                        self._answered += 1
                        self._answer(view)
                    view.draw()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._number if self._asked else 0

    def _view(self, *, quiet: bool) -> Live | Lines | _Silence:
        err = terminal.err()
        if quiet:
            return _Silence()
        if err.is_terminal:
            from partita.cli.live import Live

            return Live(self._watch, err, time.time, self._settings.home)
        from partita.cli.lines import Lines

        return Lines(self._watch, err, time.time)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._number = number
        self._asked += 1

    def _answer(self, view: Live | Lines | _Silence) -> None:
        if self._answered > 1:
            view.say("left; the service goes on")
            return
        from partita.engine.control import Cancel
        from partita.engine.postbox import reach

        for run in self._wanted:
            reach(self._settings.home, Cancel(run, project.user_name(), "Ctrl-C"))
        view.say(("⊘ ", "grey"), "cancelling; Ctrl-C again leaves, and the service goes on")

    def _read(self) -> bool:
        """Take in what was journaled since the last time; was there anything?"""
        rows = self._reader.stream(after_no=self._after, limit=_PAGE)
        for row in rows:
            self._after = row.no
            if row.run in self._wanted:
                self._take(row.run, row.seq, row.events)
        return bool(rows)

    def _take(self, run: str, seq: int, events: Sequence[Event]) -> None:
        active = self._active.get(run)
        if active is not None and seq <= active.seq:
            return
        if active is None or not self._is_told(active, seq, events):
            # Seen for the first time, or what was read does not fit together: as the rows say.
            active = self._active[run] = self._remembered(run)
            self._watch.runs.pop(run, None)
            self._watch.add(active)
        else:
            self._watch.committed(active, events)
        if any(type(event) is RunEnded for event in events) or self._has_ended(run):
            self._wanted.discard(run)

    def _has_ended(self, run: str) -> bool:
        row = self._reader.run(run)
        return row is None or row.state in TERMINAL_RUN

    def _is_told(self, active: ActiveRun, seq: int, events: Sequence[Event]) -> bool:
        active.seq = seq
        # Ended by its time, its deadline or a report: that follows from none of the inputs.
        if any(type(event) is GateAnswered and event.how != "people" for event in events):
            return False
        try:
            for event in events:
                if isinstance(event, _INPUTS):
                    active.machine.apply(event)
            active.machine.take_journal()
        except PartitaError:
            return False
        return True

    def _remembered(self, run: str) -> ActiveRun:
        reader = self._reader
        row = reader.run(run)
        assert row is not None, "its events were read"
        active = ActiveRun(
            no=row.no,
            run=run_created_of(row),
            graph=graph_of(reader, row),
            known=known_of(reader.steps(run), reader.attempts(run), reader.gates(run)),
            seq=row.seq,
            stored=lambda run, asset: None,
            interval=("", ""),
        )
        if row.started_at is not None:
            active.machine.apply(RunStarted(row.started_at))
            active.machine.take_journal()
        return active


class _Silence:
    """The view of a program that reads JSON."""

    def __enter__(self) -> _Silence:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, *spans: object) -> None:
        return None

    def draw(self) -> None:
        return None


def _print(settings: Settings, reader: SqlReader, rows: list[RunRow], *, json: bool, is_range: bool) -> None:
    from partita.cli.remembered import Remembered

    if json:
        from partita.cli.objects import cause_object, run_object
        from partita.core.explain import causes

        found = [
            {**run_object(row), "causes": [cause_object(c) for c in causes(Remembered(reader, row).machine)]}
            for row in rows
        ]
        terminal.print_json(found if is_range else found[0])
        return
    from partita.cli.runs import print_runs
    from partita.cli.summary import print_summary

    out = terminal.out()
    if len(rows) > 1:
        print_runs(out, rows, time.time())
    for row in rows if len(rows) == 1 else [row for row in rows if row.state != "succeeded"][:3]:
        if len(rows) > 1:
            out.blank()
        print_summary(out, reader, settings.home, row, Remembered(reader, row).machine)
