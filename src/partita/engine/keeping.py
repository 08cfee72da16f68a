"""How long this service keeps its history: what the project's pyproject.toml and the environment say.

    [tool.partita.retention]
    runs = "30d"
    logs = "14d, 5GB"
    audit = "forever"

PARTITA_RETENTION says the same for where there is no file: "runs=30d; logs=14d, 5GB"; what it names goes before the file.

Rule: read once, at the start; a mistake is an error then, and never a default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from partita.core.retention import Policy, policy_of
from partita.errors import DefinitionError

VARIABLE = "PARTITA_RETENTION"


def policy_for(project: Path) -> Policy:
    """The policy of a project's folder. Raises `DefinitionError`."""
    table = _of_file(project / "pyproject.toml")
    # Each where it was said, so that a mistake is told with its place.
    policy_of(table)
    return policy_of(table | _of_variable(os.environ.get(VARIABLE, "")), VARIABLE)


def _of_file(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{file} cannot be read: {error}", hint="correct it, then try again") from None
    table = content.get("tool", {}).get("partita", {}).get("retention", {})
    if not isinstance(table, dict):
        raise DefinitionError(
            f"{file}: [tool.partita] retention is no table", hint='write [tool.partita.retention] and runs = "30d"'
        )
    return table


def _of_variable(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals:
            raise DefinitionError(f"{VARIABLE}: {part!r} says nothing", hint="write runs=30d; logs=14d, 5GB")
        found[name.strip()] = value.strip()
    return found
