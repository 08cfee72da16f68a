"""The list of routes as a page of the documentation, made of their declarations.

Rule: docs/reference/api.md is what this says; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from partita.server.routing import Route

_HEAD = """# The routes of the API

Written by `python -m partita.server.reference`; do not edit. Types, errors and examples of each are in
`/api/v1/openapi.json`; [the guide](../guide/api.md) says how they are used. *Needs* is the permission that the asker must
have in the namespace of what it is about.
"""


def page(routes: Iterable[Route]) -> str:
    """The page, by noun."""
    parts = [_HEAD]
    for noun, of_noun in groupby(sorted(routes, key=lambda r: r.noun), key=lambda r: r.noun):
        rows = [f"| `{r.method} {r.path}` | {r.summary} | {r.permission} |" for r in of_noun]
        parts.append(
            f"## {noun.capitalize()}\n\n| route | what | needs |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    from partita.server import routes as nouns
    from partita.server.routing import declared

    nouns.declare()
    print(page(declared()), end="")
