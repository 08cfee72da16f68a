"""Who may do what: permissions, the roles that bundle them, and the one question asked of both.

A grant is (namespace or "*", role or permission): a user's roles are grants, a token's scopes are grants. What is not
granted is forbidden.

Rule: plain data and pure questions. The namespace that is asked about is that of the stored row, never of the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Permission = Literal[
    "public",
    "signed",
    "signed_in",
    "view",
    "log.read",
    "operate",
    "report",
    "author",
    "secret.use",
    "audit.read",
    "admin",
]
Role = Literal["viewer", "operator", "author", "admin"]
Grant = tuple[str, str]
EVERYWHERE: Final = "*"

PERMISSIONS: Final[dict[str, str]] = {
    "public": "anybody: health, signing in, the files of the page",
    "signed": "whoever signs the request with the key of its receiver (webhooks, callbacks): the route checks it",
    "signed_in": "whoever is signed in, whatever their roles",
    "view": "see pipelines, runs, assets and what they say, without their logs",
    "log.read": "read what steps have written, what they were given and gave, and their code",
    "operate": "start, cancel, retry and pause runs, schedules, sensors and backfills; answer gates; set limits",
    "report": "report materializations and checks of assets made elsewhere",
    "author": "bring new code and new definitions",
    "secret.use": "have workers use secrets outside of a run: test a resource, try a sensor",
    "audit.read": "read the audit",
    "admin": "change users, tokens, secrets and policies",
}
"""Every permission that a route can declare, with what it is for."""

ROLES: Final[dict[str, frozenset[str]]] = {
    "viewer": frozenset({"view"}),
    "operator": frozenset({"view", "log.read", "operate", "report"}),
    "author": frozenset({"view", "log.read", "operate", "report", "author", "secret.use"}),
    "admin": frozenset({"view", "log.read", "operate", "report", "author", "secret.use", "audit.read", "admin"}),
}
"""What a role may do. There is no permission to read a secret, so nobody has it."""

# Not granted to anybody: the guard decides these without looking at grants.
UNGRANTED: Final = frozenset({"public", "signed", "signed_in"})
GRANTABLE: Final = frozenset(PERMISSIONS) - UNGRANTED


def granted(grants: Iterable[Grant], permission: str, namespace: str) -> bool:
    """Whether grants hold a permission in a namespace.

    >>> granted([("sales", "operator")], "operate", "sales")
    True
    >>> granted([("sales", "operator")], "operate", "default")
    False
    """
    return any(
        where in (EVERYWHERE, namespace) and (what == permission or permission in ROLES.get(what, ()))
        for where, what in grants
    )


def namespaces_of(grants: Iterable[Grant], permission: str) -> frozenset[str] | None:
    """The namespaces in which grants hold a permission; None = in all of them."""
    found = frozenset(where for where, what in grants if what == permission or permission in ROLES.get(what, ()))
    return None if EVERYWHERE in found else found


def problem_of(grant: Grant) -> str:
    """What is wrong with a grant; "" if nothing is."""
    where, what = grant
    if what not in ROLES and what not in GRANTABLE:
        return f"there is no role or permission {what!r}: {', '.join([*ROLES, *sorted(GRANTABLE - {'admin'})])}"
    if not where or len(where) > 100 or any(c.isspace() or not c.isprintable() for c in where):
        return f"{where!r} is no namespace"
    return ""


def read_grant(text: str) -> Grant:
    """A grant as people write it: "operator" (everywhere) or "sales:operator". Raises `ValueError`.

    >>> read_grant("sales:operator")
    ('sales', 'operator')
    """
    where, colon, what = text.rpartition(":")
    grant = (where, what) if colon else (EVERYWHERE, text)
    if problem := problem_of(grant):
        raise ValueError(problem)
    return grant


def write_grant(grant: Grant) -> str:
    """The text of a grant."""
    return grant[1] if grant[0] == EVERYWHERE else f"{grant[0]}:{grant[1]}"


class Principal(msgspec.Struct, frozen=True):
    """Who asks. A token may do what both its scopes (`grants`) and its owner's roles (`bounds`) allow."""

    name: str
    kind: Literal["anonymous", "user", "token", "local", "trigger"]
    grants: tuple[Grant, ...] = ()
    # None: nobody stands behind it whose roles would bound it.
    bounds: tuple[Grant, ...] | None = None
    # The stored token or session that was shown.
    token: str = ""
    session: bool = False
    address: str = ""

    def may(self, permission: str, namespace: str) -> bool:
        """Whether it may do this in a namespace (that of the stored row)."""
        return granted(self.grants, permission, namespace) and (
            self.bounds is None or granted(self.bounds, permission, namespace)
        )

    def may_somewhere(self, permission: str) -> bool:
        """Whether there is any namespace in which it may."""
        found = self.namespaces(permission)
        return found is None or bool(found)

    def namespaces(self, permission: str) -> frozenset[str] | None:
        """The scope of a list: the namespaces in which it may; None = all of them."""
        own = namespaces_of(self.grants, permission)
        if self.bounds is None:
            return own
        bound = namespaces_of(self.bounds, permission)
        if own is None or bound is None:
            return bound if own is None else own
        return own & bound


ANONYMOUS: Final = Principal("", "anonymous")
