"""Backfills: which partitions are to be made, in which runs, in which order, and how long that will take.

A backfill has stages: what one run makes together (a pipeline, or assets of one project with the same partitions). A part
is one run of a stage, over one partition or several. A part of a later stage waits for the parts of earlier ones that
make what it reads.

Rule: plain data, and the few questions that everybody has about it. Planning is `backfill_plan.py`'s, what comes next
while it runs `backfill_course.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal

import msgspec

from partita.core import partitions
from partita.core.manifest import DepSpec, PartitionSpec
from partita.errors import ParamError

Only = Literal["all", "missing", "failed"]
Cascade = Literal["none", "upstreams", "downstreams", "both"]
Order = Literal["oldest", "newest"]

MAX_RUNS: Final = 8
"""Runs of a backfill that are open at once, if nobody says otherwise."""


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

    at: float
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


def label(spec: PartitionSpec | None, keys: Sequence[str]) -> str:
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
