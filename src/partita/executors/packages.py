"""Which packages a project wants, by the lock that travels with it, and which an interpreter has.

What a project cannot do without is what its pyproject.toml (`dependencies`) or, without that, its requirements.txt names. Which
versions it was made with is what a lock says: uv.lock, pylock.toml, requirements or constraints with `==`. Environments are
not built here: what is missing is said before anything runs.

Rule: what is asked of an interpreter is asked in a process of its own, by its files alone; nothing of the project is imported.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from partita.errors import LoadError

_LOCKS = ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "requirements.txt", "constraints.txt")
_TIMEOUT_S = 30.0
_ASK = (
    "import json, sys, importlib.metadata as m;"
    "json.dump([sys.version.split()[0], {d.metadata['Name']: d.version for d in m.distributions() if d.metadata['Name']}], sys.stdout)"
)
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([^;#]*)(;[^#]*)?")


class Wanted(msgspec.Struct, frozen=True):
    """What a project wants. `needed` must be there; `locked` are versions; `lock` names its file with the file's SHA-256."""

    needed: tuple[str, ...] = ()
    locked: dict[str, str] = {}
    lock: str = ""
    python: str = ""


class Compared(msgspec.Struct, frozen=True):
    """What an environment lacks, and what it has in another version than the lock says: lines for people."""

    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


def wanted_by(folder: Path) -> Wanted:
    """What a project's files say. Files that cannot be read say nothing: whoever loads the project tells."""
    table = _toml(folder / "pyproject.toml").get("project", {})
    table = table if isinstance(table, dict) else {}
    dependencies = table.get("dependencies")
    lines = [d for d in dependencies if isinstance(d, str)] if isinstance(dependencies, list) else None
    if lines is None:
        lines = _lines(folder / "requirements.txt")
    needed = [name for line in lines if (name := _needed(line))]
    lock = next((name for name in _LOCKS if (folder / name).is_file()), "")
    digest = hashlib.sha256((folder / lock).read_bytes()).hexdigest()[:12] if lock else ""
    python = table.get("requires-python")
    return Wanted(
        needed=tuple(dict.fromkeys(needed)),
        locked=_locked(folder / lock) if lock else {},
        lock=f"{lock} {digest}".strip(),
        python=python if isinstance(python, str) else "",
    )


def packages_of(python: str) -> dict[str, str]:
    """The packages that an interpreter finds, with their versions. Raises `LoadError` if it does not answer."""
    try:
        done = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, timeout=_TIMEOUT_S, check=True)
        _, found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise LoadError(f"{python} does not say which packages it has: {error}") from None
    return {normal(name): version for name, version in found.items()}


def compared(wanted: Wanted, packages: Mapping[str, str]) -> Compared:
    """What a project wants, against what there is.

    >>> compared(Wanted(("duckdb", "polars"), {"duckdb": "1.1"}), {"duckdb": "1.0"})
    Compared(missing=('polars',), different=('duckdb 1.0 is there, the lock says 1.1',))
    """
    missing = tuple(name for name in wanted.needed if name not in packages)
    different = tuple(
        f"{name} {packages[name]} is there, the lock says {version}"
        for name, version in sorted(wanted.locked.items())
        if name in packages and packages[name] != version
    )
    return Compared(missing, different)


def normal(name: str) -> str:
    """The one spelling of a package's name.

    >>> normal("Ruamel.YAML_clib")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(line: str) -> str:
    """The package that a line asks for; "" for options, comments, and what is for other machines."""
    found = _REQUIREMENT.fullmatch(line.partition("#")[0].strip())
    # A marker (`; sys_platform == ...`) makes it somebody else's need, perhaps: it is not insisted on.
    if found is None or found[4]:
        return ""
    return normal(found[1])


def _locked(path: Path) -> dict[str, str]:
    if path.suffix == ".txt":
        found = {}
        for line in _lines(path):
            name, equal, version = line.partition("#")[0].partition(";")[0].partition("==")
            if equal and re.fullmatch(r"[A-Za-z0-9._-]+(\[.*\])?\s*", name.strip()):
                found[normal(name.partition("[")[0].strip())] = version.split("--")[0].strip(" \\\t")
        return found
    table = _toml(path)
    packages: Any = table.get("package", table.get("packages", []))
    if not isinstance(packages, list):
        return {}
    return {
        normal(p["name"]): p["version"]
        for p in packages
        if isinstance(p, dict)
        and isinstance(p.get("name"), str)
        and isinstance(p.get("version"), str)
        # The project itself is in its own lock.
        and not (isinstance(p.get("source"), dict) and {"virtual", "editable", "directory"} & p["source"].keys())
    }


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
