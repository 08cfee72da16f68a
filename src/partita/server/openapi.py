"""The OpenAPI 3.1 document, made of the routes' declarations.

Rule: nothing is written twice: types, permissions, errors and examples stand at the routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from partita.core.permissions import PERMISSIONS
from partita.server.calling import Raw, Stream
from partita.server.problems import TITLES, ProblemDetails
from partita.server.routing import Route

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_PROBLEM = "application/problem+json"


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of these routes."""
    shown = [r for r in routes if r.path != "/"]
    schemas, components = _schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Partita",
            "version": version,
            "description": "Runs the right work at the right time in the right order, and says why. Lists have pages: "
            "`next` of one is the `cursor` of the following. A POST with an `Idempotency-Key` is done once.",
        },
        "security": [{"token": []}, {"session": []}],
        "tags": [{"name": noun} for noun in dict.fromkeys(r.noun for r in shown)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "partita_session"},
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """The schema of each type by its id, and the components that they refer to."""
    types: list[Any] = [ProblemDetails]
    for route in routes:
        types += [_result(route)] if _result(route) is not None else []
        types += [route.body] if route.body not in (None, bytes) else []
        types += [kind for kind in (route.path_type, route.query_type) if kind is not None]
    found, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = {id(kind): dict(schema) for kind, schema in zip(types, found, strict=True)}
    kept = {name: schema for name, schema in components.items() if not _is_parameters(name)}
    for kind in types:
        name = by_type[id(kind)].get("$ref", "").rpartition("/")[2]
        if _is_parameters(name):
            by_type[id(kind)] = components[name]
    return by_type, kept


def _is_parameters(name: str) -> bool:
    """Types that were made of a function's parameters stand at their routes."""
    return name.endswith(("_Path", "_Query"))


def _operation(route: Route, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": f"{route.noun}.{route.function.__name__}",
        "summary": route.summary,
        "tags": [route.noun],
        "x-permission": route.permission,
        "description": f"Needs `{route.permission}`: {PERMISSIONS[route.permission]}.",
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
    }
    if route.permission in ("public", "signed"):
        found["security"] = []
    if route.body is bytes:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        found["requestBody"] = {"required": False, "content": content}
    elif route.body is not None:
        media: dict[str, Any] = {"schema": schemas[id(route.body)]}
        if route.body_example is not None:
            media["example"] = msgspec.to_builtins(route.body_example)
        found["requestBody"] = {"required": True, "content": {_JSON: media}}
    return found


def _parameters(route: Route, schemas: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for place, kind in (("path", route.path_type), ("query", route.query_type)):
        if kind is None:
            continue
        schema = schemas[id(kind)]
        required = set(schema.get("required", ()))
        for name, field in schema["properties"].items():
            # Of one that may be left out, null cannot be said in a query.
            own = _without_null(field)
            parameter: dict[str, Any] = {
                "name": name,
                "in": place,
                "required": place == "path" or name in required,
                "schema": own,
            }
            if "description" in own:
                parameter["description"] = own.pop("description")
            found.append(parameter)
    if route.takes_key:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same request with the same key is carried out once.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            }
        )
    if route.media == "text/event-stream":
        found.append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "description": "Go on behind this message.",
                "schema": {"type": "string"},
            }
        )
    return found


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in field.items() if not (key == "default" and value in (None, "", []))}
    options = [o for o in own.pop("anyOf", ()) if o.get("type") != "null"]
    if len(options) == 1:
        own.update(options[0])
    elif options:
        own["anyOf"] = options
    return own


def _responses(route: Route, schemas: dict[int, dict[str, Any]]) -> dict[str, Any]:
    ok: dict[str, Any] = {"description": route.summary}
    if route.status != 204:
        result = _result(route)
        media: dict[str, Any] = {"schema": schemas[id(result)] if result is not None else {"type": "string"}}
        if route.example is not None:
            media["example"] = msgspec.to_builtins(route.example)
        ok["content"] = {route.media: media}
    problem = {"schema": schemas[id(ProblemDetails)]}
    codes = {400, *route.errors}
    if route.permission not in ("public", "signed"):
        codes |= {401, 403}
    codes |= {421, 429}
    if route.path_type is not None:
        codes.add(404)
    if route.body is not None:
        codes |= {413, 422, *(() if route.body is bytes else (415,))}
    if route.query_type is not None:
        codes.add(422)
    if route.method != "GET":
        codes |= {409, 415, 422, 507}
    # A body where there is none to be, a path or query that is too long.
    codes |= {413, 422, 503}
    return {
        str(route.status): ok,
        **{
            str(code): {
                "description": TITLES[code],
                "content": {_PROBLEM: {**problem, "example": _problem(code)}},
            }
            for code in sorted(codes)
        },
    }


def _problem(code: int) -> dict[str, Any]:
    title = TITLES[code]
    kind = title.lower().replace(" ", "-")
    return {"type": f"urn:partita:problem:{kind}", "title": title, "status": code, "detail": "what is wrong here"}


def _result(route: Route) -> Any:
    """The type of what is answered with; None for what is no JSON."""
    args = getattr(route.result, "__args__", ())
    if route.result in (Raw, Stream, None, type(None)) or route.media != _JSON:
        return None
    from partita.server.calling import Reply

    if route.result is Reply:
        return Any
    kinds = [a for a in args if a is not Reply]
    is_union = type(route.result).__name__ == "UnionType"
    return kinds[0] if is_union and len(kinds) == 1 else route.result
