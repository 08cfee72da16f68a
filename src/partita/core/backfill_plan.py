"""Planning a backfill: which partitions of what, in which runs, in which order, and how long that will take.

Rule: pure. What there is (definitions, what is materialized, what has failed, usual durations) comes from outside.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from partita.core import partitions
from partita.core.backfill import (
    BackfillPlan,
    BackfillSpec,
    Estimate,
    Member,
    Need,
    Stage,
    Subject,
    Work,
    World,
    check,
    part_keys,
)
from partita.core.mappings import Mapping as Mapped
from partita.errors import ParamError

_MOST_PARTS: Final = 2_000_000
# Mappings that leave a key as it is where both sides have the same partitions.
_NATURAL: Final = ("same", "auto", "rollup")

_encoder = msgspec.msgpack.Encoder()


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
        partitions=len({key for keys in wanted.values() for key in keys}),
    )


# --- which partitions -----------------------------------------------------------------------------------------------


def _chosen_keys(
    spec: BackfillSpec, members: Sequence[Member], roots: Collection[str], world: World
) -> dict[str, list[str]]:
    """The partitions of each member that the text names, and that a cascade leads to."""
    until = dt.datetime.fromtimestamp(world.at, dt.UTC)
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
    until = dt.datetime.fromtimestamp(world.at, dt.UTC)
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
