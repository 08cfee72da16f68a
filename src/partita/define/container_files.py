"""What goes into a container and comes out of it as files, and the errors of one that failed.

Rule: the same whoever runs the container.
"""

from __future__ import annotations

import json
import os
import posixpath
from pathlib import Path
from typing import Any

from partita.errors import UserCodeError

MOST_BYTES = 1 << 30
_TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".md", ".log", ".html", ".xml", ".yaml", ".yml", ".sql")


class ContainerFailed(UserCodeError):
    """The container ended with another exit code than 0."""

    def __init__(self, message: str, exit_code: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class ContainerOutOfMemory(UserCodeError, MemoryError):
    """The container was killed at its memory limit."""


def written(path: Path, value: Any, target: str) -> Path:
    """The file of this machine that an input is."""
    if isinstance(value, os.PathLike):
        found = Path(value).absolute()
        if not found.exists():
            raise UserCodeError(f"{found} is not there, and was to be {target} in the container")
        return found
    if isinstance(value, bytes | bytearray | memoryview):
        path.write_bytes(bytes(value))
    elif isinstance(value, str):
        path.write_text(value, encoding="utf-8")
    else:
        path.write_text(json.dumps(value, default=str), encoding="utf-8")
    path.chmod(0o644)
    return path


def read(source: Path, name: str, path: str) -> Any:
    """What stands in an output: JSON and text by the end of its name, else bytes."""
    # A link could lead to any file of this machine.
    if source.is_symlink() or not source.is_file():
        raise missing(name, path)
    if source.stat().st_size > MOST_BYTES:
        raise too_large(name)
    suffix = posixpath.splitext(path)[1].lower()
    if suffix == ".json":
        try:
            return json.loads(source.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserCodeError(f"output {name!r} ({path}) is no JSON: {error}") from None
    if suffix in _TEXT_SUFFIXES:
        return source.read_text(encoding="utf-8", errors="replace")
    return source.read_bytes()


def missing(name: str, path: str) -> UserCodeError:
    """The error of an output that is not there."""
    return UserCodeError(f"the container left no file {path}, which was to be output {name!r}")


def too_large(name: str) -> UserCodeError:
    """The error of an output that is no value any more."""
    return UserCodeError(
        f"output {name!r} is larger than {MOST_BYTES >> 30} GiB, which is no value to hand on",
        hint="let the container write it to a volume, and hand on its path",
    )
