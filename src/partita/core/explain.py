"""Why: what a step waits for, why it did not run, what broke first and what that holds up.

Rule: explained from the same facts as decided. Nothing here changes anything, and no reason is made up: what the machine,
the admission or the attempt recorded is what is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from partita.core import gates
from partita.core.gates import GateState
from partita.core.graph import FirstOf, GateSpec, Output, steps_read
from partita.core.machine import RunMachine
from partita.core.marking import MARKED
from partita.core.placement import memory_of, size
from partita.core.plan import Edge, Instance, Node
from partita.core.states import TERMINAL_STEP
from partita.core.waiting import question

_SHOWN = 5


class Reason(msgspec.Struct, frozen=True):
    """One ordered cause. `code` is stable for programs, `text` for people; `at` is an instant that matters, or 0."""

    code: str
    text: str
    # "step" or "step[index]" that it is about.
    subjects: tuple[str, ...] = ()
    at: float = 0.0


class Explanation(msgspec.Struct, frozen=True):
    """Why a step is in the state it is in; `change` says what would move it, "" when nothing will."""

    step: str
    index: str
    state: str
    since: float
    reasons: tuple[Reason, ...]
    change: str = ""


class Cause(msgspec.Struct, frozen=True):
    """Something that broke by itself, and all that did not run because of it."""

    step: str
    indexes: tuple[str, ...]
    state: str
    message: str
    owner: str
    blocks: tuple[str, ...]


def explain(machine: RunMachine, step: str, index: str = "", *, refusal: str = "") -> Explanation | None:
    """Why a step instance is as it is; None if the graph has no such step.

    `refusal` is what the admission says about a ready step, or the executor about one that it could not begin yet. An index that does not exist yet is answered by the
    placeholder of the map that it will stand in.
    """
    node = machine.plan.nodes.get(step)
    if node is None:
        return None
    instance = _find(machine, node, index)
    if instance is None:
        return _explain_unborn(machine, node, index, refusal)
    reasons, change = _reasons(machine, instance, refusal)
    return Explanation(step, instance.index, instance.state, instance.since, tuple(reasons), change)


def causes(machine: RunMachine) -> list[Cause]:
    """What broke first, the cause that blocks the most first; forty steps behind one failure are one cause."""
    failed: dict[str, list[Instance]] = {}
    held_up: dict[str, set[str]] = {}
    for node in machine.plan.nodes.values():
        ends = _bad_ends(node)
        if any(i.state == "upstream_failed" for i in ends):
            for key in _blockers(machine, node, ends):
                held_up.setdefault(key, set()).add(node.key)
        for instance in ends:
            if instance.state != "upstream_failed" and not _stands_for_members(machine, instance):
                failed.setdefault(node.key, []).append(instance)
    found = [_cause(step, instances, _all_behind(machine, step, held_up)) for step, instances in failed.items()]
    return sorted(found, key=lambda c: (-len(c.blocks), machine.plan.nodes[c.step].number))


def roots(machine: RunMachine, step: str) -> list[str]:
    """The steps that broke by themselves, found by following what each blocked step was blocked by."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    todo = [step]
    while todo:
        key = todo.pop()
        if key in seen:
            continue
        seen.add(key)
        node = machine.plan.nodes[key]
        ends = _bad_ends(node)
        if key != step and _is_broken(ends):
            found[key] = None
        else:
            todo.extend(_blockers(machine, node, ends))
    return list(found)


def _all_behind(machine: RunMachine, step: str, held_up: dict[str, set[str]]) -> set[str]:
    """All that a step holds up, through others that it holds up; what broke by itself holds up the rest."""
    found: set[str] = set()
    todo = [step]
    while todo:
        for key in held_up.get(todo.pop(), ()):
            if key != step and key not in found:
                found.add(key)
                if not _is_broken(_bad_ends(machine.plan.nodes[key])):
                    todo.append(key)
    return found


def _blockers(machine: RunMachine, node: Node, ends: list[Instance]) -> list[str]:
    """What a blocked step was blocked by, directly."""
    found = dict.fromkeys(key for i in ends for key in i.because if key in machine.plan.nodes)
    # `because` names the first few that decided it; whatever else it needs and did not get, holds it up as well.
    found.update(dict.fromkeys(e.need.key for e in node.needs if _bad_ends(e.need)))
    return list(found)


def _is_broken(ends: list[Instance]) -> bool:
    return any(i.state in ("failed", "needs_attention") for i in ends)


def _bad_ends(node: Node) -> list[Instance]:
    return [i for i in node.instances.values() if i.state in ("failed", "needs_attention", "upstream_failed")]


def _stands_for_members(machine: RunMachine, instance: Instance) -> bool:
    """A bundle that failed only because some of its members did is no cause of its own."""
    return any(
        (m := member.instances.get(instance.path)) is not None and m.state == "failed" and m.past is not None
        for member in instance.node.members
    )


def _cause(step: str, instances: list[Instance], blocks: set[str]) -> Cause:
    first = instances[0]
    return Cause(
        step=step,
        indexes=tuple(i.index for i in instances),
        state=first.state,
        message=first.past[-1][2] if first.past else first.reason,
        owner=first.node.step.owner,
        blocks=tuple(sorted(blocks)),
    )


def _find(machine: RunMachine, node: Node, index: str) -> Instance | None:
    instance = machine.instance(node.key, index)
    if instance is None and index:
        parts = index.split(".")
        for depth in range(len(parts) - 1, -1, -1):
            instance = machine.instance(node.key, ".".join(parts[:depth]))
            if instance is not None:
                return instance
    return instance


def _explain_unborn(machine: RunMachine, node: Node, index: str, refusal: str) -> Explanation:
    """The step exists in the graph, the instance does not: the run is queued, or the map has other elements."""
    if machine.state == "queued":
        reason = Reason("run_queued", "its run is still queued" + (f": {refusal}" if refusal else ""))
        return Explanation(node.key, index, "waiting", machine.run.at, (reason,), "the run starts")
    if machine.started_at is None:
        reason = Reason("never_started", f"its run was {machine.state} before it started")
        return Explanation(node.key, index, machine.state, machine.run.at, (reason,))
    if not index and node.instances:
        return _explain_map(machine, node)
    length = len(node.instances)
    reason = Reason("no_such_instance", f"its map has {length} elements, and none with this index")
    return Explanation(node.key, index, "waiting", machine.run.at, (reason,))


def _explain_map(machine: RunMachine, node: Node) -> Explanation:
    """A mapped step as a whole: how its instances stand, and why the ones that say most about it do so."""
    counts: dict[str, int] = {}
    for instance in node.instances.values():
        counts[instance.state] = counts.get(instance.state, 0) + 1
    order = ("failed", "needs_attention", "upstream_failed", "running", "ready", "waiting", "cancelled", "skipped")
    worst = next((s for s in order if s in counts), "succeeded")
    told = ", ".join(f"{n} {s.replace('_', ' ')}" for s, n in counts.items())
    reasons = [Reason("instances", f"{len(node.instances)} instances: {told}")]
    first = next(i for i in node.instances.values() if i.state == worst)
    change = ""
    if worst != "succeeded":
        more, change = _reasons(machine, first, "")
        reasons += [msgspec.structs.replace(r, text=f"[{first.index}] {r.text}") for r in more]
    return Explanation(node.key, "", worst, first.since, tuple(reasons), change)


def _reasons(machine: RunMachine, instance: Instance, refusal: str) -> tuple[list[Reason], str]:
    if instance.state == "waiting":
        return _why_waiting(machine, instance)
    if instance.state == "ready":
        return _why_ready(machine, instance, refusal)
    if instance.state == "running" and refusal:
        return [
            *_earlier(instance),
            Reason("waits", f"handed over, and {refusal}", at=instance.since),
        ], "it begins there"
    if instance.state == "running":
        text = f"attempt {instance.attempt} is running"
        return [*_earlier(instance), Reason("running", text, at=instance.since)], "its attempt ends"
    if instance.reason.startswith(MARKED):
        return [*_earlier(instance), Reason("marked", instance.reason)], ""
    if instance.state == "succeeded":
        how = f"succeeded in attempt {instance.attempt}" if instance.attempt else "succeeded without an attempt"
        return [*_earlier(instance), Reason("succeeded", how)], ""
    if instance.state == "upstream_failed":
        return _why_upstream_failed(machine, instance), "its cause is mended and the run is repeated"
    reasons = [Reason(instance.state, instance.reason or instance.state, instance.because)]
    return [*_earlier(instance), *reasons], ""


def _why_upstream_failed(machine: RunMachine, instance: Instance) -> list[Reason]:
    reasons = [Reason("upstream_failed", instance.reason, instance.because)]
    for root in roots(machine, instance.node.key)[:_SHOWN]:
        broken = next(i for i in _bad_ends(machine.plan.nodes[root]) if i.state != "upstream_failed")
        reasons.append(Reason("first_cause", f"{_name(broken)} broke first: {_last_message(broken)}", (root,)))
    return reasons


def _why_waiting(machine: RunMachine, instance: Instance) -> tuple[list[Reason], str]:
    node = instance.node
    if len(instance.path) < len(node.step.axes):
        return _why_folded(machine, instance)
    if instance.gate is not None and instance.gate.opened_at is not None:
        return _why_gate(machine, instance, instance.gate)
    if node.bundle is not None:
        text = f"it is made together with others by {node.bundle.key}, which has not started"
        return [Reason("bundle", text, (node.bundle.key,))], f"{node.bundle.key} starts"
    reasons = [_open_need(machine, edge, instance) for edge in _open_needs(machine, instance)]
    shown = reasons[:_SHOWN]
    if len(reasons) > _SHOWN:
        shown.append(Reason("more_needs", f"and {len(reasons) - _SHOWN} more"))
    names = ", ".join(s for r in shown for s in r.subjects)
    return shown, f"{names} end{'s' if len(reasons) == 1 else ''}" if names else ""


def _why_gate(machine: RunMachine, instance: Instance, gate: GateState) -> tuple[list[Reason], str]:
    """What its gate waits for, since when, who may answer, and when it has waited long enough."""
    spec = instance.node.step.gate
    assert spec is not None
    since = gate.opened_at or 0.0
    what, change = _GATES[spec.of](msgspec.structs.replace(spec, text=question(machine, instance)))
    reasons = [Reason(spec.of, f"waits for {what}", at=since)]
    if gate.votes:
        told = ", ".join(f"{v.choice} by {v.by}" for v in gate.votes.values())
        missing = gates.missing_votes(spec, gate.votes)
        reasons.append(Reason("votes", f"so far {told}; {missing} more needed", tuple(gate.votes)))
    if spec.heartbeat_s is not None:
        heard = "it was heard of" if gate.heard_at is not None else "it was not heard of yet"
        said = f": {gate.message}" if gate.message else ""
        reasons.append(Reason("heartbeat", heard + said, at=gate.heard_at or since))
    if gate.due_at is not None and spec.of == "timer":
        reasons.append(Reason("due", "then it is over", at=gate.due_at))
    elif gate.due_at is not None:
        then = {"fail": "it fails", "skip": "it is skipped"}.get(spec.on_timeout) or f"it is {_default(spec)}"
        reasons.append(Reason("deadline", f"at its deadline {then}", at=gate.due_at))
    return reasons, change


def _default(spec: GateSpec) -> str:
    return f"answered {spec.default!r}" if spec.default else "given its default value"


_GATES: Final[dict[str, Callable[[GateSpec], tuple[str, str]]]] = {
    "approval": lambda spec: (
        f"an answer to {spec.text!r} ({' or '.join(spec.choices)}) of {gates.who_may(spec)}",
        f"{gates.who_may(spec)} answers",
    ),
    "external": lambda spec: (f"the callback of {spec.text or 'another system'}", "the other system calls back"),
    "timer": lambda spec: (spec.text or "its time", "its time comes"),
    "condition": lambda spec: (spec.text or "a condition", "its condition holds"),
}


def _why_folded(machine: RunMachine, instance: Instance) -> tuple[list[Reason], str]:
    axis = machine.plan.axes[instance.node.step.axes[len(instance.path)]]
    sources = [s for b in axis.axis.sources if isinstance(b, Output | FirstOf) for s in steps_read(b)]
    waits = [s for s in sources if any(i.state not in TERMINAL_STEP for i in machine.plan.nodes[s].instances.values())]
    told = ", ".join(waits) or axis.name
    return [
        Reason("map_not_known", f"how many instances it has is known when {told} ends", tuple(waits))
    ], f"{told} ends"


def _open_needs(machine: RunMachine, instance: Instance) -> Iterable[Edge]:
    for edge in instance.node.needs:
        if edge.many:
            group = edge.need.groups[edge.depth].get(instance.path[: edge.depth])
            if group is None or group.open:
                yield edge
        else:
            need = edge.need.instances.get(instance.path[: edge.depth])
            if need is None or need.state not in TERMINAL_STEP:
                yield edge


def _open_need(machine: RunMachine, edge: Edge, instance: Instance) -> Reason:
    key = edge.need.key
    if edge.many:
        group = edge.need.groups[edge.depth].get(instance.path[: edge.depth])
        told = f"{group.open} of its instances have not ended" if group is not None else "it has not begun"
        return Reason("need", f"waits for {key}: {told}", (key,))
    need = edge.need.instances.get(instance.path[: edge.depth])
    if need is None:
        return Reason("need", f"waits for {key}: it has not begun", (key,))
    return Reason("need", f"waits for {_name(need)}, which is {need.state}", (_name(need),), need.since)


def _why_ready(machine: RunMachine, instance: Instance, refusal: str) -> tuple[list[Reason], str]:
    reasons = _earlier(instance)
    if machine.paused:
        return [*reasons, Reason("paused", "its run is paused")], "the run is resumed"
    if instance.node.bundle is not None:
        text = f"{instance.node.bundle.key} makes it together with others and has not come to it yet"
        return [*reasons, Reason("bundle", text, (instance.node.bundle.key,))], ""
    if instance.not_before:
        reasons.append(Reason("not_before", instance.reason or "not before its time", at=instance.not_before))
        return reasons, "its time comes"
    if refusal:
        return [*reasons, Reason("no_slot", refusal)], "a slot becomes free"
    return [*reasons, Reason("queued", "ready: it is in the queue for the next free worker")], "a worker becomes free"


def _earlier(instance: Instance) -> list[Reason]:
    told = [Reason("attempt", f"attempt {n} {state.replace('_', ' ')}: {why}") for n, state, why in instance.past or ()]
    if instance.grown:
        memory = memory_of(instance.node.step.policies, instance.grown) or 0
        times = "once" if instance.grown == 1 else f"{instance.grown} times"
        told.append(Reason("memory_grown", f"it ran out of memory {times}, and may use {size(memory)} by now"))
    return told


def _last_message(instance: Instance) -> str:
    return instance.past[-1][2] if instance.past else instance.reason


def _name(instance: Instance) -> str:
    return f"{instance.node.key}[{instance.index}]" if instance.path else instance.node.key


__all__ = ["Cause", "Explanation", "Reason", "causes", "explain", "roots"]
