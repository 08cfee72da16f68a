"""What is known about all assets, as sets of partitions: who is made, newer, being made, failing, late.

The partitions of an asset are the bits of an integer, so a question about all of them is one operation. Bit 0 stands for a
partition that does not exist (yet): nobody made it, so to its readers it is missing. Assets with equal definitions share
their `Universe`; a `Link` is the mapping between an asset and one that reads it.

Rule: an event costs the asset that it is about and those that read it, never all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence

from partita.core import mappings, partitions
from partita.core.manifest import AssetSpec, PartitionSpec
from partita.core.mappings import Mapping
from partita.core.staleness import Made
from partita.errors import ParamError

OUTSIDE = 1
"""The bit of what does not exist."""

KeysOf = Callable[[str], Sequence[str]]
"""The keys of a dynamic definition."""


class Universe:
    """The partitions that a definition has by now, in the order in which they came to be. Bit 0 is taken."""

    def __init__(self, spec: PartitionSpec | None, keys_of: KeysOf) -> None:
        self.spec = spec
        self.keys: list[str] = [""]
        self.index: dict[str, int] = {}
        # Every partition that exists, and bit 0.
        self.full = OUTSIDE
        # Masks by the part of the key that is a time, oldest first.
        self._times: dict[str, int] = {}
        self._keys_of = keys_of
        self._next_at: float | None = None

    def grow(self, now: float) -> bool:
        """Take in partitions that have come to be by now. Did any?"""
        if self.keys[1:] and self._next_at is not None and now < self._next_at:
            return False
        before = len(self.keys)
        spec = self._resolved()
        for key in [""] if spec is None else _keys(spec, self._times, now):
            if key not in self.index:
                self._add(key)
        timed = None if spec is None else _timed(spec)
        self._next_at = _end_of_next(timed, now) if timed is not None else float("inf")
        return len(self.keys) > before

    def look_again(self) -> None:
        """Keys were added to or taken from a dynamic definition."""
        self._next_at = None

    @property
    def is_timed(self) -> bool:
        """Do its partitions (or a dimension of them) cover time?"""
        return self.spec is not None and _timed(self.spec) is not None

    def due_at(self) -> float:
        """When the next partition comes to be."""
        return self._next_at if self._next_at is not None else 0.0

    def bit(self, key: str) -> int:
        """The bit of a key; `OUTSIDE` if there is no such partition."""
        return 1 << self.index.get(key, 0)

    def named(self, mask: int) -> list[str]:
        """The keys of a set."""
        return [self.keys[at] for at in bits(mask & ~OUTSIDE)]

    def latest(self, count: int, within_s: float | None, now: float) -> int:
        """The last partitions that have ended; all of what covers no time."""
        if not self._times:
            return self.full & ~OUTSIDE
        mask, timed = 0, _timed(self.spec) if self.spec is not None else None
        for at, time in enumerate(reversed(self._times)):
            if within_s is None and at >= count:
                break
            if within_s is not None and (timed is None or _end(timed, time) <= now - within_s):
                break
            mask |= self._times[time]
        return mask

    def _resolved(self) -> PartitionSpec | None:
        return None if self.spec is None else partitions.resolved(self.spec, self._keys_of)

    def _add(self, key: str) -> None:
        at = self.index[key] = len(self.keys)
        self.keys.append(key)
        self.full |= 1 << at
        time = None if self.spec is None else _time_of(self.spec, key)
        if time is not None:
            self._times[time] = self._times.get(time, 0) | 1 << at


class Link:
    """How one asset reads another, as sets of partitions."""

    def __init__(self, mapping: Mapping, upstream: Holding, reader: Holding) -> None:
        self.mapping = mapping
        self.upstream = upstream
        self.reader = reader
        self.is_same = mapping.is_same and upstream.universe is reader.universe
        self.is_open = mapping.kind in ("all", "last")
        # The upstream has no partitions: all that the reader has are made from the one thing that it is.
        self.is_one = mapping.theirs is None
        # For each bit of the reader those of the upstream; made when it is first asked for.
        self._table: list[int] = [OUTSIDE]
        self._known_above = 0

    def any_of(self, mask: int) -> int:
        """The reader's partitions that are made from any of these."""
        if self.is_same:
            return mask
        if self.is_open:
            return self.reader.universe.full if mask & self.scope() else 0
        found = 0
        for at, above in enumerate(self.table()):
            if above & mask:
                found |= 1 << at
        return found

    def all_of(self, mask: int) -> int:
        """The reader's partitions that are made from these alone."""
        if self.is_same:
            return mask
        if self.is_open:
            return self.reader.universe.full if not self.scope() & ~mask else 0
        found = 0
        for at, above in enumerate(self.table()):
            if not above & ~mask:
                found |= 1 << at
        return found

    def above(self, at: int) -> int:
        """What bit `at` of the reader is made from."""
        if self.is_same:
            return 1 << at
        if self.is_one:
            return self.upstream.universe.bit("") if at else OUTSIDE
        return self.scope() if self.is_open else self.table()[at]

    def scope(self) -> int:
        """What an open mapping takes: all that was made, or the last of it; bit 0 when there is nothing yet."""
        made = self.upstream.made & ~OUTSIDE
        if not made:
            return OUTSIDE
        if self.mapping.kind == "all":
            return made
        last = self.mapping.upstream("", lambda: self.upstream.universe.named(made))
        return self.upstream.universe.bit(last[0]) if last else OUTSIDE

    def table(self) -> list[int]:
        """For each bit of the reader those of the upstream."""
        mine, theirs, table = self.reader.universe, self.upstream.universe, self._table
        if self._known_above != len(theirs.keys) or self.mapping.is_open:
            # Only what looked beyond the end of the upstream can have changed.
            stale = [at for at, above in enumerate(table) if at and (above & OUTSIDE or self.mapping.is_open)]
            self._known_above = len(theirs.keys)
            for at in stale:
                table[at] = self._mask(mine.keys[at])
        for at in range(len(table), len(mine.keys)):
            table.append(self._mask(mine.keys[at]))
        return table

    def _mask(self, key: str) -> int:
        theirs = self.upstream.universe
        found = 0
        for above in self.mapping.upstream(key, lambda: theirs.named(self.upstream.made)):
            found |= theirs.bit(above)
        return found


class Holding:
    """What is known about one asset. Masks are over its universe; lists are by bit."""

    def __init__(self, project: str, spec: AssetSpec, universe: Universe) -> None:
        self.project = project
        self.spec = spec
        self.name = spec.name
        self.universe = universe
        self.made = 0
        # Made by code that is not today's.
        self.outdated = 0
        # An upstream has newer data; and it got them since the attempt that now makes it began.
        self.newer = 0
        self.touched = 0
        # Runs that are to make it, by partition.
        self.making: dict[str, int] = {}
        self.in_progress = 0
        # Blocking checks of it that are still to run, by partition.
        self.checking: dict[str, int] = {}
        self.unchecked = 0
        # Data changed since the last look.
        self.updated = 0
        self.requested = 0
        self.is_late = False
        # By check: where it failed last, where it passed last. Those of `blocking` hold up the readers.
        self.failed: dict[str, int] = {}
        self.passed: dict[str, int] = {}
        self.blocking: frozenset[str] = frozenset()
        self.made_no: list[int] = []
        self.changed_no: list[int] = []
        self.made_at: list[float] = []
        # Made before its partition came to be: known from then on.
        self.early: dict[str, Made] = {}
        self.upstreams: list[Link] = []
        self.readers: list[Link] = []
        # The place in an order in which each asset stands after its upstreams.
        self.rank = 0

    @property
    def is_present(self) -> int:
        """What counts as made: of an external asset that nobody ever reports, everything."""
        if self.spec.external and not self.made:
            return self.universe.full & ~OUTSIDE
        return self.made

    @property
    def blocked(self) -> int:
        """Where a blocking check failed, or is still to run."""
        found = self.unchecked
        for check in self.blocking:
            found |= self.failed.get(check, 0)
        return found

    def held_up(self) -> int:
        """Where a blocking check of an upstream failed."""
        found = 0
        for link in self.upstreams:
            if (link.upstream.failed or link.upstream.unchecked) and (blocked := link.upstream.blocked):
                found |= link.any_of(blocked)
        return found

    def widen(self) -> None:
        """Make room for the partitions that have come to be."""
        more = len(self.universe.keys) - len(self.made_no)
        if more > 0:
            self.made_no += [0] * more
            self.changed_no += [0] * more
            self.made_at += [0.0] * more

    def put(self, key: str, made: Made) -> int:
        """Note the newest materialization of a partition; its bit."""
        at = self.universe.index.get(key, 0)
        if not at:
            self.early[key] = made
            return OUTSIDE
        bit = 1 << at
        self.made |= bit
        self.made_no[at], self.changed_no[at], self.made_at[at] = made.no, made.changed_no, made.at
        is_old = bool(self.spec.code_version and made.code_version and made.code_version != self.spec.code_version)
        self.outdated = self.outdated | bit if is_old else self.outdated & ~bit
        return bit


class Ledger:
    """All assets with what they hold, and who reads whom."""

    def __init__(
        self, assets: Iterable[tuple[str, AssetSpec]], *, now: float, keys_of: KeysOf = lambda name: ()
    ) -> None:
        self.holdings: dict[str, Holding] = {}
        self._universes: dict[PartitionSpec | None, Universe] = {}
        self._keys_of = keys_of
        for project, spec in assets:
            self.holdings[spec.name] = Holding(project, spec, self._universe(spec.partitions, now))
        for holding in self.holdings.values():
            holding.widen()
            for name in holding.spec.deps:
                self._link(holding, name)
        self._order()

    def load(self, asset: str, rows: Iterable[tuple[str, Made]]) -> None:
        """What the store says about an asset, before anything is decided."""
        holding = self.holdings[asset]
        for key, made in rows:
            holding.put(key, made)

    def compare(self) -> None:
        """Find out what is older than its upstreams, once all is loaded."""
        for holding in self.holdings.values():
            holding.newer = 0
            if holding.made:
                for link in holding.upstreams:
                    holding.newer |= _newer(link)

    def materialized(self, asset: str, key: str, made: Made) -> list[Holding]:
        """An asset (partition) was made. Who has newer data above it since."""
        holding = self.holdings.get(asset)
        if holding is None:
            return []
        bit = holding.put(key, made)
        if bit == OUTSIDE:
            return []
        holding.newer = holding.newer & ~bit | holding.touched & bit
        holding.touched &= ~bit
        if made.changed_no != made.no:
            return []
        holding.updated |= bit
        return self._tell_readers(holding, bit)

    def _tell_readers(self, holding: Holding, bit: int) -> list[Holding]:
        """There is new data: who is older than it now."""
        woken: list[Holding] = []
        for link in holding.readers:
            mask = link.any_of(bit) & ~OUTSIDE
            if mask:
                link.reader.newer |= mask & link.reader.made
                link.reader.touched |= mask
                woken.append(link.reader)
        return woken

    def began(self, asset: str, key: str) -> None:
        """An attempt to make it has begun: it reads what its upstreams have now."""
        holding = self.holdings.get(asset)
        if holding is not None:
            holding.touched &= ~holding.universe.bit(key)

    def making(self, asset: str, key: str, by: int) -> None:
        """So many more (or fewer) runs are to make it."""
        holding = self.holdings.get(asset)
        if holding is None:
            return
        bit = holding.universe.bit(key) & ~OUTSIDE
        if _counted(holding.making, key, by):
            holding.in_progress |= bit
        else:
            holding.in_progress &= ~bit

    def checking(self, asset: str, key: str, by: int) -> None:
        """So many more (or fewer) blocking checks of it are still to run."""
        holding = self.holdings.get(asset)
        if holding is None:
            return
        bit = holding.universe.bit(key) & ~OUTSIDE
        if _counted(holding.checking, key, by):
            holding.unchecked |= bit
        else:
            holding.unchecked &= ~bit

    def checked(self, asset: str, check: str, key: str, *, passed: bool) -> None:
        """A check ended."""
        holding = self.holdings.get(asset)
        if holding is None:
            return
        bit = holding.universe.bit(key) & ~OUTSIDE
        holding.failed[check] = holding.failed.get(check, 0) & ~bit | (0 if passed else bit)
        holding.passed[check] = holding.passed.get(check, 0) & ~bit | (bit if passed else 0)

    def grow(self, now: float) -> list[Holding]:
        """Take in partitions that have come to be; the assets that have them."""
        grown = {id(u) for u in self._universes.values() if u.due_at() <= now and u.grow(now)}
        found = [h for h in self.holdings.values() if id(h.universe) in grown] if grown else []
        for holding in found:
            holding.widen()
            for key in [key for key in holding.early if key in holding.universe.index]:
                self._tell_readers(holding, holding.put(key, holding.early.pop(key)))
            # A run may have been asked for it before it had ended.
            for key in holding.making:
                holding.in_progress |= holding.universe.bit(key) & ~OUTSIDE
            for key in holding.checking:
                holding.unchecked |= holding.universe.bit(key) & ~OUTSIDE
        return found

    def partitions_changed(self, name: str, now: float) -> list[Holding]:
        """Keys were added to a dynamic definition; the assets that have it."""
        for spec, universe in self._universes.items():
            if spec is not None and name in _dynamics(spec):
                universe.look_again()
        return self.grow(now)

    def due_at(self) -> float:
        """When the next partition comes to be."""
        return min((u.due_at() for u in self._universes.values()), default=float("inf"))

    def _universe(self, spec: PartitionSpec | None, now: float) -> Universe:
        universe = self._universes.get(spec)
        if universe is None:
            universe = self._universes[spec] = Universe(spec, self._keys_of)
            universe.grow(now)
        return universe

    def _link(self, reader: Holding, name: str) -> None:
        upstream = self.holdings.get(name)
        if upstream is None:
            return
        mapping = mappings.resolved(mappings.mapping_of(reader.spec, upstream.spec, name), self._keys_of)
        link = Link(mapping, upstream, reader)
        reader.upstreams.append(link)
        upstream.readers.append(link)

    def _order(self) -> None:
        """Rank the assets; those of a circle over several projects come last, in no order."""
        waiting = {h.name: len(h.upstreams) for h in self.holdings.values()}
        ready = [h for h in self.holdings.values() if not h.upstreams]
        rank = 0
        while ready:
            holding = ready.pop()
            rank += 1
            holding.rank = rank
            for link in holding.readers:
                waiting[link.reader.name] -= 1
                if not waiting[link.reader.name]:
                    ready.append(link.reader)
        for holding in self.holdings.values():
            holding.rank = holding.rank or rank + 1


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _counted(counts: dict[str, int], key: str, by: int) -> int:
    count = max(0, counts.get(key, 0) + by)
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)
    return count


def _newer(link: Link) -> int:
    """Which partitions of the reader are older than what they are made from."""
    reader, changed = link.reader, link.upstream.changed_no
    # Nothing above changed since the oldest of them was made: the usual case, found without looking at each.
    if max(changed, default=0) <= min(filter(None, reader.made_no), default=0):
        return 0
    found = 0
    if link.is_same:
        for at, (above, made) in enumerate(zip(changed, reader.made_no, strict=False)):
            if above > made > 0:
                found |= 1 << at
        return found
    for at in bits(reader.made & ~OUTSIDE):
        made = reader.made_no[at]
        if any(changed[up] > made for up in bits(link.above(at) & ~OUTSIDE)):
            found |= 1 << at
    return found


# --- keys and time --------------------------------------------------------------------------------------------------


def _keys(spec: PartitionSpec, known: dict[str, int], now: float) -> list[str]:
    """The keys by now; of time only those after the last that is known."""
    until = dt.datetime.fromtimestamp(now, dt.UTC)
    start = next(reversed(known), "") if known and partitions.is_timed(spec) else ""
    if spec.kind == "static" and not spec.keys:
        return []
    try:
        return partitions.keys(spec, start, until=until)
    except ParamError:
        return []


def _timed(spec: PartitionSpec) -> PartitionSpec | None:
    """The definition, or the dimension of it, that is time."""
    if spec.kind == "product":
        return next((inner for _, inner in spec.dimensions if partitions.is_timed(inner)), None)
    return spec if partitions.is_timed(spec) else None


def _time_of(spec: PartitionSpec, key: str) -> str | None:
    if spec.kind != "product":
        return key if partitions.is_timed(spec) else None
    parts = key.split("|")
    return next((p for (_, i), p in zip(spec.dimensions, parts, strict=True) if partitions.is_timed(i)), None)


def _end(spec: PartitionSpec, key: str) -> float:
    return partitions.window(spec, key)[1].timestamp()


def _end_of_next(spec: PartitionSpec, now: float) -> float:
    """When the partition that is under way has ended."""
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    key = partitions.key_at(spec, moment)
    if key is not None:
        return _end(spec, key)
    first = partitions.example(spec)
    return _end(spec, first) if partitions.window(spec, first)[0] > moment else float("inf")


def _dynamics(spec: PartitionSpec) -> set[str]:
    inner = [spec, *(one for _, one in spec.dimensions)]
    return {one.name for one in inner if one.kind == "dynamic"}
