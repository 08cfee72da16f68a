"""Backfills: which partitions are to be made, in which runs, in which order, and how long that will take.

A backfill has stages: what one run makes together (a pipeline, or assets of one project with the same partitions). A part
is one run of a stage, over one partition or several. A part of a later stage waits for the parts of earlier ones that
make what it reads.

Rule: pure. What there is (definitions, what is materialized, what has failed, usual durations) comes from outside.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from partita.core import partitions
from partita.core.manifest import DepSpec, PartitionSpec
from partita.core.mappings import Mapping as Mapped
from partita.errors import ParamError

Only = Literal["all", "missing", "failed"]
Cascade = Literal["none", "upstreams", "downstreams", "both"]
Order = Literal["oldest", "newest"]

MAX_RUNS: Final = 8
"""Runs of a backfill that are open at once, if nobody says otherwise."""
_MOST_PARTS: Final = 2_000_000
# Mappings that leave a key as it is where both sides have the same partitions.
_NATURAL: Final = ("same", "auto", "rollup")


class BackfillSpec(msgspec.Struct, frozen=True):
    """What was asked for. `partitions` as people write them: "2013-01-01..2013-12-31", "a,b", "*".

    `batch`: partitions in one run; 0 = all of them in one, None = as the assets say (one, unless they say otherwise).
    """

    target: str
    partitions: str = "*"
    only: Only = "all"
    cascade: Cascade = "none"
    batch: int | None = None
    order: Order = "oldest"
    priority: int = 0
    max_runs: int = MAX_RUNS
    params: dict[str, bytes] = {}
    tags: tuple[str, ...] = ()
    note: str = ""


class Need(msgspec.Struct, frozen=True, array_like=True):
    """A stage waits for an earlier one: part by part (`table` empty), or each part for those of `table`."""

    stage: int
    table: tuple[tuple[int, ...], ...] = ()


class Stage(msgspec.Struct, frozen=True, array_like=True):
    """What one run makes together. `keys` is the number of its set of partitions in the plan, in the order of running.

    `variants` are its targets as a run is asked for them: the whole, and what is left of it where some is there already.
    """

    project: str
    name: str
    of: Literal["pipeline", "assets"]
    variants: tuple[str, ...]
    keys: int
    needs: tuple[Need, ...] = ()
    # How many keys each part has (empty: one each), and which variant it runs (empty: the first).
    sizes: tuple[int, ...] = ()
    chosen: tuple[int, ...] = ()


class Work(msgspec.Struct, frozen=True):
    """All that a running backfill goes by."""

    stages: tuple[Stage, ...]
    keysets: tuple[tuple[str, ...], ...]

    def count(self, stage: int) -> int:
        """How many parts a stage has."""
        found = self.stages[stage]
        return len(found.sizes) or len(self.keysets[found.keys])

    @property
    def total(self) -> int:
        """How many parts there are in all."""
        return sum(self.count(i) for i in range(len(self.stages)))


class Subject(msgspec.Struct, frozen=True):
    """An asset (or pipeline) of a plan: how many of the chosen partitions are there, and how many are to be made."""

    name: str
    project: str
    stage: int
    chosen: int
    present: int
    planned: int


class Estimate(msgspec.Struct, frozen=True):
    """How long it will take, by what it took before. `seconds` is None when nothing of it was ever run.

    `unknown` counts steps that never ran. `bottleneck` bounds it, the work of which takes `bound_s` of the time.
    """

    seconds: float | None
    work_s: float
    steps: int
    unknown: int = 0
    bottleneck: str = ""


class BackfillPlan(msgspec.Struct, frozen=True):
    """What a backfill would do."""

    spec: BackfillSpec
    work: Work
    subjects: tuple[Subject, ...]
    estimate: Estimate
    planned_at: float
    partitions: int

    @property
    def runs(self) -> int:
        """How many runs it takes."""
        return self.work.total


class Member(msgspec.Struct, frozen=True):
    """Something that may be part of a backfill: an asset, or a pipeline as a whole.

    `reads` names other members, with how their partitions map. Seconds are usual ones of one partition; None = never ran.
    """

    name: str
    project: str
    of: Literal["pipeline", "assets"] = "assets"
    partitions: PartitionSpec | None = None
    reads: tuple[tuple[str, DepSpec], ...] = ()
    makes: tuple[str, ...] = ()
    batch: int = 1
    steps: int = 1
    unknown: int = 0
    # Of all its steps together, and of the longest chain of them.
    work_s: float = 0.0
    chain_s: float = 0.0
    # Seconds by what limits them: "pool db", "task load".
    limited_s: tuple[tuple[str, float], ...] = ()


class World(msgspec.Struct, frozen=True):
    """What planning asks about."""

    now: float
    # Partitions of an asset that are materialized.
    present: Callable[[str], Collection[str]]
    # Which of the keys failed when they were last made, by a member.
    failed: Callable[[Member, Sequence[str]], Collection[str]]
    # How much of each limit there is: "workers", "pool db", "task load".
    capacity: Mapping[str, int]


_encoder = msgspec.msgpack.Encoder()
_spec_decoder = msgspec.msgpack.Decoder(BackfillSpec)
_work_decoder = msgspec.msgpack.Decoder(Work)


def encode(thing: BackfillSpec | Work) -> bytes:
    """The bytes of a specification or of planned work."""
    return _encoder.encode(thing)


def decode_spec(data: bytes) -> BackfillSpec:
    """The specification of its bytes."""
    return _spec_decoder.decode(data)


def decode_work(data: bytes) -> Work:
    """The planned work of its bytes."""
    return _work_decoder.decode(data)


def check(spec: BackfillSpec) -> None:
    """Raise `ParamError` for numbers that make no sense."""
    if spec.max_runs < 1:
        raise ParamError(f"a backfill has at least one run at once, not {spec.max_runs}", hint="--max-runs 4")
    if spec.batch is not None and spec.batch < 0:
        raise ParamError(f"a run has at least one partition, not {spec.batch}", hint="--batch 30, or 0 for one run")


def plan(spec: BackfillSpec, members: Sequence[Member], roots: Collection[str], world: World) -> BackfillPlan:
    """Plan a backfill of `members`, which come after all that they read; `roots` are what was asked for itself.

    Raises `ParamError` if there are no such partitions, or nothing to do is left.
    """
    check(spec)
    chosen = _chosen_keys(spec, members, roots, world)
    wanted = {m.name: _kept(spec, m, chosen[m.name], world) for m in members}
    groups = _groups([m for m in members if wanted[m.name]])
    stages, keysets = _stages(spec, groups, wanted, world)
    work = Work(tuple(stages), tuple(keysets))
    if work.total > _MOST_PARTS:
        raise ParamError(f"{work.total:,} runs are too many for one backfill", hint="take a shorter range, or --batch")
    stage_of = {m.name: i for i, group in enumerate(groups) for m in group}
    subjects = tuple(
        Subject(
            m.name,
            m.project,
            stage_of.get(m.name, -1),
            len(chosen[m.name]),
            len(_present(m, chosen[m.name], world)),
            len(wanted[m.name]),
        )
        for m in members
    )
    return BackfillPlan(
        spec=spec,
        work=work,
        subjects=subjects,
        estimate=_estimate(spec, groups, wanted, work, world),
        planned_at=world.now,
        partitions=len({key for keys in wanted.values() for key in keys}),
    )


def part_keys(work: Work, stage: int) -> Callable[[int], tuple[str, ...]]:
    """Gives the partitions of each part of a stage."""
    found = work.stages[stage]
    keys = work.keysets[found.keys]
    if not found.sizes:
        return lambda part: (keys[part],)
    starts = [0]
    for size in found.sizes:
        starts.append(starts[-1] + size)
    return lambda part: keys[starts[part] : starts[part + 1]]


def label(spec: PartitionSpec | None, keys: Sequence[str], *, now: float | None = None) -> str:
    """How several partitions of one run are called: "2013-01-01..2013-01-31", or "a,c"; one is called by its key.

    >>> label(PartitionSpec("daily", start="2013-01-01"), ["2013-01-01", "2013-01-02"])
    '2013-01-01..2013-01-02'
    """
    if len(keys) < 2:
        return keys[0] if keys else ""
    ordered = sorted(keys) if spec is not None and spec.kind != "static" else list(keys)
    if spec is not None and spec.kind != "product":
        try:
            whole = partitions.keys(spec, ordered[0], ordered[-1])
        except (ParamError, ValueError):
            whole = []
        if len(whole) == len(keys):
            return f"{ordered[0]}..{ordered[-1]}"
    text = ",".join(ordered)
    return text if len(text) <= 200 else f"{ordered[0]}..{ordered[-1]} ({len(keys)} partitions)"


# --- which partitions -----------------------------------------------------------------------------------------------


def _chosen_keys(
    spec: BackfillSpec, members: Sequence[Member], roots: Collection[str], world: World
) -> dict[str, list[str]]:
    """The partitions of each member that the text names, and that a cascade leads to."""
    until = dt.datetime.fromtimestamp(world.now, dt.UTC)
    chosen: dict[str, list[str]] = {}
    cache: dict[bytes, list[str]] = {}
    for member in members:
        if member.name in roots:
            name = _encoder.encode(member.partitions)
            if name not in cache:
                cache[name] = _named(spec, member, until)
            chosen[member.name] = cache[name]
    by_name = {m.name: m for m in members}
    if spec.cascade in ("upstreams", "both"):
        for member in reversed(members):
            _choose_upstreams(member, by_name, chosen, roots, until)
    if spec.cascade in ("downstreams", "both"):
        for member in members:
            _choose_downstream(member, by_name, chosen, until)
    return {m.name: chosen.get(m.name, []) for m in members}


def _named(spec: BackfillSpec, member: Member, until: dt.datetime) -> list[str]:
    if member.partitions is None:
        return [""]
    return partitions.parse_range(member.partitions, spec.partitions, until=until)


def _choose_upstreams(
    member: Member,
    by_name: Mapping[str, Member],
    chosen: dict[str, list[str]],
    roots: Collection[str],
    until: dt.datetime,
) -> None:
    for name, dep in member.reads:
        up = by_name.get(name)
        if up is None or name in roots or member.name not in chosen:
            continue
        mapping = Mapped(dep, member.partitions, up.partitions)
        found = dict.fromkeys(chosen.get(name, ()))
        for keys in upstream_keys(mapping, chosen[member.name], until):
            found.update(dict.fromkeys(keys))
        chosen[name] = list(found)


def _choose_downstream(
    member: Member, by_name: Mapping[str, Member], chosen: dict[str, list[str]], until: dt.datetime
) -> None:
    if member.name in chosen:
        return
    found: dict[str, None] = {}
    for name, dep in member.reads:
        up = by_name.get(name)
        if up is None or not chosen.get(name):
            continue
        if member.partitions is None:
            found[""] = None
        elif up.partitions == member.partitions and dep.kind in _NATURAL:
            found.update(dict.fromkeys(chosen[name]))
        else:
            made = frozenset(chosen[name])
            every = partitions.keys(member.partitions, until=until)
            read = upstream_keys(Mapped(dep, member.partitions, up.partitions), every, until)
            found.update(dict.fromkeys(key for key, keys in zip(every, read, strict=True) if not made.isdisjoint(keys)))
    if found:
        chosen[member.name] = list(found)


def upstream_keys(mapping: Mapped, keys: Sequence[str], until: dt.datetime) -> list[Collection[str]]:
    """For each of the keys of a reader, the partitions of what it reads. `until`: partitions have ended by then."""
    theirs = mapping.theirs
    if mapping.is_same and mapping.mine == theirs:
        return [(key,) for key in keys]
    if theirs is None:
        return [("",)] * len(keys)
    if mapping.kind in ("last", "all") or mapping.dep.kind == "own":
        every = partitions.keys(theirs, until=until)
        # What a user's own function reads is known to workers only: all of it comes first.
        return [every[-1:] if mapping.kind == "last" else every] * len(keys)
    made = partitions.keys(theirs, until=until) if mapping.is_open else []
    return [mapping.upstream(key, lambda: made) for key in keys]


def _kept(spec: BackfillSpec, member: Member, keys: list[str], world: World) -> list[str]:
    """Those of the chosen partitions that are to be made."""
    if spec.only == "all" or not keys:
        return keys
    if spec.only == "failed":
        bad = frozenset(world.failed(member, keys))
        return [key for key in keys if key in bad]
    if not member.makes:
        done = frozenset(world.present(f"pipeline:{member.name}"))
        return [key for key in keys if key not in done]
    there = _present(member, keys, world)
    return [key for key in keys if key not in there]


def _present(member: Member, keys: list[str], world: World) -> frozenset[str]:
    """The partitions in which all that the member makes is there."""
    names = member.makes or (f"pipeline:{member.name}",)
    found = frozenset(world.present(names[0]))
    for name in names[1:]:
        found &= frozenset(world.present(name))
    return found.intersection(keys)


# --- stages ---------------------------------------------------------------------------------------------------------


def _groups(members: Sequence[Member]) -> list[list[Member]]:
    """Members that one run makes together, each group after those that it reads.

    A member is one deeper than what it reads of another project or with other partitions, so no two groups wait for
    each other.
    """
    depth: dict[str, int] = {}
    base: dict[str, tuple[str, str, bytes]] = {}
    groups: dict[tuple[int, tuple[str, str, bytes]], list[Member]] = {}
    for member in members:
        own = (member.project, member.name if member.of == "pipeline" else "", _encoder.encode(member.partitions))
        base[member.name] = own
        read = [(name, dep) for name, dep in member.reads if name in depth]
        depth[member.name] = max(
            (depth[name] + (base[name] != own or dep.kind not in _NATURAL) for name, dep in read), default=0
        )
        groups.setdefault((depth[member.name], own), []).append(member)
    return [groups[key] for key in sorted(groups, key=lambda k: k[0])]


def _stages(
    spec: BackfillSpec, groups: Sequence[list[Member]], wanted: Mapping[str, list[str]], world: World
) -> tuple[list[Stage], list[tuple[str, ...]]]:
    stages: list[Stage] = []
    keysets: dict[tuple[str, ...], int] = {}
    for group in groups:
        masks = _masks(group, wanted)
        order = _ordered(spec, group[0], masks)
        variants: dict[int, int] = {}
        sizes, chosen, keys = _cut(order, masks, _batch(spec, group), variants, reverse=spec.order == "newest")
        single = all(size == 1 for size in sizes)
        stages.append(
            Stage(
                project=group[0].project,
                name=_title(group),
                of=group[0].of,
                variants=tuple(_target(group, mask) for mask in variants),
                keys=keysets.setdefault(tuple(keys), len(keysets)),
                sizes=() if single else tuple(sizes),
                chosen=() if len(variants) == 1 else tuple(chosen),
            )
        )
    work = Work(tuple(stages), tuple(keysets))
    until = dt.datetime.fromtimestamp(world.now, dt.UTC)
    return [
        msgspec.structs.replace(stage, needs=_needs_of(i, groups, work, until)) for i, stage in enumerate(stages)
    ], list(keysets)


def _masks(group: Sequence[Member], wanted: Mapping[str, list[str]]) -> dict[str, int]:
    """By partition: which of the group's members are to be made, as bits."""
    masks: dict[str, int] = {}
    for i, member in enumerate(group):
        bit = 1 << i
        for key in wanted[member.name]:
            masks[key] = masks.get(key, 0) | bit
    return masks


def _ordered(spec: BackfillSpec, member: Member, masks: Mapping[str, int]) -> list[str]:
    """Oldest first; the keys of time partitions sort as they follow each other."""
    timed = member.partitions is not None and partitions.is_timed(member.partitions)
    return sorted(masks) if timed else list(masks)


def _batch(spec: BackfillSpec, group: Sequence[Member]) -> int:
    """Partitions in one run of the group; 0 = all."""
    if spec.batch is not None:
        return spec.batch
    said = [m.batch for m in group]
    return min((n for n in said if n), default=0)


def _cut(
    order: Sequence[str], masks: Mapping[str, int], batch: int, variants: dict[int, int], *, reverse: bool
) -> tuple[list[int], list[int], list[str]]:
    """Cut the partitions into parts: of `batch` at most, all of one variant. Sizes, variants, and keys in their order."""
    parts: list[list[str]] = []
    last = -1
    for key in order:
        mask = masks[key]
        if mask != last or (batch and len(parts[-1]) >= batch):
            parts.append([])
            last = mask
        parts[-1].append(key)
    if reverse:
        parts.reverse()
    chosen = [variants.setdefault(masks[part[0]], len(variants)) for part in parts]
    return [len(part) for part in parts], chosen, [key for part in parts for key in part]


def _target(group: Sequence[Member], mask: int) -> str:
    """What a run of some members is asked for by."""
    return "|".join(m.name for i, m in enumerate(group) if mask >> i & 1)


def _title(group: Sequence[Member]) -> str:
    names = [m.name for m in group]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _needs_of(stage: int, groups: Sequence[list[Member]], work: Work, until: dt.datetime) -> tuple[Need, ...]:
    """Which earlier stages a stage waits for."""
    found: list[Need] = []
    for earlier in range(stage):
        names = {m.name for m in groups[earlier]}
        deps = [(m, name, dep) for m in groups[stage] for name, dep in m.reads if name in names]
        if not deps:
            continue
        ups = {m.name: m for m in groups[earlier]}
        mine, theirs = work.stages[stage], work.stages[earlier]
        same = all(dep.kind in _NATURAL and ups[name].partitions == m.partitions for m, name, dep in deps)
        if same and mine.keys == theirs.keys and mine.sizes == theirs.sizes:
            found.append(Need(earlier))
            continue
        table = _table(
            {Mapped(dep, m.partitions, ups[name].partitions) for m, name, dep in deps}, work, stage, earlier, until
        )
        if any(table):
            found.append(Need(earlier, table))
    return tuple(found)


def _table(
    mappings: Collection[Mapped], work: Work, stage: int, earlier: int, until: dt.datetime
) -> tuple[tuple[int, ...], ...]:
    """For each part of a stage: the parts of an earlier one that make what it reads."""
    place: dict[str, int] = {}
    theirs = part_keys(work, earlier)
    for part in range(work.count(earlier)):
        place.update(dict.fromkeys(theirs(part), part))
    every = work.keysets[work.stages[stage].keys]
    reads: list[set[int]] = [set() for _ in every]
    for mapping in mappings:
        for found, keys in zip(reads, upstream_keys(mapping, every, until), strict=True):
            found.update(place[key] for key in keys if key in place)
    sizes = work.stages[stage].sizes or (1,) * len(every)
    table: list[tuple[int, ...]] = []
    at = 0
    for size in sizes:
        table.append(tuple(sorted(set[int]().union(*reads[at : at + size]))))
        at += size
    return tuple(table)


# --- how long -------------------------------------------------------------------------------------------------------


def _estimate(
    spec: BackfillSpec,
    groups: Sequence[list[Member]],
    wanted: Mapping[str, list[str]],
    work: Work,
    world: World,
) -> Estimate:
    """The time that the most used of all limits needs for its share of the work."""
    members = [m for group in groups for m in group]
    used: dict[str, float] = {"workers": 0.0}
    steps = unknown = 0
    for member in members:
        times = len(wanted[member.name])
        steps += member.steps * times
        unknown += member.unknown * times
        used["workers"] += member.work_s * times
        for name, seconds in member.limited_s:
            used[name] = used.get(name, 0.0) + seconds * times
    bounds = {name: seconds / max(1, world.capacity.get(name, 1)) for name, seconds in used.items()}
    bounds["max_runs"] = _chains(groups, wanted, work) / spec.max_runs
    if not used["workers"]:
        return Estimate(None if unknown else 0.0, 0.0, steps, unknown)
    bottleneck = max(bounds, key=lambda name: bounds[name])
    return Estimate(bounds[bottleneck], used["workers"], steps, unknown, _told(bottleneck, spec, world.capacity))


def _chains(groups: Sequence[list[Member]], wanted: Mapping[str, list[str]], work: Work) -> float:
    """How long all runs would take one after the other, each as long as its longest chain of steps."""
    total = 0.0
    for group in groups:
        lengths: dict[int, float] = {}
        for mask in _masks(group, wanted).values():
            if mask not in lengths:
                lengths[mask] = _longest([m for i, m in enumerate(group) if mask >> i & 1])
            total += lengths[mask]
    return total


def _longest(members: Iterable[Member]) -> float:
    ends: dict[str, float] = {}
    for member in members:
        ends[member.name] = member.chain_s + max((ends.get(name, 0.0) for name, _ in member.reads), default=0.0)
    return max(ends.values(), default=0.0)


def _told(name: str, spec: BackfillSpec, capacity: Mapping[str, int]) -> str:
    if name == "max_runs":
        return f"its own limit of {spec.max_runs} runs at once"
    count = capacity.get(name, 1)
    if name == "workers":
        return f"{count} worker{'s' if count != 1 else ''}"
    return f"{name} ({count} slot{'s' if count != 1 else ''})"
