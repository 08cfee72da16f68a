"""What gates decide: who may answer, when the answers suffice, when a gate is due, what its step's result is.

Rule: pure questions over a spec and what was said so far. Opening, answering and ending is the machine's (`waiting.py`).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from partita.core import plain
from partita.core.schema import mismatch
from partita.core.values import Input, Many, Missing, Named, Value, Whole

if TYPE_CHECKING:
    from partita.core.events import GateReported, GateVoted
    from partita.core.graph import GateSpec

ROLES: Final = ("viewer", "operator", "author", "admin")
"""Each may what those before it may."""

MAX_TEXT: Final = 20_000
MAX_VALUE_BYTES: Final = 1 << 20


class GateState:
    """How one gate stands."""

    __slots__ = ("due_at", "heard_at", "message", "opened_at", "report", "votes")

    def __init__(self) -> None:
        # None until it opens.
        self.opened_at: float | None = None
        self.due_at: float | None = None
        self.heard_at: float | None = None
        self.message = ""
        # By the name of the person.
        self.votes: dict[str, GateVoted] = {}
        # What was reported before it opened.
        self.report: GateReported | None = None


# --- who may, and what may be said --------------------------------------------------------------------------------


def may_not(spec: GateSpec, *, by: str, roles: Collection[str], starter: str) -> str:
    """Why this person may not answer; "" if they may.

    >>> from partita.core.graph import GateSpec
    >>> may_not(GateSpec("approval", by=("role:operator",)), by="ana", roles=("viewer",), starter="bo")
    'ana is not among those who may answer: role:operator'
    """
    if spec.four_eyes and by == starter:
        return f"{by} started this run, and may not be the one who answers (four_eyes)"
    if not spec.by or by in spec.by or any(_has_role(entry[5:], roles) for entry in spec.by if entry[:5] == "role:"):
        return ""
    return f"{by} is not among those who may answer: {', '.join(spec.by)}"


def wrong_vote(spec: GateSpec, *, choice: str, comment: str, answer: bytes | None) -> str:
    """What is wrong with an answer; "" if nothing is."""
    if choice not in spec.choices:
        return f"{choice!r} is none of its choices: {', '.join(spec.choices)}"
    if len(comment) > MAX_TEXT:
        return f"the comment has {len(comment):,} characters, more than {MAX_TEXT:,}"
    if answer is None:
        return "" if not spec.schema or choice in spec.rejecting or _takes_nothing(spec) else _no_answer(spec)
    if not spec.schema:
        return "it takes no typed answer, only a choice and a comment"
    if len(answer) > MAX_VALUE_BYTES:
        return f"the answer has {len(answer):,} bytes, more than {MAX_VALUE_BYTES:,}"
    return mismatch(plain.unpack(answer), json.loads(spec.schema), "the answer")


def wrong_report(value: Value | None, message: str) -> str:
    """What is wrong with another system's callback; "" if nothing is."""
    if value is not None and value.size > MAX_VALUE_BYTES:
        return f"the value has {value.size:,} bytes, more than {MAX_VALUE_BYTES:,}"
    return f"the message has more than {MAX_TEXT:,} characters" if len(message) > MAX_TEXT else ""


def who_may(spec: GateSpec) -> str:
    """In words, who may answer.

    >>> from partita.core.graph import GateSpec
    >>> who_may(GateSpec("approval", by=("role:operator", "ana"), quorum=2))
    '2 of ana and whoever is operator'
    """
    names = [entry for entry in spec.by if entry[:5] != "role:"]
    roles = [entry[5:] for entry in spec.by if entry[:5] == "role:"]
    told = [*names, *([f"whoever is {' or '.join(roles)}"] if roles else [])]
    whom = " and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else (told or ["anybody"])[0]
    if spec.quorum > 1:
        whom = f"{spec.quorum} of {whom}" if told else f"{spec.quorum} people"
    return whom + (", but not who started the run" if spec.four_eyes else "")


def _has_role(wanted: str, roles: Collection[str]) -> bool:
    if wanted in roles:
        return True
    return wanted in ROLES and any(r in ROLES and ROLES.index(r) > ROLES.index(wanted) for r in roles)


def _takes_nothing(spec: GateSpec) -> bool:
    """May the typed answer be left out: is nothing of it required?"""
    return mismatch({}, json.loads(spec.schema), "") == "" or mismatch(None, json.loads(spec.schema), "") == ""


def _no_answer(spec: GateSpec) -> str:
    schema = json.loads(spec.schema)
    required = schema.get("required") if isinstance(schema, dict) else None
    return f"it asks for a typed answer{' with ' + ', '.join(required) if required else ''}"


# --- when the answers suffice -------------------------------------------------------------------------------------


def deciding(spec: GateSpec, votes: Mapping[str, GateVoted]) -> str | None:
    """The choice that the votes have come to; None while they do not suffice. One rejection is enough."""
    for vote in votes.values():
        if vote.choice in spec.rejecting:
            return vote.choice
    counts = Counter(vote.choice for vote in votes.values())
    return next((choice for choice in spec.choices if counts[choice] >= spec.quorum), None)


def missing_votes(spec: GateSpec, votes: Mapping[str, GateVoted]) -> int:
    """How many answers are missing at least."""
    counts = Counter(vote.choice for vote in votes.values())
    return spec.quorum - max(counts.values(), default=0)


def approval_value(spec: GateSpec, choice: str, *, by: Collection[str], comment: str, answer: bytes | None) -> Value:
    """The result of an approval's step, as its users read it."""
    given = plain.unpack(answer) if answer is not None else None
    return value_of(
        plain.pack(
            {
                "choice": choice,
                "approved": choice not in spec.rejecting,
                "by": list(by),
                "comment": comment,
                "answer": given,
            }
        )
    )


def value_of(data: bytes) -> Value:
    """Packed plain data as the value of a step."""
    return Value("plain", len(data), data, length=plain.length(data))


# --- time ---------------------------------------------------------------------------------------------------------


def alarm(spec: GateSpec, gate: GateState) -> float | None:
    """When the gate next wants to be looked at."""
    due = gate.due_at
    if spec.heartbeat_s is None or gate.opened_at is None:
        return due
    silent = (gate.heard_at or gate.opened_at) + spec.heartbeat_s
    return silent if due is None else min(due, silent)


def silence(spec: GateSpec, gate: GateState) -> str:
    """In words, that a heartbeat was missed."""
    heard = f"was last heard of at {instant(gate.heard_at)}" if gate.heard_at is not None else "was never heard of"
    said = f", saying {gate.message!r}" if gate.message else ""
    return f"no heartbeat for {duration(spec.heartbeat_s or 0.0)}: the other system {heard}{said}"


def lateness(spec: GateSpec, gate: GateState) -> str:
    """In words, that nobody answered in time."""
    waited = duration(spec.timeout_s or 0.0)
    if spec.of == "approval":
        given = len(gate.votes)
        return f"{'only ' + str(given) + ' of ' + str(spec.quorum) if given else 'nobody'} answered within {waited}"
    if spec.of == "condition":
        return f"waited {waited} for {spec.text or 'its condition'}"
    return f"no callback came within {waited}"


def duration(seconds: float) -> str:
    """A duration in words: "2 h", "1 h 30 min".

    >>> duration(5400), duration(172800), duration(0.5)
    ('1 h 30 min', '2 d', '0.5 s')
    """
    if seconds < 1:
        return f"{seconds:g} s"
    parts: list[str] = []
    left = round(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {unit}")
        left %= size
    return " ".join(parts)


def instant(at: float | None) -> str:
    """An instant in UTC, for people."""
    if at is None:
        return "never"
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PARTS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)")


def seconds_of(value: object) -> float | None:
    """A duration that a step or parameter gave: seconds, a timedelta or "1h30m"; None if it is none.

    >>> seconds_of("1h30m"), seconds_of(5), seconds_of("soon")
    (5400.0, 5.0, None)
    """
    if isinstance(value, dt.timedelta):
        return max(0.0, value.total_seconds())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e11 else None
    if isinstance(value, str):
        text = value.replace(" ", "")
        parts = _PARTS.findall(text)
        if parts and "".join(n + u for n, u in parts) == text:
            return sum(float(n) * _UNITS[u] for n, u in parts)
    return None


def instant_of(value: object) -> float | None:
    """An instant that a step or parameter gave: seconds since the epoch, a datetime or ISO text (UTC if it says none)."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)).timestamp()
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC).timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e11 else None
    return None


def plain_input(given: Input) -> tuple[bool, Any]:
    """An input as plain data, and whether it could be read here."""
    match given:
        case Whole(value=value, path=path):
            found, read = _plain_value(value)
            return (found, read) if not found or not path else _followed(read, path)
        case Many(items=items):
            read_items = [plain_input(item) for item in items]
            return all(found for found, _ in read_items), [read for _, read in read_items]
        case Named(items=pairs):
            read_pairs = {name: plain_input(item) for name, item in pairs}
            return all(f for f, _ in read_pairs.values()), {name: read for name, (_, read) in read_pairs.items()}
        case Missing():
            return True, None
        case _:
            return False, None


def _followed(value: Any, path: tuple[str | int, ...]) -> tuple[bool, Any]:
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return False, None
    return True, value


def _plain_value(value: Value) -> tuple[bool, Any]:
    if value.codec != "plain" or value.data is None:
        return False, None
    try:
        return True, plain.unpack(value.data)
    except (LookupError, ValueError, TypeError):
        return False, None
