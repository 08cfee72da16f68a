"""`partita why`: why a run or a step is as it is.

The engine that executes the run is asked if there is one (it knows the queue and the workers), else the rows tell.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from partita.cli import options, project, terminal
from partita.cli.naming import find_run, find_step, typed
from partita.cli.serving import say_interrupted
from partita.cli.styled import Line
from partita.cli.words import counts, duration, glyph, look, many, when
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.cli.remembered import Remembered
    from partita.core.explain import Explanation
    from partita.settings import Settings

_SHOWN = 12


def why(
    name: options.Run = "last",
    step: options.Steps = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Explain a run, or a step of it: what it waits for, why it did not run, what broke first.

    Of an asset (`delays`, or a partition of it: `delays@2013-06-13`): why it is stale, and what automation says.
    """
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    from partita.cli.remembered import Remembered

    try:
        row = find_run(reader, name)
    except DefinitionError:
        if step or not _why_asset(folder, name, json=json):
            raise
        return 0
    run = Remembered(reader, row)
    if step:
        _why_step(settings, run, step, json=json)
    else:
        _why_run(settings, run, json=json)
    return 0


def _why_asset(folder: options.Project, name: str, *, json: bool) -> bool:
    """Explain an asset, if there is one of this name."""
    from partita.cli.assets import Here, explain_asset

    here = Here(folder)
    asset, _, partition = name.partition("@")
    spec = here.specs.get(asset)
    if spec is not None:
        explain_asset(here, spec, partition, json=json)
    return spec is not None


# --- a step -------------------------------------------------------------------------------------------------------


def _why_step(settings: Settings, run: Remembered, words: list[str], *, json: bool) -> None:
    from partita.core.explain import explain

    key, index = find_step(run.labels, words)
    asked = _ask(settings, run, key, index) if run.is_open else None
    found = asked or _with_instant(run, explain(run.machine, key, index))
    if json:
        from partita.cli.objects import explanation_object

        terminal.print_json({"run": run.row.id, "no": run.row.no, **explanation_object(found)})
        return
    out = terminal.out()
    now = time.time()
    line: Line = [glyph(found.state), (f" {run.labels.name(found.step, found.index)}", "bold")]
    line.append((f" {look(found.state).word}", look(found.state).style))
    if found.since and found.state in ("running", "ready", "waiting"):
        line.append((f" for {duration(now - found.since)}", ""))
    elif found.since:
        line.append((f" {when(found.since, now)}", "dim"))
    out.line(*line, (f"   run {run.row.no} of {run.row.pipeline}", "dim"))
    out.lines(reason_lines(found, now))
    out.lines(_evidence(run, found))
    _say_if_left(settings, run, asked is not None)


def _with_instant(run: Remembered, found: Explanation | None) -> Explanation:
    """When it came into its state, by the rows: a rebuilt machine only knows when its run began."""
    import msgspec

    assert found is not None, "the step was found in the graph"
    row = next((s for s in run.steps if (s.step, s.index) == (found.step, found.index)), None)
    tries = run.tries.get((found.step, found.index), [])
    since = row.finished_at if row is not None else None
    if since is None and tries and found.state == "running":
        since = tries[-1].started_at
    return msgspec.structs.replace(found, since=since or 0.0)


def reason_lines(found: Explanation, now: float) -> list[Line]:
    """The reasons, one a line, and what would change it."""
    lines: list[Line] = []
    for reason in found.reasons:
        at = f"   {when(reason.at, now)}" if reason.at else ""
        first, *more = reason.text.splitlines() or [""]
        lines.append([("  · ", "dim"), (first, ""), (at, "dim")])
        lines += [[("    ", ""), (text, "dim")] for text in more[:8]]
    if found.change:
        lines.append([("  → ", "accent"), (f"it moves when {found.change}", "")])
    return lines


def _evidence(run: Remembered, found: Explanation) -> list[Line]:
    """The traceback of the last attempt that failed, and where its log is."""
    tries = run.tries.get((found.step, found.index), [])
    failed = next((a for a in reversed(tries) if a.failure is not None and a.failure.traceback), None)
    lines: list[Line] = []
    if failed is not None and failed.failure is not None and found.state != "succeeded":
        lines.append([])
        lines += [[("  │ ", "dim"), (text, "")] for text in failed.failure.traceback.rstrip().splitlines()[-14:]]
    if tries:
        lines += [[], [("log  ", "dim"), (f"partita logs {run.row.no} {typed(found.step, found.index)}", "")]]
    return lines


def _ask(settings: Settings, run: Remembered, step: str, index: str) -> Explanation | None:
    from partita.engine.control import Why
    from partita.engine.postbox import reach

    answer = reach(settings.home, Why(run.row.id, step, index))
    return answer.explanation if answer is not None else None


def _say_if_left(settings: Settings, run: Remembered, has_engine: bool) -> None:
    if run.is_open and not has_engine:
        say_interrupted(settings, [run.row.no])


# --- a run --------------------------------------------------------------------------------------------------------


def _why_run(settings: Settings, run: Remembered, *, json: bool) -> None:
    from partita.cli.summary import cause_lines, head, step_counts
    from partita.core.explain import causes

    found = causes(run.machine)
    has_engine = run.is_open and project.has_engine(settings)
    open_steps = _open_steps(settings, run, has_engine) if run.is_open else []
    tally = step_counts(run.machine)
    if json:
        from partita.cli.objects import cause_object, explanation_object, run_object

        data: dict[str, Any] = {
            **run_object(run.row),
            "counts": tally,
            "causes": [cause_object(c) for c in found],
            "open": [explanation_object(e) for e in open_steps],
        }
        terminal.print_json(data)
        return
    out = terminal.out()
    out.line(*head(run.row))
    if run.row.reason:
        out.line("  ", run.row.reason)
    out.line("  ", *(counts(tally) or [("nothing has begun", "dim")]))
    for cause in found:
        out.blank()
        out.lines(cause_lines(run.reader, settings.home, run.row, cause, run.labels, log_lines=3))
    _print_open(out, run, open_steps)
    if run.row.state == "succeeded":
        out.lines(_passed_over(run))
    _say_if_left(settings, run, has_engine)


def _open_steps(settings: Settings, run: Remembered, has_engine: bool) -> list[Explanation]:
    """Why each step that has not ended has not, one answer a step."""
    from partita.core.explain import explain

    found: list[Explanation] = []
    for node in run.machine.plan.nodes.values():
        first = next((i for i in node.instances.values() if i.state in ("running", "ready", "waiting")), None)
        if first is None:
            continue
        asked = None
        # The engine knows more than the rows about what is ready; about what waits, the rows say all.
        if has_engine and first.state == "ready" and len(found) < _SHOWN:
            asked = _ask(settings, run, node.key, first.index)
        found.append(asked or _with_instant(run, explain(run.machine, node.key, first.index)))
    return found


def _print_open(out: terminal.Out, run: Remembered, found: list[Explanation]) -> None:
    now = time.time()
    order = {"running": 0, "ready": 1, "waiting": 2}
    if found:
        out.blank()
    for answer in sorted(found, key=lambda e: order.get(e.state, 3))[:_SHOWN]:
        line: Line = [glyph(answer.state), (f" {run.labels.name(answer.step, answer.index)}", "bold")]
        if answer.state == "running":
            line.append((f" running for {duration(now - answer.since)}", ""))
        else:
            line.append((f" {answer.reasons[-1].text if answer.reasons else look(answer.state).word}", ""))
        same = [i for i in run.machine.plan.nodes[answer.step].instances.values() if i.state == answer.state]
        out.line(*line, (f"   and {len(same) - 1} more of it" if len(same) > 1 else "", "dim"))
    if len(found) > _SHOWN:
        out.line(f"  and {many(len(found) - _SHOWN, 'more step')}")


def _passed_over(run: Remembered) -> list[Line]:
    """Steps of a successful run that did not run, with their reason."""
    skipped = [i for i in run.machine.instances() if i.state == "skipped"]
    lines: list[Line] = [[]] if skipped else []
    for instance in skipped[:_SHOWN]:
        name = run.labels.name(instance.node.key, instance.index)
        lines.append([glyph("skipped"), (f" {name}", "bold"), (f" skipped: {instance.reason}", "")])
    if len(skipped) > _SHOWN:
        lines.append([(f"  and {len(skipped) - _SHOWN} more", "dim")])
    return lines
