"""Secrets in definitions: their names. What they are is found out in a worker, when a step asks.

Rule: a `Secret` holds a name and nothing else, so it can be printed, stored and sent; its value is never kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from partita.errors import DefinitionError, PartitaError

SOURCES = ("store", "env", "file", "keyring", "vault")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,199}")


class Secret:
    """The name of a secret. In a step, `get()` gives its value.

    >>> secret("WAREHOUSE_PASSWORD")
    <secret WAREHOUSE_PASSWORD>
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        if problem := problem_of_name(name):
            raise DefinitionError(problem)
        self.name = name

    def get(self) -> str:
        """The value; only in a step, or in another function that a worker calls. Raises `PartitaError`."""
        return resolve(self.name)

    def __repr__(self) -> str:
        return f"<secret {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Secret, self.name))

    def __getstate__(self) -> str:
        return self.name

    def __setstate__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self.name,)


def secret(name: str) -> Secret:
    """A secret by its name; `secret("WAREHOUSE_PASSWORD").get()` in a step gives its value."""
    found = Secret(name)
    # Steps may make up names without end; a project's modules do not.
    if len(_mentions) < 10_000:
        _mentions.append(name)
    return found


def problem_of_name(name: object) -> str:
    """What is wrong with the name of a secret; "" if nothing is."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return ""
    return f"{name!r} is no name of a secret: letters, digits and _ . - (a letter first, 200 characters at most)"


def problem_of_source(source: object) -> str:
    """What is wrong with where a secret is said to be; "" if nothing is."""
    kind, _, rest = source.partition(":") if isinstance(source, str) else ("", "", "")
    if kind not in SOURCES or (bool(rest) == (kind == "store")):
        return f"{source!r} is no source: store, env:NAME, file:PATH, keyring:SERVICE/USER, vault:MOUNT/PATH#FIELD"
    if kind == "keyring" and "/" not in rest:
        return f"{source!r} needs a service and a user: keyring:SERVICE/USER"
    if kind == "vault" and not ("#" in rest and "/" in rest):
        return f"{source!r} needs mount, path and field: vault:MOUNT/PATH#FIELD"
    return ""


# --- finding values: set by the process that runs user code -------------------------------------------------------

Resolver = Callable[[str], str]


def from_environment(name: str) -> str:
    """The variable of this name: what there is outside of workers, as in a unit test."""
    value = os.environ.get(name)
    if value is None:
        raise PartitaError(
            f"there is no secret {name}",
            hint=f"keep it: partita secrets set {name}   or for a test: set the variable {name}",
        )
    return value


_resolver: Resolver = from_environment
# Names that modules mention while they are imported, for the loader.
_mentions: list[str] = []


def resolve(name: str) -> str:
    """The value of a secret, in the way of this process."""
    return _resolver(name)


def resolve_with(resolver: Resolver) -> None:
    """How values are found in this process from now on (for workers)."""
    global _resolver
    _resolver = resolver


def collect_mentions() -> None:
    """Begin to collect the names that modules mention (for the loader)."""
    _mentions.clear()


def mentions() -> list[str]:
    """Names that were mentioned since then."""
    return list(_mentions)
