"""Sessions of browsers: the cookie that holds one, and how it begins and ends.

Over TLS the cookie is `__Host-partita`: this host, this path, TLS only. Plain http is for loopback only, where not every
browser takes a `Secure` cookie; there its name has the port, for cookies do not tell ports apart, and two services on one
machine must not throw out each other's.

Rule: a session's bits are drawn when it begins, never taken from a request, so none can be fixed beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLAIN = re.compile(r"[A-Za-z0-9_-]{20,100}")


def cookie_name(*, secure: bool, host: str) -> str:
    """What the cookie is called.

    >>> cookie_name(secure=False, host="127.0.0.1:4400")
    'partita-4400'
    """
    if secure:
        return "__Host-partita"
    port = host.rpartition(":")[2]
    return f"partita-{port if port.isdigit() else '80'}"


def shown(headers: Mapping[str, str], name: str) -> str:
    """The session that a request shows; "" if it shows none, or two."""
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    found = [value for key, _, value in pairs if key == name]
    return found[0] if len(found) == 1 and _PLAIN.fullmatch(found[0]) else ""


def set_cookie(name: str, value: str, *, secure: bool, max_age_s: float, same_site: str = "Strict") -> str:
    """The header that gives it to the browser; no script can read it, no other site's page can have it sent."""
    more = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={int(max_age_s)}; HttpOnly; SameSite={same_site}{more}"


def clear_cookie(name: str, *, secure: bool) -> str:
    """The header that takes it away."""
    return set_cookie(name, "", secure=secure, max_age_s=0)
