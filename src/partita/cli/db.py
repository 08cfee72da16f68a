"""`partita db ...`: is the store whole, is it of today, a copy of it, its space, moving it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument
from partita.cli.words import many, size
from partita.errors import DefinitionError
from partita.settings import STORE, Home
from partita.store import opening

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
        terminal.print_json({"store": opening.where(settings.home), "findings": found})
    elif count:
        more = f", {count - _SHOWN} of them not shown" if count > _SHOWN else ""
        out.line(("■ ", "red"), f"{many(count, 'finding')} in {opening.where(settings.home)}{more}")
        terminal.hint("a finding is a bug of Partita's or damage to the file: please report it")
    else:
        out.line(("● ", "green"), f"all invariants hold in {opening.where(settings.home)}")
    return 1 if count else 0


def migrate(json: options.Json = False, folder: options.Project = None) -> int:
    """Bring the store up to date; nothing happens if it is. No engine may be at work on it."""
    settings = project.settings_of(folder)
    if not opening.exists(settings.home):
        raise DefinitionError(
            f"there is no store at {opening.where(settings.home)}", hint="`partita run` makes it, of today"
        )
    names = opening.migrate(settings.home)
    if json:
        terminal.print_json({"store": opening.where(settings.home), "applied": names})
        return 0
    out = terminal.out()
    for name in names:
        out.line(("● ", "green"), f"applied {name}")
    out.line(("● ", "green"), f"{opening.where(settings.home)} is up to date")
    return 0


def backup(
    file: Annotated[Path, Argument("FILE", "Where the copy goes; it must not exist yet")],
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Copy the store to a file, whole and consistent, also while an engine is at work on it."""
    from partita.store.sqlite import backup as backup_store

    settings = project.settings_of(folder)
    hint = "pg_dump copies it, also while an engine is at work on it: pg_dump --format=custom --file=FILE ADDRESS"
    written = backup_store(opening.file_of(settings.home, hint=hint), file)
    if json:
        terminal.print_json({"store": opening.where(settings.home), "file": str(file.absolute()), "bytes": written})
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
    told = None if opening.is_shared(settings.home) else ask(settings.home.socket, Vacuum(), Vacuumed)
    if told is not None:
        given = told.bytes
    else:
        before, after = compact(opening.file_of(settings.home, hint="its autovacuum gives space back by itself"))
        given = max(0, before - after)
    if json:
        terminal.print_json({"store": opening.where(settings.home), "bytes": given})
    else:
        terminal.out().line(("● ", "green"), f"{size(given)} given back")
    return 0


def storage(json: options.Json = False, folder: options.Project = None) -> int:
    """Show what takes how much space, how long each kind is kept, and what retention would remove now."""
    from partita.cli.storage import print_storage, storage_object
    from partita.engine.keeping import policy_for
    from partita.engine.storage import counted, storage_of

    settings = project.settings_of(folder)
    reader = project.open_memory(settings)
    found = storage_of(settings.home, reader, policy_for(settings.project), now=time.time())
    if found.elsewhere is not None:
        import msgspec

        found = msgspec.structs.replace(found, elsewhere=counted(settings.home))
    if json:
        terminal.print_json(storage_object(found))
    else:
        print_storage(terminal.out(), found)
    reader.close()
    return 0


def copy(
    source: Annotated[str, Argument("FROM", "The address of the store that is: sqlite://... or postgresql://...")],
    target: Annotated[str, Argument("TO", "The address of an empty database, or of a file that is not there yet")],
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Move a store with all of its history to another database. No engine may be at work on it meanwhile.

    What is running goes on after the move; logs, large values and keys stay where they are.
    """
    from partita.store import addresses, copying

    settings = project.settings_of(folder)
    out = terminal.out()
    # Ours runs while it is needed.
    server = opening.server_at(settings.home.root, source, target)
    try:
        counts = copying.copy(source, target)
    finally:
        if server is not None:
            server.stop(kindly=True)
    total = sum(counts.values())
    if json:
        terminal.print_json({"from": addresses.shown(source), "to": addresses.shown(target), "rows": counts})
        return 0
    out.line(("● ", "green"), f"{many(total, 'row')} moved to {addresses.shown(target)}, runs: {counts['runs']}")
    terminal.hint(_how_to_use(settings.home, target, is_own=server is not None and server.address == target))
    return 0


def _how_to_use(home: Home, target: str, *, is_own: bool) -> str:
    if is_own:
        return f"use it: partita up --postgres   (the file {home.db} stays; remove it when all is well)"
    leftover = f", and remove {home.root / STORE}" if (home.root / STORE).exists() else ""
    return f'use it: PARTITA_STORE="{target}", or store = "..." under [tool.partita] in pyproject.toml{leftover}'
