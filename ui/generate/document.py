"""Writes the OpenAPI document that the screens' types are made of: without examples, headers and error answers.

Rule: errors are `application/problem+json` everywhere, so one type written by hand says it for all.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from partita.server import openapi
from partita.server import routes as nouns
from partita.server.routing import declared


def main() -> None:
    nouns.declare()
    document = openapi.document(declared(), "0")
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"] = {
                status: _plain(answer) for status, answer in operation["responses"].items() if status.startswith("2")
            }
            operation.pop("description", None)
    json.dump(_without(document), sys.stdout, indent=1)


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "headers"}


def _without(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _without(value)
            for key, value in node.items()
            # A property may be called "example": those of schemas and media are never schemas themselves.
            if not (key in ("example", "examples") and not (isinstance(value, dict) and "type" in value))
        }
    return [_without(item) for item in node] if isinstance(node, list) else node


if __name__ == "__main__":
    main()
