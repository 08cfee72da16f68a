"""What a project declares while it is being loaded: every pipeline, asset and check in the order in which it is made.

Rule: importing declares, nothing else. Outside of a load nothing is recorded anywhere, and a wrong definition raises at
once; inside of one it is recorded and a stand-in takes its place, so that all that is wrong is found in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from partita.errors import DefinitionError

T = TypeVar("T")


class Follows(DefinitionError):
    """Something is wrong only because something else is, which has been reported."""


class Declared:
    """The base of what a project declares: pipelines, assets, bundles, checks."""

    name: str
    # What is wrong with it, if it only stands in for what the user wrote.
    broken: DefinitionError | None = None


@dataclass(slots=True)
class Recording:
    """What was declared, and what is wrong."""

    declared: list[Declared] = field(default_factory=list)
    problems: list[DefinitionError] = field(default_factory=list)


_recording: ContextVar[Recording | None] = ContextVar("partita_recording", default=None)


def declare(definition: Declared) -> None:
    """Say that a definition was made."""
    current = _recording.get()
    if current is not None:
        current.declared.append(definition)


def forgiving(build: Callable[[], T], stand_in: Callable[[DefinitionError], T]) -> T:
    """Build a definition; while a project is loaded, what is wrong with it is recorded and a stand-in is made."""
    try:
        return build()
    except DefinitionError as error:
        current = _recording.get()
        if current is None:
            raise
        if not isinstance(error, Follows):
            current.problems.append(error)
        return stand_in(error)


@contextmanager
def recording() -> Iterator[Recording]:
    """Collect what is declared inside."""
    found = Recording()
    token = _recording.set(found)
    try:
        yield found
    finally:
        _recording.reset(token)
