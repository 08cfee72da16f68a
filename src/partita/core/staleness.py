"""Staleness: is what was made of an asset (partition) still what would be made now?

It is missing, or an upstream has newer data, or the code is another, or a check of it failed. An upstream that was made
again with the same data version changed nothing, so it makes nobody stale.

Rule: a pure function of recorded facts. "Newer" goes by the order of commit, never by a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec


class Made(msgspec.Struct, frozen=True):
    """The newest materialization of an asset (partition). `no` counts commits; `changed_no` and `changed_at` are of the
    first one in a row with its data version.
    """

    no: int
    at: float
    data_version: str = ""
    code_version: str = ""
    changed_no: int = 0
    changed_at: float = 0.0
    run: str = ""
    # Another tool reported it.
    by: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """How a check ended last."""

    check: str
    passed: bool
    severity: Literal["warn", "error"] = "error"
    at: float = 0.0
    message: str = ""
    blocking: bool = False


class Read(msgspec.Struct, frozen=True):
    """An upstream partition that it is made from. `made` None: it was never made."""

    asset: str
    partition: str
    made: Made | None


class Cause(msgspec.Struct, frozen=True):
    """One reason: what (`code`), about which asset (partition), when, in words."""

    code: Literal["missing", "upstream_newer", "upstream_missing", "code_changed", "check_failed"]
    text: str
    asset: str = ""
    partition: str = ""
    at: float = 0.0


class Staleness(msgspec.Struct, frozen=True):
    """`missing`: never made. `stale`: it would be another one now. `failing`: a check says that it is bad. Else `current`."""

    state: Literal["current", "stale", "failing", "missing"]
    causes: tuple[Cause, ...] = ()


def staleness(
    made: Made | None, reads: Iterable[Read], *, code_version: str = "", verdicts: Sequence[Verdict] = ()
) -> Staleness:
    """The staleness of an asset (partition) with its reasons, the weightiest first.

    >>> staleness(Made(1, 10.0), [Read("raw", "", Made(2, 20.0, changed_no=2, changed_at=20.0))]).state
    'stale'
    """
    if made is None:
        return Staleness("missing", (Cause("missing", "it was never made"), *_absent(reads)))
    newer: list[Cause] = []
    for read in reads:
        if read.made is not None and read.made.changed_no > made.no:
            text = f"{name_of(read.asset, read.partition)} has newer data"
            newer.append(Cause("upstream_newer", text, read.asset, read.partition, read.made.changed_at))
    if code_version and made.code_version and code_version != made.code_version:
        text = f"its code has changed: it was made by version {made.code_version[:8]}, now it is {code_version[:8]}"
        newer.append(Cause("code_changed", text, at=made.at))
    failed = [
        Cause("check_failed", f"check {v.check} failed" + (f": {v.message}" if v.message else ""), at=v.at)
        for v in verdicts
        if not v.passed and v.severity == "error"
    ]
    state: Literal["current", "stale", "failing"] = "failing" if failed else "stale" if newer else "current"
    return Staleness(state, (*failed, *newer))


def name_of(asset: str, partition: str) -> str:
    """An asset (partition) in a sentence."""
    return f"{asset} of {partition}" if partition else asset


def _absent(reads: Iterable[Read]) -> list[Cause]:
    return [
        Cause(
            "upstream_missing",
            f"{name_of(read.asset, read.partition)} was never made",
            read.asset,
            read.partition,
        )
        for read in reads
        if read.made is None
    ]
