"""What a project defines, as plain data: the loader process makes it, everybody else reads it.

Rule: no user object in here; a manifest can be stored, sent and compared.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from partita.core.graph import Graph


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

    A product has `dimensions`; its keys are those of its dimensions joined by "|".
    """

    kind: Literal["hourly", "daily", "weekly", "monthly", "static", "product"]
    start: str = ""
    end: str = ""
    tz: str = "UTC"
    keys: tuple[str, ...] = ()
    dimensions: tuple[tuple[str, PartitionSpec], ...] = ()


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
    freshness_s: float | None = None
    written_at: str = ""


class ScheduleSpec(msgspec.Struct, frozen=True):
    """When a pipeline is to start, as declared; `rule` is the timetable's own text ("cron 0 3 * * *")."""

    name: str
    rule: str
    tz: str = "UTC"
    catchup: str = "none"


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
    # Threads that were running after the import: such a process must not fork workers.
    threads: int = 1


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """The bytes of a manifest."""
    return _encoder.encode(manifest)


def decode(data: bytes) -> Manifest:
    """The manifest of its bytes. Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)
