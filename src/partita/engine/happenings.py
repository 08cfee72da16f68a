"""From events and facts to what is worth telling: one `Happening` for each cause.

Rule: reading only. A failed run is told with its first causes, which are found from the machine as `why` finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from partita.core.alerts import Happening
from partita.core.events import (
    AttemptEnded,
    CheckEvaluated,
    Event,
    GateOpened,
    Materialized,
    RunCreated,
    RunEnded,
    StepEnded,
    StepRetried,
)
from partita.core.explain import Cause, causes
from partita.core.facts import Fact
from partita.core.facts.assets import CheckReported, FreshnessChanged
from partita.core.facts.backfills import BackfillEnded
from partita.core.facts.house import HealthChanged
from partita.core.facts.schedules import SchedulePaused, TickDecided
from partita.core.facts.sensors import SensorEvaluated
from partita.core.machine import RunMachine
from partita.core.waiting import question

_SHOWN_CAUSES = 10
_SHOWN_CHARS = 300


def of_run(run: RunCreated, no: int, machine: RunMachine, events: Sequence[Event]) -> Iterator[Happening]:
    """What the events of a run have to tell. The machine has taken them."""
    for event in events:
        match event:
            case RunEnded():
                yield _run_ended(run, no, machine, event)
            case StepEnded(state="failed" | "needs_attention"):
                yield _step(run, no, machine, event, "step.failed", "error", event.reason)
            case StepRetried():
                yield _step(run, no, machine, event, "step.retried", "warn", event.reason)
            case CheckEvaluated(passed=False):
                yield _check(run, no, event)
            case Materialized():
                yield _about_run(
                    run, no, "asset.made", f"asset:{event.asset}", event.at,
                    f"asset {event.asset} {event.partition}".rstrip() + f" was made by run {no}",
                    key=f"{run.run}:{event.step}:{event.attempt}:{event.asset}:{event.partition}",
                )  # fmt: skip
            case GateOpened(of="approval"):
                yield _approval(run, no, machine, event)
            case AttemptEnded() | _:
                pass


def of_facts(facts: Sequence[Fact]) -> Iterator[Happening]:
    """What facts beside the runs have to tell."""
    for fact in facts:
        match fact:
            case TickDecided(decision="skipped"):
                many = f" ({fact.count} instants)" if fact.count > 1 else ""
                yield Happening(
                    "schedule.skipped", f"schedule:{fact.name}", fact.at,
                    f"schedule {fact.name} was skipped{many}: {fact.reason}", f"{fact.name}:{fact.instant}",
                    "warn", namespace=fact.namespace, cause=fact.reason,
                )  # fmt: skip
            case SchedulePaused(paused=True, automatic=True):
                yield Happening(
                    "schedule.paused", f"schedule:{fact.name}", fact.at,
                    f"schedule {fact.name} has paused itself: {fact.reason}", f"{fact.name}:{fact.at}", "error",
                    namespace=fact.namespace,
                )  # fmt: skip
            case SensorEvaluated() if fact.error:
                yield Happening(
                    "sensor.failed", f"sensor:{fact.name}", fact.at, f"sensor {fact.name} failed: {_first_line(fact.error)}",
                    f"{fact.name}:{fact.at}", "error", namespace=fact.namespace, cause=_first_line(fact.error),
                )  # fmt: skip
            case FreshnessChanged():
                yield from _freshness(fact)
            case CheckReported(passed=False):
                topic = "check.failed" if fact.severity == "error" else "check.warned"
                yield Happening(
                    topic, f"asset:{fact.asset}", fact.at,
                    f"check {fact.check} of {fact.asset} failed ({fact.by}): {_first_line(fact.message)}",
                    f"{fact.asset}:{fact.check}:{fact.at}", "error" if fact.severity == "error" else "warn",
                    cause=fact.check,
                )  # fmt: skip
            case BackfillEnded():
                severity = "ok" if fact.state == "succeeded" else "error"
                yield Happening(
                    "backfill.ended", f"backfill:{fact.id}", fact.at,
                    f"backfill {fact.id[:8]} {fact.state}" + (f": {fact.reason}" if fact.reason else ""),
                    fact.id, severity,  # type: ignore[arg-type]
                )  # fmt: skip
            case HealthChanged():
                well = not fact.problem
                yield Happening(
                    "service.recovered" if well else "service.unwell", f"service:{fact.part}", fact.at,
                    f"{fact.part} is well again" if well else f"{fact.part} is unwell: {_first_line(fact.problem)}",
                    f"{fact.part}:{fact.at}", "ok" if well else "error", cause="" if well else _first_line(fact.problem),
                )  # fmt: skip
            case _:
                pass


def _run_ended(run: RunCreated, no: int, machine: RunMachine, event: RunEnded) -> Happening:
    name = run.pipeline + (f" {run.partition}" if run.partition else "")
    subject = f"pipeline:{run.pipeline}"
    if event.state != "failed":
        topic, severity = ("run.succeeded", "ok") if event.state == "succeeded" else ("run.cancelled", "info")
        title = f"run {no} of {name} {event.state}" + (f": {event.reason}" if event.reason else "")
        return _about_run(run, no, topic, subject, event.at, title, key=run.run, severity=severity)
    found = causes(machine)
    lines = [_cause_line(machine, cause) for cause in found[:_SHOWN_CAUSES]]
    if len(found) > _SHOWN_CAUSES:
        lines.append(f"and {len(found) - _SHOWN_CAUSES} more causes")
    how = f"{len(found)} causes" if len(found) != 1 else "1 cause"
    title = f"run {no} of {name} failed: " + (event.reason if event.reason and not found else how)
    cause = ",".join(sorted(cause.step for cause in found)) or event.reason
    owners = {machine.plan.nodes[c.step].step.owner for c in found if c.step in machine.plan.nodes} - {""}
    return _about_run(
        run, no, "run.failed", subject, event.at, title,
        key=run.run, severity="error", lines=tuple(lines), cause=cause, owners=tuple(sorted(owners)),
    )  # fmt: skip


def _cause_line(machine: RunMachine, cause: Cause) -> str:
    node = machine.plan.nodes.get(cause.step)
    owner = f" ({node.step.owner})" if node is not None and node.step.owner else ""
    behind = f", which holds up {len(cause.blocks)}" if cause.blocks else ""
    return f"{cause.step}{owner}: {_first_line(cause.message)}{behind}"


def _step(
    run: RunCreated,
    no: int,
    machine: RunMachine,
    event: StepEnded | StepRetried,
    topic: str,
    severity: str,
    reason: str,
) -> Happening:
    step = machine.plan.nodes[event.step].step
    name = f"{event.step} {event.index}".rstrip()
    verb = "failed" if topic == "step.failed" else "is tried again"
    return _about_run(
        run, no, topic, f"step:{run.pipeline}/{event.step}", event.at,
        f"{name} of run {no} ({run.pipeline}) {verb}: {_first_line(reason)}",
        key=f"{run.run}:{event.step}:{event.index}:{getattr(event, 'attempt', '')}", severity=severity,
        cause=_first_line(reason), owners=(step.owner,) if step.owner else (), tags=step.tags,
    )  # fmt: skip


def _check(run: RunCreated, no: int, event: CheckEvaluated) -> Happening:
    is_error = event.severity == "error"
    return _about_run(
        run, no, "check.failed" if is_error else "check.warned", f"asset:{event.asset}", event.at,
        f"check {event.check} of {event.asset} {event.partition}".rstrip()
        + f" failed in run {no}" + (f": {_first_line(event.message)}" if event.message else ""),
        key=f"{run.run}:{event.step}:{event.index}:{event.attempt}:{event.check}",
        severity="error" if is_error else "warn", cause=event.check,
    )  # fmt: skip


def _approval(run: RunCreated, no: int, machine: RunMachine, event: GateOpened) -> Happening:
    step = machine.plan.nodes[event.step].step
    instance = machine.instance(event.step, event.index)
    what = question(machine, instance) if instance is not None else step.description or event.step
    return _about_run(
        run, no, "approval.waiting", f"pipeline:{run.pipeline}", event.at,
        f"run {no} of {run.pipeline} waits for a person: {_first_line(what)}",
        key=f"{run.run}:{event.step}:{event.index}", severity="warn",
        owners=(step.owner,) if step.owner else (),
    )  # fmt: skip


def _freshness(fact: FreshnessChanged) -> Iterator[Happening]:
    topics = {
        "warn": ("freshness.warn", "warn"),
        "fail": ("freshness.fail", "error"),
        "fresh": ("freshness.recovered", "ok"),
    }
    if fact.state not in topics:
        return
    topic, severity = topics[fact.state]
    name = f"{fact.asset} {fact.partition}".rstrip()
    text = f"asset {name} is fresh again" if fact.state == "fresh" else f"asset {name} is too old: {fact.reason}"
    yield Happening(
        topic, f"asset:{fact.asset}", fact.at, text, f"{name}:{fact.state}:{fact.at}", severity,  # type: ignore[arg-type]
    )  # fmt: skip


def _about_run(
    run: RunCreated, no: int, topic: str, subject: str, at: float, title: str, *, key: str, severity: str = "info",
    lines: tuple[str, ...] = (), cause: str = "", owners: tuple[str, ...] = (), tags: tuple[str, ...] = (),
) -> Happening:  # fmt: skip
    return Happening(
        topic, subject, at, title, key, severity, lines,  # type: ignore[arg-type]
        namespace=run.namespace, project=run.project, cause=cause, run=run.run, run_no=no,
        tags=(*run.tags, *tags), owners=owners,
    )  # fmt: skip


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"
