"""Which namespaces an engine is for: all, all but those that were given out, or one that was.

What belongs to no namespace (keeping house, users, secrets, the audit's end) is for whoever has all the others.

Rule: pure. Who was given out is in the store, and does not change while an epoch lasts.
"""

from __future__ import annotations

from dataclasses import dataclass

from partita.store.contract import Reader
from partita.store.leases import shard_of


@dataclass(frozen=True)
class Realm:
    """`only` one namespace, or ("") all but `without`.

    >>> Realm(without=frozenset({"team-a"})).has("default"), Realm("team-a").has("default")
    (True, False)
    """

    only: str = ""
    without: frozenset[str] = frozenset()

    @staticmethod
    def of(store: Reader, namespace: str = "") -> Realm:
        """That of an engine for a namespace that was given out; without one, for what is left."""
        return Realm(namespace) if namespace else Realm(without=store.given_out())

    @staticmethod
    def over(store: Reader, namespace: str) -> Realm:
        """That of the engine that a namespace is led by."""
        given_out = store.given_out()
        return Realm(namespace) if namespace in given_out else Realm(without=given_out)

    @property
    def shard(self) -> str:
        """The lease that guards it."""
        return shard_of(self.only)

    def has(self, namespace: str) -> bool:
        """Whether a namespace is in it."""
        return namespace == self.only if self.only else namespace not in self.without
