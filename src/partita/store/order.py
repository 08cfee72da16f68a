"""In which order rows are listed, and which run a name means: one answer for every store.

Rule: pure functions on rows; what SQL can do cheaply with an index is done there, the rest here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from partita.store.contract import AttemptRow, GateRow, StepRow, VoteRow


def position(index: str) -> tuple[int, ...]:
    """An index as numbers, for sorting.

    >>> sorted(["10", "9", "3.17", "3.2"], key=position)
    ['3.2', '3.17', '9', '10']
    """
    if not index:
        return ()
    return tuple(map(int, index.split(".")))


def by_instance(row: StepRow | AttemptRow | GateRow) -> tuple[str, tuple[int, ...], int]:
    """Step key, index by number, attempt."""
    return (row.step, position(row.index), 0 if isinstance(row, GateRow) else row.attempt)


def by_voter(row: VoteRow) -> tuple[str, tuple[int, ...], str]:
    """Step key, index by number, who voted."""
    return (row.step, position(row.index), row.by)


def as_number(name: str) -> int | None:
    """The run number that people type, if `name` can be one.

    A leading zero is none: UUIDv7 ids of these decades begin with "01", and all of a beginning may be digits.
    """
    if name.isascii() and name.isdecimal() and not name.startswith("0") and len(name) < 19:
        return int(name)
    return None


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The value at `fraction` of a sorted sequence, linear between neighbours (SQL's `percentile_cont`)."""
    at = (len(ordered) - 1) * fraction
    low = math.floor(at)
    high = math.ceil(at)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
