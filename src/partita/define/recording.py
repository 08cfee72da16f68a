"""What a project declares while it is being loaded: every pipeline, asset and check in the order in which it is made.

Rule: importing declares, nothing else. Outside of a load nothing is recorded anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Declared:
    """The base of what a project declares: pipelines, assets, bundles, checks."""

    name: str


_found: ContextVar[list[Declared] | None] = ContextVar("partita_declared", default=None)


def declare(definition: Declared) -> None:
    """Say that a definition was made."""
    found = _found.get()
    if found is not None:
        found.append(definition)


@contextmanager
def recording() -> Iterator[list[Declared]]:
    """Collect what is declared inside."""
    found: list[Declared] = []
    token = _found.set(found)
    try:
        yield found
    finally:
        _found.reset(token)
