"""Where the steps of a graph stand in a drawing: in layers from left to right, edges crossing as little as is cheap.

After Sugiyama, Tagawa, Toda (1981): layers by the longest way from the left, edges over several layers get a waypoint in
each, the order within the layers by the mean position of the neighbours, swept to and fro.

Rule: pure and repeatable; the same graph gives the same drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 12


@dataclass(frozen=True)
class Place:
    """Where a node stands: its layer, and its row within the drawing (not the layer), from the top."""

    layer: int
    row: float


@dataclass(frozen=True)
class Layout:
    """The places of nodes, and the ways of edges from place to place."""

    places: dict[str, Place]
    ways: dict[tuple[str, str], tuple[Place, ...]]
    layers: int
    rows: float


def arranged(needs: Mapping[str, Sequence[str]]) -> Layout:
    """The layout of a graph given as node -> what it needs, each after its needs."""
    layer = _layers(needs)
    rows_of: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for key, at in layer.items():
        rows_of[at].append(key)
    chains = _with_waypoints(needs, layer, rows_of)
    neighbours = _neighbours(chains)
    _untangle(rows_of, *neighbours)
    rows = _rows(rows_of, *neighbours)
    places = {key: Place(at, rows[key]) for at, keys in enumerate(rows_of) for key in keys}
    ways = {edge: tuple(places[key] for key in chain) for edge, chain in chains.items()}
    own = {key: place for key, place in places.items() if key in layer}
    return Layout(own, ways, len(rows_of), max(rows.values(), default=0.0) + 1)


def _layers(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    layer: dict[str, int] = {}
    for key, before in needs.items():
        layer[key] = max((layer[need] + 1 for need in before if need in layer), default=0)
    return layer


def _with_waypoints(
    needs: Mapping[str, Sequence[str]], layer: dict[str, int], rows_of: list[list[str]]
) -> dict[tuple[str, str], list[str]]:
    """Each edge as the chain of nodes and waypoints that it passes; waypoints of one source are shared."""
    chains: dict[tuple[str, str], list[str]] = {}
    made: set[str] = set()
    for key, before in needs.items():
        for need in before:
            chain = [need]
            for at in range(layer[need] + 1, layer[key]):
                waypoint = f"\0{need}\0{at}"
                if waypoint not in made:
                    made.add(waypoint)
                    rows_of[at].append(waypoint)
                chain.append(waypoint)
            chains[need, key] = [*chain, key]
    return chains


def _neighbours(chains: dict[tuple[str, str], list[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for chain in chains.values():
        for a, b in pairwise(chain):
            if a not in before.setdefault(b, []):
                before[b].append(a)
                after.setdefault(a, []).append(b)
    return before, after


def _untangle(rows_of: list[list[str]], before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    at = {key: float(row) for keys in rows_of for row, key in enumerate(keys)}

    def sort(keys: list[str], beside: dict[str, list[str]]) -> None:
        def mean(key: str) -> float:
            found = beside.get(key)
            return sum(at[n] for n in found) / len(found) if found else at[key]

        keys.sort(key=mean)
        for row, key in enumerate(keys):
            at[key] = float(row)

    for sweep in range(_SWEEPS):
        if sweep % 2 == 0:
            for keys in rows_of[1:]:
                sort(keys, before)
        else:
            for keys in reversed(rows_of[:-1]):
                sort(keys, after)


def _rows(rows_of: list[list[str]], before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, float]:
    """Heights: near the neighbours, in the order of the layer, one row apart."""
    tallest = max((len(keys) for keys in rows_of), default=0)
    rows = {key: (tallest - len(keys)) / 2 + at for keys in rows_of for at, key in enumerate(keys)}
    for sweep in range(_SWEEPS):
        beside = before if sweep % 2 == 0 else after
        for keys in rows_of if sweep % 2 == 0 else list(reversed(rows_of)):
            wanted = [sum(rows[n] for n in beside[k]) / len(beside[k]) if beside.get(k) else rows[k] for k in keys]
            for key, row in zip(keys, _apart(wanted), strict=True):
                rows[key] = row
    top = min(rows.values(), default=0.0)
    return {key: row - top for key, row in rows.items()}


def _apart(wanted: list[float]) -> list[float]:
    """Rows at least 1 apart, in this order, as near to what is wanted as they can be in the mean.

    Pool adjacent violators: neighbours that want to overlap become one block around their mean.
    """
    blocks: list[tuple[float, int]] = []  # the sum of (wanted - offset in the block), and the count
    for row in wanted:
        total, count = row, 1
        while blocks:
            last_total, last_count = blocks[-1]
            if last_total / last_count + last_count <= total / count:
                break
            blocks.pop()
            total, count = last_total + total - last_count * count, last_count + count
        blocks.append((total, count))
    return [total / count + offset for total, count in blocks for offset in range(count)]
