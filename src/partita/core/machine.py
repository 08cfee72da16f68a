"""The run machine: events in, commands out.

Rule: `apply` is the only thing that changes state, and it is repeatable: no clock, no randomness, no I/O. An event costs
its neighbours, not the run. A late or repeated outcome is an ordinary event that changes nothing.

Journaled events pile up in `journal` until the engine takes them with `take_journal`; the engine commits them before it
carries out the commands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from partita.core import retry
from partita.core.commands import Command, Finished, Kill, Offer, WakeAt, Withdraw
from partita.core.events import (
    AssetReport,
    AttemptDispatched,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    CheckEvaluated,
    Detail,
    Event,
    Failure,
    Materialized,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    TimerDue,
)
from partita.core.graph import FirstOf, Graph, Output
from partita.core.plan import AxisNode, Edge, Group, Instance, Node, Plan, Positions, index_of, is_static, path_of
from partita.core.rules import Tally, decide
from partita.core.states import (
    INFRA_FAILURE,
    STEP_MOVES,
    TERMINAL_RUN,
    TERMINAL_STEP,
    AttemptState,
    RunState,
    StepState,
)
from partita.core.values import Value
from partita.errors import InvalidTransition

_BAD = frozenset({"failed", "needs_attention"})
_MAX_BECAUSE = 3


class Known(msgspec.Struct, frozen=True):
    """What is already known of a step instance when a machine is built: reused from another run, or read from the store."""

    step: str
    index: str
    state: StepState
    attempt: int = 0
    value: Value | None = None
    choice: bytes | None = None
    again: bool | None = None
    reason: str = ""
    because: tuple[str, ...] = ()
    not_before: float = 0.0
    failures: int = 0
    losses: int = 0
    # The attempt is open, under this epoch.
    epoch: int | None = None
    # It was handed to an engine of others and has not asked to start.
    dispatched: bool = False
    past: tuple[tuple[int, str, str], ...] = ()


class RunMachine:
    """One run. Build it, `apply` what happens, carry out what it answers.

    >>> from partita.core.graph import Graph, Step
    >>> run = RunCreated(at=0.0, run="r", namespace="default", project="p", pipeline="x", graph="", code="", origin="o")
    >>> machine = RunMachine(Graph("x", (Step("a"), Step("b", needs=("a",)))), run)
    >>> machine.apply(RunStarted(at=1.0))
    [Offer(step='a', index='', not_before=0.0)]
    """

    def __init__(self, graph: Graph, run: RunCreated, known: Iterable[Known] = ()) -> None:
        self.run = run
        self.plan = Plan(graph)
        self.state: RunState = "queued"
        self.reason = ""
        self.paused = False
        self.cancel_requested = False
        # Cancelled, failed fast or out of time: nothing new starts but teardowns.
        self.ending = ""
        self.started_at: float | None = None
        self.journal: list[Event] = []
        self.ignored = 0
        # Instances (and placeholders) that have not ended; ends that count as failures, and cancels.
        self.unended = 0
        self.bad = 0
        self.cancelled = 0
        self._known: dict[str, dict[Positions, Known]] = {}
        for k in known:
            self._known.setdefault(k.step, {})[path_of(k.index)] = k
        self._ended: deque[Instance] = deque()
        self._commands: list[Command] = []
        self._at = run.at
        self._on: dict[type, Callable[[Any], None]] = {
            RunStarted: self._on_run_started,
            AttemptDispatched: self._on_attempt_started,
            AttemptStarted: self._on_attempt_started,
            AttemptEnded: self._on_attempt_ended,
            StepEnded: self._on_member_passed_over,
            CancelRequested: self._on_cancel_requested,
            PauseRequested: self._on_pause_requested,
            ResumeRequested: self._on_resume_requested,
            TimerDue: self._on_timer_due,
        }

    # --- the outside ------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> list[Command]:
        """Take one event; what it changes is in the journal, what is to be done is the answer."""
        self._at = event.at
        commands: list[Command] = []
        self._commands = commands
        self._on[type(event)](event)
        if self._ended:
            self._settle_all()
        if self.unended == 0 and self.state == "running":
            self._end_run()
        return commands

    def take_journal(self) -> list[Event]:
        """The events since the last call; they are to be committed together, in this order."""
        taken, self.journal = self.journal, []
        return taken

    def instance(self, step: str, index: str = "") -> Instance | None:
        """The instance, or the placeholder of a map that is not unfolded; None if there is none (yet)."""
        node = self.plan.nodes.get(step)
        return node.instances.get(path_of(index)) if node is not None else None

    def instances(self) -> Iterable[Instance]:
        """All instances and placeholders, in the order of the graph."""
        for node in self.plan.nodes.values():
            yield from node.instances.values()

    @property
    def is_finished(self) -> bool:
        return self.state in TERMINAL_RUN

    # --- events -----------------------------------------------------------------------------------------------------

    def _on_run_started(self, event: RunStarted) -> None:
        if self.state != "queued":
            self.ignored += 1
            return
        self.state = "running"
        self.started_at = event.at
        self.journal.append(event)
        if self.run.timeout_s is not None:
            self._commands.append(WakeAt(event.at + self.run.timeout_s))
        fresh = [self._create(node, ()) for node in self.plan.nodes.values()]
        self._connect(fresh)
        for axis in self.plan.axes.values():
            if axis.depth == 0:
                self._try_unfold(axis, ())
        # Everything that is known must have been told first, or maps with open attempts would not be unfolded.
        self._settle_all()
        if self.bad and self.run.fail_fast:
            self._end_early("a step failed, and the run ends at its first failure")

    def _on_attempt_started(self, event: AttemptStarted | AttemptDispatched) -> None:
        instance = self.instance(event.step, event.index)
        if instance is None:
            self.ignored += 1
            return
        if instance.open:
            # The start gate of an engine of others: dispatched, and now it asks to start.
            same = (event.attempt, event.epoch) == (instance.attempt, instance.epoch)
            if type(event) is AttemptStarted and instance.dispatched and same:
                instance.dispatched = False
                self.journal.append(event)
            else:
                self.ignored += 1
            return
        # Members carry the attempt number of their bundle, which may have had attempts without them.
        expected = event.attempt > instance.attempt if instance.granted else event.attempt == instance.attempt + 1
        if instance.state != "ready" or not expected:
            self.ignored += 1
            return
        instance.state = "running"
        instance.attempt = event.attempt
        instance.open = True
        instance.dispatched = type(event) is AttemptDispatched
        instance.epoch = event.epoch
        instance.offered = False
        instance.since = event.at
        self.journal.append(event)

    def _on_attempt_ended(self, event: AttemptEnded) -> None:
        instance = self.instance(event.step, event.index)
        if instance is None or not instance.open or event.attempt != instance.attempt or event.epoch != instance.epoch:
            self.ignored += 1
            return
        instance.open = False
        event = self._judged(instance, event)
        self.journal.append(event)
        if event.detail is not None:
            self._record_checks(instance, event, event.detail)
        if event.state == "succeeded":
            self._succeed(instance, event)
        else:
            self._fail(instance, event)
        if instance.node.members:
            self._close_bundle(instance)

    def _on_member_passed_over(self, event: StepEnded) -> None:
        """A bundle's attempt says of a member that it will not be performed."""
        instance = self.instance(event.step, event.index)
        if instance is None or not instance.granted or instance.open or instance.state != "ready":
            self.ignored += 1
            return
        self._end(instance, event.state, event.reason, event.because)

    def _on_cancel_requested(self, event: CancelRequested) -> None:
        if self.is_finished or self.cancel_requested:
            self.ignored += 1
            return
        self.journal.append(event)
        self.cancel_requested = True
        reason = f"cancelled by {event.by}" + (f": {event.reason}" if event.reason else "")
        if self.state == "queued":
            self._finish("cancelled", reason)
        else:
            self._end_early(reason)

    def _on_pause_requested(self, event: PauseRequested) -> None:
        if self.is_finished or self.paused:
            self.ignored += 1
            return
        self.journal.append(event)
        self.paused = True
        for instance in self.instances():
            if instance.offered:
                instance.offered = False
                self._commands.append(Withdraw(instance.node.key, instance.index))

    def _on_resume_requested(self, event: ResumeRequested) -> None:
        if self.is_finished or not self.paused:
            self.ignored += 1
            return
        self.journal.append(event)
        self.paused = False
        for instance in self.instances():
            if instance.state == "ready" and instance.node.bundle is None:
                self._offer(instance)

    def _on_timer_due(self, event: TimerDue) -> None:
        timeout = self.run.timeout_s
        if timeout is None or self.started_at is None or self.ending or self.is_finished:
            return
        if event.at >= self.started_at + timeout:
            self.bad += 1
            self._end_early(f"the run took longer than its {timeout:g} s")

    # --- the end of an attempt --------------------------------------------------------------------------------------

    def _judged(self, instance: Instance, event: AttemptEnded) -> AttemptEnded:
        """The outcome as it counts: a test that failed, or a loop that may not go on, makes success a failure."""
        detail = event.detail
        if event.state != "succeeded" or detail is None:
            return event
        failure: Failure | None = None
        failed = next((c for c in detail.checks if not c.passed and c.severity == "error"), None)
        if failed is not None:
            failure = Failure(failed.message or f"check {failed.check} on {failed.asset} failed", cause="check")
        loop = instance.node.decides.axis.loop if instance.node.decides is not None else None
        if loop is not None and detail.again and loop.on_limit == "fail" and instance.path[-1] + 1 >= loop.limit:
            failure = Failure(f"the loop has not come to its end in {loop.limit} rounds", cause="loop_limit")
        if failure is None:
            return event
        return msgspec.structs.replace(
            event, state="failed", value=None, detail=msgspec.structs.replace(detail, failure=failure)
        )

    def _record_checks(self, instance: Instance, event: AttemptEnded, detail: Detail) -> None:
        for check in detail.checks:
            self.journal.append(
                CheckEvaluated(
                    at=event.at,
                    step=event.step,
                    index=event.index,
                    attempt=event.attempt,
                    asset=check.asset,
                    check=check.check,
                    partition=check.partition or self.run.partition,
                    passed=check.passed,
                    severity=check.severity,
                    message=check.message,
                    metadata=check.metadata,
                )
            )

    def _succeed(self, instance: Instance, event: AttemptEnded) -> None:
        instance.value = event.value
        if event.detail is not None:
            instance.choice = event.detail.choice
            instance.again = event.detail.again
        self._record_assets(instance, event)
        self._mark_ended(instance, "succeeded")

    def _record_assets(self, instance: Instance, event: AttemptEnded) -> None:
        step = instance.node.step
        reports = event.detail.assets if event.detail is not None else ()
        if step.asset is not None and not any(r.asset == step.asset for r in reports):
            reports = (AssetReport(step.asset), *reports)
        for report in reports:
            self.journal.append(
                Materialized(
                    at=event.at,
                    step=event.step,
                    index=event.index,
                    attempt=event.attempt,
                    asset=report.asset,
                    partition=report.partition or self.run.partition,
                    data_version=report.data_version,
                    code_version=step.code_version,
                    metadata=report.metadata,
                    value=event.value,
                    began_at=event.began_at,
                    ended_at=event.ended_at,
                )
            )

    def _fail(self, instance: Instance, event: AttemptEnded) -> None:
        failure = event.detail.failure if event.detail is not None else None
        message = failure.message if failure is not None else event.state
        self._remember(instance, event.state, message)
        if failure is not None and failure.cause == "skipped":
            self._end(instance, "skipped", message)
            return
        if event.state == "cancelled" or (self.ending and event.state in INFRA_FAILURE):
            self._end(instance, "cancelled", self.ending or message)
            return
        if instance.node.bundle is not None:
            self._fail_member(instance, message)
            return
        if event.state not in INFRA_FAILURE:
            instance.failures += 1
        elif failure is None or failure.cause != "not_begun":
            instance.losses += 1
        if self.ending and not instance.node.step.teardown_of:
            self._end(instance, "failed", message)
            return
        verdict = retry.after(
            instance.node.step.policies,
            event.state,
            failure,
            failures=instance.failures,
            losses=max(instance.losses, 1) if event.state in INFRA_FAILURE else instance.losses,
            seed=f"{self.run.run}/{event.step}/{event.index}",
        )
        if isinstance(verdict, retry.Again):
            self._retry(instance, verdict.delay_s, verdict.reason)
        else:
            self._end(instance, "needs_attention" if verdict.ask else "failed", f"{message} ({verdict.reason})")

    def _remember(self, instance: Instance, state: str, message: str) -> None:
        if instance.past is None:
            instance.past = []
        instance.past.append((instance.attempt, state, message))

    def _retry(self, instance: Instance, delay_s: float, reason: str) -> None:
        instance.state = "ready"
        instance.since = self._at
        instance.not_before = self._at + delay_s if delay_s > 0 else 0.0
        instance.reason = reason
        self.journal.append(
            StepRetried(
                at=self._at,
                step=instance.node.key,
                index=instance.index,
                attempt=instance.attempt + 1,
                not_before=instance.not_before,
                reason=reason,
            )
        )
        self._offer(instance)

    # --- bundles ----------------------------------------------------------------------------------------------------

    def _members_of(self, bundle: Instance) -> list[Instance]:
        return [m.instances[bundle.path] for m in bundle.node.members if bundle.path in m.instances]

    def _open_bundle(self, bundle: Instance) -> bool:
        """Grant the members that can be performed, end the others; is there anything to do?

        Needs between members are the bundle's own business: a granted member counts as one that will succeed.
        """
        granted: set[str] = set()
        members = self._members_of(bundle)
        for member in members:
            if member.state in TERMINAL_STEP:
                continue
            if member.granted:
                granted.add(member.node.key)
                continue
            tallies = {edge.need.key: self._tally(edge, member.path) for edge in member.node.needs}
            for key in granted:
                if key in tallies:
                    tallies[key] = _one("succeeded")
            verdict = decide(member.node.step.when, tallies)
            if verdict == "run":
                granted.add(member.node.key)
                self._move(member, "ready")
                member.granted = True
            else:
                self._end(member, verdict, self._why_not(member, verdict, tallies), self._culprits(tallies))
        return bool(granted) or not members

    def granted_members(self, bundle: Instance) -> tuple[str, ...]:
        """The members that the bundle's coming attempt is to perform."""
        return tuple(m.node.key for m in self._members_of(bundle) if m.granted and m.state == "ready")

    def _fail_member(self, member: Instance, message: str) -> None:
        assert member.node.bundle is not None
        bundle = member.node.bundle.instances[member.path]
        if not self.ending and bundle.open and bundle.failures < bundle.node.step.policies.retry.limit:
            member.reason = message
            self._retry_with_bundle(member)
        else:
            self._end(member, "failed", message)

    def _retry_with_bundle(self, member: Instance) -> None:
        member.state = "ready"
        member.since = self._at
        self.journal.append(
            StepRetried(
                at=self._at,
                step=member.node.key,
                index=member.index,
                attempt=member.attempt + 1,
                not_before=0.0,
                reason=f"{member.reason}; again with the next attempt of {member.node.step.bundle}",
            )
        )

    def _close_bundle(self, bundle: Instance) -> None:
        """The bundle's attempt has ended: what its members had open ends with it."""
        ended = bundle.state in TERMINAL_STEP
        for member in self._members_of(bundle):
            if member.open:
                member.open = False
                state: AttemptState = "cancelled" if bundle.state == "cancelled" else "lost"
                failure = Failure(f"{bundle.node.key} ended in the middle of it", cause="lost")
                self.journal.append(
                    AttemptEnded(
                        at=self._at,
                        step=member.node.key,
                        index=member.index,
                        attempt=member.attempt,
                        epoch=member.epoch,
                        state=state,
                        detail=Detail(failure=failure),
                    )
                )
                self._remember(member, state, failure.message)
                if not ended:
                    member.reason = failure.message
                    self._retry_with_bundle(member)
                elif state == "cancelled":
                    self._end(member, "cancelled", self.ending)
                else:
                    self._end(member, "failed", failure.message, (bundle.node.key,))
            elif ended and member.state == "ready":
                self._end_unperformed(member, bundle)

    def _end_unperformed(self, member: Instance, bundle: Instance) -> None:
        if member.past is not None:
            self._end(member, "failed", member.past[-1][2])
        elif bundle.state == "cancelled":
            self._end(member, "cancelled", self.ending)
        else:
            self._end(member, "upstream_failed", f"{bundle.node.key} ended without making it", (bundle.node.key,))

    # --- maps and loops ---------------------------------------------------------------------------------------------

    def _create(self, node: Node, path: Positions) -> Instance:
        """A new instance or placeholder; what is known of it already is taken over."""
        instance = Instance(node, path, self._at)
        node.instances[path] = instance
        self.unended += 1
        depth = len(path)
        if depth < len(node.step.axes):
            if depth in node.groups:
                node.groups[depth][path] = Group(open=1)
        else:
            for d, by_prefix in node.under.items():
                by_prefix.setdefault(path[:d], []).append(instance)
        known = self._known.get(node.key)
        if known is not None and path in known:
            self._take_over(instance, known.pop(path))
        return instance

    def _take_over(self, instance: Instance, known: Known) -> None:
        instance.attempt = known.attempt
        instance.value = known.value
        instance.choice = known.choice
        instance.again = known.again
        instance.reason = known.reason
        instance.because = known.because
        instance.failures = known.failures
        instance.losses = known.losses
        instance.past = list(known.past) or None
        if known.state in TERMINAL_STEP:
            instance.state = known.state
            self._count_ended(instance)
        elif known.epoch is not None:
            instance.state = "running"
            instance.open = True
            instance.dispatched = known.dispatched
            instance.epoch = known.epoch
            instance.granted = instance.node.bundle is not None
        elif known.state == "ready":
            instance.state = "ready"
            instance.not_before = known.not_before
            instance.granted = instance.node.bundle is not None

    def _try_unfold(self, axis: AxisNode, prefix: Positions) -> None:
        """Unfold the map under a prefix if all its sources have ended."""
        if prefix in axis.lengths or not axis.nodes:
            return
        if axis.axis.loop is not None:
            self._unfold(axis, prefix, 0, 1)
            return
        lengths: list[int] = []
        for source in axis.axis.sources:
            if is_static(source) and not isinstance(source, FirstOf):
                length = self.plan.known_length(source, self.run.params)
                if length is None:
                    self._cannot_unfold(axis, prefix, "failed", f"the source of the map is no list: {source}", ())
                    return
                lengths.append(length)
                continue
            answer = self._source_length(axis, source, prefix)
            if answer is None:
                return
            if isinstance(answer, int):
                lengths.append(answer)
            else:
                self._cannot_unfold(axis, prefix, *answer)
                return
        if len(set(lengths)) > 1:
            told = ", ".join(str(n) for n in lengths)
            self._cannot_unfold(
                axis, prefix, "failed", f"the zipped sources of the map have unequal lengths: {told}", ()
            )
            return
        self._unfold(axis, prefix, 0, lengths[0])

    def _source_length(
        self, axis: AxisNode, source: Any, prefix: Positions
    ) -> int | tuple[StepState, str, tuple[str, ...]] | None:
        """The length, or why there is none (state, reason, because), or None while it is not known yet."""
        steps = (source.step,) if isinstance(source, Output) else source.steps
        ends: list[Instance] = []
        for key in steps:
            node = self.plan.nodes[key]
            depth = _shared(node.step.axes, axis.axis.outer)
            if depth < len(node.step.axes):
                return self._gathered_length(node, prefix[:depth])
            instance = node.instances.get(prefix[:depth])
            if instance is None or not instance.settled:
                return None
            ends.append(instance)
        made = next((i for i in ends if i.state == "succeeded"), None)
        if made is not None:
            if made.value is not None and made.value.length is not None:
                return made.value.length
            kind = made.value.preview or made.value.codec if made.value is not None else "nothing"
            return "failed", f"{made.node.key} returned no list to map over ({kind[:60]})", (made.node.key,)
        skipped = all(i.state == "skipped" for i in ends)
        what = "was skipped" if skipped else "did not succeed"
        reason = f"{ends[0].node.key} {what}, so there is nothing to map over"
        return "skipped" if skipped else "upstream_failed", reason, tuple(i.node.key for i in ends[:_MAX_BECAUSE])

    def _gathered_length(self, node: Node, prefix: Positions) -> int | tuple[StepState, str, tuple[str, ...]] | None:
        group = node.groups[len(prefix)].get(prefix)
        if group is None or group.open:
            return None
        if group.bad:
            return "upstream_failed", f"{group.bad} of {node.key} did not succeed", (node.key,)
        return self.plan.axes[node.step.axes[len(prefix)]].lengths.get(prefix, 0)

    def _cannot_unfold(
        self, axis: AxisNode, prefix: Positions, state: StepState, reason: str, because: tuple[str, ...]
    ) -> None:
        axis.lengths[prefix] = 0
        for node in axis.nodes:
            placeholder = node.instances.get(prefix)
            if placeholder is not None and placeholder.state not in TERMINAL_STEP:
                self._end(placeholder, state, reason, because)

    def _unfold(self, axis: AxisNode, prefix: Positions, first: int, count: int) -> None:
        """Put instances `first` to `first + count` in the place of the placeholders under a prefix."""
        is_loop = axis.axis.loop is not None
        axis.lengths[prefix] = first + count
        fresh: list[Instance] = []
        complete: list[tuple[Node, Positions]] = []
        for node in axis.nodes:
            if first == 0:
                placeholder = node.instances.get(prefix)
                if placeholder is None or placeholder.state in TERMINAL_STEP:
                    continue
                del node.instances[prefix]
                self.unended -= 1
            for depth, groups in node.groups.items():
                if depth <= len(prefix):
                    group = groups[prefix[:depth]]
                    # A loop's placeholder stays in the count: it stands for the rounds that may come.
                    group.open += count if is_loop or first else count - 1
                    if group.open == 0:
                        complete.append((node, prefix[:depth]))
            fresh.extend(self._create(node, (*prefix, i)) for i in range(first, first + count))
        self._connect(fresh)
        for node, at in complete:
            self._tell_group(node, at, None, complete=True)
        for inner in axis.inner:
            for i in range(first, first + count):
                self._try_unfold(inner, (*prefix, i))

    def _next_round(self, decider: Instance) -> None:
        """The deciding step of a loop has ended: one more round, or the end of the loop."""
        axis = decider.node.decides
        assert axis is not None
        loop = axis.axis.loop
        assert loop is not None
        prefix, round_no = decider.path[:-1], decider.path[-1]
        goes_on = decider.state == "succeeded" and decider.again and round_no + 1 < loop.limit and not self.ending
        if goes_on:
            self._unfold(axis, prefix, round_no + 1, 1)
            return
        for node in axis.nodes:
            for depth, groups in node.groups.items():
                if depth <= len(prefix):
                    group = groups[prefix[:depth]]
                    group.open -= 1
                    if group.open == 0:
                        self._tell_group(node, prefix[:depth], None, complete=True)

    # --- who waits for whom -----------------------------------------------------------------------------------------

    def _connect(self, fresh: list[Instance]) -> None:
        """Count what each new instance waits for; decide those that wait for nothing."""
        for instance in fresh:
            node = instance.node
            if len(instance.path) == len(node.step.axes):
                open_needs = 0
                for edge in node.needs:
                    if not self._is_met(edge, instance.path):
                        open_needs += 1
                instance.open_needs = open_needs
        for instance in fresh:
            if len(instance.path) < len(instance.node.step.axes):
                continue
            if instance.node.members and instance.state in ("ready", "running"):
                # Taken over in the middle of it: what it may perform follows from the same facts as before.
                self._open_bundle(instance)
            if instance.state == "ready" and not instance.offered:
                if instance.node.bundle is None:
                    self._offer(instance)
            elif instance.state == "waiting" and instance.node.bundle is None:
                if instance.open_needs == 0 or instance.node.starts_at_once:
                    self._decide(instance)
                elif instance.node.eager is not None:
                    self._decide_eagerly(instance)

    def _is_met(self, edge: Edge, path: Positions) -> bool:
        if edge.many:
            group = edge.need.groups[edge.depth].get(path[: edge.depth])
            return group is not None and group.open == 0
        need = edge.need.instances.get(path[: edge.depth])
        if need is None:
            # The need's map could not be unfolded that far: its placeholder stands for it.
            need = self._placeholder(edge.need, path[: edge.depth])
        return need is not None and need.settled

    def _placeholder(self, node: Node, prefix: Positions) -> Instance | None:
        for depth in range(len(prefix) - 1, -1, -1):
            found = node.instances.get(prefix[:depth])
            if found is not None:
                return found
        return None

    def _tally(self, edge: Edge, path: Positions) -> Tally:
        if edge.many:
            return edge.need.groups[edge.depth].get(path[: edge.depth]) or Tally(open=1)
        need = edge.need.instances.get(path[: edge.depth]) or self._placeholder(edge.need, path[: edge.depth])
        return _one(need.state) if need is not None and need.state in TERMINAL_STEP else Tally(open=1)

    def _settle_all(self) -> None:
        ended = self._ended
        while ended:
            instance = ended.popleft()
            instance.settled = True
            self._settle(instance)

    def _settle(self, instance: Instance) -> None:
        """Tell everyone who waits for this instance that it has ended."""
        node, path, state = instance.node, instance.path, instance.state
        if node.groups:
            for depth, groups in node.groups.items():
                if depth <= len(path):
                    group = groups[path[:depth]]
                    first = state != "succeeded" or group.succeeded == 0
                    group.open -= 1
                    group.count(state)
                    if group.open == 0 or first:
                        self._tell_group(node, path[:depth], state, complete=group.open == 0)
        for edge in node.users:
            if not edge.many and edge.depth <= len(path):
                self._tell(edge.user.at(path), state, complete=True)
        for axis in self.plan.unfolds.get(node.key, ()):
            self._unfold_after(axis, node, path)
        if node.decides is not None and len(path) == len(node.step.axes):
            self._next_round(instance)

    def _tell_group(self, node: Node, prefix: Positions, state: StepState | None, *, complete: bool) -> None:
        for edge in node.users:
            if edge.many and edge.depth == len(prefix):
                self._tell(edge.user.at(prefix), state, complete=complete)
        if complete:
            for axis in self.plan.unfolds.get(node.key, ()):
                self._unfold_after(axis, node, prefix)

    def _tell(self, users: list[Instance], state: StepState | None, *, complete: bool) -> None:
        for user in users:
            if complete:
                user.open_needs -= 1
            if user.state != "waiting" or user.node.bundle is not None:
                continue
            if user.open_needs == 0:
                self._decide(user)
            elif user.node.eager is not None and state in user.node.eager:
                self._make_ready(user)

    def _unfold_after(self, axis: AxisNode, source: Node, path: Positions) -> None:
        shared = _shared(source.step.axes, axis.axis.outer)
        if shared == axis.depth:
            self._try_unfold(axis, path[: axis.depth])
            return
        first = axis.nodes[0]
        waiting = [p for p in first.instances if len(p) == axis.depth and p[:shared] == path[:shared]]
        for prefix in waiting:
            self._try_unfold(axis, prefix)

    # --- decisions --------------------------------------------------------------------------------------------------

    def _decide(self, instance: Instance) -> None:
        """All needs have ended (or do not matter): run, or end otherwise."""
        node = instance.node
        step = node.step
        if self.ending and not step.teardown_of:
            self._end(instance, "cancelled", self.ending)
            return
        tallies = {e.need.key: self._tally(e, instance.path) for e in node.needs} if node.needs else {}
        own = {k: t for k, t in tallies.items() if k in _own_needs(node)} if node.members else tallies
        if tallies and not node.starts_at_once:
            verdict = decide(step.when, own, step.teardown_of)
            if verdict != "run":
                self._end(instance, verdict, self._why_not(instance, verdict, own), self._culprits(own))
                self._end_members(instance)
                return
        if step.guards and not self._pass_guards(instance):
            self._end_members(instance)
            return
        if node.members and not self._open_bundle(instance):
            bad = any(m.state == "upstream_failed" for m in self._members_of(instance))
            because = self._culprits(tallies) if bad else ()
            self._end(instance, "upstream_failed" if bad else "skipped", "none of its members can be made", because)
            return
        self._make_ready(instance)

    def _decide_eagerly(self, instance: Instance) -> None:
        """A new instance whose rule may already be met by needs that ended before it was there."""
        assert instance.node.eager is not None
        for edge in instance.node.needs:
            tally = self._tally(edge, instance.path)
            ends = {
                "succeeded": tally.succeeded,
                "failed": tally.failed,
                "upstream_failed": tally.upstream_failed,
                "skipped": tally.skipped,
            }
            if any(count and state in instance.node.eager for state, count in ends.items()):
                self._make_ready(instance)
                return

    def _end_members(self, bundle: Instance) -> None:
        for member in self._members_of(bundle) if bundle.node.members else ():
            if member.state not in TERMINAL_STEP:
                self._end(member, bundle.state, bundle.reason, bundle.because)

    def _pass_guards(self, instance: Instance) -> bool:
        for guard in instance.node.step.guards:
            source = self.plan.nodes[guard.step]
            depth = _shared(source.step.axes, instance.node.step.axes)
            decider = source.instances.get(instance.path[:depth])
            choice = decider.choice if decider is not None and decider.state == "succeeded" else None
            if choice is None or (choice in guard.choices) == guard.unless:
                self._end(instance, "skipped", f"{guard.step} chose another branch", (guard.step,))
                return False
        return True

    def _why_not(self, instance: Instance, verdict: str, tallies: dict[str, Tally]) -> str:
        rule = instance.node.step.when
        told = rule if isinstance(rule, str) else "its condition"
        if verdict == "upstream_failed":
            return f"{', '.join(self._culprits(tallies)) or 'a need'} did not succeed (when={told})"
        skipped = [k for k, t in tallies.items() if t.skipped][:_MAX_BECAUSE]
        if told == "all_succeeded" and skipped:
            return f"{', '.join(skipped)} {'was' if len(skipped) == 1 else 'were'} skipped"
        return f"its rule does not hold (when={told})"

    def _culprits(self, tallies: dict[str, Tally]) -> tuple[str, ...]:
        failed = [k for k, t in tallies.items() if t.failed] or [k for k, t in tallies.items() if t.upstream_failed]
        return tuple((failed or [k for k, t in tallies.items() if t.skipped])[:_MAX_BECAUSE])

    # --- moves ------------------------------------------------------------------------------------------------------

    def _make_ready(self, instance: Instance) -> None:
        if self.ending and not instance.node.step.teardown_of:
            self._end(instance, "cancelled", self.ending)
            return
        self._move(instance, "ready")
        self._offer(instance)

    def _offer(self, instance: Instance) -> None:
        if self.paused and not self.ending:
            return
        instance.offered = True
        self._commands.append(Offer(instance.node.key, instance.index, instance.not_before))

    def _move(self, instance: Instance, state: StepState) -> None:
        if state not in STEP_MOVES[instance.state]:
            raise InvalidTransition(f"{instance!r} -> {state} in run {self.run.run}; last events: {self.journal[-5:]}")
        instance.state = state
        instance.since = self._at

    def _end(self, instance: Instance, state: StepState, reason: str, because: tuple[str, ...] = ()) -> None:
        """End a step instance other than by success, and say so in the journal."""
        if instance.offered:
            instance.offered = False
            self._commands.append(Withdraw(instance.node.key, instance.index))
        instance.reason = reason
        instance.because = because
        self.journal.append(StepEnded(self._at, instance.node.key, instance.index, state, reason, because))
        self._mark_ended(instance, state)
        step = instance.node.step
        if state in _BAD and step.counts and self.run.fail_fast and not self.ending:
            self._end_early(f"{step.key} failed, and the run ends at its first failure")

    def _mark_ended(self, instance: Instance, state: StepState) -> None:
        self._move(instance, state)
        self._count_ended(instance)

    def _count_ended(self, instance: Instance) -> None:
        state = instance.state
        instance.open = False
        instance.granted = False
        self.unended -= 1
        if state in _BAD and instance.node.step.counts:
            self.bad += 1
        elif state == "cancelled":
            self.cancelled += 1
        self._ended.append(instance)

    def _end_early(self, reason: str) -> None:
        """Nothing new starts but teardowns; what runs is asked to end."""
        self.ending = reason
        for instance in list(self.instances()):
            if instance.open:
                if instance.node.bundle is None and not instance.node.step.teardown_of:
                    self._commands.append(Kill(instance.node.key, instance.index, instance.attempt, reason))
            elif instance.state not in TERMINAL_STEP and not instance.node.step.teardown_of:
                bundle = instance.node.bundle.instances.get(instance.path) if instance.node.bundle else None
                if bundle is None or not bundle.open:
                    self._end(instance, "cancelled", reason)
            elif instance.state == "ready" and not instance.offered:
                self._offer(instance)

    def _end_run(self) -> None:
        if self.bad:
            self._finish("failed", self.ending if not self.cancel_requested else "")
        elif self.cancel_requested or self.cancelled:
            self._finish("cancelled", self.ending)
        else:
            self._finish("succeeded", "")

    def _finish(self, state: RunState, reason: str) -> None:
        self.state = state
        self.reason = reason
        self.journal.append(RunEnded(self._at, state, reason))
        self._commands.append(Finished())


def _one(state: str) -> Tally:
    tally = Tally()
    tally.count(state)
    return tally


def _own_needs(node: Node) -> set[str]:
    """The needs of a bundle itself, without those of its members."""
    inside = {m.key for m in node.members}
    outside = {k for m in node.members for k in m.step.needs if k not in inside}
    return {e.need.key for e in node.needs} - (outside - set(node.step.needs))


def _shared(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    depth = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        depth += 1
    return depth


__all__ = ["Known", "RunMachine", "index_of"]
