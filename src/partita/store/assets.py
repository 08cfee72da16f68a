"""Assets beside runs: what was made last, reports from elsewhere, verdicts, automation, freshness, dynamic partitions.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/assets.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from partita.core.automation import Tree, decode_trees
from partita.core.events import Meta
from partita.core.facts.assets import (
    AssetReported,
    AutomationDecided,
    CheckReported,
    FreshnessChanged,
    PartitionAdded,
)
from partita.core.freshness import FreshnessState
from partita.core.staleness import Made, Verdict
from partita.core.values import Value
from partita.store.contract import MaterializationRow
from partita.store.database import Row
from partita.store.named import Execute, Fetching

_PAGE = 1_000
_LAST = 2**62
# Greater than nothing that begins like the key before it, for the page after.
_NEXT = "\x01"
_metadata = msgspec.msgpack.Decoder(tuple[Meta, ...]).decode
_value = msgspec.msgpack.Decoder(Value).decode
_texts = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_pack = msgspec.msgpack.encode


class HistoryRow(msgspec.Struct, frozen=True):
    """One materialization; `no` is the cursor. One that was reported has no run, and `step` is who said it."""

    no: int
    row: MaterializationRow

    @property
    def is_reported(self) -> bool:
        """Did another tool make it?"""
        return self.row.attempt == 0


class AutomatedRow(msgspec.Struct, frozen=True):
    """A decision of automation that asked for something; `trees` explain it by partition."""

    no: int
    asset: str
    at: float
    partitions: tuple[str, ...]
    run: str
    reason: str
    trees: tuple[tuple[str, Tree], ...]


class FreshnessRow(msgspec.Struct, frozen=True):
    """How fresh an asset is, since when."""

    asset: str
    partition: str
    state: FreshnessState
    since: float
    reason: str
    due_at: float | None


class Counts(msgspec.Struct, frozen=True):
    """Of an asset's partitions: how many were made, and how many have a check that failed."""

    made: int
    failed: int


class OpenStep(msgspec.Struct, frozen=True):
    """A step that runs now. `partitions` are those of its run ("" = of none)."""

    project: str
    step: str
    partitions: tuple[str, ...]
    run: str


class Failed(msgspec.Struct, frozen=True):
    """A step failed, over these partitions."""

    partitions: tuple[str, ...]
    at: float
    run: str


# --- what was made ------------------------------------------------------------------------------------------------


def made(reader: Fetching, asset: str, partition: str = "") -> Made | None:
    """The newest materialization of an asset (partition), as staleness looks at it."""
    rows = reader.fetch("made", (asset, partition))
    return _made(rows[0])[1] if rows else None


def made_of(reader: Fetching, asset: str, *, after: str | None = None, limit: int = 100) -> list[tuple[str, Made]]:
    """The partitions of an asset that were made, by key; `after` is the cursor."""
    start = "" if after is None else after + _NEXT
    return [_made(row) for row in reader.fetch("made_of_asset", (asset, start, limit))]


def all_made(reader: Fetching, asset: str) -> Iterator[tuple[str, Made]]:
    """Every partition of an asset that was made, page by page."""
    after: str | None = None
    while page := made_of(reader, asset, after=after, limit=_PAGE):
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def made_keys(reader: Fetching, asset: str) -> list[str]:
    """The keys of an asset that were made, in no order."""
    return [key for (key,) in reader.fetch("made_keys", (asset,))]


def newest_made(reader: Fetching, asset: str) -> tuple[str, Made] | None:
    """The last partition (by key) that was made."""
    rows = reader.fetch("newest_made", (asset,))
    return _made(rows[0]) if rows else None


def counts(reader: Fetching, asset: str) -> Counts:
    """How many partitions of an asset are in which state; costs its own partitions only."""
    return Counts(reader.fetch("made_count", (asset,))[0][0], reader.fetch("failed_count", (asset,))[0][0])


def history(
    reader: Fetching, asset: str, *, partition: str | None = None, before_no: int | None = None, limit: int = 50
) -> list[HistoryRow]:
    """Materializations of an asset, newest first, with their metadata."""
    before = _LAST if before_no is None else before_no
    if partition is None:
        rows = reader.fetch("history_of_asset", (asset, before, limit))
    else:
        rows = reader.fetch("history_of_partition", (asset, partition, before, limit))
    return [_history(row) for row in rows]


def report_no(reader: Fetching, asset: str, partition: str, by: str, key: str) -> int | None:
    """The materialization that was reported under this key."""
    rows = reader.fetch("report_of_key", (asset, partition, by, key))
    return rows[0][0] if rows else None


def stamp(reader: Fetching) -> tuple[int | None, int | None]:
    """Changes whenever something was made or tested."""
    newest, tested = reader.fetch("assets_stamp")[0]
    return newest, tested


def open_steps(reader: Fetching, *, limit: int = 10_000) -> list[OpenStep]:
    """What runs now, over all runs."""
    rows = reader.fetch("open_steps", (limit,))
    return [OpenStep(project, step, _keys_of(one, many), run) for project, step, one, many, run in rows]


def failures(reader: Fetching, project: str, step: str, *, newest: int = 10_000, limit: int = 100_000) -> list[Failed]:
    """Where a step failed in the newest runs of the store, oldest first."""
    last = reader.fetch("last_run_no")[0][0] or 0
    rows = reader.fetch("failures_of_step", (step, last - newest, project, limit))
    return [Failed(_keys_of(one, many), at or 0.0, run) for one, many, at, run in rows]


def _keys_of(partition: str, packed: bytes | None) -> tuple[str, ...]:
    return _texts(packed) if packed else (partition,)


# --- checks -------------------------------------------------------------------------------------------------------


def verdicts(reader: Fetching, asset: str, partition: str = "") -> list[Verdict]:
    """How the checks of an asset (partition) ended last."""
    return [_verdict(row)[1] for row in reader.fetch("verdicts_of_partition", (asset, partition))]


def all_verdicts(reader: Fetching, asset: str) -> list[tuple[str, Verdict]]:
    """How the checks of an asset ended last, in all its partitions."""
    return [_verdict(row) for row in reader.fetch("verdicts_of_asset", (asset,))]


def assets_with_verdicts(reader: Fetching) -> Iterator[str]:
    """Every asset of which a check has ended, one look into the index for each."""
    after = ""
    while rows := reader.fetch("next_with_verdicts", (after,)):
        after = rows[0][0]
        yield after


def failed_verdicts(reader: Fetching, asset: str, *, limit: int = 100) -> list[tuple[str, Verdict]]:
    """Checks of an asset that failed last, by partition."""
    return [_verdict(row) for row in reader.fetch("failed_of_asset", (asset, limit))]


# --- automation, freshness ----------------------------------------------------------------------------------------


def memory(reader: Fetching, asset: str) -> bytes | None:
    """What the automation condition of an asset remembers (a packed `core.automaton.Memory`)."""
    rows = reader.fetch("automation_memory", (asset,))
    return rows[0][0] if rows else None


def automated(reader: Fetching, asset: str, *, before_no: int | None = None, limit: int = 20) -> list[AutomatedRow]:
    """What automation asked for, newest first, with its explanations."""
    before = _LAST if before_no is None else before_no
    return [
        AutomatedRow(no, name, at, _texts(keys) if keys else ("",), run, reason, decode_trees(tree))
        for no, name, at, keys, run, reason, tree in reader.fetch("automated_of_asset", (asset, before, limit))
    ]


def freshness(reader: Fetching, asset: str, partition: str = "") -> FreshnessRow | None:
    """How fresh an asset with a policy is."""
    rows = reader.fetch("freshness_of", (asset, partition))
    return FreshnessRow(*rows[0]) if rows else None


def freshness_list(reader: Fetching, *, after: str = "", limit: int = 100) -> list[FreshnessRow]:
    """How fresh the assets with a policy are, by name."""
    return [FreshnessRow(*row) for row in reader.fetch("freshness_list", (after, limit))]


# --- partitions --------------------------------------------------------------------------------------------------


def dynamic_keys(reader: Fetching, namespace: str, name: str) -> tuple[str, ...]:
    """The keys of a dynamic partition definition, in the order in which they were added."""
    return tuple(key for (key,) in reader.fetch("dynamic_keys", (namespace, name)))


def has_dynamic_key(reader: Fetching, namespace: str, name: str, key: str) -> bool:
    """Is it a key of a dynamic partition definition?"""
    return bool(reader.fetch("dynamic_key", (namespace, name, key)))


# --- rows ---------------------------------------------------------------------------------------------------------


def _made(row: Row) -> tuple[str, Made]:
    partition, no, at, data_version, code_version, changed, changed_at, run, by = row
    return partition, Made(no, at, data_version, code_version, changed, changed_at, run, by)


def _verdict(row: Row) -> tuple[str, Verdict]:
    partition, name, passed, severity, at, message = row
    return partition, Verdict(name, bool(passed), severity, at, message)


def _history(row: Row) -> HistoryRow:
    (no, asset, partition, run, step, index, attempt, at, data_version, code_version, metadata, value, began_at,
     ended_at) = row  # fmt: skip
    return HistoryRow(
        no,
        MaterializationRow(
            asset=asset,
            partition=partition,
            run=run,
            step=step,
            index=index,
            attempt=attempt,
            at=at,
            data_version=data_version,
            code_version=code_version,
            metadata=_metadata(metadata) if metadata else (),
            value=_value(value) if value else None,
            began_at=began_at,
            ended_at=ended_at,
        ),
    )


# --- writing ------------------------------------------------------------------------------------------------------


def _asset_reported(execute: Execute, f: AssetReported) -> None:
    metadata = _pack(f.metadata) if f.metadata else None
    rows = execute("insert_report", (f.asset, f.partition, f.by, f.key, f.at, f.data_version, metadata))
    if rows:
        execute("point_latest_to", (rows[0][0],))


def _check_reported(execute: Execute, f: CheckReported) -> None:
    metadata = _pack(f.metadata) if f.metadata else None
    tested = (f.asset, f.check, f.partition, int(f.passed), f.severity, f.message)
    execute("insert_reported_check", (f.by, f.at, *tested, metadata))
    execute("put_verdict", (*tested, f.at))


def _decided(execute: Execute, f: AutomationDecided) -> None:
    if f.partitions:
        keys = None if f.partitions == ("",) else _pack(f.partitions)
        execute("insert_automated", (f.asset, f.at, keys, f.run, f.reason, f.tree))
    if f.memory is not None:
        execute("put_automation", (f.asset, f.at, f.memory))


def _freshness_changed(execute: Execute, f: FreshnessChanged) -> None:
    execute("put_freshness", (f.asset, f.partition, f.state, f.at, f.reason, f.due_at))


def _partition_added(execute: Execute, f: PartitionAdded) -> None:
    if f.removed:
        execute("remove_partition", (f.namespace, f.name, f.key))
    else:
        execute("add_partition", (f.namespace, f.name, f.key, f.at, f.by))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    AssetReported: _asset_reported,
    CheckReported: _check_reported,
    AutomationDecided: _decided,
    FreshnessChanged: _freshness_changed,
    PartitionAdded: _partition_added,
}
