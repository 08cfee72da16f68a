"""Signing in by a provider: on the way there, and on the way back.

Rule: on the way back the browser goes to our own page and nowhere else; no address is taken from a request.
"""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from partita.engine.access import Done, SignInElsewhere
from partita.errors import DefinitionError
from partita.server import sessions
from partita.server.bearers import new_session
from partita.server.calling import Call, Reply
from partita.server.oidc import PENDING_S, OidcLogin
from partita.server.problems import Refused
from partita.server.routes.session import begun, guard_of
from partita.server.routing import route

_Text = Annotated[str, msgspec.Meta(max_length=4000)]


class Redirected(msgspec.Struct, frozen=True):
    """Where the browser goes."""

    to: str


@route(
    "GET",
    "/session/oidc",
    permission="public",
    summary="Sign in by the provider",
    errors=(404, 503),
    status=302,
    example={"to": "https://accounts.example.com/authorize?..."},
)
def there(call: Call) -> Reply:
    """Send the browser to the provider."""
    attempt = _login(call).begin(_back(call))
    cookie = sessions.set_cookie(
        _cookie(call),
        attempt.state,
        secure=guard_of(call).is_secure(call.incoming),
        max_age_s=PENDING_S,
        # The way back comes from the provider's page.
        same_site="Lax",
    )
    return Reply(Redirected(attempt.address), 302, (("Location", attempt.address), ("Set-Cookie", cookie)))


@route(
    "GET",
    "/session/oidc/callback",
    permission="public",
    summary="Come back from the provider",
    errors=(401, 404, 429, 503),
    status=302,
    example={"to": "/"},
)
def back(
    call: Call,
    state: _Text = "",
    code: _Text = "",
    error: _Text = "",
    # Providers send more, which is of no use here.
    error_description: _Text = "",
    iss: _Text = "",
    scope: _Text = "",
    session_state: _Text = "",
    authuser: _Text = "",
    hd: _Text = "",
    prompt: _Text = "",
) -> Reply:
    """Begin a session for whomever the provider vouches for."""
    guard, login = guard_of(call), _login(call)
    address = call.incoming.address
    if guard.sign_in_wait_s("", address) > 0:
        raise Refused(429, "too many attempts")
    session = new_session(time.time())
    try:
        if error or not code:
            raise DefinitionError("the provider has not signed you in", hint="begin again")
        who = login.finish(state, sessions.shown(call.incoming.headers, _cookie(call)), code)
        expires_at = time.time() + guard.policy.session_s
        call.ask(SignInElsewhere(who.name, who.email, who.roles, session.id, session.digest, expires_at, address), Done)
    except DefinitionError as refused:
        guard.sign_in_failed("", address)
        raise Refused(401, refused.message, hint=refused.hint or "") from None
    call.audited = True
    # The cookie of the attempt is of no use any more, and ends by itself.
    return Reply(Redirected("/"), 302, (("Location", "/"), *begun(call, session).headers))


def _login(call: Call) -> OidcLogin:
    login = guard_of(call).oidc
    if login is None:
        raise Refused(404, "there is no provider here")
    return login


def _cookie(call: Call) -> str:
    return f"{guard_of(call).cookie(call.incoming)}-oidc"


def _back(call: Call) -> str:
    guard = guard_of(call)
    origin = guard.policy.public_url or next(iter(guard.own_origins(call.incoming)))
    return f"{origin}/api/v1/session/oidc/callback"
