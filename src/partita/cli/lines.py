"""A run told line by line, where there is no terminal to draw on: what matters, when it happens.

Steps that go well say so once they end; instances of maps are told as a whole, only their failures one by one. Every few
seconds a line says how far it is, so that a log that is looked at is never silent.

Rule: one event, one line; a hundred events of one kind in one turn, one line.
"""

from __future__ import annotations

from collections.abc import Callable

from partita.cli.styled import Span
from partita.cli.telling import waits_for
from partita.cli.terminal import Out
from partita.cli.watching import Notice, RunWatch, Watch
from partita.cli.words import clock, counts, duration, glyph, listed, many, number
from partita.core.events import (
    AttemptEnded,
    GateAnswered,
    GateOpened,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    failure_line,
)

_PULSE_S = 5.0
_ONE_BY_ONE = 3


class Lines:
    """The plain view. `draw` is called after each turn of the engine."""

    def __init__(self, watch: Watch, out: Out, now: Callable[[], float]) -> None:
        watch.wants_notices = True
        self._watch = watch
        self._out = out
        self._now = now
        self._pulse_at = now() + _PULSE_S
        self._told: dict[str, int] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, *spans: Span | str) -> None:
        """A line that is no event."""
        self._out.line(*spans)
        self._out.stream.flush()

    def draw(self) -> None:
        """Tell what has happened since the last time."""
        passed_over: dict[tuple[str, str], list[tuple[RunWatch, StepEnded]]] = {}
        notices, count = self._watch.notices, len(self._watch.notices)
        for _ in range(count):
            notice = notices.popleft()
            if isinstance(notice.event, StepEnded) and notice.event.state != "failed":
                key = (notice.run.active.id, notice.event.state)
                passed_over.setdefault(key, []).append((notice.run, notice.event))
            else:
                self._flush(passed_over) if isinstance(notice.event, RunEnded) else None
                self._tell(notice)
        self._flush(passed_over)
        if count:
            self._out.stream.flush()
        now = self._now()
        if now >= self._pulse_at:
            self._pulse_at = now + _PULSE_S
            for run in self._watch.runs.values():
                self._pulse(run, now)

    def _tell(self, notice: Notice) -> None:
        run, event = notice
        match event:
            case RunStarted():
                self._line(run, event.at, glyph("running"), f"run {run.no} of {run.title} started")
            case RunEnded():
                took = duration(event.at - (run.started_at or event.at))
                self._line(run, event.at, glyph(event.state), f"run {run.no} {event.state} in {took}")
            case StepRetried():
                self._retried(run, event)
            case StepEnded():
                self._failed(run, event)
            case AttemptEnded(state="succeeded"):
                self._succeeded(run, event)
            case GateOpened():
                self._line(run, event.at, glyph("ready"), f"{event.step} waits: {waits_for(run, event.step)}")
            case GateAnswered():
                self._answered(run, event)

    def _retried(self, run: RunWatch, event: StepRetried) -> None:
        step = run.steps[event.step]
        failed = next((f for f in reversed(step.failures) if f.index == event.index), None)
        if failed is not None and failed.state == "refused":
            return  # given back before it began: nobody has to know
        wait = event.not_before - event.at
        again = f"again in {duration(wait)}" if wait > 0 else "again now"
        why = failure_line(failed.failure, event.reason) if failed is not None else event.reason
        attempt = f"attempt {event.attempt - 1}"
        how = failed.state.replace("_", " ") if failed is not None else "failed"
        name = run.labels.name(event.step, event.index)
        self._line(run, event.at, glyph("retrying"), f"{name} {how} ({attempt}), {again}: {why}")

    def _failed(self, run: RunWatch, event: StepEnded) -> None:
        step = run.steps[event.step]
        failed = next((f for f in reversed(step.failures) if f.index == event.index), None)
        why = failure_line(failed.failure, event.reason) if failed is not None else event.reason
        attempt = f" (attempt {failed.attempt})" if failed is not None else ""
        name = run.labels.name(event.step, event.index)
        self._line(run, event.at, glyph(event.state), f"{name} failed{attempt}: {why}")
        self._map_ended(run, event.step, event.at)

    def _succeeded(self, run: RunWatch, event: AttemptEnded) -> None:
        step = run.steps[event.step]
        if step.is_mapped:
            self._map_ended(run, event.step, event.at)
            return
        began, ended = event.began_at, event.ended_at
        took = f" in {duration(ended - began)}" if began and ended else ""
        cached = event.detail is not None and event.detail.cached_from
        how = f"{event.step} taken from the cache" if cached else f"{event.step} succeeded{took}"
        self._line(run, event.at, glyph("succeeded"), how)

    def _answered(self, run: RunWatch, event: GateAnswered) -> None:
        step = run.steps[event.step]
        if step.is_mapped:
            self._map_ended(run, event.step, event.at)
            return
        whom = f" by {' and '.join(event.by)}" if event.by else ""
        said = f": {event.choice}{whom}" if event.choice else ""
        took = duration(event.at - step.since) if step.since else "0 s"
        self._line(run, event.at, glyph("succeeded"), f"{event.step} succeeded after {took}{said}")

    def _map_ended(self, run: RunWatch, key: str, at: float) -> None:
        """Say once that all instances of a map have ended."""
        step = run.steps[key]
        name = f"{run.active.id} {key}"
        if not step.is_mapped or step.done < step.total or self._told.get(name) == step.done:
            return
        self._told[name] = step.done
        told = ", ".join(f"{number(n)} {state.replace('_', ' ')}" for state, n in step.ended.items())
        took = f" in {duration(at - step.since)}" if step.since else ""
        self._line(run, at, glyph(step.state), f"{key} ×{number(step.total)} ended{took}: {told}")

    def _flush(self, passed_over: dict[tuple[str, str], list[tuple[RunWatch, StepEnded]]]) -> None:
        """Steps that ended without an attempt, all of one state in one line if they are many."""
        for (_, state), items in passed_over.items():
            run, last = items[-1]
            word = state.replace("_", " ")
            if len(items) <= _ONE_BY_ONE and state != "cancelled":
                for _, event in items:
                    name = run.labels.name(event.step, event.index)
                    self._line(run, event.at, glyph(state), f"{name} {word}: {event.reason}")
                continue
            names = list(dict.fromkeys(event.step for _, event in items))
            self._line(run, last.at, glyph(state), f"{many(len(items), 'step')} {word}: {listed(names, 4)}")
        passed_over.clear()

    def _pulse(self, run: RunWatch, now: float) -> None:
        if run.is_finished or not run.started_at:
            return
        busy = sorted((s for s in run.steps.values() if s.running), key=lambda s: s.since)
        told = [
            f"{s.key} {number(s.done)}/{number(s.total)}" if s.is_mapped else f"{s.key} for {duration(now - s.since)}"
            for s in busy
        ]
        tally = run.counts()
        done, total = sum(run.ended.values()), sum(tally.values())
        rest = counts({state: n for state, n in tally.items() if state != "succeeded"})
        now_at: Span = (f"   now: {listed(told, 3)}" if told else "", "dim")
        self._line(run, now, glyph("running"), f"{number(done)}/{number(total)}   ", *rest, now_at)

    def _line(self, run: RunWatch, at: float, *spans: Span | str) -> None:
        which = f"run {run.no}  " if len(self._watch.runs) > 1 else ""
        self._out.line((f"{clock(at)} ", "dim"), (which, "dim"), spans[0], " ", *spans[1:])
