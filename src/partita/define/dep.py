"""How a partition of an asset maps to those of one that it reads: `pt.dep(flights, mapping=pt.window(-6))`.

Rule: a mapping is plain data when the project is loaded; a mapping function of the user's is asked for every partition then,
so nothing that is decided later needs user code.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from partita.core import partitions
from partita.core.manifest import DepSpec, PartitionSpec
from partita.core.mappings import Mapping as CoreMapping
from partita.core.mappings import problem_of
from partita.define.where import wrong

# As many partitions as an own mapping is asked for.
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Window:
    """A window over the partitions of an upstream: made by `pt.window`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Dep:
    """A dependency with a mapping: made by `pt.dep`."""

    asset: Any
    mapping: Any


Keys = str | Sequence[str]
MappingLike = Literal["auto", "same", "last", "all", "rollup"] | Window | Mapping[str, Keys] | Callable[[str], Keys]


def dep(asset: Any, *, mapping: MappingLike = "auto") -> Dep:
    """A dependency on other partitions than the definitions say: `deps=[pt.dep(flights, mapping="last")]`.

    `mapping` is "same", "last" (the last one that was made), "all", "rollup" (a day from its 24 hours), `pt.window(-6)`, a
    dict of keys, or a function from a key to the keys of the upstream. A parameter that reads several partitions gets a
    dict by their keys.

    >>> dep("flights", mapping=window(-6)).mapping
    Window(start=-6, end=0)
    """
    if isinstance(asset, Dep):
        raise wrong("pt.dep of a pt.dep: give the asset itself")
    known = ("auto", "same", "last", "all", "rollup")
    if not (isinstance(mapping, Window | Mapping) or callable(mapping) or mapping in known):
        raise wrong(f"pt.dep: {mapping!r} is no mapping", hint=f"there is {', '.join(known)}, pt.window(-6), a dict")
    return Dep(asset, mapping)


def window(start: int, end: int = 0) -> Window:
    """The partitions from `start` to `end`, counted from the same one: `pt.window(-6)` is it and the six before."""
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in (start, end)) or start > end:
        raise wrong(f"pt.window({start!r}, {end!r}): write two whole numbers, the earlier one first: pt.window(-6, 0)")
    return Window(start, end)


def spec_of(found: Dep, asset: str, mine: PartitionSpec | None, theirs: PartitionSpec | None) -> DepSpec:
    """The mapping as plain data. Raises `ValueError` with what is wrong for people."""
    given = found.mapping
    if isinstance(given, Window):
        spec = DepSpec(asset, "window", given.start, given.end)
    elif isinstance(given, Mapping):
        spec = _table(asset, "static", given)
        _check_keys(spec, mine, theirs)
    elif callable(given):
        spec = _table(asset, "own", {key: _asked(given, key) for key in _keys(mine)})
        _check_keys(spec, None, theirs)
    else:
        spec = DepSpec(asset, given)
    if problem := problem_of(CoreMapping(spec, mine, theirs)):
        raise ValueError(problem)
    return spec


def _asked(function: Callable[[str], Keys], key: str) -> Keys:
    try:
        return function(key)
    except Exception as error:  # the user's function: its mistake is a mistake of the definition
        raise ValueError(f"the mapping function raised {type(error).__name__} for {key!r}: {error}") from error


def _keys(mine: PartitionSpec | None) -> list[str]:
    if mine is None:
        raise ValueError("an own mapping needs partitions to map from")
    if mine.kind == "dynamic" or any(inner.kind == "dynamic" for _, inner in mine.dimensions):
        raise ValueError("an own mapping cannot be asked for partitions that are added later")
    # To the end of the next year, so that a load on another day gives the same.
    until = dt.datetime(dt.datetime.now(dt.UTC).year + 2, 1, 1, tzinfo=dt.UTC)
    if partitions.count(mine, until=until) > _MOST:
        raise ValueError(f"an own mapping over more than {_MOST:,} partitions: use a window or a rollup")
    return partitions.keys(mine, until=until)


def _table(asset: str, kind: Literal["static", "own"], given: Mapping[str, Keys]) -> DepSpec:
    table: list[tuple[str, tuple[str, ...]]] = []
    many = False
    for key, value in given.items():
        keys = (value,) if isinstance(value, str) else tuple(value or ())
        if not isinstance(key, str) or not all(isinstance(k, str) for k in keys):
            raise ValueError(f"a mapping is from keys to keys, not from {key!r} to {value!r}")
        many = many or not isinstance(value, str)
        table.append((key, keys))
    return DepSpec(asset, kind, table=tuple(table), many=many)


def _check_keys(spec: DepSpec, mine: PartitionSpec | None, theirs: PartitionSpec | None) -> None:
    for key, above in spec.table:
        if mine is not None and not partitions.contains(mine, key):
            raise ValueError(f"the mapping names {key!r}, which is no partition of it")
        lost = next((k for k in above if theirs is not None and not partitions.contains(theirs, k)), None)
        if lost is not None and spec.kind == "static":
            raise ValueError(f"the mapping names {lost!r}, which is no partition of `{spec.asset}`")
