"""The guard: it is asked for every request, before anything of it is read but its head.

In this order: is it sent to a name of ours, can a browser have been tricked into it, who shows what, and may they do such
a thing anywhere. Whether they may do it to this row is asked again when the row has been read (`may`, `require`).

Rule: what is not allowed is refused; nothing is exempt by its path. Rights are read from the store at each request, so
what is revoked is gone at once.
"""

from __future__ import annotations

import getpass
import hmac
import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from partita.core.permissions import ANONYMOUS, Principal
from partita.engine.access import Done, Entry, Note
from partita.errors import PartitaError
from partita.server import origins, sessions
from partita.server.bearers import digest_of, local_token
from partita.server.guarding import Incoming
from partita.server.oidc import OidcLogin
from partita.server.policy import Policy
from partita.server.problems import Refused, not_found
from partita.server.throttle import Throttle
from partita.settings import Home
from partita.store import access
from partita.store.named import Fetching

A = TypeVar("A")
Ask = Callable[[msgspec.Struct, type[Any]], Any]

_log = logging.getLogger("partita.access")
# Of one address: so many denied requests at once, and one each second after that.
_DENIALS, _DENIAL_S = 300, 1.0


class AccessGuard:
    """`guarding.Guard` over the store. `reader` gives the store to the thread that asks; `ask` asks the engine."""

    def __init__(
        self,
        policy: Policy,
        home: Home,
        *,
        bound: str,
        reader: Callable[[], Fetching],
        ask: Ask,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self._names = policy.names(bound)
        self._reader = reader
        self._ask = ask
        self._clock = clock
        self._local_digest = digest_of(local_token(home.token))
        self.oidc = OidcLogin(policy.provider, clock) if policy.provider is not None else None
        self._denials = Throttle(_DENIALS, _DENIAL_S)
        # Wrong passwords: five at once for a name, and of an address some more, for many may share one.
        self._names_tried = Throttle(5, 30.0)
        self._addresses_tried = Throttle(30, 5.0)

    # --- guarding.Guard -------------------------------------------------------------------------------------------

    def admit(self, incoming: Incoming) -> Principal:
        """Who asks. Raises `Refused`."""
        try:
            return self._admitted(incoming)
        except Refused:
            # Only who is refused has to wait: others may share the address, and a hostile page that of its victim.
            wait_s = self._denials.wait_s(incoming.address, self._clock())
            if wait_s > 0:
                raise _too_many(wait_s) from None
            raise

    def _admitted(self, incoming: Incoming) -> Principal:
        if problem := origins.problem_of_host(incoming.headers, self._names):
            raise Refused(
                421, problem, hint="add it to `hosts` under [tool.partita.server] if it is a name of this server"
            )
        self._check_browser(incoming)
        if incoming.permission in ("", "public"):
            return msgspec.structs.replace(ANONYMOUS, address=incoming.address)
        if incoming.permission == "signed":
            return Principal("trigger", "trigger", address=incoming.address)
        principal = self.principal(incoming)
        if principal is None:
            raise _unauthenticated("sign in first")
        if incoming.permission != "signed_in" and not principal.may_somewhere(incoming.permission):
            raise _forbidden(incoming.permission)
        return principal

    def may(self, principal: Principal, permission: str, namespace: str) -> bool:
        """Whether the principal may do this in the namespace of the stored row."""
        return principal.may(permission, namespace)

    def answered(
        self,
        incoming: Incoming,
        principal: Principal | None,
        status: int,
        *,
        namespace: str = "",
        object: str = "",
        audited: bool = False,
    ) -> None:
        """Put changes and what was denied into the audit."""
        if status == 429:
            return  # its sender has filled the audit enough
        denied = status in (401, 403, 421)
        if denied:
            self._denials.take(incoming.address, self._clock())
        changes = incoming.method not in origins.SAFE_METHODS
        if audited or not (denied or changes):
            return
        result = "denied" if denied else "done" if status < 400 else "refused" if status < 500 else "failed"
        try:
            self._ask(Note(self.entry(incoming, principal, object, namespace), f"{result}: {status}"), Done)
        except PartitaError as error:
            _log.error("the audit has no entry of %s: %s", incoming.route or incoming.method, error.message)

    # --- for the routes ---------------------------------------------------------------------------------------------

    def entry(self, incoming: Incoming, principal: Principal | None, object: str = "", namespace: str = "") -> Entry:
        """What the audit says of a request. A path that leads nowhere is not repeated: it may hold anything."""
        name = principal.name if principal is not None and principal.name else "anonymous"
        action = incoming.route or f"{incoming.method[:10]} (no route)"
        return Entry(name, action, object[:300], namespace, incoming.address)

    def own_origins(self, incoming: Incoming) -> frozenset[str]:
        """The origins of our own page, under the name that this request was sent to."""
        host = incoming.headers.get("host", "").lower()
        if self.policy.public_url and host == self.policy.public_host:
            return frozenset({f"{'https' if self.policy.secure else 'http'}://{host}"})
        return frozenset({f"{'https' if incoming.https else 'http'}://{host}"})

    def is_secure(self, incoming: Incoming) -> bool:
        """Whether the browser that sent this speaks TLS."""
        host = incoming.headers.get("host", "").lower()
        return incoming.https or (self.policy.secure and host == self.policy.public_host)

    def cookie(self, incoming: Incoming) -> str:
        """What the session's cookie is called here."""
        return sessions.cookie_name(secure=self.is_secure(incoming), host=incoming.headers.get("host", ""))

    def principal(self, incoming: Incoming) -> Principal | None:
        """Who shows what; None for who shows nothing. Raises `Refused` for what does not hold."""
        shown = incoming.headers.get("authorization")
        if shown is not None:
            return self._of_token(shown, incoming)
        cookie = sessions.shown(incoming.headers, self.cookie(incoming))
        return self._of_session(cookie, incoming) if cookie else None

    # --- signing in -------------------------------------------------------------------------------------------------

    def sign_in_wait_s(self, name: str, address: str) -> float:
        """How long a name or an address must wait before it may try again."""
        now = self._clock()
        by_name = self._names_tried.wait_s(name, now) if name else 0.0
        return max(by_name, self._addresses_tried.wait_s(address, now))

    def sign_in_failed(self, name: str, address: str) -> None:
        """Count a wrong password, or a link that is none."""
        now = self._clock()
        if name:
            self._names_tried.take(name, now)
        self._addresses_tried.take(address, now)

    def sign_in_succeeded(self, name: str) -> None:
        """A user has shown who they are: what was tried in their name counts no more."""
        self._names_tried.forget(name)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _check_browser(self, incoming: Incoming) -> None:
        """Whether a page of somewhere else may have sent this. What anybody may read, any page may."""
        if incoming.permission == "public" and incoming.method in origins.SAFE_METHODS:
            return
        problem = origins.problem_of_origin(
            incoming.method,
            incoming.headers,
            own=self.own_origins(incoming),
            has_token="authorization" in incoming.headers or incoming.permission == "signed",
        )
        if problem:
            raise Refused(403, problem)
        if incoming.permission != "signed" and (
            problem := origins.problem_of_content(incoming.method, incoming.headers)
        ):
            raise Refused(415, problem)

    def _of_token(self, shown: str, incoming: Incoming) -> Principal:
        scheme, _, text = shown.partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise _unauthenticated("a token is shown as: Authorization: Bearer TOKEN")
        digest = digest_of(text)
        if hmac.compare_digest(digest, self._local_digest):
            return Principal(_machine_user(), "local", (("*", "admin"),), address=incoming.address)
        found = access.token_by_digest(self._reader(), digest)
        if found is None or found.of != "token" or not found.holds(self._clock()):
            raise _unauthenticated("this token does not hold: it was revoked, has expired, or never was")
        bounds = self._bounds(found)
        name = f"{found.owner}/{found.name}" if found.owner else f"token:{found.name}"
        return Principal(name, "token", found.scopes, bounds, token=found.id, address=incoming.address)

    def _of_session(self, cookie: str, incoming: Incoming) -> Principal:
        found = access.token_by_digest(self._reader(), digest_of(cookie))
        if found is None or found.of != "session" or not found.holds(self._clock()):
            raise _unauthenticated("your session is over")
        more: dict[str, Any] = {"token": found.id, "session": True, "address": incoming.address}
        if not found.owner:
            return Principal("local", "local", found.scopes, **more)
        owner = access.user(self._reader(), found.owner)
        if owner is None or not owner.active or owner.generation != found.generation:
            raise _unauthenticated("your session is over: your account was changed")
        # The session of a link may hold less than its owner.
        bounds = owner.roles if found.scopes else None
        return Principal(owner.name, "user", found.scopes or owner.roles, bounds, **more)

    def _bounds(self, token: access.TokenRow) -> tuple[tuple[str, str], ...] | None:
        """What the owner of a token may do now. Raises `Refused` if they are gone."""
        if not token.owner:
            return None
        owner = access.user(self._reader(), token.owner)
        if owner is None or not owner.active:
            raise _unauthenticated("this token does not hold: its owner's account was closed")
        return owner.roles


def require(principal: Principal, permission: str, namespace: str, what: str = "thing", name: str = "") -> None:
    """Raise `Refused` unless the principal may do this to a row of `namespace`.

    Who may not even see it is told that there is no such thing, just as if there were none.
    """
    if principal.may(permission, namespace):
        return
    if permission != "view" and principal.may("view", namespace):
        raise _forbidden(permission)
    raise not_found(what, name)


def _unauthenticated(why: str) -> Refused:
    return Refused(
        401,
        why,
        hint="show a token (Authorization: Bearer ...), or open the link that `partita tokens link` prints",
        headers=(("WWW-Authenticate", 'Bearer realm="partita"'),),
    )


def _forbidden(permission: str) -> Refused:
    return Refused(403, f"this needs the permission {permission}", hint="ask an admin for a role that has it")


def _too_many(wait_s: float) -> Refused:
    return Refused(429, "too many attempts", headers=(("Retry-After", str(max(1, round(wait_s)))),))


def _machine_user() -> str:
    try:
        return f"local:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"local:{os.getuid()}"
