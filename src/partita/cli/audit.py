"""`partita audit`: who changed what and who was denied, and whether that record is as it was written.

Rule: it is only read.
"""

from __future__ import annotations

from typing import Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Option
from partita.cli.tables import Column, print_table
from partita.cli.words import many


def audit(
    limit: Annotated[int, Option(("-n", "--limit"), "So many entries, the newest ones", "N", least=1)] = 50,
    by: Annotated[str, Option(("--by",), "Only what this user or token did", "NAME")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List who changed what, and who was denied; newest first."""
    from partita.server import access_objects
    from partita.store import access

    reader = project.open_memory(project.settings_of(folder))
    try:
        rows = access.audit_entries(reader, principal=by, limit=limit)
    finally:
        reader.close()
    entries = [access_objects.audit_entry(row) for row in rows]
    if json:
        import msgspec

        terminal.print_json([msgspec.to_builtins(entry) for entry in entries])
        return 0
    if not entries:
        terminal.note("nothing was changed and nobody was denied")
        return 0
    columns = (
        Column("no", right=True),
        Column("at"),
        Column("who"),
        Column("what", flexible=True),
        Column("about"),
        Column("result"),
    )
    cells = [[str(e.no), e.at[:19].replace("T", " "), e.principal, e.action, e.object, e.result] for e in entries]
    print_table(terminal.out(), columns, cells)
    return 0


def audit_verify(json: options.Json = False, folder: options.Project = None) -> int:
    """Check that no entry was changed, moved or taken out. Exits with 1 if one was."""
    from partita.store import access

    reader = project.open_memory(project.settings_of(folder))
    try:
        found = list(access.broken_links(reader))
        newest = access.audit_entries(reader, limit=1)
    finally:
        reader.close()
    head = newest[0].hash.hex() if newest else ""
    if json:
        terminal.print_json({"findings": found, "head": head})
        return 1 if found else 0
    for finding in found[:200]:
        terminal.out().line(("■ ", "red"), finding)
    if found:
        terminal.out().line(("■ ", "red"), f"{many(len(found), 'finding')}: the audit was tampered with")
        return 1
    terminal.out().line(("● ", "green"), "the audit is as it was written")
    if head:
        terminal.note(f"its head is {head[:32]}: note it elsewhere, and nobody can write it all anew unseen")
    return 0
