"""Automation: assets whose conditions ask for runs by themselves.

It tells the conditions what becomes durable, and makes runs of what they ask for: one for each project and partition, in
the same commit as the record of the decision with its explanation.

Rule: nothing is decided here; `core.automaton` does that, from the facts of the store.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec

from partita.core import automation as conditions
from partita.core.automation import Condition, Tree
from partita.core.automaton import Automaton, Decision, Memory
from partita.core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckEvaluated,
    Event,
    Materialized,
    RunCreated,
    RunEnded,
    StepEnded,
)
from partita.core.facts import Fact
from partita.core.facts.assets import (
    AssetReported,
    AutomationDecided,
    CheckReported,
    FreshnessChanged,
    PartitionAdded,
)
from partita.core.ledger import Ledger
from partita.core.manifest import AssetSpec, Manifest, PartitionSpec
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.clock import Clock
from partita.engine.control import Handler
from partita.engine.ids import new_run_id
from partita.engine.loop import Engine
from partita.engine.submission import RunRequest
from partita.engine.submitter import Submitter
from partita.errors import DefinitionError
from partita.store import assets as rows
from partita.store.named import Fetching

_NEVER = float("inf")
# Explanations that are kept of one decision.
_EXPLAINED = 20
_memory = msgspec.msgpack.Decoder(Memory).decode
_log = logging.getLogger("partita.automation")

BY = "automation"
_Coming = tuple[str, tuple[str, ...], bool]
_Group = dict[tuple[str, PartitionSpec | None, str], list[str]]


class WhyAsset(msgspec.Struct, frozen=True, tag="why_asset"):
    """Explain the automation of an asset (partition)."""

    asset: str
    partition: str = ""


class AssetAnswer(msgspec.Struct, frozen=True):
    """`tree` None: it has no automation condition. `problem`: why its last run could not be made."""

    tree: Tree | None = None
    problem: str = ""


class Automation:
    """The part of the service that asks for runs of assets."""

    name = BY

    def __init__(self, engine: Engine, store: Fetching, catalog: Catalog, submitter: Submitter, clock: Clock) -> None:
        self._engine = engine
        self._store = store
        self._catalog = catalog
        self._submitter = submitter
        self._clock = clock
        self._automaton: Automaton | None = None
        self._generation = -1
        # What the conditions were made of: assets by project, and their blocking checks.
        self._built: tuple[list[tuple[str, AssetSpec]], dict[str, set[str]]] = ([], {})
        self._started = False
        # Of runs that are to make assets (or to check them): by step, which asset and partitions are still to come.
        self._making: dict[str, dict[str, _Coming]] = {}
        self._problems: dict[tuple[str, str], str] = {}

    def start(self, now: float) -> None:
        """Take up what the store says, and the runs that are open."""
        self._started = True
        self._build(now)

    def due_at(self) -> float:
        """When a condition may hold that did not."""
        if self._generation != self._catalog.generation:
            return 0.0
        return self._automaton.due_at() if self._automaton is not None else _NEVER

    def turn(self, now: float) -> None:
        """Ask for what is to be made now."""
        if self._generation != self._catalog.generation:
            self._build(now)
        automaton = self._automaton
        if automaton is None:
            return
        decisions = automaton.evaluate(now)
        trees = {d.asset: self._explained(d, now) for d in decisions}
        for (project, _, key), assets in self._grouped(decisions).items():
            self._ask(project, key, assets, trees, now)
        automaton.settle()
        for asset in automaton.changed():
            memory = msgspec.msgpack.encode(automaton.memory(asset))
            self._engine.record(AutomationDecided(now, asset, (), "", b"", memory))

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """Runs that make assets, and what they made."""
        automaton = self._automaton
        if automaton is None:
            return
        for event in events:
            kind = type(event)
            if kind is RunCreated:
                self._take_run(run)
            elif kind is AttemptStarted:
                self._began(run.id, event.step)  # type: ignore[union-attr]
            elif kind is Materialized:
                self._made(event.asset, event.partition)  # type: ignore[union-attr]
            elif kind is StepEnded or (kind is AttemptEnded and event.state == "succeeded"):  # type: ignore[union-attr]
                self._no_longer(run.id, event.step)  # type: ignore[union-attr]
            elif kind is CheckEvaluated:
                self._checked(event.asset, event.check, event.partition, event.passed, event.severity)  # type: ignore[union-attr]
            elif kind is RunEnded:
                for step in list(self._making.get(run.id, ())):
                    self._no_longer(run.id, step)
                self._making.pop(run.id, None)

    def recorded(self, facts: Sequence[Fact]) -> None:
        """What other tools and other parts have said."""
        automaton = self._automaton
        if automaton is None:
            return
        for fact in facts:
            match fact:
                case AssetReported():
                    self._made(fact.asset, fact.partition)
                case CheckReported():
                    self._checked(fact.asset, fact.check, fact.partition, fact.passed, fact.severity)
                case FreshnessChanged():
                    automaton.is_late(fact.asset, fact.state in ("warn", "fail"))
                case PartitionAdded(removed=False):
                    automaton.partitions_changed(fact.name, self._clock.now())
                case PartitionAdded():
                    # Places are never given back, so all is built anew.
                    self._generation = -1

    def loaded(self, manifest: Manifest) -> None: ...

    def handlers(self) -> Mapping[type, Handler]:
        """Questions."""
        return {WhyAsset: self._on_why}

    # --- building ---------------------------------------------------------------------------------------------------

    def _build(self, now: float) -> None:
        """Read everything that conditions speak of from the store."""
        assets = [(manifest.project, spec) for manifest, spec in self._catalog.assets()]
        manifests = list(self._catalog.manifests.values())
        blocking = blocking_checks(manifests)
        is_same = (assets, blocking) == self._built and self._generation >= 0
        self._generation = self._catalog.generation
        if is_same:
            return  # an edit of something else
        self._built = assets, blocking
        self._automaton = automaton_of(self._store, assets, manifests, now=now)
        self._making.clear()
        if self._automaton is not None and self._started:
            for run in self._engine.active.values():
                self._take_run(run)

    # --- what happens -----------------------------------------------------------------------------------------------

    def _take_run(self, run: ActiveRun) -> None:
        assert self._automaton is not None
        known = self._automaton.ledger.holdings
        made: dict[str, _Coming] = {
            step: (asset, keys, is_check)
            for steps, is_check in ((run.made(), False), (run.gates(), True))
            for step, asset, keys in steps
            if asset in known
        }
        if not made:
            return
        # A run that is queued has no machine yet, and is not to get one by being asked.
        machine = run.machine if "machine" in vars(run) else None
        done = {i.node.key for i in machine.instances() if i.settled} if machine is not None else ()
        self._making[run.id] = made = {step: one for step, one in made.items() if step not in done}
        for coming in made.values():
            self._count_coming(coming, 1)

    def _began(self, run: str, step: str) -> None:
        assert self._automaton is not None
        asset, keys, is_check = self._making.get(run, {}).get(step, ("", (), True))
        for key in keys if not is_check else ():
            self._automaton.began(asset, key)

    def _no_longer(self, run: str, step: str) -> None:
        """A step has made or checked its asset, or will not."""
        coming = self._making.get(run, {}).pop(step, None)
        if coming is not None:
            self._count_coming(coming, -1)

    def _count_coming(self, coming: _Coming, by: int) -> None:
        assert self._automaton is not None
        asset, keys, is_check = coming
        for key in keys:
            (self._automaton.checking if is_check else self._automaton.making)(asset, key, by)

    def _made(self, asset: str, partition: str) -> None:
        assert self._automaton is not None
        if asset in self._automaton.ledger.holdings:
            made = rows.made(self._store, asset, partition)
            if made is not None:
                self._automaton.materialized(asset, partition, made)
                self._problems.pop((asset, partition), None)

    def _checked(self, asset: str, check: str, partition: str, passed: bool, severity: str) -> None:
        assert self._automaton is not None
        self._automaton.checked(asset, check, partition, passed=passed or severity != "error")

    # --- asking -----------------------------------------------------------------------------------------------------

    def _grouped(self, decisions: Sequence[Decision]) -> _Group:
        """What can be made by one run: the same project and the same partition of the same definition."""
        assert self._automaton is not None
        groups: _Group = {}
        for decision in decisions:
            spec = self._automaton.ledger.holdings[decision.asset].spec.partitions
            for key in decision.partitions:
                groups.setdefault((decision.project, spec, key), []).append(decision.asset)
        return groups

    def _ask(self, project: str, key: str, assets: list[str], trees: dict[str, dict[str, Tree]], now: float) -> None:
        """Make a run for these assets; if they cannot run together, one for each."""
        assert self._automaton is not None
        try:
            run = self._submitter.create(self._request(project, key, assets, now)).run
        except DefinitionError as error:
            if len(assets) > 1:
                for asset in assets:
                    self._ask(project, key, [asset], trees, now)
                return
            run = ""
            self._problems[assets[0], key] = error.message
            _log.warning("automation cannot run %s %s: %s", assets[0], key, error.message)
        for asset in assets:
            self._automaton.asked(asset, [key], now)
            if run:
                self._problems.pop((asset, key), None)
                tree = trees[asset].get(key)
                packed = conditions.encode_trees(((key, tree),)) if tree is not None else b""
                self._engine.record(AutomationDecided(now, asset, (key,), run, packed))

    def _request(self, project: str, key: str, assets: list[str], now: float) -> RunRequest:
        selection = " | ".join(f'"{asset}"' for asset in assets)
        return RunRequest(
            target=f"{project}/{selection}",
            by=BY,
            # A fresh name for each decision: clocks are set back, and counts begin anew. That a decision has one run is
            # held by their one commit.
            origin=f"auto:{assets[0]}:{key}:{new_run_id(now)}",
            partition=key,
        )

    def _explained(self, decision: Decision, now: float) -> dict[str, Tree]:
        assert self._automaton is not None
        explain = self._automaton.explain
        return {key: explain(decision.asset, key, now) for key in decision.partitions[:_EXPLAINED]}

    # --- answering --------------------------------------------------------------------------------------------------

    def _on_why(self, request: WhyAsset) -> AssetAnswer:
        if self._automaton is None or request.asset not in self._automaton.watches:
            return AssetAnswer()
        tree = self._automaton.explain(request.asset, request.partition, self._clock.now())
        return AssetAnswer(tree, self._problems.get((request.asset, request.partition), ""))


def ledger_of(
    reader: Fetching, assets: Sequence[tuple[str, AssetSpec]], *, now: float, namespace: str = "default"
) -> Ledger:
    """What the store knows about these assets."""
    ledger = Ledger(assets, now=now, keys_of=lambda name: rows.dynamic_keys(reader, namespace, name))
    for name in ledger.holdings:
        ledger.load(name, rows.all_made(reader, name))
    ledger.compare()
    return ledger


def automaton_of(
    reader: Fetching, assets: Sequence[tuple[str, AssetSpec]], manifests: Sequence[Manifest], *, now: float
) -> Automaton | None:
    """The conditions of all assets over what the store knows; None if no asset has one."""
    # Most are equal, and then they are one.
    known: dict[bytes, Condition] = {}
    wanted: dict[str, Condition] = {}
    for _, spec in assets:
        if spec.automation is not None:
            if spec.automation not in known:
                known[spec.automation] = conditions.decode(spec.automation)
            wanted[spec.name] = known[spec.automation]
    if not wanted:
        return None
    namespace = manifests[0].namespace if manifests else "default"
    ledger = ledger_of(reader, _looked_at(assets, wanted), now=now, namespace=namespace)
    blocking = blocking_checks(manifests)
    checked = set(rows.assets_with_verdicts(reader))
    for name, holding in ledger.holdings.items():
        holding.blocking = frozenset(blocking.get(name, ()))
        for key, verdict in rows.all_verdicts(reader, name) if name in checked else ():
            ledger.checked(name, verdict.check, key, passed=verdict.passed or verdict.severity != "error")
        if holding.spec.freshness is not None:
            row = rows.freshness(reader, name)
            holding.is_late = row is not None and row.state in ("warn", "fail")
    memories = {name: rows.memory(reader, name) for name in wanted}
    return Automaton(
        ledger, wanted, now=now, memory={name: _memory(data) for name, data in memories.items() if data is not None}
    )


def blocking_checks(manifests: Sequence[Manifest]) -> dict[str, set[str]]:
    """The checks of each asset that hold up its readers."""
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        for step in manifest.assets_graph.steps if manifest.assets_graph is not None else ():
            if step.check is not None and step.check.blocking:
                found.setdefault(step.check.asset, set()).add(step.check.name)
    return found


def _looked_at(assets: Sequence[tuple[str, AssetSpec]], wanted: dict[str, Condition]) -> list[tuple[str, AssetSpec]]:
    """The assets that conditions speak of: those that have one, and as many upstreams as they look up."""
    specs = {spec.name: spec for _, spec in assets}
    found: dict[str, int] = {}
    todo = [(name, max(1, conditions.depth_of(condition))) for name, condition in wanted.items()]
    while todo:
        name, depth = todo.pop()
        if name not in specs or found.get(name, -1) >= depth:
            continue
        found[name] = depth
        if depth:
            todo += [(dep, depth - 1) for dep in specs[name].deps]
    return [(project, spec) for project, spec in assets if spec.name in found]
