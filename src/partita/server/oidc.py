"""Signing in by an OpenID Connect provider: the code flow with PKCE, state and nonce.

What a provider says is believed only if its key signed it, for us, for this very attempt to sign in, and if it has verified
the e-mail address. Which roles somebody has is decided by their groups, at each sign-in anew.

Rule: nothing is taken from the browser but `state` and `code`; `state` must be the one that its own cookie holds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from partita.core.permissions import Grant
from partita.errors import DefinitionError, WorldError
from partita.server.policy import Provider, is_loopback

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# How long somebody may take at their provider, and how many may be there at once.
PENDING_S = 600.0
_MOST_PENDING = 1_000
_DISCOVERED_S = 3_600.0
_TIMEOUT_S = 10.0
_LEEWAY_S = 60
_MOST_BYTES = 1 << 20


class Identity(NamedTuple):
    """Whom a provider has vouched for."""

    name: str
    email: str
    roles: tuple[Grant, ...]


class Begun(NamedTuple):
    """Where the browser goes, and the state that its cookie is to hold meanwhile."""

    address: str
    state: str


class _Pending(NamedTuple):
    nonce: str
    verifier: str
    redirect: str
    until: float


class OidcLogin:
    """Attempts to sign in by one provider."""

    def __init__(self, provider: Provider, clock: Callable[[], float] = time.time) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._found: dict[str, Any] = {}
        self._found_until = 0.0
        self._keys: Any = None

    def begin(self, redirect: str) -> Begun:
        """Begin an attempt; the provider sends the browser back to `redirect`. Raises `WorldError`."""
        endpoint = self._endpoint("authorization_endpoint")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        with self._lock:
            self._pending[state] = _Pending(nonce, verifier, redirect, self._clock() + PENDING_S)
            while len(self._pending) > _MOST_PENDING:
                self._pending.popitem(last=False)
        asked = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": redirect,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if self._provider.hosted_domain:
            asked["hd"] = self._provider.hosted_domain
        return Begun(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", state)

    def finish(self, state: str, cookie: str, code: str) -> Identity:
        """End an attempt, whatever comes of it. Raises `DefinitionError` for who is not let in, `WorldError`."""
        with self._lock:
            pending = self._pending.pop(state, None)
        if pending is None or pending.until < self._clock() or not hmac.compare_digest(state, cookie):
            raise DefinitionError("this attempt to sign in was not begun here, or too long ago", hint="begin again")
        return self._identity(self._verified(self._exchange(code, pending), pending.nonce))

    # --- the provider -----------------------------------------------------------------------------------------------

    def _exchange(self, code: str, pending: _Pending) -> str:
        """The ID token that the provider gives for the code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": pending.redirect,
            "client_id": self._provider.client_id,
            "code_verifier": pending.verifier,
        }
        ways = self._discovered().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic = None
        if self._provider.client_secret and "client_secret_basic" in ways:
            basic = (self._provider.client_id, self._provider.client_secret)
        elif self._provider.client_secret:
            form["client_secret"] = self._provider.client_secret
        answer = self._ask("POST", self._endpoint("token_endpoint"), form, basic)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise DefinitionError("the provider has not signed you in", hint="begin again")
        return token

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token that is for us, now, and for this attempt."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        provider = self._provider
        rules = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            decoded = self._decoded(token)
            rules.validate(decoded.claims)
        except (JoseError, ValueError) as error:
            raise DefinitionError(f"what the provider says does not hold: {error}", hint="begin again") from None
        claims: dict[str, Any] = decoded.claims
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != provider.client_id:
            raise DefinitionError("what the provider says is for somebody else")
        return claims

    def _decoded(self, token: str) -> Any:
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            return jwt.decode(token, self._key_set(), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            # The provider may have changed its keys.
            self._keys = None
            return jwt.decode(token, self._key_set(), algorithms=_ALGORITHMS)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        provider = self._provider
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise DefinitionError("the provider has not verified your e-mail address")
        if provider.hosted_domain and claims.get("hd") != provider.hosted_domain:
            raise DefinitionError(f"only accounts of {provider.hosted_domain} are let in here")
        name = claims.get(provider.name_claim)
        if not isinstance(name, str) or not name:
            raise DefinitionError(f"the provider says no {provider.name_claim}", hint="see oidc.name_claim")
        groups = claims.get(provider.groups_claim, [])
        groups = [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
        roles = [grant for group in ("*", *groups) for grant in provider.roles.get(group, ())]
        if not roles:
            raise DefinitionError("none of your groups has a role here", hint="ask an admin: oidc.roles")
        return Identity(name.lower(), email.lower(), tuple(dict.fromkeys(roles)))

    def _key_set(self) -> Any:
        from joserfc.jwk import KeySet

        if self._keys is None:
            self._keys = KeySet.import_key_set(self._ask("GET", self._endpoint("jwks_uri")))  # type: ignore[arg-type]
        return self._keys

    def _endpoint(self, name: str) -> str:
        found = self._discovered().get(name)
        parts = urlsplit(found) if isinstance(found, str) else None
        if parts is None or not (parts.scheme == "https" or is_loopback(parts.hostname or "")):
            raise WorldError(f"the provider {self._provider.issuer} has no safe {name}")
        assert isinstance(found, str)
        return found

    def _discovered(self) -> dict[str, Any]:
        """What the provider says about itself."""
        if self._clock() >= self._found_until:
            found = self._ask("GET", f"{self._provider.issuer}/.well-known/openid-configuration")
            if found.get("issuer") != self._provider.issuer:
                raise WorldError(f"the provider at {self._provider.issuer} says that it is {found.get('issuer')!r}")
            self._found, self._found_until = found, self._clock() + _DISCOVERED_S
        return self._found

    def _ask(
        self, method: str, address: str, form: dict[str, str] | None = None, basic: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        import httpx2

        try:
            # No redirects: the addresses are the provider's own, as it has published them.
            with httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
                answer = client.request(method, address, data=form, auth=basic)
        except httpx2.HTTPError as error:
            raise WorldError(f"the provider cannot be asked: {type(error).__name__}") from None
        if form is not None and answer.status_code in (400, 401, 403):
            raise DefinitionError("the provider has not signed you in", hint="begin again")
        if answer.status_code != 200 or len(answer.content) > _MOST_BYTES:
            raise WorldError(f"the provider answers {answer.status_code}")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise WorldError("the provider answers with something that is no JSON object")
        return found
