"""The named statements of `sql/`, one file for each noun, read once.

Rule: a statement is looked up by name and never put together from values; `{name}` in one stands for another.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

# schema.sql, sql/ and migrations/ lie beside this file.
FOLDER = Path(__file__).parent
_NAMED = re.compile(r"^-- name: (\w+)\n(.*?);\n", re.MULTILINE | re.DOTALL)
_INCLUDED = re.compile(r"\{(\w+)\}")


@cache
def statements() -> dict[str, str]:
    """Every statement by name."""
    found: dict[str, str] = {}
    for file in sorted((FOLDER / "sql").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            found.update(named(file.read_text(encoding="utf-8")))
    return {name: _INCLUDED.sub(lambda m: found[m[1]], sql).strip() for name, sql in found.items()}


def named(text: str) -> dict[str, str]:
    """The statements of a file by name, as they are written there."""
    return dict(_NAMED.findall(text))


@cache
def runs(arm: str, arms: int) -> str:
    """The list of runs, newest first, from `arms` copies of a `runs_arm...` statement."""
    text = statements()[arm]
    return " UNION ALL ".join(f"SELECT * FROM ({text}) AS arm" for _ in range(arms)) + " ORDER BY 1 DESC LIMIT ?"


@cache
def together(name: str, arms: int) -> str:
    """A named statement asked for `arms` parameters at once; the rows come in any order."""
    text = statements()[name]
    return " UNION ALL ".join(f"SELECT * FROM ({text}) AS arm" for _ in range(arms))


def script(text: str) -> list[str]:
    """The statements of a file such as schema.sql, comments taken out."""
    bare = re.sub(r"--[^\n]*", "", text)
    return [statement.strip() for statement in bare.split(";") if statement.strip()]
