"""What an engine was told under `[tool.partita.executors.<name>]`, and what a step says by `executor_options`: read strictly.

Rule: a key that nobody knows is an error with its name; nothing is passed on to an engine that was not asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from partita.define.durations import seconds, size
from partita.errors import DefinitionError

T = TypeVar("T", bound=msgspec.Struct)


def read_settings(name: str, table: Mapping[str, object], into: type[T]) -> T:
    """The settings of one executor. Raises `DefinitionError` with the key that is wrong."""
    where = f"[tool.partita.executors.{name}]"
    if problem := _unknown(table, into):
        raise DefinitionError(f"{where}: {problem}")
    try:
        return msgspec.convert(dict(table), type=into)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"{where}: {_words(error)}") from None


def read_options(options: Mapping[str, object], into: type[T]) -> T:
    """What a step said. Raises `ValueError` with one sentence."""
    if not options:
        # Of nearly every step, and asked twice for each.
        return into()
    if problem := _unknown(options, into):
        raise ValueError(f"executor_options: {problem}")
    try:
        return msgspec.convert(dict(options), type=into)
    except msgspec.ValidationError as error:
        raise ValueError(f"executor_options: {_words(error)}") from None


def duration_of(name: str, key: str, value: object) -> float:
    """A duration of the settings, in seconds."""
    try:
        return seconds(value)
    except ValueError as error:
        raise DefinitionError(f"[tool.partita.executors.{name}]: {key}: {error}") from None


def size_of(name: str, key: str, value: object) -> int:
    """A size of the settings, in bytes."""
    try:
        return size(value)
    except ValueError as error:
        raise DefinitionError(f"[tool.partita.executors.{name}]: {key}: {error}") from None


def _unknown(table: Mapping[str, object], into: type[msgspec.Struct]) -> str:
    known = [field.encode_name for field in msgspec.structs.fields(into)]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            return f"there is no {key!r}; {advice}"
    return ""


def _words(error: msgspec.ValidationError) -> str:
    text = str(error)
    said, _, path = text.partition(" - at `$")
    return f"{path.strip('`.')}: {said}" if path else said
