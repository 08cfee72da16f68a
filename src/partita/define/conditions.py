"""When a step may run, as the user writes it: a join rule, a text with names of steps, or Python with `& | ~`.

Rule: names are looked up when the whole graph is known; until then a text stays a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal, NoReturn, get_args

from partita.core.graph import AllOf, AnyOf, Is, JoinRule, Not
from partita.core.graph import Condition as CoreCondition
from partita.define.guess import did_you_mean

State = Literal["succeeded", "failed", "skipped", "done"]
JOIN_RULES: Final[frozenset[str]] = frozenset(get_args(JoinRule))
_STATES: Final[frozenset[str]] = frozenset(get_args(State))

# Airflow's names, for those who come from there.
_AIRFLOW: Final = {
    "all_success": "all_succeeded",
    "one_success": "any_succeeded",
    "one_failed": "any_failed",
    "one_done": "any_done",
    "all_done_min_one_success": "all_done_any_succeeded",
    "all_done_setup_success": "all_done_setup_succeeded",
    "none_failed_min_one_success": "none_failed_any_succeeded",
    "dummy": "always",
}


class Condition:
    """A condition over ends of steps, combined with `&`, `|` and `~`; made by `pt.failed(step)` and its sisters."""

    __slots__ = ("core",)

    def __init__(self, core: CoreCondition) -> None:
        self.core = core

    def __and__(self, other: Condition) -> Condition:
        if not isinstance(other, Condition):
            return NotImplemented
        return Condition(AllOf((self.core, other.core)))

    def __or__(self, other: Condition) -> Condition:
        if not isinstance(other, Condition):
            return NotImplemented
        return Condition(AnyOf((self.core, other.core)))

    def __invert__(self) -> Condition:
        return Condition(Not(self.core))

    def __bool__(self) -> NoReturn:
        from partita.define.where import wrong

        raise wrong(
            "a condition has no value while the graph is built", hint="combine conditions with `&`, `|` and `~`"
        )

    def __repr__(self) -> str:
        return f"Condition({self.core!r})"


class ConditionError(ValueError):
    """A condition that cannot be read; `hint` says what to write."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def parse(text: str, find: Callable[[str], str]) -> Any:
    """A join rule or condition from its text; `find` gives the key of a step for its name or raises `ConditionError`.

    >>> parse("a.failed & !b.skipped", lambda name: name)
    AllOf(items=(Is(step='a', state='failed'), Not(item=Is(step='b', state='skipped'))))
    """
    if text in JOIN_RULES:
        return text
    if text in _AIRFLOW:
        raise ConditionError(f"`{text}` is no join rule", f"it is called `{_AIRFLOW[text]}` here")
    if re.fullmatch(r"\w+", text):
        raise ConditionError(f"`{text}` is no join rule", did_you_mean(text, JOIN_RULES))
    tokens = _tokens(text)
    condition = _any(tokens, find, text)
    if tokens:
        raise ConditionError(f"`{text}` cannot be read from `{tokens[-1]}` on")
    return condition


def steps_named(condition: CoreCondition) -> tuple[str, ...]:
    """The steps that a condition names."""
    match condition:
        case Is(step=step):
            return (step,)
        case Not(item=item):
            return steps_named(item)
        case AllOf(items=items) | AnyOf(items=items):
            return tuple(dict.fromkeys(s for item in items for s in steps_named(item)))


_TOKEN = re.compile(r"\s*(?:([&|!~()])|([\w./:-]+))")
_WORDS = {"and": "&", "or": "|", "not": "!", "~": "!"}


def _tokens(text: str) -> list[str]:
    """The tokens, last one first, so that `pop` takes the next."""
    found: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConditionError(f"`{text}` cannot be read at `{text[at:].strip()}`")
        token = match[1] or match[2]
        found.append(_WORDS.get(token, token))
        at = match.end()
    return found[::-1]


def _any(tokens: list[str], find: Callable[[str], str], text: str) -> CoreCondition:
    items = [_all(tokens, find, text)]
    while tokens and tokens[-1] == "|":
        tokens.pop()
        items.append(_all(tokens, find, text))
    return items[0] if len(items) == 1 else AnyOf(tuple(items))


def _all(tokens: list[str], find: Callable[[str], str], text: str) -> CoreCondition:
    items = [_one(tokens, find, text)]
    while tokens and tokens[-1] == "&":
        tokens.pop()
        items.append(_one(tokens, find, text))
    return items[0] if len(items) == 1 else AllOf(tuple(items))


def _one(tokens: list[str], find: Callable[[str], str], text: str) -> CoreCondition:
    if not tokens:
        raise ConditionError(
            f"`{text}` ends too early", "write `step.failed`, `step.succeeded`, `step.skipped` or `step.done`"
        )
    token = tokens.pop()
    if token == "!":
        return Not(_one(tokens, find, text))
    if token == "(":
        inner = _any(tokens, find, text)
        if not tokens or tokens.pop() != ")":
            raise ConditionError(f"`{text}` has a `(` without its `)`")
        return inner
    step, dot, state = token.rpartition(".")
    if not dot or state not in _STATES:
        raise ConditionError(
            f"`{token}` in `{text}` is no condition",
            "write `step.failed`, `step.succeeded`, `step.skipped` or `step.done`",
        )
    return Is(find(step), state)  # type: ignore[arg-type]  # one of _STATES
