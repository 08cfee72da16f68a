"""What is said about a gate, checked and as plain numbers and texts: deadlines, choices, people, the answer's type.

Rule: `of` is how the gate is called; whatever does not fit is refused with it, in words.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from partita.define.durations import seconds
from partita.define.handles import Handle
from partita.define.names import clean
from partita.define.where import wrong

_MAX_CHOICES: Final = 20
_SIMPLE: Final[dict[Any, dict[str, str]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dt.date: {"type": "string", "format": "date"},
    dt.datetime: {"type": "string", "format": "date-time"},
}


def named(kind: str, name: object) -> str:
    """How a gate is called in what is said about it."""
    return f"pt.{kind} `{name}`"


def seconds_of(of: str, option: str, value: Any) -> float | None:
    """A duration that must be more than nothing; None if it is not given."""
    if value is None:
        return None
    try:
        found = seconds(value)
    except ValueError as error:
        raise wrong(f"{of}: {option}: {error}") from None
    if found <= 0 and option not in ("duration",):
        raise wrong(f"{of}: {option} must be more than 0, not {value!r}")
    return found


def deadline_of(of: str, timeout: Any, on_timeout: str, has_default: bool) -> dict[str, Any]:
    """What a timeout and what follows it make of a gate."""
    one_of(of, "on_timeout", on_timeout, ("fail", "skip"))
    if timeout is None and (has_default or on_timeout == "skip"):
        what = "default" if has_default else "on_timeout"
        raise wrong(f"{of}: {what} is for a deadline, and there is none", hint='give it one: timeout="2d"')
    if has_default and on_timeout == "skip":
        raise wrong(f"{of}: after its deadline it takes its default or is skipped, not both")
    return {
        "timeout_s": seconds_of(of, "timeout", timeout),
        "on_timeout": "default" if has_default else on_timeout,
    }


def one_of(of: str, option: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse what is none of the known."""
    if value not in known:
        raise wrong(f"{of}: {option} is {value!r}", hint=f"one of {', '.join(known)}")


def question_of(of: str, value: object) -> str:
    """The text that people are asked."""
    if isinstance(value, Handle):
        raise wrong(
            f"{of}: its question is not known while the graph is built",
            hint='write "deploy {version}?" and show={"version": version}',
        )
    if not isinstance(value, str) or not value.strip():
        raise wrong(f"{of}: its question is {value!r}", hint='ask something: pt.approval("deploy to prod?")')
    return clean(value.strip())


def texts_of(value: str | Sequence[str], of: str) -> tuple[str, ...]:
    """Texts, each once."""
    found = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(item, str) and item.strip() == item and item for item in found):
        raise wrong(f"{of} are texts, not {value!r:.80}")
    return tuple(dict.fromkeys(found))


def check_choices(of: str, choices: tuple[str, ...], rejecting: tuple[str, ...], default: str | None) -> None:
    """Refuse choices that nobody can make sense of."""
    if not 1 <= len(choices) <= _MAX_CHOICES:
        raise wrong(f"{of}: it has {len(choices)} choices", hint=f"1 to {_MAX_CHOICES} of them")
    for choice in (*rejecting, *(() if default is None else (default,))):
        if choice not in choices:
            raise wrong(f"{of}: {choice!r} is none of its choices", hint=f"there are {', '.join(choices)}")
    if len(rejecting) == len(choices):
        raise wrong(f"{of}: every choice rejects", hint="leave one that does not")


def people_of(of: str, by: str | Sequence[str]) -> tuple[str, ...]:
    """Names and roles of who may answer."""
    found = texts_of(by, f"{of}: by: names and roles")
    for entry in found:
        if entry == "role:" or (":" in entry and not entry.startswith("role:")):
            raise wrong(f"{of}: by has {entry!r}", hint='names of people ("ana"), or roles ("role:operator")')
    return found


def quorum_of(of: str, quorum: object, by: tuple[str, ...]) -> int:
    """How many people must say the same."""
    if isinstance(quorum, bool) or not isinstance(quorum, int) or quorum < 1:
        raise wrong(f"{of}: quorum is {quorum!r}", hint="how many people must say the same: 1 or more")
    if by and not any(entry.startswith("role:") for entry in by) and quorum > len(by):
        raise wrong(f"{of}: quorum is {quorum}, and only {len(by)} may answer", hint="name more of them, or a role")
    return quorum


def schema_of(of: str, answer: Any) -> str:
    """The JSON schema of a typed answer."""
    if answer is None:
        return ""
    simple = _SIMPLE.get(answer) if isinstance(answer, type) else None
    if simple is not None:
        return json.dumps(simple, sort_keys=True)
    if isinstance(answer, Mapping):
        return json.dumps(answer, sort_keys=True)
    from pydantic import TypeAdapter

    try:
        return json.dumps(TypeAdapter(answer).json_schema(), sort_keys=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise wrong(
            f"{of}: {answer!r:.80} is no type that an answer can have: {reason}",
            hint="use str, int, float, bool, dates, Literal, enums, lists, dicts, dataclasses or pydantic models",
        ) from None
