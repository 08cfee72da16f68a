"""Which requests a browser may have been tricked into: by the name that they are sent to, and by the page they come from.

A page of somewhere else can point a name of its own at this machine (rebinding), and can have a browser send requests
with our cookies. Other ports of this machine are other sites' pages too, though a browser calls them "same-site".

Rule: pure questions over headers; a list of what is allowed, never of what is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?)(?::([0-9]{1,5}))?")
SAFE_METHODS = frozenset({"GET", "HEAD"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_FOREIGN = "the request comes from a page of another origin"

# Lower-case names.
Headers = Mapping[str, str]


def problem_of_host(headers: Headers, allowed: frozenset[str]) -> str:
    """Why a request must not have been sent to us under this name; "" if it may."""
    found = _HOST.fullmatch(headers.get("host", "").lower())
    if found is None or found[1] not in allowed:
        return "this server is not known by that name"
    return ""


def problem_of_origin(method: str, headers: Headers, *, own: frozenset[str], has_token: bool) -> str:
    """Why a request may have been sent by a page of somewhere else; "" if it was not.

    `own` are the origins of our own page. A program that shows a token need not say where it comes from: no page can
    send one to another origin without our leave, which nobody gets.
    """
    if method not in _METHODS:
        return f"there is no method {method[:20]!r}"
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    changes = method not in SAFE_METHODS
    # "none": the user typed the address, or followed a bookmark. Nobody types a POST.
    if site is not None and site != "same-origin" and (changes or site != "none"):
        return _FOREIGN
    if origin is not None and origin.lower() not in own:
        return _FOREIGN
    if changes and not has_token and site is None and origin is None:
        return "the request does not say which page it comes from"
    return ""


def problem_of_content(method: str, headers: Headers) -> str:
    """Why a body cannot be what our own page and programs send; "" if it can."""
    if method in SAFE_METHODS:
        return ""
    kind = headers.get("content-type")
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0").strip() != "0"
    if not has_body and kind is None:
        return ""
    # Neither is what a form of another page can send without having asked first; gzip is for bundles.
    if kind is None or kind.partition(";")[0].strip().lower() not in ("application/json", "application/gzip"):
        return "a body must be application/json"
    return ""
