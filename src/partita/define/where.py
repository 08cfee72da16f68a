"""Where in the user's files a definition was written.

Rule: the user's place is the nearest frame outside of Partita's own package.
"""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from typing import Any, NamedTuple

from partita.define.names import clean
from partita.errors import DefinitionError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

# The folder of the project that is being loaded; files are named relative to it.
project_root: ContextVar[str] = ContextVar("partita_project_root", default="")
# What `[tool.partita] container_runtime` of that project says.
runtime_of_project: ContextVar[str] = ContextVar("partita_container_runtime", default="")


class Place(NamedTuple):
    """A line of a user's file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{short(self.file)}:{self.line}"


def caller() -> Place:
    """The line of the user's code that is calling us now."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Place("", 0)


def calling_module() -> str:
    """The name of the user's module that is calling us now."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""


def place_of(function: object) -> Place:
    """Where a function was written (the line of its first decorator), or else where it is being used."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_filename.startswith(_PACKAGE):
        return caller()
    return Place(code.co_filename, code.co_firstlineno)


def short(file: str) -> str:
    """The file as people call it: relative to its project, else its last part."""
    root = project_root.get()
    inside = bool(root) and file.startswith(root + os.sep)
    return clean(file[len(root) + 1 :] if inside else os.path.basename(file))


def wrong(message: str, *, hint: str | None = None, place: Place | None = None) -> DefinitionError:
    """A definition error at a place (the user's current line if none is given)."""
    file, line = place if place is not None else caller()
    return DefinitionError(message, hint=hint, file=short(file), line=line)
