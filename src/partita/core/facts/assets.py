"""Facts about assets that no attempt of ours made: reports from elsewhere, automation, freshness."""

from __future__ import annotations

from typing import Literal

from partita.core.events import Meta
from partita.core.facts.fact import FactBase


class AssetReported(FactBase, frozen=True, array_like=True, tag="asset_reported"):
    """Another tool says that it made an asset (partition). `key` makes saying it twice one report."""

    asset: str
    partition: str
    by: str
    data_version: str = ""
    metadata: tuple[Meta, ...] = ()
    key: str = ""


class CheckReported(FactBase, frozen=True, array_like=True, tag="check_reported"):
    """Another tool says how a test of an asset ended."""

    asset: str
    check: str
    passed: bool
    by: str
    partition: str = ""
    severity: Literal["warn", "error"] = "error"
    message: str = ""
    metadata: tuple[Meta, ...] = ()


class AutomationDecided(FactBase, frozen=True, array_like=True, tag="automation_decided"):
    """The condition of an asset was evaluated and asked for partitions, or what it remembers has changed.

    `tree` explains it (packed), `memory` is what it needs the next time ("since", last cron tick), packed.
    """

    asset: str
    partitions: tuple[str, ...]
    run: str
    tree: bytes
    memory: bytes | None = None
    reason: str = ""


class FreshnessChanged(FactBase, frozen=True, array_like=True, tag="freshness_changed"):
    """An asset became fresh, late enough to warn, or too late."""

    asset: str
    state: Literal["fresh", "warn", "fail", "unknown"]
    reason: str = ""
    partition: str = ""
    due_at: float | None = None


class PartitionAdded(FactBase, frozen=True, array_like=True, tag="partition_added"):
    """A key was added to, or (`removed`) taken from, a dynamic partition definition."""

    namespace: str
    name: str
    key: str
    by: str = ""
    removed: bool = False


AssetFact = AssetReported | CheckReported | AutomationDecided | FreshnessChanged | PartitionAdded
