"""How long history is kept: by age and by bytes, for each kind of it.

What scheduling reads is no history and is in no kind: the newest materialization of each partition, the newest result of
each check, schedules, cursors of sensors, what a backfill or run that has not ended needs.

Rule: pure. The policy says until when; what is there, and taking it away, is `engine/retention.py`'s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from partita.errors import DefinitionError

DAY_S: Final = 86_400.0


class Keep(msgspec.Struct, frozen=True):
    """How long one kind is kept; None = for ever. `max_bytes`: the oldest go when there is more of it."""

    age_s: float | None = None
    max_bytes: int | None = None


class Kind(msgspec.Struct, frozen=True):
    """A kind of history: how it is kept if nobody says otherwise, and what it is. Only some are counted in bytes."""

    keep: Keep
    does: str
    has_bytes: bool = False
    least_s: float = 0.0


def _days(days: float, max_bytes: int | None = None) -> Keep:
    return Keep(days * DAY_S, max_bytes)


KINDS: Final[dict[str, Kind]] = {
    "runs": Kind(
        _days(90, 8 << 30),
        "ended runs with their steps, attempts, checks and journal; bytes are those of the database",
        has_bytes=True,
    ),
    "logs": Kind(_days(90, 20 << 30), "what steps have written", has_bytes=True),
    "cache": Kind(_days(90, 20 << 30), "results that later attempts may take over", has_bytes=True),
    "values": Kind(_days(1), "large values that nothing refers to any more", least_s=DAY_S),
    "materializations": Kind(_days(90), "materializations that are not the newest, of other tools and of removed runs"),
    "events": Kind(_days(90), "the journal of what happened beside runs"),
    "ticks": Kind(_days(90), "decisions of schedules"),
    "evaluations": Kind(_days(30), "looks of sensors"),
    "run_keys": Kind(_days(400), "keys under which sensors have asked for runs; each makes one run for as long"),
    "deliveries": Kind(_days(7), "deliveries of webhooks that were looked at", least_s=DAY_S),
    "automation": Kind(_days(30), "decisions of automation"),
    "messages": Kind(_days(30), "notifications that were sent or given up"),
    "backfills": Kind(_days(365), "ended backfills"),
    "versions": Kind(_days(90), "versions of code that no run is of and no project serves; graphs go with their runs"),
    "audit": Kind(_days(400), "who did what"),
    "removals": Kind(_days(400), "what retention has removed"),
}
"""Every kind, in the order in which they are looked at."""

# Kinds that nobody keeps for their own sake.
_GO_WITH: Final = {"graphs": "runs", "checkpoints": "runs", "checks": "materializations"}

KEPT_RUNS: Final = 20
"""So many of the newest successes of each pipeline stay whatever their age: usual durations come from them."""
VERSIONS: Final = 10
"""So many of the newest versions of each project stay whatever their age."""


class Policy(msgspec.Struct, frozen=True):
    """How long each kind is kept."""

    kinds: dict[str, Keep]

    def before(self, kind: str, now: float) -> float | None:
        """What is older than this is to go; None = nothing is."""
        age = self.kinds[_GO_WITH.get(kind, kind)].age_s
        return None if age is None else now - age

    def is_too_much(self, kind: str, size: int) -> bool:
        """Whether a kind takes more bytes than it may."""
        limit = self.kinds[kind].max_bytes
        return limit is not None and size > limit


DEFAULT: Final = Policy({name: kind.keep for name, kind in KINDS.items()})


def policy_of(table: Mapping[str, Any], where: str = "[tool.partita.retention]") -> Policy:
    """The policy that a table of settings says: `runs = "30d"`, `logs = "14d, 5GB"`, `audit = "forever"`.

    >>> policy_of({"logs": "14d, 5GB"}).kinds["logs"]
    Keep(age_s=1209600.0, max_bytes=5000000000)

    Raises `DefinitionError`.
    """
    kinds = dict(DEFAULT.kinds)
    for name, value in table.items():
        if name not in KINDS:
            near = difflib.get_close_matches(name, KINDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(KINDS)}"
            raise DefinitionError(f"{where}: there is no kind {name!r}", hint=hint)
        kinds[name] = _keep(name, value, where)
    return Policy(kinds)


_AGE: Final = {"h": 3600.0, "d": DAY_S, "w": 7 * DAY_S, "m": 30 * DAY_S, "y": 365 * DAY_S}
_SIZE: Final = {
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def _keep(name: str, value: Any, where: str) -> Keep:
    if value is False or value == "forever":
        return Keep()
    kind = KINDS[name]
    age, size = kind.keep.age_s, kind.keep.max_bytes
    if not isinstance(value, str) or not value.strip():
        raise _unreadable(name, value, where)
    for part in value.lower().split(","):
        match = _PART.fullmatch(part.strip())
        if match is not None and match[2] in _AGE:
            age = float(match[1]) * _AGE[match[2]]
        elif match is not None and match[2] in _SIZE and kind.has_bytes:
            size = int(float(match[1]) * _SIZE[match[2]])
        elif part.strip() == "forever":
            age = None
        else:
            raise _unreadable(name, value, where)
    if age is not None and age < kind.least_s:
        raise DefinitionError(f"{where}: {name} are kept for a day at least", hint=f'{name} = "1d"')
    return Keep(age, size)


def _unreadable(name: str, value: Any, where: str) -> DefinitionError:
    example = '"30d, 5GB"' if KINDS[name].has_bytes else '"30d"'
    return DefinitionError(
        f"{where}: {name} = {value!r} says no age{' and no size' if KINDS[name].has_bytes else ''}",
        hint=f'write {name} = {example} (units h, d, w, m, y), or "forever"',
    )
