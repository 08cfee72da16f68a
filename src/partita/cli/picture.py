"""The picture of running runs in a terminal: header, bar, and the steps that matter, cut to what fits.

Steps stand in the order of the graph within what matters most (failed, running, to be tried again, just ended), so a
line that is being read stays where it is.

Rule: pure. Lines for a width, a height and an instant; `live.py` puts them on the terminal.
"""

from __future__ import annotations

from collections.abc import Callable

from partita.cli.styled import Line, Span, cells, clean, cut, short
from partita.cli.telling import waits_for
from partita.cli.watching import RunWatch, StepWatch, Watch
from partita.cli.words import TURNING, counts, duration, look, many, number
from partita.core.events import failure_line

_NAME = 34
_BAR = 18
_WIDE_BAR = 30
_LOG_LINES = 4
_RANK = {"failed": 0, "needs_attention": 0, "running": 1, "retrying": 2}
# Steps whose gate is open: somebody may have to act.
_WAITS = 1

LogTail = Callable[[RunWatch, str, str, int, int], list[Line]]
"""The last lines of the log of (run, step, index, attempt), at most so many."""


def picture(watch: Watch, now: float, width: int, height: int, log_tail: LogTail) -> list[Line]:
    """The lines to show; never more than `height`, never wider than `width`."""
    runs = list(watch.runs.values())
    lines = (
        _one(runs[0], now, width, height, log_tail) if len(runs) == 1 else _several(runs, now, width, height, log_tail)
    )
    return [cut(line, width) for line in lines[:height]]


def _one(run: RunWatch, now: float, width: int, height: int, log_tail: LogTail) -> list[Line]:
    head: list[Line] = [_head(run, now), _progress(run), []]
    return head + _steps(run, now, width, max(0, height - len(head)), log_tail)


def _several(runs: list[RunWatch], now: float, width: int, height: int, log_tail: LogTail) -> list[Line]:
    """Many runs: one line each, those that run first, and the steps of the first that failed."""
    tally: dict[str, int] = {}
    for run in runs:
        tally[run.state] = tally.get(run.state, 0) + 1
    lines: list[Line] = [[(many(len(runs), "run"), "bold"), ("   ", ""), *counts(tally)], []]
    order = {"failed": 0, "running": 1, "queued": 2}
    shown = sorted(runs, key=lambda r: (order.get(r.state, 3), r.no))[: max(1, height - 8)]
    name_width = max(cells(r.title) for r in shown)
    for run in shown:
        done, total = sum(run.ended.values()), sum(s.total for s in run.steps.values())
        line: Line = [("  ", ""), _turning(run.state, now), (f" {run.title:<{name_width}}  ", "")]
        line += [*_bar(done, _bad(run), total, _BAR), (f"  {f'{number(done)}/{number(total)}':>9}", "")]
        lines.append([*line, (f"  {_took(run, now):>9}", ""), (f"   run {run.no}", "dim")])
    if len(shown) < len(runs):
        lines.append([(f"  … {many(len(runs) - len(shown), 'more run')}", "dim")])
    failed = next((r for r in runs if _bad(r)), None)
    if failed is not None and len(lines) + 2 < height:
        lines.append([])
        lines += _steps(failed, now, width, height - len(lines), log_tail)
    return lines


def _head(run: RunWatch, now: float) -> Line:
    state = "paused" if run.active.machine.paused else run.state
    found = look(state)
    line: Line = [_turning(state, now), (f" {run.title}", "bold"), (f"  {found.word}", found.style)]
    if run.active.machine.cancel_requested:
        line.append(("  cancelling", "amber"))
    return [*line, (f"  {_took(run, now)}", ""), (f"   run {run.no}", "dim")]


def _progress(run: RunWatch) -> Line:
    done, total = sum(run.ended.values()), sum(s.total for s in run.steps.values())
    bar = _bar(done, _bad(run), total, _WIDE_BAR)
    return [("  ", ""), *bar, (f"  {number(done)}/{number(total)}   ", ""), *counts(run.counts())]


def _steps(run: RunWatch, now: float, width: int, room: int, log_tail: LogTail) -> list[Line]:
    told = [s for s in run.steps.values() if s.state in _RANK or s.gates]
    told.sort(key=lambda s: (_RANK.get(s.state, _WAITS), s.node.number))
    quiet = [s for s in run.steps.values() if s.done and s.state not in _RANK and s.last_end and not s.gates]
    quiet.sort(key=lambda s: s.last_end, reverse=True)
    # Narrow enough for the names there are, so that the figures stand close to them.
    name_width = min(_NAME, max((cells(clean(s.key)) for s in [*told, *quiet]), default=0))
    blocks = [_block(run, step, now, width, name_width, log_tail) for step in told]
    hidden_waiting = sum(s.total - s.done for s in run.steps.values() if s.state == "waiting" and not s.gates)
    lines: list[Line] = []
    footer = 1
    for number_shown, block in enumerate(blocks):
        if len(lines) + len(block) + footer > room:
            lines.append([(f"  … {many(len(blocks) - number_shown, 'more step')} at work or broken", "dim")])
            return lines
        lines += block
    fitting = quiet[: max(0, room - len(lines) - footer)]
    for step in sorted(fitting, key=lambda s: s.node.number):
        lines.append(_step_line(step, now, name_width))
    more = [many(len(quiet) - len(fitting), "more step") + " ended"] if len(quiet) > len(fitting) else []
    more += [f"{number(hidden_waiting)} waiting"] if hidden_waiting else []
    if more:
        lines.append([(f"  … {', '.join(more)}", "dim")])
    return lines


def _block(run: RunWatch, step: StepWatch, now: float, width: int, name_width: int, log_tail: LogTail) -> list[Line]:
    lines = [_step_line(step, now, name_width)]
    if step.bad and step.failures:
        last = next((f for f in reversed(step.failures) if f.index not in step.retrying), step.failures[-1])
        name = f"[{run.labels.label(step.key, last.index) or last.index}] " if last.index else ""
        text = f"{name}{failure_line(last.failure, last.state.replace('_', ' '))}"
        lines.append([("      ", ""), (short(text, width - 6), "red")])
        for line in log_tail(run, step.key, last.index, last.attempt, _LOG_LINES):
            lines.append([("      ", ""), *line])
    if step.gates:
        lines.append([("      ", ""), (short(waits_for(run, step.key, next(iter(step.gates))), width - 6), "amber")])
    return lines


def _step_line(step: StepWatch, now: float, name_width: int) -> Line:
    name = short(step.key, name_width)
    line: Line = [("  ", ""), _turning(step.state, now), (f" {name}{' ' * (name_width - cells(name))}  ", "")]
    share = ""
    if step.is_mapped:
        line += _bar(step.done, step.bad, step.total, _BAR)
        share = f"{number(step.done)}/{number(step.total)}"
    else:
        line.append((f"{look(step.state).word:<{_BAR}}", "dim"))
    line.append((f"  {share:>9}  {_span(step, now):>9}", ""))
    return [*line, *_remarks(step, now)]


def _remarks(step: StepWatch, now: float) -> Line:
    line: Line = []
    if step.retrying:
        first = min(step.retrying.values())
        wait = f" in {duration(first - now)}" if first > now else ""
        count = f"{number(len(step.retrying))} to try again" if step.is_mapped else "again"
        line.append((f"  ↻ {count}{wait}", "amber"))
    elif step.running and max(attempt for attempt, _ in step.running.values()) > 1:
        line.append((f"  ↻ attempt {max(attempt for attempt, _ in step.running.values())}", "amber"))
    if step.cached:
        line.append((f"  {number(step.cached)} from the cache" if step.is_mapped else "  from the cache", "dim"))
    if step.reused:
        line.append((f"  {number(step.reused)} taken over" if step.is_mapped else "  taken over", "dim"))
    for progress in list(step.progress.values())[-1:]:
        share = f"{number(progress.done)}/{number(progress.total)} " if progress.total else ""
        line.append((f"  {share}{progress.text}", "dim"))
    return line


def _bar(done: int, bad: int, total: int, width: int) -> Line:
    """What is done and what is broken, as a bar; a broken thing among thousands is still one cell."""
    if not total:
        return [("─" * width, "grey")]
    red = min(width, max(1, round(width * bad / total))) if bad else 0
    green = max(0, min(width - red, width * done // total - red))
    return [("━" * green, "green"), ("━" * red, "red"), ("─" * (width - green - red), "grey")]


def _bad(run: RunWatch) -> int:
    return run.ended.get("failed", 0) + run.ended.get("needs_attention", 0)


def _took(run: RunWatch, now: float) -> str:
    if not run.started_at:
        return f"queued {duration(now - run.created_at)}"
    return duration((run.finished_at or now) - run.started_at)


def _span(step: StepWatch, now: float) -> str:
    if not step.since:
        return ""
    is_over = not step.running and not step.retrying and step.done >= step.total
    return duration((step.last_end if is_over else now) - step.since)


def _turning(state: str, now: float) -> Span:
    found = look(state)
    return (TURNING[int(now * 4) % 4] if state == "running" else found.glyph), found.style
