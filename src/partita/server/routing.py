"""Routes: plain functions with typed parameters, each with the permission that it needs.

    @route("GET", "/runs/{run}", permission="view", summary="A run", errors=(404,))
    def one(call: Call, run: str) -> Run: ...

A parameter that the path names comes from there, `body` is a struct (or `bytes`: whatever was sent), all others are the
query's. What the function answers with is the result. The OpenAPI document is made of these same declarations.

Rule: a route without a known permission does not come into being, so the server does not start. Names in a path are data:
a path is cut at its slashes before anything is decoded.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any, Final, Union, get_args, get_origin, get_type_hints
from urllib.parse import unquote_to_bytes

import msgspec

from partita.core.permissions import PERMISSIONS
from partita.server.problems import Refused

PREFIX: Final = "/api/v1"
_NEVER_KEPT: Final = frozenset({"session", "tokens", "users", "secrets"})
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Route(msgspec.Struct, frozen=True):
    """One route, as declared."""

    method: str
    # With the prefix, if it has one.
    path: str
    permission: str
    summary: str
    noun: str
    errors: tuple[int, ...]
    status: int
    # For the document: of the result and of the body.
    example: Any
    body_example: Any
    function: Callable[..., Any]
    is_async: bool
    media: str
    segments: tuple[str, ...]
    # Generated structs; None = there is none. `body` is a struct's type, `bytes`, or None.
    path_type: type | None
    query_type: type | None
    body: Any
    result: Any
    # Names of query parameters that may be repeated.
    lists: frozenset[str]
    max_body: int

    @property
    def key(self) -> str:
        """How it is named in the audit and in metrics."""
        return f"{self.method} {self.path}"

    @property
    def takes_key(self) -> bool:
        """Whether its answer may be kept for an `Idempotency-Key`. Not one that shows a token or begins a session."""
        granted = self.permission not in ("public", "signed", "signed_in")
        return self.method == "POST" and not self.is_async and granted and self.noun not in _NEVER_KEPT


_declared: list[Route] = []


def route(
    method: str,
    path: str,
    *,
    permission: str,
    summary: str,
    errors: Iterable[int] = (),
    status: int = 200,
    example: Any = None,
    body_example: Any = None,
    media: str = "application/json",
    prefix: str = PREFIX,
    max_body: int = 1 << 20,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a route. Raises `TypeError` for one that cannot be: no permission, no type, an unknown method."""
    if permission not in PERMISSIONS:
        raise TypeError(f"{method} {path} declares no known permission: {permission!r}")
    if method not in METHODS:
        raise TypeError(f"{method} is no method of the API")

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        segments = tuple(f"{prefix}{path}".strip("/").split("/"))
        named = {s[1:-1] for s in segments if s.startswith("{")}
        types_of, defaults = _signature(function)
        body = types_of.pop("body", None)
        result = types_of.pop("return", None)
        types_of.pop("call", None)
        if named - types_of.keys():
            raise TypeError(f"{method} {path} names {named - types_of.keys()} that the function does not take")
        own = f"{function.__module__.rpartition('.')[2]}_{function.__name__}"
        query = {name: _without_none(kind) for name, kind in types_of.items() if name not in named}
        _declared.append(
            Route(
                method=method,
                path=f"{prefix}{path}",
                permission=permission,
                summary=summary,
                noun=function.__module__.rpartition(".")[2],
                errors=tuple(errors),
                status=status,
                example=example,
                body_example=body_example,
                function=function,
                is_async=inspect.iscoroutinefunction(function),
                media=media,
                segments=segments,
                path_type=_struct(f"{own}_Path", {n: types_of[n] for n in types_of if n in named}, {}),
                query_type=_struct(f"{own}_Query", query, defaults),
                body=body,
                result=result,
                lists=frozenset(name for name, kind in query.items() if _is_list(kind)),
                max_body=max_body,
            )
        )
        return function

    return declare


def declared() -> list[Route]:
    """All routes, in the order of their declaration."""
    return list(_declared)


class Found(msgspec.Struct, frozen=True):
    """What a path leads to: its route (None: not by this method), the decoded names in it, methods that there are."""

    route: Route | None
    names: dict[str, str]
    allowed: tuple[str, ...]


class Router:
    """Finds routes by raw path. A fixed word comes before a name."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root: dict[str, Any] = {}
        for item in routes:
            node = self._root
            for segment in item.segments:
                node = node.setdefault("{}" if segment.startswith("{") else segment, {})
            methods = node.setdefault("", {})
            if item.method in methods:
                raise TypeError(f"{item.key} is declared twice")
            methods[item.method] = item

    def find(self, method: str, raw_path: bytes) -> Found | None:
        """The route of a path; None if there is no such path. Raises `Refused` for a name that is no text."""
        if not raw_path.startswith(b"/"):
            return None
        parts = raw_path[1:].split(b"/")
        if not all(parts):
            return None
        found = self._walk(self._root, parts)
        if found is None:
            return None
        allowed = tuple(sorted(found))
        item: Route | None = found.get(method)
        if item is None:
            return Found(None, {}, allowed)
        names = {
            segment[1:-1]: _text(part)
            for segment, part in zip(item.segments, parts, strict=True)
            if segment.startswith("{")
        }
        return Found(item, names, allowed)

    def _walk(self, node: dict[str, Any], parts: list[bytes]) -> dict[str, Route] | None:
        if not parts:
            found: dict[str, Route] | None = node.get("")
            return found
        head, *rest = parts
        # Fixed words are compared as they stand: nothing encoded is one of them.
        word = head.decode("ascii", "replace")
        for key in (word, "{}"):
            if key and key != "" and key in node and (key != word or word != "{}"):
                found = self._walk(node[key], rest)
                if found is not None:
                    return found
        return None


def _text(part: bytes) -> str:
    try:
        return unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "a name in the path is no UTF-8") from None


def _signature(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    for name in parameters:
        if name not in hints:
            raise TypeError(f"{function.__module__}.{function.__name__}: parameter {name} has no type")
    defaults = {n: p.default for n, p in parameters.items() if p.default is not inspect.Parameter.empty}
    return hints, defaults


def _struct(name: str, fields: dict[str, Any], defaults: dict[str, Any]) -> type | None:
    if not fields:
        return None
    specs = [(field, kind, defaults[field]) if field in defaults else (field, kind) for field, kind in fields.items()]
    # A name that Python keeps for itself has an underscore here: `from_` is "from".
    rename = {field: field.removesuffix("_") for field in fields}
    return msgspec.defstruct(name, specs, frozen=True, forbid_unknown_fields=True, kw_only=True, rename=rename)


def _without_none(kind: Any) -> Any:
    """The type of a parameter that may be left out: to say "null" is not to leave it out."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    return Union[tuple(arg for arg in get_args(kind) if arg is not type(None))]  # noqa: UP007


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind)
    if origin in (list, tuple):
        return True
    if origin in (Union, types.UnionType) or hasattr(kind, "__metadata__"):
        return any(_is_list(arg) for arg in get_args(kind))
    return False
