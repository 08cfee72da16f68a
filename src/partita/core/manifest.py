"""What a project defines, as plain data: the loader process makes it, everybody else reads it.

Rule: no user object in here; a manifest can be stored, sent and compared.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from partita.core.graph import Graph

if TYPE_CHECKING:
    from partita.core.timetable import Timetable


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a definition: what, where, and what to do."""

    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    # The traceback of user code, where the problem came out of it.
    traceback: str = ""


class ParamSpec(msgspec.Struct, frozen=True):
    """A parameter of a pipeline: its JSON schema (draft 2020-12) as JSON text, and its default as packed plain data."""

    name: str
    schema: str
    required: bool = True
    default: bytes | None = None
    description: str = ""


class PartitionSpec(msgspec.Struct, frozen=True):
    """A partition definition. Keys of time partitions are local dates or times: "2013-06-13", "2013-06-13T05:00".

    A product has `dimensions`; its keys are those of its dimensions joined by "|". Keys of "dynamic" ones are added while
    the service runs, under `name`; `core.partitions.resolved` makes static ones of them.
    """

    kind: Literal["hourly", "daily", "weekly", "monthly", "static", "product", "dynamic"]
    start: str = ""
    end: str = ""
    tz: str = "UTC"
    keys: tuple[str, ...] = ()
    dimensions: tuple[tuple[str, PartitionSpec], ...] = ()
    name: str = ""


class Freshness(msgspec.Struct, frozen=True):
    """How old an asset may be: at most `fail_s` (warned about from `warn_s` on).

    With `cron`: at each tick in `tz` it is to have been made since the tick before, or within `within_s` before the tick;
    warned about from `warn_s` before the tick on. Seconds.
    """

    fail_s: float | None = None
    warn_s: float | None = None
    cron: str = ""
    tz: str = "UTC"
    within_s: float | None = None


class DepSpec(msgspec.Struct, frozen=True):
    """How the partitions of an upstream asset map to those of the asset that reads it (`core.mappings`).

    `kind`: "auto" (by the two definitions), "same", "window" (with offsets in partitions of the upstream), "last", "all",
    "rollup", "static", "own" (both of the latter by `table`).
    """

    asset: str
    kind: Literal["auto", "same", "window", "last", "all", "rollup", "static", "own"] = "auto"
    start: int = 0
    end: int = 0
    table: tuple[tuple[str, tuple[str, ...]], ...] = ()
    # Whether what reads it gets a dict by partition key ("static", "own").
    many: bool = False


class AssetSpec(msgspec.Struct, frozen=True):
    """One asset: what it is, how it lies in the graph, and which step (if any) makes it."""

    name: str
    deps: tuple[str, ...] = ()
    step: str = ""
    group: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    description: str = ""
    partitions: PartitionSpec | None = None
    external: bool = False
    code_version: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    written_at: str = ""
    freshness: Freshness | None = None
    # The automation condition, packed (`core.automation`); None = made by runs that are asked for.
    automation: bytes | None = None
    mappings: tuple[DepSpec, ...] = ()
    # How many partitions one run of a backfill takes: 1, n, or 0 = all in one.
    backfill_batch: int = 1
    # Which columns of which assets each column is made from, where that was said: (column, ((asset, column), ...)).
    lineage: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


class ScheduleSpec(msgspec.Struct, frozen=True):
    """When a pipeline is to start, as declared; `rule` is the timetable's own text ("cron 0 3 * * *", `core.timetable`).

    Times in seconds. `start` and `end` are dates or times, in `tz` if they have no zone of their own ("" = none).
    """

    name: str
    rule: str
    tz: str = "UTC"
    # "none", "latest", "all", "last 3"; "" = as the pipeline says.
    catchup: str = "none"
    overlap: Literal["queue", "skip", "cancel_running", "allow"] = "queue"
    jitter_s: float = 0.0
    start: str = ""
    end: str = ""
    paused: bool = False
    # Failed runs in a row after which it pauses itself; 0 = never.
    pause_after: int = 0
    # Parameters of its runs: a packed dict of packed plain data by name ("" = none; `given`).
    params: bytes = b""
    # "land by": the run is to be finished at the tick, so it starts earlier by its usual duration plus this.
    land: bool = False
    land_margin_s: float = 0.0
    # Which partition the tick's run has: "" = the one that ended at the tick if the pipeline has partitions in time,
    # "previous" = that one, "current" = the one that the tick lies in, else a key. Of a product, by "|".
    partition: str = ""
    description: str = ""

    def given(self) -> dict[str, bytes]:
        """The parameters of its runs, packed plain data by name."""
        return msgspec.msgpack.decode(self.params, type=dict[str, bytes]) if self.params else {}

    def after(self, instant: dt.datetime) -> Iterator[dt.datetime]:
        """The next instants after `instant`, in order, in UTC. Raises `ScheduleError`."""
        return self.timetable().after(instant)

    def before(self, instant: dt.datetime) -> Iterator[dt.datetime]:
        """The instants before `instant`, newest first, in UTC. Raises `ScheduleError`."""
        return self.timetable().before(instant)

    def words(self) -> str:
        """When that is, in words. Raises `ScheduleError`."""
        return self.timetable().words()

    def timetable(self) -> Timetable:
        """Its instants. Raises `ScheduleError`."""
        # Here, because a manifest is read by processes that never ask when.
        from partita.core.timetable import timetable

        return timetable(self.rule, self.tz, start=self.start, end=self.end)


class SensorSpec(msgspec.Struct, frozen=True):
    """Something that looks at the world and asks for runs. `of`: "function", "file", "object", "http", "sql", "webhook",
    "run_end", "asset", "absence", ... `options` are packed plain data of its kind. Times in seconds.
    """

    name: str
    of: str
    # The pipelines (or selections of assets) that it may start.
    targets: tuple[str, ...] = ()
    call: str = ""
    interval_s: float = 30.0
    timeout_s: float = 60.0
    # Several requests within so long become one.
    debounce_s: float = 0.0
    batch: int = 0
    paused: bool = False
    options: bytes = b""
    description: str = ""
    owner: str = ""
    written_at: str = ""


class AlertSpec(msgspec.Struct, frozen=True):
    """A notification rule: what it listens to, for which subjects, and to whom it is told. Packed options by kind."""

    name: str
    on: tuple[str, ...]
    to: tuple[str, ...]
    # A selection of pipelines, assets, tags, owners: "" = all.
    subjects: str = ""
    template: str = ""
    options: bytes = b""
    written_at: str = ""


class ChannelSpec(msgspec.Struct, frozen=True):
    """Where notifications go: "slack", "email", "webhook", "apprise". Secrets are named in `options`, never held."""

    name: str
    of: str
    options: bytes = b""


class ResourceSpec(msgspec.Struct, frozen=True):
    """A typed connection to something else, with a test that runs in a worker. Its schema as JSON text."""

    name: str
    of: str
    call: str = ""
    schema: str = ""
    secrets: tuple[str, ...] = ()
    can_test: bool = False
    description: str = ""
    written_at: str = ""


class DeadlineSpec(msgspec.Struct, frozen=True):
    """By when something is to be done: `after_s` of its start, or `at` ("06:00" in `tz`, each day that a run is due)."""

    of: Literal["run", "task", "asset"]
    subject: str = ""
    after_s: float | None = None
    at: str = ""
    tz: str = "UTC"


class ConcurrencySpec(msgspec.Struct, frozen=True):
    """At most `limit` runs at once of each value of `key` (a template over parameters, partition and tags)."""

    key: str
    limit: int = 1
    strategy: Literal["queue", "skip", "cancel_oldest", "cancel_newest", "round_robin"] = "queue"


class RateSpec(msgspec.Struct, frozen=True):
    """At most `count` starts within `per_s` seconds."""

    name: str
    count: int
    per_s: float


class PipelineSpec(msgspec.Struct, frozen=True):
    """One pipeline: its graph, its parameters and its settings."""

    name: str
    graph: Graph
    params: tuple[ParamSpec, ...] = ()
    schedules: tuple[ScheduleSpec, ...] = ()
    partitions: PartitionSpec | None = None
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    fail_fast: bool = False
    timeout_s: float | None = None
    # Runs of this pipeline that may be running at once.
    max_runs: int | None = None
    # Open attempts at once within a run.
    max_steps: int | None = None
    written_at: str = ""
    concurrency: tuple[ConcurrencySpec, ...] = ()
    deadlines: tuple[DeadlineSpec, ...] = ()
    priority: int = 0


class ExecutorSpec(msgspec.Struct, frozen=True):
    """An existing engine that a project sends steps to, by its name there.

    `table` is the engine's own part of its settings, as JSON; `exchange` the address of the object store that its machines
    reach too ("" = a folder in the home). Times in seconds.
    """

    name: str
    kind: str
    table: str = "{}"
    exchange: str = ""
    start_timeout_s: float = 600.0


class Manifest(msgspec.Struct, frozen=True):
    """All that a project defines. `assets_graph` has every asset and check step; selections are cut from it."""

    project: str
    pipelines: tuple[PipelineSpec, ...] = ()
    assets: tuple[AssetSpec, ...] = ()
    assets_graph: Graph | None = None
    problems: tuple[Problem, ...] = ()
    # The content hash of the project's code, for the pin of a run.
    code: str = ""
    python: str = ""
    load_s: float = 0.0
    # Declared sizes of pools: name, slots.
    pools: tuple[tuple[str, int], ...] = ()
    # Names and values that must never be written down are not here; only the names.
    secrets: tuple[str, ...] = ()
    sensors: tuple[SensorSpec, ...] = ()
    alerts: tuple[AlertSpec, ...] = ()
    channels: tuple[ChannelSpec, ...] = ()
    resources: tuple[ResourceSpec, ...] = ()
    rates: tuple[RateSpec, ...] = ()
    # Limits by tag: tag, open attempts at once; shares of namespaces: name, weight.
    tag_limits: tuple[tuple[str, int], ...] = ()
    shares: tuple[tuple[str, float], ...] = ()
    # Open attempts at once in the namespace.
    namespace_limit: int | None = None
    namespace: str = "default"
    # Threads that were running after the import: such a process must not fork workers.
    threads: int = 1
    # Modules whose import ended with an error: what they would have defined after it is missing.
    failed_modules: tuple[str, ...] = ()
    # Secrets that are kept elsewhere: name, source ("file:/run/secrets/db").
    secret_sources: tuple[tuple[str, str], ...] = ()
    # What the machine has, where that is not to be what it says itself: cores, GPUs, bytes of memory, and others by name.
    capacity: tuple[tuple[str, float], ...] = ()
    # The client with which containers are run; "" = what is found.
    container_runtime: str = ""
    # Existing engines that steps may be sent to (`[tool.partita.executors]`).
    executors: tuple[ExecutorSpec, ...] = ()


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """The bytes of a manifest."""
    return _encoder.encode(manifest)


def decode(data: bytes) -> Manifest:
    """The manifest of its bytes. Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)
