"""Carrying runs out in this process, watched: the engine turns, the view is drawn between, Ctrl-C ends it politely.

The first Ctrl-C cancels the runs (their steps get their grace period), the second kills what still runs, the third leaves.
Runs of earlier engines that were taken up are finished too; if only they are left, Ctrl-C leaves them for the next time.

Rule: what happens to a run is the engine's; here it is only asked for, and watched.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from partita.cli import terminal, words
from partita.cli.project import user_name
from partita.cli.words import ago, many

if TYPE_CHECKING:
    from partita.cli.lines import Lines
    from partita.cli.live import Live
    from partita.cli.watching import Watch
    from partita.engine.active import ActiveRun
    from partita.engine.embedded import Embedded
    from partita.executors.premises import ExecutorNow
    from partita.settings import Settings
    from partita.store.contract import RunRow

_PATIENCE_S = 0.125
# How often is looked whether clusters are there, and how long reaching one may take before a word is said.
_LOOK_S = 0.5
_REACHING_S = 5.0


class Leave(Exception):
    """Whoever watches has said three times that it is enough."""


def opened(settings: Settings) -> tuple[Embedded, Watch]:
    """The project with its store, and who watches its runs.

    The project's host is started first: it imports the project while we import the engine.
    """
    from partita.executors.loading import start_host

    connection = start_host(settings, workers=1)
    try:
        from partita.cli.watching import Watch
        from partita.engine.embedded import Embedded

        watch = Watch()
        return Embedded(settings, listeners=[watch], connection=connection), watch
    except BaseException:
        connection.close(kill=True)
        raise


def carry_out(
    embedded: Embedded,
    watch: Watch,
    make_runs: Callable[[], list[ActiveRun]],
    *,
    quiet: bool = False,
) -> tuple[list[ActiveRun], int]:
    """Start the engine, make the runs, and see them to their end: the runs, and the signal that ended it (0 = none)."""
    # The view first: its imports take the time in which the project is loaded.
    view = _view(embedded, watch, quiet=quiet)
    with _Interrupts(embedded, view) as interrupts:
        taken_up = _take_up(embedded, watch)
        runs = make_runs()
        for run in runs:
            watch.add(run)
        with view:
            interrupts.see_to_the_end(runs, [run for run in taken_up if run not in runs])
    for run in taken_up:
        if run not in runs and run.machine.is_finished:
            terminal.note(
                words.glyph(run.machine.state), f" run {run.no} ({run.run.pipeline}), taken up: {run.machine.state}"
            )
    if interrupts.view_error is not None:
        raise interrupts.view_error
    return runs, interrupts.number


def _take_up(embedded: Embedded, watch: Watch) -> list[ActiveRun]:
    """Start the engine, and say which runs of an earlier one it has taken up."""
    last_heard = {row.id: _last_heard(embedded, row) for row in embedded.store.open_runs()}
    taken_up = embedded.start()
    for run in taken_up:
        watch.add(run)
        since = ago(last_heard.get(run.id, run.run.at), embedded.clock.now())
        terminal.note(("◐ ", "blue"), f"taking up run {run.no} ({run.run.pipeline}), interrupted {since}")
    return taken_up


def _last_heard(embedded: Embedded, row: RunRow) -> float:
    """When the earlier engine last wrote something about a run."""
    journal = embedded.store.journal(row.id, after_seq=row.seq - 1, limit=1)
    return journal[-1].at if journal else row.created_at


def _view(embedded: Embedded, watch: Watch, *, quiet: bool) -> Live | Lines | Silence:
    err = terminal.err()
    if quiet:
        return Silence()
    if err.is_terminal and err.stream.fileno() >= 0 and _can_move(err):
        from partita.cli.live import Live

        return Live(watch, err, embedded.clock.now, embedded.settings.home)
    from partita.cli.lines import Lines

    return Lines(watch, err, embedded.clock.now)


def _can_move(err: terminal.Out) -> bool:
    import os

    return os.environ.get("TERM") != "dumb"


class Silence:
    """The view of a program that reads JSON."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, *spans: object) -> None:
        return None

    def draw(self) -> None:
        return None


class _Interrupts:
    """Ctrl-C (and SIGTERM) while runs are carried out."""

    def __init__(self, embedded: Embedded, view: Live | Lines | Silence) -> None:
        self.number = 0
        # A mistake in drawing must not cost a run: it is told when all is over.
        self.view_error: Exception | None = None
        self._embedded = embedded
        self._runs: list[ActiveRun] = []
        self._others: list[ActiveRun] = []
        self._told_of_others = False
        self._clusters = _Clusters(embedded)
        self._view = view
        self._asked = 0
        self._answered = 0
        self._before: dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> _Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def see_to_the_end(self, runs: list[ActiveRun], others: list[ActiveRun]) -> None:
        """Turn until all have ended, or only runs that were taken up are left and somebody wants to go."""
        self._runs, self._others = runs, others
        waiting = [*runs, *others]
        try:
            self._embedded.wait(waiting, between=self._between, patience_s=_PATIENCE_S)
        except Leave:
            left = [r for r in waiting if not r.machine.is_finished]
            for run in left:
                self._view.say(f"run {run.no} is left as it is; the next `partita run` here takes it up")

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._asked += 1
        # Before there are runs it is answered when there are.
        if self._runs:
            self._embedded.engine.executor.wake()

    def _between(self) -> None:
        while self._answered < self._asked:
            self._answered += 1
            self._answer(self._answered)
        self._say_what_is_left()
        for news in self._clusters.news():
            self._view.say(("■ ", "amber"), news)
        try:
            self._view.draw()
        except Exception as error:
            self._view = Silence()
            # A terminal that is gone is no mistake.
            self.view_error = None if isinstance(error, OSError) else error

    def _say_what_is_left(self) -> None:
        left = [run for run in self._others if not run.machine.is_finished]
        if not left or self._told_of_others or not all(run.machine.is_finished for run in self._runs):
            return
        self._told_of_others = True
        numbers = ", ".join(str(run.no) for run in left)
        self._view.say(
            f"what you asked for is done; run {numbers}, taken up, goes on: Ctrl-C leaves it for the next time"
        )

    def _answer(self, time_no: int) -> None:
        mine = [r for r in self._runs if not r.machine.is_finished]
        if not mine:
            self.number = 0  # what was asked for is done
        if not mine or time_no > 2:
            raise Leave
        if time_no == 1:
            by = user_name()
            for run in mine:
                self._embedded.engine.cancel(
                    run.id, by=by, reason="Ctrl-C" if self.number == signal.SIGINT else "SIGTERM"
                )
            what = f"run {mine[0].no}" if len(mine) == 1 else many(len(mine), "run")
            self._view.say(("⊘ ", "grey"), f"cancelling {what}; Ctrl-C again kills what still runs")
        else:
            count, elsewhere = kill_open_attempts(self._embedded, mine)
            others = f", {many(elsewhere, 'job')} elsewhere ends after its grace period" if elsewhere else ""
            self._view.say(("⊘ ", "grey"), f"killed {many(count, 'worker')}{others}; Ctrl-C once more leaves at once")


class _Clusters:
    """What is to be said of executors on clusters: that one cannot be reached, and that it can again. Each thing once."""

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        self._looked_at = 0.0
        self._reached_for: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def news(self) -> list[str]:
        """Sentences that were not said yet."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S:
            return []
        self._looked_at = now
        found = []
        # An executor of a test may know no clusters.
        told: Callable[[], list[ExecutorNow]] = getattr(self._embedded.engine.executor, "executors_now", list)
        for one in told():
            trouble = self._trouble(one, now)
            if trouble == self._told.get(one.name, ""):
                continue
            self._told[one.name] = trouble
            found.append(f"{trouble}; what is for it waits" if trouble else f"{one.name} is there now")
        return found

    def _trouble(self, one: ExecutorNow, now: float) -> str:
        if one.state == "away":
            return f"{one.name}: {one.trouble}"
        if one.state != "connecting":
            self._reached_for.pop(one.name, None)
            return ""
        since = self._reached_for.setdefault(one.name, now)
        return self._told.get(one.name, "") or (f"{one.name} is being reached" if now - since > _REACHING_S else "")


def kill_open_attempts(embedded: Embedded, runs: list[ActiveRun]) -> tuple[int, int]:
    """SIGKILL for the workers of these runs' open attempts; the engine learns of it as of any death.

    How many that were, and how many run on machines of an existing engine, which ends them itself: it was asked to when the
    runs were cancelled.
    """
    from partita.core.placement import parted
    from partita.executors.identity import is_alive, pid_of
    from partita.executors.killing import kill_session

    open_ones = [a for run in runs for a in embedded.store.attempts(run.id, open_only=True)]
    workers = {parted(a.worker)[0] for a in open_ones}
    pids = [pid for worker in workers if is_alive(worker) and (pid := pid_of(worker)) is not None]
    for pid in pids:
        kill_session(pid)
    return len(pids), sum(a.worker.startswith("@") for a in open_ones)


def now() -> float:
    """The clock of commands that look back from now."""
    return time.time()
