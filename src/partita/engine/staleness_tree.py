"""The staleness of an asset followed to its first causes: what it reads is newer, because what that reads was newer.

Rule: each node's reasons are `core.staleness`; here they are only followed upwards, as far as people read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from partita.core.manifest import AssetSpec
from partita.core.staleness import Cause, name_of
from partita.engine import asset_health
from partita.engine.asset_health import staleness_of
from partita.store import assets as rows
from partita.store.named import Fetching

# Reasons of one node, and nodes of all, that are followed.
_WIDE = 10
_MOST = 150


class Node(msgspec.Struct, frozen=True):
    """One asset (partition) or reason: what is said of it, when it came to be, by which run or whom."""

    code: str
    text: str
    asset: str = ""
    partition: str = ""
    at: float | None = None
    run: str = ""
    by: str = ""
    children: tuple[Node, ...] = ()
    # Reasons that are not shown.
    more: int = 0


def staleness_tree(
    reader: Fetching,
    assets: Sequence[tuple[str, AssetSpec]],
    spec: AssetSpec,
    partition: str = "",
    *,
    now: float,
    namespace: str = "default",
    depth: int = 4,
) -> Node:
    """Why an asset (partition) is as it is. Of a partitioned asset without a partition: its newest that are not current."""
    by_name = {s.name: s for _, s in assets}
    walk = _Walk(reader, by_name.get, namespace)
    if spec.partitions is None or partition:
        return walk.node(spec, partition, depth)
    marks = asset_health.marks(reader, assets, spec, now=now, namespace=namespace)
    unwell = marks.stale | marks.failing
    state = "failing" if marks.failing else "stale" if marks.stale else "current"
    newest = [at for at in range(unwell.bit_length() - 1, 0, -1) if unwell >> at & 1]
    text = (
        f"{len(newest):,} of {len(marks.keys) - 1:,} partitions are not current"
        if newest
        else "all that was made is current"
    )
    shown = newest[: _WIDE // 2]
    children = tuple(walk.node(spec, marks.keys[at], depth - 1) for at in shown)
    return Node(state, text, spec.name, children=children, more=len(newest) - len(shown))


class _Walk:
    """Goes up from one asset; none is explained twice."""

    def __init__(self, reader: Fetching, asset_of: Callable[[str], AssetSpec | None], namespace: str) -> None:
        self._reader = reader
        self._asset_of = asset_of
        self._namespace = namespace
        self._seen: set[tuple[str, str]] = set()

    def node(self, spec: AssetSpec, partition: str, depth: int) -> Node:
        """An asset (partition) with its reasons."""
        self._seen.add((spec.name, partition))
        made = rows.made(self._reader, spec.name, partition)
        found = staleness_of(self._reader, self._asset_of, spec, partition, namespace=self._namespace)
        state = "external" if spec.external and made is None else found.state
        causes = () if spec.external else found.causes
        return Node(
            state,
            f"{name_of(spec.name, partition)} is {state}",
            spec.name,
            partition,
            made.at if made is not None else None,
            made.run if made is not None else "",
            made.by if made is not None else "",
            tuple(self._reason(cause, depth) for cause in causes[:_WIDE]),
            max(0, len(causes) - _WIDE),
        )

    def _reason(self, cause: Cause, depth: int) -> Node:
        upstream = self._asset_of(cause.asset) if cause.asset else None
        place = (cause.asset, cause.partition)
        is_new = upstream is not None and place not in self._seen and len(self._seen) < _MOST
        above = (
            self.node(upstream, cause.partition, depth - 1) if upstream is not None and is_new and depth > 1 else None
        )
        made = rows.made(self._reader, *place) if upstream is not None else None
        return Node(
            cause.code,
            cause.text,
            *place,
            cause.at or None,
            made.run if made is not None else "",
            made.by if made is not None else "",
            above.children if above is not None else (),
            above.more if above is not None else 0,
        )
