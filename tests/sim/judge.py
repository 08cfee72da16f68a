"""Was the end of a run right? Every step instance that had to be there is, ended as its needs, its rule and its own fate say.

A second, slow and plain telling of what the machine does incrementally: it looks at the whole of a finished run at once, as
the journal tells it.

Rule: nothing of `core.machine`, `core.plan` or `core.rules` is used here, or a bug there would judge itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from partita.core.graph import AllOf, AnyOf, Axis, Binding, Condition, GateSpec, Is, ListOf, Not, Output, Step
from partita.core.invariants import Violation

from .fates import last_fate
from .record import Address, Record

Place = tuple[int, ...]

_EAGER = ("any_succeeded", "any_failed", "any_done", "always")
_BAD = ("failed", "upstream_failed", "cancelled", "needs_attention")


def judge(record: Record) -> None:
    """Check a run that has ended. Raises `Violation` with the first thing that is wrong."""
    _Judge(record).check()


class _Judge:
    def __init__(self, record: Record) -> None:
        assert record.run is not None
        assert record.end is not None
        self.record = record
        self.run = record.run
        self.ended: dict[Address, str] = record.watch.ended
        self.axes: dict[str, Axis] = {axis.name: axis for axis in record.graph.axes}
        # Something told the run to end early: then any step may have been cancelled instead.
        self.ends_early = record.cancelled_at is not None or record.timed_out or self._fails_fast()

    def check(self) -> None:
        expected: set[Address] = set(self.record.reused)
        if self.record.started:
            for step in self.record.steps.values():
                for place in self._places(step):
                    expected.add((step.key, _index(place)))
                    self._check_instance(step, place)
        self._need(
            set(self.ended) == expected, f"ended and should not exist, or the reverse: {set(self.ended) ^ expected}"
        )
        self._check_run()

    # --- which instances there are ----------------------------------------------------------------------------------

    def _places(self, step: Step) -> Iterator[Place]:
        """All instances of a step, and the placeholders of maps that could not be unfolded."""
        places: list[Place] = [()]
        for depth, name in enumerate(step.axes):
            unfolded: list[Place] = []
            for place in places:
                if len(place) < depth:
                    unfolded.append(place)
                    continue
                length = self._length(self.axes[name], place)
                if isinstance(length, str) or (self.ends_early and (step.key, _index(place)) in self.ended):
                    unfolded.append(place)
                else:
                    unfolded.extend((*place, i) for i in range(length))
            places = unfolded
        yield from places

    def _length(self, axis: Axis, outer: Place) -> int | str:
        """How long a map is under a prefix, or the state of what cannot be unfolded."""
        if axis.loop is not None:
            return self._rounds(axis, outer)
        lengths = [self._source_length(axis, source, outer) for source in axis.sources]
        barred = next((length for length in lengths if isinstance(length, str)), None)
        if barred is not None:
            return barred
        return lengths[0] if len(set(lengths)) == 1 else "failed"

    def _source_length(self, axis: Axis, source: Binding, outer: Place) -> int | str:
        if isinstance(source, ListOf):
            return len(source.items)
        assert isinstance(source, Output)
        need = self.record.steps[source.step]
        shared = _shared(need.axes, axis.outer)
        if shared < len(need.axes):
            ends = self._ends(need, outer[:shared])
            if any(state in _BAD for state in ends.elements()):
                return "upstream_failed"
            return self._length(self.axes[need.axes[shared]], outer[:shared])
        index = _index(outer[:shared])
        state = self._state_or_placeholder(need, outer[:shared])
        if state != "succeeded":
            return "skipped" if state == "skipped" else "upstream_failed"
        value = self.record.values[need.key, index]
        return value.length if value is not None and value.length is not None else "failed"

    def _rounds(self, axis: Axis, outer: Place) -> int:
        assert axis.loop is not None
        for number in range(axis.loop.limit):
            address = (axis.loop.decider, _index((*outer, number)))
            goes_on = self.ended.get(address) == "succeeded" and self.record.again.get(address)
            if not goes_on:
                return number + 1
            if self.ends_early and (axis.loop.decider, _index((*outer, number + 1))) not in self.ended:
                return number + 1
        return axis.loop.limit

    # --- how each must have ended -----------------------------------------------------------------------------------

    def _check_instance(self, step: Step, place: Place) -> None:
        address = (step.key, _index(place))
        state = self.ended.get(address)
        self._need(state is not None, f"I9: {address} has not ended")
        if address in self.record.reused:
            self._need(address not in self.record.started_at, f"{address} was taken over and yet executed")
            return
        if state == "cancelled" and self.ends_early and not step.teardown_of:
            return
        self._need(state != "cancelled", f"{address} was cancelled, and nobody asked for it")
        if len(place) < len(step.axes):
            self._need_state(address, str(self._length(self.axes[step.axes[len(place)]], place)))
        elif step.bundle is not None:
            self._check_member(step, place)
        elif step.kind == "bundle":
            self._check_times(step, place)
        else:
            self._check_verdict(step, place)

    def _check_verdict(self, step: Step, place: Place) -> None:
        address = (step.key, _index(place))
        verdict = self._verdict(step, place)
        if verdict != "run":
            self._need_state(address, verdict)
            self._need(address not in self.record.started_at, f"I6: {address} ran, its rule says {verdict}")
            return
        self._need(address in self.record.started_at, f"{address} ended {self.ended[address]} without an attempt")
        self._check_times(step, place)
        if step.gate is not None:
            self._check_gate(step.gate, address)
            return
        self._check_fate(step, place)

    def _check_fate(self, step: Step, place: Place) -> None:
        """How it ended is what user code does in the end; a fault may have taken its place where policies let it."""
        address = (step.key, _index(place))
        tries = self.record.tries[address]
        state = self.ended[address]
        if step.policies.on_lost != "retry" and tries["lost"]:
            wanted = "failed" if step.policies.on_lost == "fail" else "needs_attention"
            self._need(state == wanted, f"{address} ended {state} after a loss, it has on_lost={step.policies.on_lost}")
            self._need(tries["lost"] == 1, f"I4: {address} was lost {tries['lost']} times and may run once only")
            return
        losses, limit = tries["lost"] + tries["refused"], step.policies.lost_limit
        if losses > limit:
            self._need(losses == limit + 1, f"{address} was lost {losses} times, {limit} are borne")
            self._need_state(address, "failed")
            return
        failures = tries["failed"] + tries["timed_out"]
        self._need(
            failures <= step.policies.retry.limit + 1, f"{address} failed {failures} times: {step.policies.retry}"
        )
        if not self.ends_early:
            wanted = last_fate(self.run.run, step, address[1], must_stop=self._must_stop(step, place))
            self._need(state == wanted, f"{address} ended {state}, and its user code {wanted}: {tries}")
        if step.asset is not None and state == "succeeded":
            self._need(address in self.record.materialized, f"I14: {address} succeeded, and its asset was not recorded")

    def _check_gate(self, spec: GateSpec, address: Address) -> None:
        """A gate has ended as its answer says: a timer by its time, the others by what was said, or by their deadline."""
        answer = self.record.answers.get(address)
        self._need(answer is not None, f"{address} ended, and its gate was not answered")
        assert answer is not None
        hows = (
            ("time",)
            if spec.of == "timer"
            else ("people", "deadline")
            if spec.of == "approval"
            else ("report", "deadline", "silence")
        )
        self._need(answer.how in hows, f"{address} is a gate for {spec.of}, and was answered by {answer.how}")
        if answer.how == "silence":
            self._need_state(address, "failed")
        elif answer.how == "deadline":
            self._need_state(address, {"default": "succeeded", "fail": "failed", "skip": "skipped"}[spec.on_timeout])
        elif answer.how == "people":
            rejected = "skipped" if spec.on_reject == "skip" else "failed"
            self._need_state(address, "succeeded" if answer.choice == "approve" else rejected)
            wanted = spec.quorum if answer.choice == "approve" else 1
            self._need(len(answer.by) >= wanted, f"{address} was answered by {answer.by}, and asks for {wanted}")
        else:
            self._need_state(address, "succeeded")

    def _must_stop(self, step: Step, place: Place) -> bool:
        """Is it the last round of a loop that must come to its end before its limit?"""
        loops = [axis.loop for axis in self.axes.values() if axis.loop is not None and axis.loop.decider == step.key]
        return any(loop.on_limit == "fail" and place[-1] + 1 >= loop.limit for loop in loops)

    def _check_member(self, step: Step, place: Place) -> None:
        address = (step.key, _index(place))
        bad = [
            need for need in step.needs if any(s != "succeeded" for s in self._need_ends(step, place, need).elements())
        ]
        if self.ended[address] == "succeeded":
            self._need(not bad, f"I6: member {address} was made without {bad}")
            self._need(address in self.record.materialized, f"I14: {address} succeeded, and its asset was not recorded")
        elif not bad and self.ended[step.bundle or "", address[1]] == "succeeded":
            self._need_state(address, "skipped")

    def _check_times(self, step: Step, place: Place) -> None:
        """I6: at its first start every instance that its rule waits for had ended."""
        began = self.record.started_at.get((step.key, _index(place)))
        if began is None or step.when in _EAGER:
            return
        for need in self._needs(step):
            for address, _ in self._instances_of(step, place, need):
                ended = self.record.ended_at[address]
                self._need(ended < began, f"I6: {step.key}{place} started before {address} had ended")

    # --- rules ------------------------------------------------------------------------------------------------------

    def _verdict(self, step: Step, place: Place) -> str:
        tallies = {need: self._need_ends(step, place, need) for need in self._needs(step)}
        if tallies and step.when != "always":
            verdict = _joined(step, tallies)
            if verdict != "run":
                return verdict
        for guard in step.guards:
            decider = self.record.steps[guard.step]
            address = (guard.step, _index(place[: _shared(decider.axes, step.axes)]))
            choice = self.record.choices.get(address)
            if choice is None or (choice in guard.choices) == guard.unless:
                return "skipped"
        return "run"

    def _needs(self, step: Step) -> list[str]:
        return list(dict.fromkeys((*step.needs, *(g.step for g in step.guards))))

    def _need_ends(self, step: Step, place: Place, need: str) -> Counter[str]:
        return Counter(state for _, state in self._instances_of(step, place, need))

    def _instances_of(self, step: Step, place: Place, need: str) -> Iterator[tuple[Address, str]]:
        """The instances (and placeholders) of a need that this instance waits for."""
        upstream = self.record.steps[need]
        prefix = place[: _shared(upstream.axes, step.axes)]
        for index, state in self.record.watch.by_step[need].items():
            other = _place(index)
            if other[: len(prefix)] == prefix[: len(other)]:
                yield (need, index), state

    def _ends(self, need: Step, prefix: Place) -> Counter[str]:
        ends = self.record.watch.by_step[need.key].items()
        return Counter(s for i, s in ends if _place(i)[: len(prefix)] == prefix[: len(_place(i))])

    def _state_or_placeholder(self, need: Step, place: Place) -> str:
        for depth in range(len(place), -1, -1):
            state = self.ended.get((need.key, _index(place[:depth])))
            if state is not None:
                return state
        raise Violation(f"{self.run.run}: I9: {need.key}{place} has not ended")

    # --- the run ----------------------------------------------------------------------------------------------------

    def _fails_fast(self) -> bool:
        return self.run.fail_fast and bool(self._counted_failures())

    def _counted_failures(self) -> list[Address]:
        return [
            a
            for a, state in self.ended.items()
            if state in ("failed", "needs_attention") and self.record.steps[a[0]].counts
        ]

    def _check_run(self) -> None:
        assert self.record.end is not None
        state = self.record.end.state
        if self.record.timed_out and self.record.cancelled_at is not None and state == "cancelled":
            return  # it was both, and which of them came first is not known to an engine that takes it up
        if self._counted_failures() or self.record.timed_out:
            wanted = "failed"
        elif self.record.cancelled_at is not None or "cancelled" in self.ended.values():
            wanted = "cancelled"
        else:
            wanted = "succeeded"
        self._need(state == wanted, f"the run ended {state}, and should have ended {wanted}")

    def _need_state(self, address: Address, wanted: str) -> None:
        self._need(
            self.ended[address] == wanted, f"{address} ended {self.ended[address]}, and should have ended {wanted}"
        )

    def _need(self, holds: bool, what: str) -> None:
        if not holds:
            raise Violation(f"{self.run.run}: {what}")


def _joined(step: Step, tallies: dict[str, Counter[str]]) -> str:
    """What the join rule makes of these ends, by Airflow's documentation of its trigger rules."""
    if not isinstance(step.when, str):
        if _holds(step.when, tallies):
            return "run"
        blocked = any(_bad(t) for t in tallies.values()) and not _is_about_failure(step.when)
        return "upstream_failed" if blocked else "skipped"
    total: Counter[str] = sum(tallies.values(), Counter())
    bad, skipped, succeeded, done = _bad(total), total["skipped"], total["succeeded"], total.total()
    blocked_or_skipped = "upstream_failed" if bad else "skipped"
    match step.when:
        case "all_succeeded":
            return "run" if succeeded == done else blocked_or_skipped
        case "all_failed":
            return "run" if bad == done else "skipped"
        case "all_done" | "any_done" | "always":
            return "run"
        case "all_done_any_succeeded" | "any_succeeded":
            return "run" if succeeded or not done else blocked_or_skipped
        case "all_done_setup_succeeded":
            setups = sum((tallies[s] for s in step.teardown_of), Counter())
            return "run" if setups["succeeded"] else "upstream_failed" if _bad(setups) else "skipped"
        case "any_failed":
            return "run" if bad else "skipped"
        case "none_failed":
            return "upstream_failed" if bad else "run"
        case "none_skipped":
            return "skipped" if skipped else "run"
        case "none_failed_any_succeeded":
            return "upstream_failed" if bad else "run" if succeeded or not done else "skipped"
        case "all_skipped":
            return "run" if skipped == done else "skipped"


def _holds(condition: Condition, tallies: dict[str, Counter[str]]) -> bool:
    match condition:
        case Is(step=step, state="succeeded"):
            t = tallies[step]
            return not _bad(t) and (not t.total() or t["skipped"] < t.total())
        case Is(step=step, state="failed"):
            return bool(_bad(tallies[step]))
        case Is(step=step, state="skipped"):
            return 0 < tallies[step]["skipped"] == tallies[step].total()
        case Is():
            return True
        case Not(item=item):
            return not _holds(item, tallies)
        case AllOf(items=items):
            return all(_holds(item, tallies) for item in items)
        case AnyOf(items=items):
            return any(_holds(item, tallies) for item in items)


def _is_about_failure(condition: Condition) -> bool:
    match condition:
        case Is(state=state):
            return state in ("failed", "done")
        case Not(item=item):
            return _is_about_failure(item)
        case AllOf(items=items) | AnyOf(items=items):
            return any(_is_about_failure(item) for item in items)


def _bad(tally: Counter[str]) -> int:
    return sum(tally[state] for state in _BAD)


def _shared(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    depth = 0
    while depth < min(len(a), len(b)) and a[depth] == b[depth]:
        depth += 1
    return depth


def _index(place: Place) -> str:
    return ".".join(map(str, place))


def _place(index: str) -> Place:
    return tuple(map(int, index.split("."))) if index else ()
