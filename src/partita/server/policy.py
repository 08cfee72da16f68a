"""How people sign in, and under which names this server may be asked for: `[tool.partita.server]` and the environment.

    [tool.partita.server]
    auth = "password"                          # local (the default), password, oidc
    public_url = "https://partita.example.com" # what browsers are shown, when a proxy stands in front
    hosts = ["partita.internal"]               # further names that requests may be sent to

Rule: one frozen value, read once when the server starts; what is wrong with it is one clear error.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from partita.core.permissions import Grant, read_grant
from partita.errors import DefinitionError
from partita.settings import Home

Mode = Literal["local", "password", "oidc"]
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_KEYS = {"auth", "hosts", "public_url", "session_hours", "oidc"}
_OIDC_KEYS = {"issuer", "client_id", "client_secret", "hosted_domain", "name_claim", "groups_claim", "roles"}


@dataclass(frozen=True)
class Provider:
    """An OpenID Connect provider, and which roles its groups have. `roles` of "*" are everybody's."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    hosted_domain: str = ""
    name_claim: str = "email"
    groups_claim: str = "groups"
    roles: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """How people sign in here."""

    auth: Mode = "local"
    hosts: tuple[str, ...] = ()
    public_url: str = ""
    session_s: float = 12 * 3600.0
    provider: Provider | None = None

    @property
    def secure(self) -> bool:
        """Whether browsers speak TLS to it."""
        return self.public_url.startswith("https://")

    @property
    def public_host(self) -> str:
        """The host (with port) of `public_url`."""
        return urlsplit(self.public_url).netloc.lower()

    def names(self, bound: str) -> frozenset[str]:
        """The names under which a server bound to `bound` may be asked for (without port)."""
        own = () if is_wildcard(bound) else (_bracketed(bound),)
        public = (urlsplit(self.public_url).hostname or "",) if self.public_url else ()
        return frozenset(name.lower() for name in (*_LOOPBACK_NAMES, *own, *self.hosts, *public) if name)


def read_policy(home: Home, env: Mapping[str, str] = os.environ) -> Policy:
    """The policy of the service whose folder is `home`: from the pyproject.toml beside it, then the environment.

    Raises `DefinitionError` with what is wrong.
    """
    file = home.root.parent / "pyproject.toml"
    try:
        return _policy({**_table(file), **_from(env)}, env, file.parent)
    except ValueError as error:
        raise DefinitionError(f"[tool.partita.server] of {file}: {error}") from None


def must_refuse(host: str, policy: Policy) -> str:
    """Why a server must not be bound to `host`; "" if it may."""
    if is_loopback(host):
        return ""
    if policy.auth == "local":
        return (
            f"{host} can be reached from other machines, and nobody would have to sign in as themselves:"
            ' set auth = "password" or "oidc" under [tool.partita.server], or PARTITA_AUTH, or use --host 127.0.0.1'
        )
    if is_wildcard(host) and not (policy.hosts or policy.public_url):
        return (
            f"{host} stands for every address: say under which names it is asked for,"
            ' hosts = ["..."] or public_url = "https://..." under [tool.partita.server]'
        )
    return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether `host` stands for all addresses of this machine."""
    return host.strip("[]") in ("", "0.0.0.0", "::", "0")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _table(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it cannot be read: {error}") from None
    table = content.get("tool", {}).get("partita", {}).get("server", {})
    if not isinstance(table, dict):
        raise ValueError("it must be a table")
    return table


def _from(env: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if auth := env.get("PARTITA_AUTH"):
        found["auth"] = auth
    if hosts := env.get("PARTITA_HOSTS"):
        found["hosts"] = [host.strip() for host in hosts.split(",") if host.strip()]
    if url := env.get("PARTITA_PUBLIC_URL"):
        found["public_url"] = url
    return found


def _policy(table: dict[str, Any], env: Mapping[str, str], folder: Path) -> Policy:
    if unknown := sorted(table.keys() - _KEYS):
        raise ValueError(f"there is no `{unknown[0]}`: {', '.join(sorted(_KEYS))}")
    auth = table.get("auth", "local")
    if auth not in get_args(Mode):
        raise ValueError(f"auth is {', '.join(get_args(Mode))}, not {auth!r}")
    hosts = table.get("hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(h, str) and h and "/" not in h for h in hosts):
        raise ValueError('hosts is a list of names such as "partita.example.com"')
    hours = table.get("session_hours", 12)
    if not isinstance(hours, int | float) or isinstance(hours, bool) or not 0 < hours <= 24 * 366:
        raise ValueError(f"session_hours is a number of hours, not {hours!r}")
    provider = _provider(table.get("oidc"), env, folder) if auth == "oidc" else None
    return Policy(auth, tuple(hosts), _url(table.get("public_url", ""), "public_url"), hours * 3600.0, provider)


def _url(url: object, key: str) -> str:
    parts = urlsplit(url) if isinstance(url, str) else None
    if url == "":
        return ""
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f'{key} is an address such as "https://partita.example.com", not {url!r}')
    return str(url).rstrip("/")


def _provider(table: object, env: Mapping[str, str], folder: Path) -> Provider:
    if not isinstance(table, dict):
        raise ValueError('auth = "oidc" needs a table [tool.partita.server.oidc] with issuer and client_id')
    if unknown := sorted(table.keys() - _OIDC_KEYS):
        raise ValueError(f"oidc has no `{unknown[0]}`: {', '.join(sorted(_OIDC_KEYS))}")
    texts = {key: table.get(key, "") for key in _OIDC_KEYS - {"roles"}}
    for key, value in texts.items():
        if not isinstance(value, str) or (not value and key in ("issuer", "client_id")):
            raise ValueError(f"oidc.{key} is a text, not {value!r}")
    issuer = _url(texts["issuer"], "oidc.issuer")
    if not issuer.startswith("https://") and not is_loopback(urlsplit(issuer).hostname or ""):
        raise ValueError(f"oidc.issuer must be an https address, not {issuer!r}")
    return Provider(
        issuer=issuer,
        client_id=texts["client_id"],
        client_secret=_client_secret(texts["client_secret"], env, folder),
        hosted_domain=texts["hosted_domain"].lower(),
        name_claim=texts["name_claim"] or "email",
        groups_claim=texts["groups_claim"] or "groups",
        roles=_roles(table.get("roles", {})),
    )


def _client_secret(source: str, env: Mapping[str, str], folder: Path) -> str:
    """The client's secret is never in the file itself: `env:NAME` or `file:PATH` says where it is."""
    kind, _, where = source.partition(":")
    if not source:
        return ""
    if kind == "env" and where:
        if where not in env:
            raise ValueError(f"oidc.client_secret: there is no variable {where}")
        return env[where]
    if kind == "file" and where:
        try:
            return (folder / where).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"oidc.client_secret: {where} cannot be read: {error.strerror}") from None
    raise ValueError("oidc.client_secret says where it is kept: env:NAME or file:PATH")


def _roles(table: object) -> dict[str, tuple[Grant, ...]]:
    if not isinstance(table, dict):
        raise ValueError('oidc.roles maps groups to roles: data-team = ["operator", "sales:admin"]')
    found: dict[str, tuple[Grant, ...]] = {}
    for group, roles in table.items():
        texts = [roles] if isinstance(roles, str) else roles
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"oidc.roles: group {group!r} has a list of roles, not {roles!r}")
        found[group] = tuple(read_grant(text) for text in texts)
    return found
