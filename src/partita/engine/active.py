"""A run that is being executed: its machine, and what the engine needs to hand out its steps.

Rule: nothing is decided here; this is the memory of one run between two turns of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from partita.core import placement
from partita.core.admission import Key, Lane
from partita.core.events import RunCreated
from partita.core.graph import Graph, Stored
from partita.core.inputs import Inputs
from partita.core.machine import Known, RunMachine
from partita.core.plan import Instance, Node
from partita.core.policies import Policies
from partita.core.run_queue import Waiting
from partita.core.values import Input, Value
from partita.engine.submission import ASSETS
from partita.executors.contract import Demand
from partita.worker.wire import Brief, Past, Ticket


class ActiveRun:
    """One run in the engine."""

    def __init__(
        self,
        *,
        no: int,
        run: RunCreated,
        graph: Graph,
        known: list[Known],
        seq: int,
        stored: Callable[[RunCreated, str], Value | None],
        mapped: Callable[[RunCreated, Stored], Input] | None = None,
        token: Callable[[str, str, str], str] | None = None,
        interval: tuple[str, str],
    ) -> None:
        self.no = no
        self.id = run.run
        self.run = run
        self.waiting = Waiting(
            run.run,
            namespace=run.namespace,
            pipeline=run.pipeline,
            at=run.at,
            priority=run.priority,
            # Of assets, each one guards its own partitions (`_make_lane`).
            partition=run.partition if run.pipeline != ASSETS else "",
            partitions=run.partitions if run.pipeline != ASSETS else (),
            asked=run.keys,
        )
        self.graph = graph
        self._known = known
        self._stored = stored
        self._mapped = mapped
        self._token = token
        # Of the last journal row.
        self.seq = seq
        self.lanes: dict[str, Lane] = {}
        self.demands: dict[str, Demand] = {}
        self._briefs: dict[str, Brief] = {}
        # Of steps whose memory has grown since they ran out of it, by step and how often.
        self._grown_lanes: dict[tuple[str, int], Lane] = {}
        self._grown_demands: dict[tuple[str, int], Demand] = {}
        self._grown_briefs: dict[tuple[str, int], Brief] = {}
        # Each version of a project has workers of its own: where one has no room, another may.
        self._kinds = tuple(f"{kind} {run.project} {run.code}" for kind in ("sync", "async"))
        self._interval = interval

    @cached_property
    def machine(self) -> RunMachine:
        """Made when it is first asked for: a run that is queued needs none."""
        return RunMachine(self.graph, self.run, self._known)

    @cached_property
    def inputs(self) -> Inputs:
        """What its steps are handed."""
        token, mapped = self._token, self._mapped
        return Inputs(
            self.machine,
            lambda asset: self._stored(self.run, asset),
            (lambda step, index: token(self.id, step, index)) if token is not None else None,
            (lambda binding: mapped(self.run, binding)) if mapped is not None else None,
        )

    def lane(self, step: str, grown: int = 0) -> Lane:
        """The lane in which the ready instances of a step queue whose memory has grown so often."""
        lane = self._grown_lanes.get((step, grown)) if grown else self.lanes.get(step)
        if lane is None:
            lane = self._make_lane(self.machine.plan.nodes[step], grown)
            if grown:
                self._grown_lanes[step, grown] = lane
            else:
                self.lanes[step] = lane
        return lane

    def lane_of(self, instance: Instance) -> Lane:
        """The lane in which an instance queues for its next attempt."""
        return self.lane(instance.node.key, instance.grown)

    def demand(self, step: str, grown: int = 0) -> Demand:
        """What a step asks of a worker."""
        demand = self._grown_demands.get((step, grown)) if grown else self.demands.get(step)
        if demand is None:
            spec = self.machine.plan.nodes[step].step
            policies = placement.fitted(spec.policies, grown)
            demand = Demand(self.run.project, spec.call, policies, spec.kind, self.run.code)
            if grown:
                self._grown_demands[step, grown] = demand
            else:
                self.demands[step] = demand
        return demand

    def policies(self, instance: Instance) -> Policies:
        """The policies of an instance's attempt, with the memory that it has by now."""
        policies = instance.node.step.policies
        # Hot: most steps have neither.
        return placement.fitted(policies, instance.grown) if instance.grown or policies.gpu else policies

    def made(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """The assets that it is to make: step, asset, partitions."""
        keys = self.run.partitions or (self.run.partition,)
        return [(s.key, s.asset, keys if s.partitioned else ("",)) for s in self.graph.steps if s.asset is not None]

    def gates(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """The blocking checks that it is to make: step, asset, partitions."""
        keys = self.run.partitions or (self.run.partition,)
        found = ((s, s.check) for s in self.graph.steps if s.check is not None and s.check.blocking)
        return [(step.key, check.asset, keys if step.partitioned else ("",)) for step, check in found]

    def limits(self) -> dict[Key, int]:
        """The capacities that this run brings with it."""
        limits: dict[Key, int] = {}
        if self.run.limit is not None:
            limits["run", self.id] = self.run.limit
        for step in self.graph.steps:
            policies = step.policies
            if policies.limit is not None:
                limits["task", self.run.namespace, step.call] = policies.limit
            if policies.limit_per_run is not None:
                limits["step", self.id, step.key] = policies.limit_per_run
        return limits

    def brief(self, instance: Instance, new_id: Callable[[], int]) -> Brief:
        """What all instances of the step share; made once all its needs have ended, and kept from then on."""
        step, grown = instance.node.key, instance.grown
        brief = self._grown_briefs.get((step, grown)) if grown else self._briefs.get(step)
        if brief is None:
            brief = self._make_brief(instance, new_id())
            if instance.open_needs == 0 and grown:
                self._grown_briefs[step, grown] = brief
            elif instance.open_needs == 0:
                self._briefs[step] = brief
        return brief

    def forget(self, step: str) -> None:
        """A step that is not mapped has ended: what it was handed out with is of no more use."""
        self.lanes.pop(step, None)
        self.demands.pop(step, None)
        self._briefs.pop(step, None)
        for grown in (self._grown_lanes, self._grown_demands, self._grown_briefs):
            for key in [key for key in grown if key[0] == step]:
                del grown[key]

    def ticket(self, instance: Instance, no: int, brief: Brief, gpus: tuple[str, ...] = ()) -> Ticket:
        """The ticket of the instance's attempt that has just been started."""
        return Ticket(
            no=no,
            brief=brief.id,
            index=instance.index,
            attempt=instance.attempt,
            epoch=instance.epoch,
            inputs=self.inputs.own(instance),
            past=tuple(Past(n, state, why) for n, state, why in instance.past) if instance.past else (),  # type: ignore[arg-type]
            members=self.machine.granted_members(instance) if instance.node.members else (),
            gpus=gpus,
        )

    def _make_lane(self, node: Node, grown: int) -> Lane:
        run, step = self.run, node.step
        policies = placement.fitted(step.policies, grown)
        asks: list[tuple[Key, int]] = [(("namespace", run.namespace), 1)]
        if run.limit is not None:
            asks.append((("run", run.run), 1))
        if policies.limit is not None:
            asks.append((("task", run.namespace, step.call), 1))
        if policies.limit_per_run is not None:
            asks.append((("step", run.run, step.key), 1))
        # Hot: most steps have none of these.
        if policies.pools:
            asks.extend((("pool", run.namespace, name), slots) for name, slots in policies.pools)
        if policies.rates:
            asks.extend((("rate", run.namespace, name), starts) for name, starts in policies.rates)
        if step.tags or run.tags:
            asks.extend((("tag", run.namespace, tag), 1) for tag in dict.fromkeys((*step.tags, *run.tags)))
        if step.asset or node.members:
            made = [step.asset, *(member.step.asset for member in node.members)]
            partitions = run.partitions or (run.partition,)
            asks.extend((("asset", run.namespace, asset, key), 1) for asset in made if asset for key in partitions)
        # Last: what is refused by the machine alone is what the machine may be kept for.
        packed = not policies.executor
        if packed:
            asks.extend(placement.asks(policies))
        return Lane(
            run=run.run,
            step=step.key,
            namespace=run.namespace,
            # Where one executor has no room, another may.
            kind=self._kinds[policies.asynchronous] + policies.executor,
            priority=run.priority + policies.priority,
            asks=tuple(asks),
            grown=grown,
            gpus=placement.gpus_of(policies) if packed else 0,
        )

    def _make_brief(self, instance: Instance, brief_id: int) -> Brief:
        node, run = instance.node, self.run
        step = node.step
        policies = self.policies(instance)
        return Brief(
            id=brief_id,
            run=run.run,
            run_no=self.no,
            namespace=run.namespace,
            pipeline=run.pipeline,
            step=step.key,
            call=step.call,
            inputs=self.inputs.shared(node),
            kind=step.kind,
            partition=run.partition,
            asset=step.asset or (step.check.asset if step.check is not None else ""),
            check=step.check.name if step.check is not None else "",
            blocking=step.check.blocking if step.check is not None else False,
            code_version=step.code_version,
            reports_choice=step.reports_choice,
            reports_again=step.reports_again,
            max_attempts=policies.retry.limit + 1,
            timeout_s=policies.timeout_s,
            memory_bytes=policies.memory_bytes,
            cache=policies.cache,
            asynchronous=policies.asynchronous,
            interval=self._interval,
            run_created_at=run.at,
            partitions=run.partitions,
        )
