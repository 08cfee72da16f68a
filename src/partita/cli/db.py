"""`partita db ...`: is the store whole, is it of today, a copy of it, its space."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument
from partita.cli.words import many, size
from partita.errors import DefinitionError

_SHOWN = 200


def audit(json: options.Json = False, folder: options.Project = None) -> int:
    """Check the invariants of the store (it is only read). Exits with 1 if one is violated."""
    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    count = 0
    found: list[dict[str, str]] = []
    out = terminal.out()
    for finding in reader.audit():
        count += 1
        if json:
            found.append({"invariant": finding.invariant, "message": finding.message})
        elif count <= _SHOWN:
            out.line(("■ ", "red"), (finding.invariant, "bold"), f"  {finding.message}")
    reader.close()
    if json:
        terminal.print_json({"store": str(settings.home.db), "findings": found})
    elif count:
        more = f", {count - _SHOWN} of them not shown" if count > _SHOWN else ""
        out.line(("■ ", "red"), f"{many(count, 'finding')} in {settings.home.db}{more}")
        terminal.hint("a finding is a bug of Partita's or damage to the file: please report it")
    else:
        out.line(("● ", "green"), f"all invariants hold in {settings.home.db}")
    return 1 if count else 0


def migrate(json: options.Json = False, folder: options.Project = None) -> int:
    """Bring the store up to date; nothing happens if it is. No engine may be at work on it."""
    from partita.store.sqlite import migrate as migrate_store

    settings = project.settings_of(folder)
    if not settings.home.db.exists():
        raise DefinitionError(f"there is no store at {settings.home.db}", hint="`partita run` makes it, of today")
    names = migrate_store(settings.home.db)
    if json:
        terminal.print_json({"store": str(settings.home.db), "applied": names})
        return 0
    out = terminal.out()
    for name in names:
        out.line(("● ", "green"), f"applied {name}")
    out.line(("● ", "green"), f"{settings.home.db} is up to date")
    return 0


def backup(
    file: Annotated[Path, Argument("FILE", "Where the copy goes; it must not exist yet")],
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Copy the store to a file, whole and consistent, also while an engine is at work on it."""
    from partita.store.sqlite import backup as backup_store

    settings = project.settings_of(folder)
    written = backup_store(settings.home.db, file)
    if json:
        terminal.print_json({"store": str(settings.home.db), "file": str(file.absolute()), "bytes": written})
        return 0
    terminal.out().line(("● ", "green"), f"{file}: {size(written)}")
    terminal.hint(f"large values, logs and secrets.key lie beside the store: copy {settings.home.root} for these")
    return 0


def vacuum(json: options.Json = False, folder: options.Project = None) -> int:
    """Give the free space of the store back to the file system.

    A service that runs does it bit by bit; without one the file is written anew, which needs as much space again.
    """
    from partita.engine.control import ask
    from partita.engine.retention import Vacuum, Vacuumed
    from partita.store.sqlite import compact

    settings = project.settings_of(folder)
    told = ask(settings.home.socket, Vacuum(), Vacuumed)
    if told is not None:
        given = told.bytes
    else:
        before, after = compact(settings.home.db)
        given = max(0, before - after)
    if json:
        terminal.print_json({"store": str(settings.home.db), "bytes": given})
    else:
        terminal.out().line(("● ", "green"), f"{size(given)} given back")
    return 0


def storage(json: options.Json = False, folder: options.Project = None) -> int:
    """Show what takes how much space, how long each kind is kept, and what retention would remove now."""
    from partita.cli.storage import print_storage, storage_object
    from partita.engine.keeping import policy_for
    from partita.engine.storage import storage_of

    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    found = storage_of(settings.home, reader, policy_for(settings.project), now=time.time())
    if json:
        terminal.print_json(storage_object(found))
    else:
        print_storage(terminal.out(), found)
    reader.close()
    return 0
