"""`partita db audit` and `partita db migrate`: is the store whole, and is it of today."""

from __future__ import annotations

from partita.cli import options, project, terminal
from partita.cli.words import many
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
