"""The files of a version of a project's code, as they are kept for its runs, to be read by people.

Rule: a file's name comes out of a stored graph or out of a listing of the kept folder, and what is read is a regular file
in that folder, of the kinds that are kept: no link is followed, and no name leads out.
"""

from __future__ import annotations

import ast
import difflib
import os
import stat
from pathlib import Path
from typing import Final, Literal, NamedTuple

from partita.executors.kept import SUFFIXES, is_code, listing
from partita.settings import Home

MOST_BYTES: Final = 512 << 10
_MOST_FILES: Final = 500


class Lines(NamedTuple):
    """A text of a file, and the lines (from 1) that a definition takes in it."""

    text: str
    first: int
    last: int
    is_cut: bool


class Change(NamedTuple):
    """One file that differs; `before` and `after` are "" where it is not there or too large to be shown."""

    file: str
    change: Literal["added", "removed", "changed"]
    added: int
    removed: int
    before: str
    after: str
    is_cut: bool


def folder_of(home: Home, project: str, code: str, served: str, folder: str) -> Path | None:
    """Where the files of a version lie: kept, or in the project's folder as long as that is the version served.

    None: they are kept no more.
    """
    if not code or "/" in code or "/" in project:
        return None
    try:
        kept = [entry for entry in os.scandir(home.code / f"{project}-{code}") if entry.is_dir(follow_symlinks=False)]
    except OSError:
        kept = []
    if len(kept) == 1:
        return Path(kept[0].path)
    return Path(folder) if code == served and folder else None


def read(folder: Path, file: str) -> tuple[str, bool] | None:
    """The text of a file, and whether it was cut; None if there is no such file of code."""
    if not file.endswith(SUFFIXES) or not _is_below(file):
        return None
    at = folder
    try:
        for part in file.split("/"):
            at = at / part
            if stat.S_ISLNK(at.lstat().st_mode):
                return None
        if not stat.S_ISREG(at.lstat().st_mode):
            return None
        with at.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        return None
    return data[:MOST_BYTES].decode("utf-8", "replace"), len(data) > MOST_BYTES


def definition(folder: Path, written_at: str) -> tuple[str, Lines] | None:
    """The file that "pipelines.py:17" names, with the lines of what is defined there."""
    file, _, line = written_at.rpartition(":")
    found = read(folder, file) if line.isdecimal() else None
    if found is None:
        return None
    text, is_cut = found
    first, last = _extent(text, int(line)) if file.endswith(".py") else (int(line), _count(text))
    return file, Lines(text, first, last, is_cut)


def changes(old: Path, new: Path) -> list[Change]:
    """The files that differ between two versions, by name, at most 500."""
    before, after = (_files(folder) for folder in (old, new))
    found = []
    for file in sorted(before | after):
        change = _change(old, new, file, file in before, file in after)
        if change is not None:
            found.append(change)
            if len(found) >= _MOST_FILES:
                break
    return found


def _change(old: Path, new: Path, file: str, was: bool, is_: bool) -> Change | None:
    one = (read(old, file) if was else None) or ("", False)
    other = (read(new, file) if is_ else None) or ("", False)
    if was and is_ and one == other:
        return None
    added, removed = _counts(one[0], other[0])
    kind: Literal["added", "removed", "changed"] = "changed" if was and is_ else "added" if is_ else "removed"
    return Change(file, kind, added, removed, one[0], other[0], one[1] or other[1])


def _counts(before: str, after: str) -> tuple[int, int]:
    """Lines that came and went."""
    added = removed = 0
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=True)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            removed += i2 - i1
            added += j2 - j1
    return added, removed


def _files(folder: Path) -> set[str]:
    # Beside the copied files stand links to the project's own, which are no part of the version.
    return {file for file in listing(folder) if is_code(file) and not os.path.islink(folder / file)}


def _is_below(file: str) -> bool:
    parts = file.split("/")
    return bool(file) and not file.startswith("/") and all(part not in ("", ".", "..") for part in parts)


def _count(text: str) -> int:
    return max(1, text.count("\n") + (not text.endswith("\n")))


def _extent(text: str, line: int) -> tuple[int, int]:
    """From the first decorator of the definition at a line to its end; of a call its own lines."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return line, line
    best: tuple[int, int] | None = None
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        last = node.end_lineno or node.lineno
        if first <= line <= last and (best is None or last - first < best[1] - best[0]):
            best = first, last
    return best or (line, line)
