"""The graph of all assets, bundles and checks of a project.

Rule: a definition that is wrong is left out together with all that depends on it, and said; the rest is a graph.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from partita.core.graph import Binding, CheckOf, Const, Graph, Output, Step, StepKind, Stored, When
from partita.core.manifest import AssetSpec, DepSpec, PartitionSpec
from partita.core.mappings import Mapping
from partita.core.mappings import encode as encode_mapping
from partita.core.policies import Policies
from partita.define.asset import AssetDef, BundleDef, ExternalAsset, Facts, MemberCheck, MultiAssetDef, asset_facts
from partita.define.calls import Call, Calls, CheckInfo
from partita.define.check import CheckDef
from partita.define.conditions import ConditionError, parse
from partita.define.dep import Dep, spec_of
from partita.define.guess import did_you_mean
from partita.define.io import BoundIO
from partita.define.ordering import Cycle, in_order
from partita.define.recording import Declared
from partita.define.task import TaskDef
from partita.define.where import Place, short, wrong
from partita.errors import DefinitionError, GraphError

_NONE = Const(b"\xc0")


@dataclass(slots=True)
class Node:
    """One step to be: an asset, a bundle, a member or a check. `deps` are names of assets."""

    key: str
    kind: StepKind
    place: Place
    facts: Facts
    task: TaskDef | None = None
    deps: tuple[str, ...] = ()
    # Parameters that take the value of an asset.
    values: tuple[tuple[str, str], ...] = ()
    # How its partitions map to those of assets that it reads, where that is declared.
    mappings: dict[str, DepSpec] = field(default_factory=dict)
    bundle: str | None = None
    asset: str | None = None
    check: CheckOf | None = None
    severity: str = "error"
    outs: tuple[Facts, ...] = ()
    # Step keys that must come before, for the order and for the machine.
    needs: tuple[str, ...] = ()
    when: When = "all_succeeded"


@dataclass(frozen=True, slots=True)
class Universe:
    """All assets of a project: their graph, their specifications, and what is wrong with the rest."""

    graph: Graph
    specs: tuple[AssetSpec, ...]
    problems: tuple[DefinitionError, ...]
    # Assets that are wrong, or depend on one that is.
    left_out: frozenset[str]
    calls: Calls

    @staticmethod
    def of(declared: Iterable[Declared], calls: Calls) -> Universe:
        """Everything that these definitions make."""
        maker = _Maker(calls)
        for definition in declared:
            maker.take(definition)
        return maker.universe()


# --- from definitions to steps ----------------------------------------------------------------------------------------


class _Maker:
    """Takes definitions in, finds what belongs together, gives steps out."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._nodes: dict[str, Node] = {}
        self._externals: dict[str, Facts] = {}
        self._problems: list[DefinitionError] = []
        # Asset name -> where it was defined and by what.
        self._places: dict[str, Place] = {}
        self._left_out: dict[str, DefinitionError] = {}

    def take(self, definition: Declared) -> None:
        """One definition; its assets are known by name afterwards, also those that are wrong."""
        if definition.broken is not None:
            names = [facts.name for facts in asset_facts(definition) or ()]
            self._left_out.update(dict.fromkeys([definition.name, *names], definition.broken))
        if isinstance(definition, AssetDef):
            facts = definition.facts
            self._add(Node(definition.name, "asset", definition.place, facts, definition.task, asset=facts.name))
        elif isinstance(definition, ExternalAsset):
            if self._is_new(definition.name, definition.place):
                self._externals[definition.name] = definition.facts
        elif isinstance(definition, MultiAssetDef):
            self._take_multi(definition)
        elif isinstance(definition, BundleDef):
            self._take_bundle(definition)
        elif isinstance(definition, CheckDef):
            self._take_check(definition)

    def _take_multi(self, definition: MultiAssetDef) -> None:
        facts = Facts(definition.name, definition.deps, definition.params, place=definition.place)
        node = Node(definition.name, "bundle", definition.place, facts, definition.task, outs=definition.outs)
        if self._add(node):
            for one in definition.outs:
                self._add(Node(one.name, "member", definition.place, one, bundle=definition.name, asset=one.name))

    def _take_bundle(self, definition: BundleDef) -> None:
        facts = Facts(definition.name, definition.deps, group=definition.group, place=definition.place)
        if not self._add(Node(definition.name, "bundle", definition.place, facts, definition.task)):
            return
        for member in definition.members:
            if isinstance(member, MemberCheck):
                key = f"{member.asset}:{member.name}"
                check = CheckOf(member.asset, member.name, member.blocking)
                about = Facts(
                    key,
                    member.deps,
                    owner=member.owner,
                    tags=member.tags,
                    description=member.description,
                    place=definition.place,
                )
                self._add(Node(key, "member", definition.place, about, bundle=definition.name, check=check))
            else:
                facts = replace(
                    member,
                    group=member.group or definition.group,
                    partitions=member.partitions or definition.partitions,
                )
                self._add(Node(member.name, "member", member.place, facts, bundle=definition.name, asset=member.name))

    def _take_check(self, definition: CheckDef) -> None:
        asset = getattr(definition.asset, "name", definition.asset)
        check = CheckOf(asset, definition.check_name, definition.blocking)
        settings = definition.task.settings
        facts = Facts(
            definition.name,
            definition.deps,
            owner=settings.owner,
            tags=settings.tags,
            description=definition.task.description,
            place=definition.place,
        )
        node = Node(
            definition.name,
            "check",
            definition.place,
            facts,
            definition.task,
            check=check,
            severity=definition.severity,
        )
        self._add(node)

    def _add(self, node: Node) -> bool:
        if not self._is_new(node.key, node.place):
            return False
        self._nodes[node.key] = node
        return True

    def _is_new(self, key: str, place: Place) -> bool:
        earlier = self._places.get(key)
        if earlier is None:
            self._places[key] = place
            return True
        what = "check" if ":" in key else "asset"
        message = f"{what} `{key}` is defined twice: at {earlier} and at {place}"
        self._problems.append(wrong(message, hint="give one of them another name", place=place))
        return False

    # --- finishing ---

    def universe(self) -> Universe:
        """The graph of all that is right."""
        for node in self._nodes.values():
            if node.key in self._left_out:
                continue
            try:
                self._resolve(node)
            except DefinitionError as error:
                self._leave_out(node.key, error)
        self._inherit_deps()
        self._drop_dependents()
        self._connect()
        self._read_whens()
        ordered = self._ordered()
        steps = tuple(self._step(self._nodes[key]) for key in ordered)
        specs = tuple(self._spec(node) for node in self._nodes.values() if node.asset is not None)
        externals = tuple(self._external(facts) for facts in self._externals.values())
        return Universe(
            Graph("assets", steps), (*specs, *externals), tuple(self._problems), frozenset(self._left_out), self._calls
        )

    def _leave_out(self, key: str, error: DefinitionError) -> None:
        self._left_out[key] = error
        self._problems.append(error)

    def _resolve(self, node: Node) -> None:
        """Find what a node depends on. Raises `DefinitionError`."""
        facts = node.facts
        deps: dict[str, None] = {}
        values: dict[str, str] = {}
        if node.check is not None:
            deps[self._known(node.check.asset, node)] = None
        given = dict(facts.params)
        if node.task is not None:
            for parameter in node.task.signature.parameters.values():
                found = self._value_of(node, parameter, given, first=not values)
                if found is not None:
                    values[parameter.name] = found
                    deps[found] = None
            unknown = [p for p in given if p not in node.task.signature.parameters]
            if node.task.signature.spread is not None:
                for name in unknown:
                    values[name] = self._names_of(given[name], node)[0]
                    deps[values[name]] = None
            elif unknown:
                hint = did_you_mean(unknown[0], node.task.signature.parameters)
                raise wrong(f"`{node.key}` has no parameter `{unknown[0]}`", hint=hint, place=node.place)
        for item in facts.deps:
            for name in self._names_of(item, node):
                deps[name] = None
        for asset in values.values():
            self._check_readable(asset, node)
        node.deps = tuple(dep for dep in deps if dep != node.key)
        node.values = tuple(values.items())

    def _check_readable(self, asset: str, node: Node) -> None:
        external = self._externals.get(asset)
        if external is not None and external.io is None:
            raise wrong(
                f"`{node.key}` takes the value of the external asset `{asset}`, which has no `io` to read it by",
                hint=f"give it one, or name it under deps=[{asset!r}] instead of as a parameter",
                place=node.place,
            )

    def _value_of(self, node: Node, parameter: Any, given: dict[str, Any], *, first: bool) -> str | None:
        """The asset whose value a parameter takes; None for a parameter with a default of its own."""
        name = parameter.name
        if name in given:
            return self._names_of(given[name], node)[0]
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            return None
        if node.kind == "bundle" and not node.outs and name == "members":
            return None
        if self._is_asset(name):
            return str(name)
        if node.check is not None and first and parameter.default is parameter.empty:
            return node.check.asset
        if parameter.default is not parameter.empty:
            return None
        raise wrong(
            f"`{node.key}` depends on `{name}`, which is no asset",
            hint=did_you_mean(name, self._asset_names())
            or f"define it: pt.external_asset({name!r}), or give it a default",
            place=node.place,
        )

    def _is_asset(self, name: str) -> bool:
        node = self._nodes.get(name)
        return name in self._externals or (node is not None and node.asset is not None)

    def _asset_names(self) -> list[str]:
        return [*(n.key for n in self._nodes.values() if n.asset), *self._externals]

    def _known(self, name: str, node: Node) -> str:
        if not self._is_asset(name):
            what = (
                f"`{node.key}` depends on `{name}`" if node.check is None else f"check `{node.key}` is about `{name}`"
            )
            raise wrong(f"{what}, which is no asset", hint=did_you_mean(name, self._asset_names()), place=node.place)
        return name

    def _names_of(self, item: Any, node: Node) -> list[str]:
        if isinstance(item, Dep):
            names = self._names_of(item.asset, node)
            for name in names:
                self._map(item, name, node)
            return names
        if isinstance(item, str):
            return [self._known(item, node)]
        facts = asset_facts(item)
        if facts is None:
            hint = "name an asset, or give its definition"
            raise wrong(f"`{node.key}` depends on {item!r}, which is no asset", hint=hint, place=node.place)
        return [self._known(one.name, node) for one in facts]

    def _map(self, item: Dep, name: str, node: Node) -> None:
        """Declare how a node maps to an upstream. Raises `DefinitionError`."""
        try:
            node.mappings[name] = spec_of(item, name, self._partitions_of(node), self._facts_of(name).partitions)
        except ValueError as error:
            raise wrong(f"`{node.key}` depends on `{name}`: {error}", place=node.place) from None

    def _partitions_of(self, node: Node) -> PartitionSpec | None:
        """Those of the asset; of a check those of its asset, of a bundle those of the first that it makes."""
        if node.check is not None:
            return self._facts_of(node.check.asset).partitions if self._is_asset(node.check.asset) else None
        if node.outs:
            return node.outs[0].partitions
        return node.facts.partitions

    def _inherit_deps(self) -> None:
        """What a multi-asset's function reads, each of its assets depends on that does not say otherwise."""
        for node in self._nodes.values():
            if node.bundle is not None and node.check is None and not node.deps:
                bundle = self._nodes[node.bundle]
                node.deps = bundle.deps if bundle.outs else node.deps
                node.mappings = {**bundle.mappings, **node.mappings}

    def _drop_dependents(self) -> None:
        """What needs something that was left out is left out, too; the error of the first says so."""
        while True:
            lost = {
                key: next(dep for dep in self._depends_on(node) if dep in self._left_out)
                for key, node in self._nodes.items()
                if key not in self._left_out and any(dep in self._left_out for dep in self._depends_on(node))
            }
            if not lost:
                break
            for key, dep in lost.items():
                self._left_out[key] = self._left_out[dep]
        for key in self._left_out:
            self._nodes.pop(key, None)

    def _depends_on(self, node: Node) -> tuple[str, ...]:
        return node.deps if node.bundle is None else (*node.deps, node.bundle)

    def _connect(self) -> None:
        gates: dict[str, list[Node]] = {}
        for node in self._nodes.values():
            if node.check is not None and node.check.blocking:
                gates.setdefault(node.check.asset, []).append(node)
        above = {gate.key: self._above(gate) for held in gates.values() for gate in held if len(gate.deps) > 1}
        for node in self._nodes.values():
            needs = dict.fromkeys(dep for dep in node.deps if dep in self._nodes)
            if node.check is None:
                for dep in node.deps:
                    held_by = (gate for gate in gates.get(dep, ()) if self._holds_up(gate, node, dep))
                    needs.update(dict.fromkeys(g.key for g in held_by if node.key not in above.get(g.key, ())))
            node.needs = tuple(needs)

    def _holds_up(self, gate: Node, node: Node, dep: str) -> bool:
        # What one attempt of a bundle makes cannot wait for a step outside of it.
        return gate.bundle == node.bundle or node.bundle is None or not self._is_member(dep, node.bundle)

    def _above(self, gate: Node) -> set[str]:
        """What a check reads, and all above: it cannot hold that up, though it stands on the same asset."""
        found: set[str] = set()
        todo = list(gate.deps)
        while todo:
            key = todo.pop()
            if key not in found:
                found.add(key)
                todo.extend(self._nodes[key].deps if key in self._nodes else ())
        return found

    def _is_member(self, asset: str, bundle: str) -> bool:
        node = self._nodes.get(asset)
        return node is not None and node.bundle == bundle

    def _ordered(self) -> list[str]:
        """The keys in order; circles are reported and left out."""
        while True:
            needs = {key: list(node.needs) for key, node in self._nodes.items()}
            for key, node in self._nodes.items():
                if node.bundle is not None:
                    # A bundle's attempt begins after all that its members need from outside.
                    outside = (n for n in node.needs if self._nodes[n].bundle != node.bundle)
                    needs[node.bundle].extend(n for n in outside if n != node.bundle)
                    needs[key].append(node.bundle)
            try:
                return in_order(needs)
            except Cycle as error:
                place = self._nodes[error.path[0]].place
                found = GraphError(
                    f"assets go around in a circle: {' -> '.join(error.path)}",
                    hint="one of them must not depend on the other",
                    file=short(place.file),
                    line=place.line,
                )
                for key in error.path[:-1]:
                    self._left_out[key] = found
                self._problems.append(found)
                self._drop_dependents()
                self._connect()

    # --- steps and specs ---

    def _step(self, node: Node) -> Step:
        task, facts = node.task, node.facts
        settings = task.settings if task is not None else None
        checked = self._facts_of(node.check.asset) if node.check is not None else None
        group = facts.group or (checked.group if checked is not None else "")
        reads = tuple(dep for dep in node.deps if dep in self._externals)
        return Step(
            key=node.key,
            kind=node.kind,
            call=self._call(node, task) if task is not None else "",
            args=tuple((param, self._binding(asset, node)) for param, asset in node.values),
            needs=node.needs,
            when=node.when,
            policies=settings.policies if settings is not None else Policies(),
            group=(group,) if group else (),
            bundle=node.bundle,
            asset=node.asset,
            check=node.check,
            reads=reads,
            description=facts.description,
            owner=facts.owner or (checked.owner if checked is not None else ""),
            tags=facts.tags or (checked.tags if checked is not None else ()),
            code_version=self._code_version(node),
            written_at=str(node.place),
            label=settings.label if settings is not None else "",
            partitioned=node.kind == "bundle" or self._partitions_of(node) is not None,
        )

    def _facts_of(self, asset: str) -> Facts:
        return self._externals[asset] if asset in self._externals else self._nodes[asset].facts

    def _binding(self, asset: str, node: Node) -> Binding:
        mine, theirs = self._partitions_of(node), self._facts_of(asset).partitions
        mapping = Mapping(node.mappings.get(asset) or DepSpec(asset), mine, theirs)
        # What has no partitions itself reads that of its run, or the last one, if it does not say otherwise.
        is_plain = theirs is None or mapping.is_same or (mine is None and mapping.dep.kind == "auto")
        if not is_plain:
            # Of other partitions than that of the run, whether the run makes it as well or not.
            return Stored(asset, encode_mapping(mapping))
        # The value of an external asset is loaded by its IO object, in the worker.
        return _NONE if asset in self._externals else Output(asset)

    def _read_whens(self) -> None:
        for node in self._nodes.values():
            given = node.task.settings.when if node.task is not None else None
            try:
                if isinstance(given, str):
                    node.when = parse(given, functools.partial(self._step_named, node))
                elif given is not None:
                    raise ConditionError("it speaks of steps of a pipeline", 'write a text: "flights.failed"')
            except ConditionError as error:
                self._leave_out(node.key, wrong(f"`when` of `{node.key}`: {error}", hint=error.hint, place=node.place))
        self._drop_dependents()
        self._connect()

    def _step_named(self, node: Node, name: str) -> str:
        if name not in node.needs:
            raise ConditionError(f"it does not depend on `{name}`", did_you_mean(name, node.needs))
        return name

    def _code_version(self, node: Node) -> str:
        if node.facts.version:
            return node.facts.version
        maker = node.task
        if maker is None and node.bundle is not None:
            maker = self._nodes[node.bundle].task
        return maker.code_version if maker is not None else ""

    def _call(self, node: Node, task: TaskDef) -> str:
        call: Call = task.call
        inputs = {
            param: BoundIO(io, asset) for param, asset in node.values if (io := self._facts_of(asset).io) is not None
        }
        own = node.facts.io if node.kind == "asset" else None
        check = None
        if node.check is not None:
            severity: Any = node.severity
            check = CheckInfo(node.check.asset, node.check.name, severity)
        call = replace(
            call,
            io=None if own is None else BoundIO(own, node.key),
            input_io=inputs,
            outs=tuple(one.name for one in node.outs),
            outs_io={one.name: BoundIO(one.io, one.name) for one in node.outs if one.io is not None},
            members_param="members" if node.kind == "bundle" and not node.outs else None,
            check=check,
        )
        return self._calls.add(call, user=f"assets.{node.key}")

    def _spec(self, node: Node) -> AssetSpec:
        facts = node.facts
        return AssetSpec(
            name=facts.name,
            deps=node.deps,
            step=node.key,
            group=facts.group,
            owner=facts.owner,
            tags=facts.tags,
            kinds=facts.kinds,
            description=facts.description,
            partitions=facts.partitions,
            code_version=self._code_version(node),
            columns=facts.columns,
            lineage=facts.lineage,
            written_at=str(node.place),
            freshness=facts.freshness,
            automation=facts.automation,
            mappings=tuple(node.mappings.values()),
            backfill_batch=facts.backfill_batch,
        )

    def _external(self, facts: Facts) -> AssetSpec:
        return AssetSpec(
            name=facts.name,
            group=facts.group,
            owner=facts.owner,
            tags=facts.tags,
            kinds=facts.kinds,
            description=facts.description,
            partitions=facts.partitions,
            external=True,
            columns=facts.columns,
            lineage=facts.lineage,
            written_at=str(facts.place),
            freshness=facts.freshness,
        )
