"""Signing in and out, and who one is.

Rule: a session begins with bits of its own; whoever signs in wrongly learns nothing about which part was wrong.
"""

from __future__ import annotations

import threading
import time
from typing import Annotated

import msgspec

from partita.engine.access import Done, ExchangeLink, OpenSession, SetUser
from partita.errors import DefinitionError
from partita.server import access_objects, sessions
from partita.server.access import AccessGuard
from partita.server.bearers import Bearer, digest_of, new_session
from partita.server.calling import Call, Reply
from partita.server.passwords import hash_password, verify
from partita.server.problems import Refused
from partita.server.routing import route
from partita.store import access

# Each takes 19 MiB and a core for 50 ms.
_hashing = threading.Semaphore(2)
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name and its password; or `link`, what stands behind the # of a link to sign in once."""

    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    password: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    link: Annotated[str, msgspec.Meta(max_length=100)] = ""


class Passwords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password that one has, and the one to have."""

    old: _Text
    new: _Text


class Ways(msgspec.Struct, frozen=True):
    """How one signs in here: "link", "password", "oidc"."""

    ways: list[str]


class SignedOut(msgspec.Struct, frozen=True):
    """The session is over."""

    done: bool = True


@route("GET", "/session/ways", permission="public", summary="How to sign in here", example={"ways": ["link"]})
def ways(call: Call) -> Ways:
    """The ways to sign in: a link of the command line always works."""
    auth = guard_of(call).policy.auth
    return Ways(["link"] if auth == "local" else ["link", auth])


@route(
    "GET",
    "/session",
    permission="signed_in",
    summary="Who you are, and what you may do",
    errors=(401,),
    example={"name": "ann", "kind": "user", "auth": "password", "permissions": {"*": ["view"]}},
)
def me(call: Call) -> access_objects.Session:
    """The principal of this request."""
    return access_objects.session(call.principal, guard_of(call).policy.auth)


@route(
    "POST",
    "/session",
    permission="public",
    summary="Sign in",
    errors=(401, 403, 415, 429),
    status=201,
    body_example={"name": "ann", "password": "correct horse battery"},
    example={"name": "ann", "kind": "user", "auth": "password", "permissions": {"*": ["view"]}},
)
def sign_in(call: Call, body: Credentials) -> Reply:
    """Begin a session: its cookie comes with the answer."""
    guard = guard_of(call)
    wait_s = guard.sign_in_wait_s(body.name, call.incoming.address)
    if wait_s > 0:
        raise Refused(429, "too many attempts", headers=(("Retry-After", str(max(1, round(wait_s)))),))
    session = new_session(time.time())
    call.object = f"user:{body.name}" if body.name else "link"
    try:
        if body.link:
            call.ask(_exchange(call, body.link, session), Done)
        else:
            call.ask(_checked(call, body, session), Done)
    except DefinitionError as error:
        guard.sign_in_failed(body.name, call.incoming.address)
        raise Refused(401, error.message, hint=error.hint or "") from None
    guard.sign_in_succeeded(body.name)
    # `OpenSession` and `ExchangeLink` have their entry in the audit.
    call.audited = True
    return begun(call, session)


@route("DELETE", "/session", permission="signed_in", summary="Sign out", errors=(401, 403), example={"done": True})
def sign_out(call: Call) -> Reply:
    """End this session. A token is not a session: revoke it instead."""
    from partita.engine.access import RevokeToken

    if not call.principal.session:
        raise Refused(409, "this is no session", hint="a token ends by DELETE /tokens/{token}")
    call.change(RevokeToken(call.principal.token, call.principal.name), Done, object="session")
    guard = guard_of(call)
    secure = guard.is_secure(call.incoming)
    return Reply(
        SignedOut(),
        headers=(
            ("Set-Cookie", sessions.clear_cookie(guard.cookie(call.incoming), secure=secure)),
            ("Clear-Site-Data", '"cache", "storage"'),
        ),
    )


@route(
    "POST",
    "/session/password",
    permission="signed_in",
    summary="Change your password",
    errors=(401, 403, 409, 422, 429),
    body_example={"old": "correct horse battery", "new": "incorrect mule battery"},
    example={"done": True},
)
def change_password(call: Call, body: Passwords) -> SignedOut:
    """Change one's own password; all of one's sessions end."""
    guard, name = guard_of(call), call.principal.name
    row = access.user(call.reader, name) if call.principal.kind == "user" else None
    if row is None or not row.password:
        raise Refused(409, "you do not sign in with a password here")
    if guard.sign_in_wait_s(name, call.incoming.address) > 0:
        raise Refused(429, "too many attempts")
    with _hashing:
        if not verify(body.old, row.password):
            guard.sign_in_failed(name, call.incoming.address)
            raise Refused(422, "this is not your password")
        hashed = hash_password(body.new)
    call.change(SetUser(name, name, password=hashed), Done, object=f"user:{name}")
    return SignedOut()


def begun(call: Call, session: Bearer) -> Reply:
    """The answer that carries a new session."""
    guard = guard_of(call)
    secure = guard.is_secure(call.incoming)
    name = guard.cookie(call.incoming)
    shown = msgspec.structs.replace(call.incoming, headers={**_without(call), "cookie": f"{name}={session.text}"})
    principal = guard.principal(shown)
    assert principal is not None
    cookie = sessions.set_cookie(name, session.text, secure=secure, max_age_s=guard.policy.session_s)
    return Reply(access_objects.session(principal, guard.policy.auth), status=201, headers=(("Set-Cookie", cookie),))


def guard_of(call: Call) -> AccessGuard:
    """The guard, with what only signing in needs."""
    assert isinstance(call.guard, AccessGuard)
    return call.guard


def _without(call: Call) -> dict[str, str]:
    return {name: value for name, value in call.incoming.headers.items() if name != "authorization"}


def _exchange(call: Call, link: str, session: Bearer) -> ExchangeLink:
    expires_at = time.time() + guard_of(call).policy.session_s
    return ExchangeLink(digest_of(link), session.id, session.digest, expires_at, call.incoming.address)


def _checked(call: Call, body: Credentials, session: Bearer) -> OpenSession:
    """The session of whoever showed the right password. Raises `DefinitionError`, after the same time in any case."""
    policy = guard_of(call).policy
    row = access.user(call.reader, body.name) if policy.auth == "password" else None
    with _hashing:
        is_right = verify(body.password, row.password if row is not None else "")
    if row is None or not is_right or not row.active:
        raise DefinitionError("this is not the password of such a user")
    expires_at = time.time() + policy.session_s
    return OpenSession(session.id, session.digest, row.name, row.generation, expires_at, call.incoming.address)
