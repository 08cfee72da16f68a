"""Users and their roles.

Rule: users belong to no namespace, so an admin of all of them is needed; nobody is removed, accounts are closed.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from partita.core.permissions import EVERYWHERE, Grant, read_grant
from partita.engine.access import Done, SetUser
from partita.server import access_objects
from partita.server.calling import Call, Cursor, Limit
from partita.server.objects import Page
from partita.server.passwords import hash_password
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import access

_UserName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_EXAMPLE = {
    "name": "ann",
    "roles": ["sales:operator"],
    "active": True,
    "email": "ann@example.com",
    "signs_in": "password",
    "changed_at": "2026-11-02T03:00:00.000Z",
}


class UserChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a user, or with what to make one. What is left out stays as it is."""

    password: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    roles: Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=200)] | None = None
    active: bool | None = None
    email: Annotated[str, msgspec.Meta(max_length=300)] | None = None


@route(
    "GET", "/users", permission="admin", summary="Users by name", errors=(401, 403, 404), example={"items": [_EXAMPLE]}
)
def many(call: Call, cursor: Cursor = "", limit: Limit = 50) -> Page[access_objects.User]:
    """All users, also those whose accounts are closed."""
    call.require(EVERYWHERE, "users", "")
    return call.page(
        lambda after, count: access.users(call.reader, after=after or "", limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.name,
        shown=access_objects.user,
        key_type=str,
    )


@route("GET", "/users/{user}", permission="admin", summary="A user", errors=(401, 403, 404), example=_EXAMPLE)
def one(call: Call, user: _UserName) -> access_objects.User:
    """One user."""
    call.require(EVERYWHERE, "user", user)
    return access_objects.user(_known(call, user))


@route(
    "PUT",
    "/users/{user}",
    permission="admin",
    summary="Make or change a user",
    errors=(401, 403, 404, 422),
    body_example={"password": "correct horse battery", "roles": ["sales:operator"]},
    example=_EXAMPLE,
)
def put(call: Call, user: _UserName, body: UserChange) -> access_objects.User:
    """Make a user, or change one. Whoever gets other rights or another password is signed out everywhere."""
    call.require(EVERYWHERE, "user", user)
    hashed = hash_password(body.password) if body.password is not None else None
    roles = None if body.roles is None else tuple(_grant(text) for text in body.roles)
    change = SetUser(user, call.principal.name, hashed, roles, body.active, body.email)
    call.change(change, Done, namespace=EVERYWHERE, object=f"user:{user}")
    return access_objects.user(_known(call, user))


@route(
    "DELETE",
    "/users/{user}",
    permission="admin",
    summary="Close a user's account",
    errors=(401, 403, 404),
    example={**_EXAMPLE, "active": False},
)
def close(call: Call, user: _UserName) -> access_objects.User:
    """The user signs in no more, and their sessions and tokens hold no more. What they did stays under their name."""
    call.require(EVERYWHERE, "user", user)
    _known(call, user)
    change = SetUser(user, call.principal.name, active=False)
    call.change(change, Done, namespace=EVERYWHERE, object=f"user:{user}")
    return access_objects.user(_known(call, user))


def _known(call: Call, name: str) -> access.UserRow:
    row = access.user(call.reader, name)
    if row is None:
        raise not_found("user", name)
    return row


def _grant(text: str) -> Grant:
    try:
        return read_grant(text)
    except ValueError as error:
        raise Refused(422, str(error), hint='for example "viewer", or "sales:operator"') from None
