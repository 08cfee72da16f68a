"""The files of a version of a project's code, kept so that a run can end on the version that it began with.

A kept version is a folder that looks like the project's: Python files and small settings are copied, everything else is a
link to the project's own, so that code finds its data beside it as ever. It is used when the project's folder has another
version by now; the working directory stays the project's folder.

Rule: bounded. A version with too many or too large files is not kept, and who asks for it is told.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Collection, Iterable
from pathlib import Path

from partita.settings import Home, outputs_of

# What is copied: code, and what definitions are often made from.
SUFFIXES = (".py", ".toml", ".yaml", ".yml", ".sql", ".cfg", ".ini")
SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "dist", "build", "target", "dbt_packages"})
_MOST_FILES = 5_000
_MOST_BYTES = 64 << 20
_MOST_VERSIONS = 20

Listing = dict[str, tuple[int, int]]
"""Files by their path in the project: time of change and size."""


def folders_of(project: Path) -> list[str]:
    """The folders of a project that may hold code: no environments, caches, outputs, or what Partita keeps."""
    found: list[str] = []
    outputs = outputs_of(project)
    for parent, folders, _ in os.walk(project):
        found.append(parent)
        folders[:] = [f for f in folders if may_hold_code(parent, f) and os.path.join(parent, f) not in outputs]
    return found


def listing(project: Path) -> Listing:
    """What lies in a project now, of the files that matter."""
    found: Listing = {}
    for folder in folders_of(project):
        for entry in os.scandir(folder):
            if entry.name.endswith(SUFFIXES):
                try:
                    known = entry.stat()
                except OSError:
                    continue  # removed while we look
                if stat.S_ISREG(known.st_mode):
                    found[os.path.relpath(entry.path, project)] = known.st_mtime_ns, known.st_size
    return found


def is_code(path: str) -> bool:
    """Whether a change of this file may change what a project defines."""
    return path.endswith(SUFFIXES)


def kept_folder(home: Home, project: str, code: str, folder: Path) -> Path:
    """Where a version is kept. Its last part is the folder's own name, by which some projects are called."""
    return home.code / f"{project}-{code}" / (folder.name or "project")


def is_kept(home: Home, project: str, code: str, folder: Path) -> bool:
    return bool(code) and kept_folder(home, project, code, folder).is_dir()


def keep(home: Home, project: str, code: str, folder: Path) -> Path | None:
    """Keep the files that lie in `folder` now as this version; where, or None if they are too many. Twice does nothing."""
    target = kept_folder(home, project, code, folder)
    if target.is_dir():
        os.utime(target.parent)
        return target
    files = listing(folder)
    if len(files) > _MOST_FILES or sum(size for _, size in files.values()) > _MOST_BYTES:
        return None
    making = target.parent.with_name(f".{target.parent.name}.{os.getpid()}.{threading.get_ident()}")
    shutil.rmtree(making, ignore_errors=True)
    _copy(folder, making / target.name, files)
    try:
        making.rename(target.parent)
    except OSError:  # another thread was faster, or what is there is broken
        shutil.rmtree(making, ignore_errors=True)
    return target if target.is_dir() else None


def discard(home: Home, project: str, code: str, folder: Path) -> None:
    """What was kept is not what was imported."""
    shutil.rmtree(kept_folder(home, project, code, folder).parent, ignore_errors=True)


def forget(home: Home, wanted: Iterable[tuple[str, str]], of: Collection[str] | None = None) -> None:
    """Remove kept versions but the newest few and those that are wanted: (project, code). `of`: of these projects alone."""
    names = {f"{project}-{code}" for project, code in wanted}
    try:
        entries = [e for e in os.scandir(home.code) if e.is_dir(follow_symlinks=False) and e.name not in names]
    except FileNotFoundError:
        return
    if of is not None:
        entries = [e for e in entries if e.name.rpartition("-")[0] in of]
    entries.sort(key=lambda e: e.stat().st_mtime_ns, reverse=True)
    for entry in entries[_MOST_VERSIONS:]:
        shutil.rmtree(entry.path, ignore_errors=True)


def may_hold_code(parent: str, name: str) -> bool:
    """Whether a folder of this name is looked into."""
    if name.startswith(".") or name in SKIPPED:
        return False
    return not os.path.exists(os.path.join(parent, name, "pyvenv.cfg"))


def _copy(folder: Path, target: Path, files: Listing) -> None:
    copied = {os.path.dirname(path) for path in files}
    # Every folder on the way to a copied file is a folder; beside these stand links.
    real = {""} | {str(p) for path in copied if path for p in (Path(path), *Path(path).parents) if str(p) != "."}
    for place in sorted(real):
        (target / place).mkdir(parents=True, exist_ok=True, mode=0o700)
        for entry in os.scandir(folder / place):
            path = os.path.join(place, entry.name)
            if path in files:
                shutil.copy2(entry.path, target / path)
            elif path not in real and entry.name not in ("__pycache__", ".partita"):
                os.symlink(os.path.abspath(entry.path), target / path)
