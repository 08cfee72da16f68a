"""What is done with a deployed bundle beside the engine: it is fetched, tried out, and laid out as the folder that is served.

A bundle lies on the *shelf*: in the home, or where the home's values are, so that a scheduler on another machine finds it. It is
tried by a load of its own, with the packages that the server has for the project. What passes is laid out file by file in one
folder per project, `deployed/projects/<name>`: its `.venv` and what its steps have written there stay.

Rule: everything here may be broken off anywhere and be done again. A folder says which bundle it is only when it is that bundle.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from partita.core.manifest import Problem
from partita.errors import LoadError, PartitaError
from partita.executors.bundle import unpack
from partita.executors.interpreter import python_of
from partita.executors.kept import kept_folder
from partita.executors.loading import load_project
from partita.executors.packages import compared, packages_of, wanted_by
from partita.settings import Home, Settings
from partita.values.blobs import write_then_rename
from partita.values.objects import Objects, objects_at

_MARK = ".deployed"
_LIST = ".deployed-files"
_KEPT_BUNDLES = 20
_SHOWN = 8


class Tried(msgspec.Struct, frozen=True):
    """What came of trying a bundle: its version, or why it cannot be served."""

    code: str = ""
    lock: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""
    problems: tuple[Problem, ...] = ()


def shelf_of(home: Home) -> Objects:
    """Where a home's bundles lie."""
    return objects_at(f"{home.values.rstrip('/')}/deployed" if home.values else home.deployed.absolute().as_uri())


def put_bundle(home: Home, project: str, digest: str, data: bytes) -> None:
    """Put a bundle on the shelf, whose digest was proved. Raises `WorldError`."""
    shelf_of(home).create(_key(project, digest), data)


def bundle_of(home: Home, project: str, digest: str) -> bytes:
    """A bundle of the shelf. Raises `LoadError` if it is not there any more."""
    data = shelf_of(home).get(_key(project, digest))
    if data is None:
        hint = "deploy it again from its folder"
        if home.store and not home.values:
            hint += "; for several machines bundles must lie where all of them are: set `values` or PARTITA_VALUES"
        raise LoadError(f"bundle {digest[:12]} of {project} is not kept any more", hint=hint)
    return data


def folder_of(home: Home, project: str) -> Path:
    """The folder that a deployed project is served from."""
    return home.deployed / "projects" / project


def try_out(base: Settings, project: str, namespace: str, digest: str, *, anyway: bool) -> Tried:
    """Load a bundle as the project would be served, without serving it. `anyway`: also if packages are missing."""
    try:
        source = _unpacked(base.home, project, digest)
        folder = folder_of(base.home, project)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        wanted = wanted_by(source)
        python = python_of(folder)
        found = compared(wanted, packages_of(python))
        if found.missing and not anyway:
            return Tried(lock=wanted.lock, error=_missing(found.missing, python))
        warnings = (*(f"{name} is not installed" for name in found.missing), *_few(found.different))
        loaded = load_project(replace(base, project=folder, source=source))
        loaded.connection.close(kill=True)
    except (PartitaError, OSError) as error:
        return Tried(error=str(error))
    manifest = loaded.manifest
    tried = Tried(manifest.code, wanted.lock, warnings)
    if manifest.project != project:
        return _refused(tried, f"the bundle is project {manifest.project!r}, not {project!r}")
    if manifest.namespace != namespace:
        return _refused(tried, f"the bundle is for namespace {manifest.namespace!r}, not {namespace!r}")
    if manifest.problems:
        count = len(manifest.problems)
        why = f"it cannot be loaded well: {count} problem{'s' if count > 1 else ''}"
        return msgspec.structs.replace(tried, error=why, problems=_placed(manifest.problems, source))
    return tried


def lay_out(home: Home, project: str, digest: str) -> None:
    """Have the project's folder be this bundle; what else lies there stays. Raises `PartitaError`, `OSError`."""
    folder = folder_of(home, project)
    if _read(folder / _MARK) == digest:
        return
    source = _unpacked(home, project, digest)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    old = set(_read(folder / _LIST).splitlines())
    # From here on, whoever finds the folder half done knows which files are ours.
    (folder / _MARK).unlink(missing_ok=True)
    write_then_rename(folder / _LIST, "\n".join(sorted(old | new)).encode(), sync=True)
    for name in sorted(old - new):
        _remove(folder, name)
    for name in sorted(new):
        _place(source / name, folder / name)
    write_then_rename(folder / _LIST, "\n".join(sorted(new)).encode(), sync=True)
    write_then_rename(folder / _MARK, digest.encode(), sync=True)
    _remove_versions(home, project, digest)


def keep_version(home: Home, project: str, code: str, digest: str) -> None:
    """Keep the files of a bundle as those of a version: a run that began with it elsewhere ends on it here.

    Raises `PartitaError`, `OSError`.
    """
    target = kept_folder(home, project, code, folder_of(home, project))
    making = target.parent.with_name(f".{target.parent.name}.{os.getpid()}.{threading.get_ident()}")
    making.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        packed = making / "bundle.tar.gz"
        write_then_rename(packed, bundle_of(home, project, digest), sync=False)
        unpack(packed, making / target.name, digest=digest)
        packed.unlink()
        making.rename(target.parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def prune(home: Home, project: str, digests: Iterable[str]) -> None:
    """Remove bundles but the newest few of `digests`, newest first."""
    kept = {f"{digest}.tar.gz" for digest in list(dict.fromkeys(digests))[:_KEPT_BUNDLES]}
    shelf = shelf_of(home)
    for name in shelf.names(f"bundles/{project}"):
        if name not in kept:
            shelf.remove(f"bundles/{project}/{name}")


# --- inside -----------------------------------------------------------------------------------------------------------


def _key(project: str, digest: str) -> str:
    return f"bundles/{project}/{digest}.tar.gz"


def _versions(home: Home, project: str) -> Path:
    return home.deployed / "versions" / project


def _unpacked(home: Home, project: str, digest: str) -> Path:
    """The bundle as a folder, whose name is the project's: some projects are called by that."""
    into = _versions(home, project) / digest[:16] / project
    if not into.is_dir():
        into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        packed = into.parent / "bundle.tar.gz"
        write_then_rename(packed, bundle_of(home, project, digest), sync=False)
        unpack(packed, into, digest=digest)
        packed.unlink(missing_ok=True)
    return into


def _remove_versions(home: Home, project: str, but: str) -> None:
    with contextlib.suppress(OSError):
        for entry in os.scandir(_versions(home, project)):
            if entry.name != but[:16]:
                shutil.rmtree(entry.path, ignore_errors=True)


def _place(source: Path, target: Path) -> None:
    data = source.read_bytes()
    mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
    with contextlib.suppress(OSError):
        if target.read_bytes() == data and target.stat().st_mode & 0o777 == mode:
            return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    _forget_compiled(target)
    making = target.with_name(f".{target.name}.new")
    for parent in target.parents:
        if parent.is_file():  # a file of the version before stands where there is a folder now
            parent.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    making.write_bytes(data)
    making.chmod(mode)
    making.replace(target)


def _remove(folder: Path, name: str) -> None:
    path = folder / name
    _forget_compiled(path)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == folder:
                break
            shutil.rmtree(parent / "__pycache__", ignore_errors=True)
            parent.rmdir()  # only if it is empty


def _forget_compiled(path: Path) -> None:
    # Two versions of a file may have one size and one second.
    with contextlib.suppress(OSError):
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()


def _placed(problems: tuple[Problem, ...], source: Path) -> tuple[Problem, ...]:
    """Problems by the paths that people know."""
    root = f"{source}{os.sep}"
    return tuple(msgspec.structs.replace(p, file=p.file.removeprefix(root)) for p in problems)


def _refused(tried: Tried, error: str) -> Tried:
    return msgspec.structs.replace(tried, error=error)


def _missing(names: tuple[str, ...], python: str) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return (
        f"the server does not have {shown}; environments are not built here: install them for {python},"
        " or deploy with --anyway"
    )


def _few(lines: tuple[str, ...]) -> tuple[str, ...]:
    return (*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more") if len(lines) > _SHOWN else lines


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
