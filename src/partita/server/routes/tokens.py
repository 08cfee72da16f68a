"""Tokens, with which programs ask.

Rule: nobody gives away what they do not have; and what a token shows is said once, to whoever made it.
"""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from partita.core.permissions import EVERYWHERE, GRANTABLE, Grant, granted, read_grant
from partita.engine.access import Done, IssueToken, RevokeToken
from partita.server import access_objects
from partita.server.bearers import new_token
from partita.server.calling import Call, Cursor, Limit
from partita.server.objects import Page
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import access

_EXAMPLE = {
    "id": "019a1f00-0000-7000-8000-000000000000",
    "name": "ci",
    "owner": "ann",
    "scopes": ["sales:operate"],
    "issued_at": "2026-11-02T03:00:00.000Z",
    "expires_at": "2027-01-31T03:00:00.000Z",
}


class TokenWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be made: what it may do, and for how long (0 = until it is revoked)."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scopes: Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(min_length=1, max_length=50)]
    days: Annotated[int, msgspec.Meta(ge=0, le=3660)] = 90


class Revoked(msgspec.Struct, frozen=True):
    """The token holds no more."""

    id: str


@route("GET", "/tokens", permission="signed_in", summary="Tokens", errors=(401,), example={"items": [_EXAMPLE]})
def many(call: Call, cursor: Cursor = "", limit: Limit = 50) -> Page[access_objects.Token]:
    """One's own tokens; an admin of all namespaces sees everybody's."""
    owner = None if call.sees(EVERYWHERE, "admin") else _owner(call)
    if owner == "":
        return Page([])
    return call.page(
        lambda after, count: access.tokens(call.reader, owner=owner, after=after or "", limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: row.id,
        shown=access_objects.token,
        key_type=str,
    )


@route(
    "POST",
    "/tokens",
    permission="signed_in",
    summary="Make a token",
    errors=(401, 403, 422),
    status=201,
    body_example={"name": "ci", "scopes": ["sales:operate"], "days": 90},
    example={"token": _EXAMPLE, "text": "ptk_..."},
)
def make(call: Call, body: TokenWanted) -> access_objects.NewToken:
    """Make a token for oneself. It may do at most what its owner may, now and later."""
    if call.principal.kind == "token" and not call.sees(EVERYWHERE, "admin"):
        raise Refused(403, "a token makes no tokens")
    scopes = tuple(_grant(call, text) for text in body.scopes)
    now = time.time()
    bearer = new_token(now)
    expires_at = now + body.days * 86_400.0 if body.days else None
    wanted = IssueToken(bearer.id, bearer.digest, _owner(call), body.name, scopes, call.principal.name, expires_at)
    call.change(wanted, Done, object=f"token:{bearer.id}")
    row = access.token(call.reader, bearer.id)
    assert row is not None
    return access_objects.NewToken(access_objects.token(row), bearer.text)


@route(
    "DELETE",
    "/tokens/{token}",
    permission="signed_in",
    summary="Revoke a token",
    errors=(401, 403, 404),
    example={"id": "019a1f00-0000-7000-8000-000000000000"},
)
def revoke(call: Call, token: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]) -> Revoked:
    """Let one's own token hold no more; an admin of all namespaces may revoke anybody's, sessions too."""
    row = access.token(call.reader, token)
    is_own = row is not None and (row.id == call.principal.token or row.owner == _owner(call) != "")
    if row is None or row.revoked_at is not None or not (is_own or call.sees(EVERYWHERE, "admin")):
        raise not_found("token", token)
    call.change(RevokeToken(row.id, call.principal.name), Done, object=f"token:{row.id}")
    return Revoked(row.id)


def _owner(call: Call) -> str:
    """Whose tokens these are: a user's, or ("") those of the machine's user."""
    if call.principal.kind == "token":
        row = access.token(call.reader, call.principal.token)
        return row.owner if row is not None else ""
    return call.principal.name if call.principal.kind == "user" else ""


def _grant(call: Call, text: str) -> Grant:
    try:
        grant = read_grant(text)
    except ValueError as error:
        raise Refused(422, str(error), hint='for example "viewer", or "sales:operate"') from None
    wanted = [p for p in GRANTABLE if granted((grant,), p, grant[0])]
    if not all(call.sees(grant[0], permission) for permission in wanted):
        raise Refused(403, f"you cannot give {text!r} away: you do not have it yourself")
    return grant
