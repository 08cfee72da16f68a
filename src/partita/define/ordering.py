"""Steps in an order in which each stands after its needs, and the way around a cycle.

Rule: the order in which things were written is kept where needs allow it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


class Cycle(Exception):
    """The needs go around in a circle; `path` ends with the step that it began with, each step needed by the next."""

    def __init__(self, path: list[str]) -> None:
        super().__init__(" -> ".join(path))
        self.path = path


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The keys, each after its needs. Raises `Cycle`.

    >>> in_order({"load": ["extract"], "extract": []})
    ['extract', 'load']
    """
    number = {key: i for i, key in enumerate(needs)}
    keys = list(needs)
    users: dict[str, list[str]] = {key: [] for key in needs}
    waits: dict[str, int] = {}
    for key, wanted in needs.items():
        inside = [need for need in dict.fromkeys(wanted) if need in number]
        waits[key] = len(inside)
        for need in inside:
            users[need].append(key)
    ready = [number[key] for key, count in waits.items() if count == 0]
    ordered: list[str] = []
    while ready:
        key = keys[heapq.heappop(ready)]
        ordered.append(key)
        for user in users[key]:
            waits[user] -= 1
            if waits[user] == 0:
                heapq.heappush(ready, number[user])
    if len(ordered) < len(keys):
        raise Cycle(_around(needs, {key for key, count in waits.items() if count}))
    return ordered


def _around(needs: Mapping[str, Sequence[str]], left: set[str]) -> list[str]:
    """One cycle among the keys that are left, in the direction of the data."""
    key = min(left, key=list(needs).index)
    seen: list[str] = []
    while key not in seen:
        seen.append(key)
        # Every key that is left waits for a key that is left, else it would have been ordered.
        key = next(need for need in needs[key] if need in left)
    return [key, *reversed(seen[seen.index(key) :])]
