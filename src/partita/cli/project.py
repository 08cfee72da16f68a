"""Which project a command is about, and what it defines.

Rule: finding it imports nothing of the user's; its code is imported by a host process only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from partita.errors import DefinitionError, LoadError
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.core.manifest import Manifest
    from partita.store.reading import SqlReader


def settings_of(folder: Path | None) -> Settings:
    """The settings of the project in `folder`, or in this folder or its nearest parent that is one."""
    if folder is not None:
        if not folder.is_dir():
            raise DefinitionError(f"there is no folder {folder}", hint="-C takes the folder of a project")
        return _settings(folder)
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise DefinitionError("this folder has been removed", hint="go to another one, or say -C FOLDER") from None
    found = next((f for f in (here, *here.parents) if is_project(f)), None)
    if found is None and os.environ.get("PARTITA_HOME"):
        # A server of what is deployed to it: there is a home, and no project of its own.
        return _settings(here)
    if found is None:
        raise DefinitionError(
            f"{here} is no project, and no folder above it is one",
            hint="make one here: partita init   or name one: -C FOLDER",
        )
    return _settings(found)


def is_project(folder: Path) -> bool:
    """Whether there is a project here: definitions, or what an earlier run left."""
    if (folder / "pipelines.py").is_file() or (folder / "pipelines" / "__init__.py").is_file():
        return True
    try:
        if "[tool.partita" in (folder / "pyproject.toml").read_text(encoding="utf-8", errors="replace"):
            return True
    except OSError:
        pass  # no such file, or not for us: then it says nothing
    return (folder / ".partita" / "partita.db").is_file()


def load(settings: Settings) -> Manifest:
    """What the project defines. Raises `LoadError`."""
    from partita.executors.loading import load_project

    loaded = load_project(settings)
    loaded.connection.close(kill=True)
    return loaded.manifest


def open_memory(settings: Settings) -> SqlReader:
    """The store of the project, to read. Raises `StoreError`, also when nothing was run yet."""
    from partita.store import opening

    if not opening.exists(settings.home):
        raise DefinitionError(
            f"nothing was run in {settings.project} yet", hint="start with: partita run, or serve it: partita up"
        )
    return opening.open_reader(settings.home)


def has_engine(settings: Settings) -> bool:
    """Whether an engine is at work here."""
    from partita.engine.control import Status
    from partita.engine.postbox import reach

    return reach(settings.home, Status()) is not None


def user_name() -> str:
    """Who is asking, for the record."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _settings(folder: Path) -> Settings:
    try:
        return Settings.of(folder)
    except ValueError as error:
        raise LoadError(f"the environment is wrong: {error}", hint="PARTITA_WORKERS is a number") from error
