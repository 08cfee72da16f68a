"""The API's objects about who may: users, tokens, the audit, secrets, resources, one's own session.

Rule: as `server/objects.py`. No object has a place for a password, a token's bits or the value of a secret, but the one
that answers with a new token.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from partita.core.permissions import Grant, write_grant

if TYPE_CHECKING:
    from partita.core.manifest import Manifest, ResourceSpec
    from partita.core.permissions import Principal
    from partita.store import access

Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class User(msgspec.Struct, frozen=True):
    """A user. `signs_in` says how: with a password here, or elsewhere. Roles read "operator" or "sales:operator"."""

    name: str
    roles: list[str]
    active: bool
    email: str
    signs_in: str
    changed_at: Instant


class Token(msgspec.Struct, frozen=True):
    """A token, without what its holder shows."""

    id: str
    name: str
    owner: str
    scopes: list[str]
    issued_at: Instant
    expires_at: Instant | None


class NewToken(msgspec.Struct, frozen=True):
    """A token that was just made: `text` is what its holder shows, and is said this once."""

    token: Token
    text: str


class AuditEntry(msgspec.Struct, frozen=True):
    """One entry of the audit. `hash` covers it and the entry before it."""

    no: int
    at: Instant
    principal: str
    action: str
    object: str
    result: str
    namespace: str
    address: str
    hash: str


class Session(msgspec.Struct, frozen=True):
    """Who you are here. `permissions` by namespace; "*" = in all of them."""

    name: str
    kind: str
    auth: str
    permissions: dict[str, list[str]]


class SecretName(msgspec.Struct, frozen=True):
    """That there is a secret. Nothing here says what it is."""

    name: str
    namespace: str
    changed_at: Instant
    changed_by: str


class Resource(msgspec.Struct, frozen=True):
    """A resource that a project declares."""

    name: str
    of: str
    project: str
    namespace: str
    description: str
    secrets: list[str]
    can_test: bool
    schema: dict[str, Any]
    written_at: str


class ResourceTest(msgspec.Struct, frozen=True):
    """How the test of a resource went."""

    name: str
    works: bool
    message: str


def user(row: access.UserRow) -> User:
    """A user as the API shows them."""
    how = "password" if row.password else "elsewhere"
    return User(row.name, _texts(row.roles), row.active, row.email, how, instant(row.at))


def token(row: access.TokenRow) -> Token:
    """A token as the API shows it."""
    expires = None if row.expires_at is None else instant(row.expires_at)
    return Token(row.id, row.name, row.owner, _texts(row.scopes), instant(row.issued_at), expires)


def audit_entry(row: access.AuditRow) -> AuditEntry:
    """An entry as the API shows it."""
    return AuditEntry(
        row.no,
        instant(row.at),
        row.principal,
        row.action,
        row.object,
        row.result,
        row.namespace,
        row.address,
        row.hash.hex(),
    )


def secret_name(row: access.SecretRow) -> SecretName:
    """A secret as the API shows it."""
    return SecretName(row.name, row.namespace, instant(row.at), row.by)


def resource(manifest: Manifest, spec: ResourceSpec) -> Resource:
    """A resource as the API shows it."""
    return Resource(
        spec.name,
        spec.of,
        manifest.project,
        manifest.namespace,
        spec.description,
        list(spec.secrets),
        spec.can_test,
        msgspec.json.decode(spec.schema or "{}"),
        spec.written_at,
    )


def session(principal: Principal, auth: str) -> Session:
    """Who asks, and what they may."""
    from partita.core.permissions import EVERYWHERE, GRANTABLE

    places = {where for where, _ in (*principal.grants, *(principal.bounds or ()))}
    may = {
        place: sorted(p for p in GRANTABLE if principal.may(p, place))
        for place in sorted(places, key=lambda place: (place != EVERYWHERE, place))
    }
    return Session(principal.name, principal.kind, auth, {place: found for place, found in may.items() if found})


def instant(at: float) -> str:
    """ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _texts(grants: Iterable[Grant]) -> list[str]:
    return [write_grant(grant) for grant in grants]
