"""Partition mappings: which partitions of an upstream asset a partition of its reader is made from.

Without a word about it (`auto`) the two definitions say: equal ones map key by key; time maps to the time that overlaps it
(a day to its 24 hours, an hour to its day); what has no partitions reads all of them; products map by their common
dimensions. Dynamic definitions must have been `partitions.resolved` before.

Rule: pure and total: an upstream that has no such partition is left out, never an error.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from partita.core import partitions
from partita.core.manifest import AssetSpec, DepSpec, PartitionSpec
from partita.errors import ParamError

UNPARTITIONED: Final = ("",)
_RANK: Final = {"hourly": 0, "daily": 1, "weekly": 2, "monthly": 3}
_INSTANT: Final = dt.timedelta(microseconds=1)

Made = Callable[[], Iterable[str]]
"""The keys of the upstream that have been made: for mappings that take what there is ("last", "all")."""


class Mapping(msgspec.Struct, frozen=True):
    """How the partitions of an asset (`mine`) map to those of one that it reads (`theirs`)."""

    dep: DepSpec
    mine: PartitionSpec | None
    theirs: PartitionSpec | None

    @property
    def kind(self) -> str:
        """What is done: the declared kind, or what the two definitions say.

        "one" (the upstream has no partitions), "same", "time", "matching" (products), "window", "last", "all", "table".
        """
        declared = self.dep.kind
        if self.theirs is None:
            return "one"
        if declared in ("static", "own"):
            return "table"
        if declared in ("window", "last", "all"):
            return declared
        return _natural(self.mine, self.theirs)

    @property
    def is_same(self) -> bool:
        """Does each key map to itself, and nothing else?"""
        return self.kind == "same" or (self.mine is None and self.theirs is None)

    @property
    def is_open(self) -> bool:
        """Does it depend on what has been made ("last", "all", free dimensions of products)?"""
        return self.kind in ("last", "all") or (self.kind == "matching" and any(o is None for o in self._dimensions()))

    @property
    def is_many(self) -> bool:
        """Does a reader get a dict by partition key, and not one value?"""
        kind = self.kind
        if kind == "table":
            return self.dep.many
        if kind == "time":
            assert self.mine is not None
            assert self.theirs is not None
            return _is_many_in_time(self.mine, self.theirs)
        if kind == "matching":
            return any(o is None or (o.spec is not o.theirs and _overlaps(o)) for o in self._dimensions())
        return kind in ("window", "all")

    def upstream(self, key: str, made: Made = tuple) -> tuple[str, ...]:
        """The keys of the upstream that partition `key` is made from, in order."""
        theirs = self.theirs
        if theirs is None:
            return UNPARTITIONED
        match self.kind:
            case "same":
                return (key,) if partitions.contains(theirs, key) else ()
            case "time":
                return tuple(self._overlapping(key))
            case "window":
                return tuple(self._windowed(key))
            case "last":
                return _last(theirs, made())
            case "all":
                return tuple(_in_order(theirs, made()))
            case "table":
                return tuple(k for k in dict(self.dep.table).get(key, ()) if partitions.contains(theirs, k))
            case _:
                return self._matching(key, made)

    def _overlapping(self, key: str) -> list[str]:
        assert self.mine is not None
        assert self.theirs is not None
        try:
            start, end = partitions.window(self.mine, key)
        except ParamError:
            return []
        if not _is_many_in_time(self.mine, self.theirs):
            end = start + _INSTANT
        return _between(self.theirs, start, end)

    def _windowed(self, key: str) -> list[str]:
        assert self.theirs is not None
        if self.mine is None or not partitions.contains(self.mine, key):
            return []
        base = [key] if self.mine == self.theirs else []
        if not base and partitions.is_timed(self.mine) and partitions.is_timed(self.theirs):
            base = self._overlapping(key)
        if not base:
            return []
        first, last = _moved(self.theirs, base[0], self.dep.start), _moved(self.theirs, base[-1], self.dep.end)
        if first is None:
            # The window begins before the first partition.
            first = partitions.example(self.theirs) if self.dep.start < 0 else None
        if last is None:
            last = None if self.dep.end < 0 else partitions.keys(self.theirs, start=base[-1], end=self.theirs.end)[-1]
        if first is None or last is None:
            return []
        try:
            return partitions.keys(self.theirs, first, last)
        except ParamError:
            return []

    def _dimensions(self) -> list[_Dimension | None]:
        """For each dimension of the upstream the one of mine that gives its part; None = it is free."""
        assert self.theirs is not None
        mine = _dimensions_of(self.mine)
        return [_giver(name, spec, mine) for name, spec in _dimensions_of(self.theirs)]

    def _matching(self, key: str, made: Made) -> tuple[str, ...]:
        parts = key.split("|")
        options: list[Sequence[str] | None] = []
        for giver in self._dimensions():
            if giver is None or giver.at >= len(parts):
                options.append(None)
            else:
                options.append(giver.keys(parts[giver.at]))
        if any(o is None for o in options):
            allowed = [None if o is None else set(o) for o in options]
            return tuple(k for k in made() if _fits(k.split("|"), allowed))
        return tuple("|".join(parts) for parts in itertools.product(*(o or () for o in options)))


class _Dimension(msgspec.Struct, frozen=True):
    """One dimension of the upstream (`theirs`), given by dimension number `at` of mine (`spec`)."""

    at: int
    spec: PartitionSpec
    theirs: PartitionSpec

    def keys(self, part: str) -> Sequence[str]:
        return Mapping(DepSpec(""), self.spec, self.theirs).upstream(part)


def mapping_of(asset: AssetSpec, upstream: AssetSpec | None, name: str) -> Mapping:
    """How `asset` maps to its upstream `name` (None: nobody declares it, so it has no partitions)."""
    dep = next((d for d in asset.mappings if d.asset == name), None) or DepSpec(name)
    return Mapping(dep, asset.partitions, upstream.partitions if upstream is not None else None)


def resolved(mapping: Mapping, keys_of: Callable[[str], Sequence[str]]) -> Mapping:
    """The mapping with the keys that its dynamic definitions have now."""
    mine, theirs = (None if s is None else partitions.resolved(s, keys_of) for s in (mapping.mine, mapping.theirs))
    return Mapping(mapping.dep, mine, theirs)


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Mapping)


def encode(mapping: Mapping) -> bytes:
    """The bytes of a mapping, for a binding of the graph."""
    return _encoder.encode(mapping)


def decode(data: bytes) -> Mapping:
    """The mapping of its bytes. Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)


def problem_of(mapping: Mapping) -> str | None:
    """Why two definitions cannot be mapped as declared, or None."""
    kind, mine, theirs = mapping.dep.kind, mapping.mine, mapping.theirs
    if kind in ("auto", "all", "last"):
        return None
    if theirs is None:
        return f"`{mapping.dep.asset}` has no partitions, so there is nothing to map"
    if mine is None and kind != "same":
        return f'what has no partitions itself can take "last" or "all" of `{mapping.dep.asset}`'
    if kind == "rollup" and not (mine and partitions.is_timed(mine) and partitions.is_timed(theirs)):
        return "a rollup is from partitions of time to partitions of a longer time"
    if kind == "rollup" and mine is not None and _RANK[mine.kind] <= _RANK[theirs.kind]:
        return f"a rollup is from shorter to longer partitions, not from {theirs.kind} to {mine.kind}"
    if kind == "window" and mine != theirs and not (mine and partitions.is_timed(mine) and partitions.is_timed(theirs)):
        return "a window is over partitions of time, or of the same definition"
    return None


# --- how definitions lie to each other ------------------------------------------------------------------------------


def _natural(mine: PartitionSpec | None, theirs: PartitionSpec) -> str:
    if mine is None:
        return "all"
    if mine == theirs:
        return "same"
    if "product" in (mine.kind, theirs.kind):
        return "matching"
    if partitions.is_timed(mine) and partitions.is_timed(theirs):
        # Other bounds are no other partitions; hours are named by their zone's clock.
        is_same = (mine.kind, mine.tz) == (theirs.kind, theirs.tz) and mine.kind != "weekly"
        return "same" if is_same else "time"
    return "all" if partitions.is_timed(mine) or partitions.is_timed(theirs) else "same"


def _is_many_in_time(mine: PartitionSpec, theirs: PartitionSpec) -> bool:
    if _RANK[theirs.kind] != _RANK[mine.kind]:
        return _RANK[theirs.kind] < _RANK[mine.kind]
    return mine.kind != "hourly"


def _overlaps(dimension: _Dimension) -> bool:
    return Mapping(DepSpec(""), dimension.spec, dimension.theirs).is_many


def _dimensions_of(spec: PartitionSpec | None) -> tuple[tuple[str, PartitionSpec], ...]:
    if spec is None:
        return ()
    return spec.dimensions if spec.kind == "product" else (("", spec),)


def _giver(name: str, theirs: PartitionSpec, mine: Sequence[tuple[str, PartitionSpec]]) -> _Dimension | None:
    def rank(at: int) -> tuple[int, int]:
        own_name, spec = mine[at]
        return (0 if own_name == name else 1, 0 if spec == theirs else 1)

    def gives(at: int) -> bool:
        own_name, spec = mine[at]
        both_timed = partitions.is_timed(spec) and partitions.is_timed(theirs)
        return spec == theirs or both_timed or (bool(name) and own_name == name)

    found = sorted((at for at in range(len(mine)) if gives(at)), key=rank)
    return _Dimension(found[0], mine[found[0]][1], theirs) if found else None


def _fits(parts: list[str], allowed: Sequence[set[str] | None]) -> bool:
    return len(parts) == len(allowed) and all(a is None or p in a for p, a in zip(parts, allowed, strict=True))


# --- keys -----------------------------------------------------------------------------------------------------------


def _between(spec: PartitionSpec, start: dt.datetime, end: dt.datetime) -> list[str]:
    """The keys of the partitions that overlap a time."""
    moment, found = start, list[str]()
    moment = max(moment, partitions.window(spec, partitions.example(spec))[0])
    while moment < end:
        key = partitions.key_at(spec, moment)
        if key is None:
            break
        found.append(key)
        moment = partitions.window(spec, key)[1]
    return found


def _moved(spec: PartitionSpec, key: str, by: int) -> str | None:
    found: str | None = key
    step = partitions.next_key if by > 0 else partitions.previous_key
    for _ in range(abs(by)):
        if found is None:
            return None
        found = step(spec, found)
    return found


def _last(spec: PartitionSpec, made: Iterable[str]) -> tuple[str, ...]:
    found = _in_order(spec, made)
    return (found[-1],) if found else ()


def _in_order(spec: PartitionSpec, made: Iterable[str]) -> list[str]:
    """Keys of the definition among those that were made, in its order."""
    if spec.kind == "static":
        there = set(made)
        return [key for key in spec.keys if key in there]
    # Of time, keys sort as the times do, but for the one doubled hour of a year.
    return sorted(key for key in made if partitions.contains(spec, key))
